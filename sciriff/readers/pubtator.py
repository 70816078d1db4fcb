"""PubTator, see https://ftp.ncbi.nlm.nih.gov/pub/lu/PubTatorCentral/README.txt.

A document is ``pmid|t|title``, ``pmid|a|abstract`` and tab-separated lines: mentions of 5 to 7 fields (pmid, start,
end, text, type, concept id, parts of a composite) and relations (pmid, type, id, id, ...), which are not read. It
ends at a blank line or at the next title. Tolerated: a byte order mark, CRLF, blank lines at the start, no line feed at
the end, control characters in a text. A mention is taken as its line writes it: offsets of some corpora count the last
character in or are off by one.

Options:
    ``duplicates``: ``first`` (default: of the documents with one pmid, the first is kept, and the others are told as
    passed over) or ``keep``.
    ``list``: member path of a file with one pmid a line, which says what belongs to the split; the order stays the
    corpus's. Listed documents that the corpus lacks are told as passed over.
    ``split_types``: true if a type field may be a comma list that stands for one mention of each type (MedMentions).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers.members import listed_ids
from sciriff.readers.records import Document, Entity, PassedOver, Row, SplitSpec
from sciriff.readers.text import BYTE_ORDER_MARK, decode, whole_number

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView

_TITLE = re.compile(rb"[^|\t\n]+\|t\|")
_BREAK = re.compile(rb"\n(?:(?:[ \t\r\f\v]*+\n)++|(?=[^|\t\r\n]++\|t\|))")
_PLAIN_MENTION = re.compile(
    r"^([^\t\n]++)\t([0-9]++)\t([0-9]++)\t([^\t\n]*+)\t([^\t\n]++)(?:\t[^\t\n]*+){0,2}+$", re.MULTILINE
)
_CARRIAGE_RETURNS = re.compile(r"\r+(?=\n|\Z)")
_CHUNK = 1 << 20
_MENTION_FIELDS = (5, 6, 7)
_RELATION_FIELDS = (4, 5)


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row | PassedOver]:
    """Yield the documents in file order; ``raw`` is their lines as they are, ``where`` tells the first one."""
    split.check_options("pubtator", "duplicates", "list", "split_types")
    duplicates = split.options.get("duplicates", "first")
    if duplicates not in ("first", "keep"):
        raise TaskFileError(f"{split.path}: reader 'pubtator': duplicates is {duplicates!r}; expected first or keep")
    listed = listed_ids(view, str(split.options["list"])) if "list" in split.options else []
    wanted = frozenset(pmid.encode() for pmid in listed) if "list" in split.options else None
    seen: set[bytes] = set()
    index = 0
    with view.open(split.path) as stream:
        for number, at, block in _blocks(stream):
            title = _TITLE.match(block)
            pmid = title.group()[:-3].strip() if title else None
            if pmid is not None:  # a block without a title is passed on: ``parse`` will say what is wrong
                if wanted is not None and pmid not in wanted:
                    continue
                if duplicates == "first" and pmid in seen:
                    yield PassedOver("repeated pmid", f"{split.path}:{number} ({pmid.decode('utf-8', 'replace')})")
                    continue
                seen.add(pmid)
            yield Row(index, f"{split.path}:{number}", block, at)
            index += 1
    for name in dict.fromkeys(listed):
        if name.encode() not in seen:
            yield PassedOver("listed, but not in the corpus", f"{split.options['list']} ({name})")


def parse(row: Row, split: SplitSpec) -> Document:
    """Parse one document; its passages are title and abstract.

    Raises:
        RecordError: if title or abstract is missing, or a mention line is malformed.
    """
    path, first = split.path, int(row.where.rpartition(":")[2])
    title_line, *others = _decoded(row.raw, first, path).split("\n", 2)
    pmid, title = _header(title_line, "t", f"{path}:{first}")
    if not others:
        raise RecordError(row.where, f"document {pmid}: expected a second line 'pmid|a|abstract'")
    abstract_pmid, abstract = _header(others[0], "a", f"{path}:{first + 1}")
    if abstract_pmid != pmid:
        raise RecordError(f"{path}:{first + 1}", f"abstract of {abstract_pmid!r} under the title of {pmid!r}")
    mentions = others[1] if len(others) > 1 else ""
    split_types = bool(split.options.get("split_types", False))
    entities = _plain_entities(mentions, pmid) if not split_types else None
    if entities is None:
        lines = mentions.split("\n") if mentions else []
        entities = _checked_entities(lines, pmid, split_types, path, first + 2)
    return Document(pmid, (title, abstract), tuple(entities))


def _plain_entities(lines: str, pmid: str) -> list[Entity] | None:
    """Read mention lines all at once; None if one of them is anything but a plain, correct mention."""
    found = _PLAIN_MENTION.findall(lines)
    if len(found) != (lines.count("\n") + 1 if lines else 0):
        return None
    entities = []
    for owner, start, end, surface, kind in found:
        if owner != pmid or int(end) < int(start) or not surface or surface.isspace() or kind.isspace():
            return None
        entities.append(Entity(kind.strip(), (surface,)))
    return entities


def _checked_entities(lines: Sequence[str], pmid: str, split_types: bool, path: str, first: int) -> list[Entity]:
    """Read mention and relation lines one by one.

    Raises:
        RecordError: naming the line that is malformed.
    """
    entities: list[Entity] = []
    for number, line in enumerate(lines, start=first):
        try:
            entities += _entities(line, pmid, split_types)
        except ValueError as error:
            raise RecordError(f"{path}:{number}", str(error)) from None
    return entities


def _blocks(stream: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Cut at blank lines, and before a title line that follows without one.

    Yields:
        (number of the first line, offset in the stream, block).
    """
    head = stream.read(_CHUNK)
    rest = head.removeprefix(BYTE_ORDER_MARK)
    number, at = 1, len(head) - len(rest)
    while rest:
        chunk = stream.read(_CHUNK)
        start, solid = 0, len(rest.rstrip())
        for cut in _BREAK.finditer(rest):
            if chunk and cut.end() >= solid:
                break  # more blank lines may follow
            if not (block := rest[start : cut.start()]).isspace() and block:
                yield number, at + start, block
            number += rest.count(b"\n", start, cut.end())
            start = cut.end()
        rest = rest[start:]
        at += start
        if not chunk:
            if rest.strip():
                yield number, at, rest
            return
        rest += chunk


def _header(line: str, letter: str, where: str) -> tuple[str, str]:
    fields = line.split("|", 2)  # the text itself may hold '|'
    if len(fields) != 3 or fields[1] != letter or not fields[0].strip():
        name = {"t": "title", "a": "abstract"}[letter]
        raise RecordError(where, f"expected 'pmid|{letter}|{name}', found {_shown(line)}")
    return fields[0].strip(), fields[2].strip()


def _decoded(block: bytes, first: int, path: str) -> str:
    """The lines of a block, with LF between them."""
    try:
        text = block.decode()
    except UnicodeDecodeError:  # decode line by line to name the one
        lines = enumerate(block.split(b"\n"), start=first)
        text = "\n".join([decode(line, f"{path}:{number}") for number, line in lines])
    if "\r" in text:
        text = _CARRIAGE_RETURNS.sub("", text)
    return text.rstrip("\n")


def _entities(line: str, pmid: str, split_types: bool) -> Sequence[Entity]:
    """Read a mention line; raises ValueError with the reason if it is malformed."""
    fields = line.split("\t")
    if fields[0] != pmid and fields[0].strip() != pmid:
        raise ValueError(f"expected a line of document {pmid}, found {_shown(line)}")
    if len(fields) in _RELATION_FIELDS and not fields[1].strip().isdecimal():
        return ()
    if len(fields) not in _MENTION_FIELDS:
        raise ValueError(f"expected 5 to 7 fields between tabs, found {len(fields)}: {_shown(line)}")
    surface, kind = fields[3], fields[4].strip()
    if whole_number(fields[2]) < whole_number(fields[1]) or not kind or not surface or surface.isspace():
        raise ValueError(f"expected 'pmid, start, end, text, type', found {_shown(line)}")
    if split_types and "," in kind:
        return [Entity(name.strip(), (surface,)) for name in kind.split(",")]
    return (Entity(kind, (surface,)),)


def _shown(line: str) -> str:
    return repr(line if len(line) <= 120 else f"{line[:120]}...")
