"""ChemProt tables of BioCreative VI, see https://biocreative.bioinformatics.udel.edu/tasks/biocreative-vi/track-5/.

``path`` is the table of abstracts (pmid, title, abstract). Tabs separate the fields; there are no quotes and no head
line. The one passage of a document is title, newline, abstract.

Options:
    ``entities``: member path of the table of mentions (pmid, id, type, start, end, text). Required.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers.records import Document, Entity, Row, SplitSpec
from sciriff.readers.text import decode, numbered_lines, offset

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield the documents in the order of the abstracts; ``raw`` is ``(abstract line or None, mention lines)``.

    Mentions of a document that has no abstract come as rows at the end, so that they are reported and not lost.
    """
    split.check_options("chemprot", "entities")
    if "entities" not in split.options:
        raise TaskFileError(f"{split.path}: reader 'chemprot' needs option 'entities', the path of the mentions' table")
    mentions: dict[bytes, list[tuple[int, bytes]]] = {}
    with view.open(str(split.options["entities"])) as stream:
        for number, line in numbered_lines(stream):
            if line.strip():
                mentions.setdefault(_pmid(line), []).append((number, line))
    unclaimed = dict(mentions)
    index = 0
    with view.open(split.path) as stream:
        for number, line in numbered_lines(stream):
            if line.strip():
                pmid = _pmid(line)
                yield Row(index, f"{split.path}:{number}", (line, tuple(mentions.get(pmid, ()))))
                unclaimed.pop(pmid, None)
                index += 1
    for lines in unclaimed.values():
        yield Row(index, f"{split.options['entities']}:{lines[0][0]}", (None, tuple(lines)))
        index += 1


def parse(row: Row, split: SplitSpec) -> Document:
    """Parse one document.

    Raises:
        RecordError: if a line has another number of fields, an offset is no number, or the document has no abstract.
    """
    line, mentions = row.raw
    if line is None:
        first = _shown(decode(mentions[0][1], row.where))
        raise RecordError(row.where, f"{len(mentions)} mention(s) of a document without abstract, the first: {first}")
    fields = decode(line, row.where).split("\t")
    if len(fields) != 3 or not fields[0].strip():
        raise RecordError(row.where, f"expected 3 fields (pmid, title, abstract), found {len(fields)}")
    path = split.options["entities"]
    entities = tuple(_entity(decode(raw, f"{path}:{n}"), f"{path}:{n}") for n, raw in mentions)
    return Document(fields[0].strip(), (f"{fields[1]}\n{fields[2]}",), entities)


def _pmid(line: bytes) -> bytes:
    return line.partition(b"\t")[0].strip()


def _entity(line: str, where: str) -> Entity:
    fields = line.split("\t")
    if len(fields) != 6:
        raise RecordError(
            where, f"expected 6 fields (pmid, id, type, start, end, text), found {len(fields)}: {_shown(line)}"
        )
    kind, surface = fields[2].strip(), fields[5]
    if offset(fields[3], where) > offset(fields[4], where) or not kind or not surface.strip():
        raise RecordError(where, f"expected a type, start <= end and a text, found {_shown(line)}")
    return Entity(kind, (surface,))


def _shown(line: str) -> str:
    return repr(line if len(line) <= 120 else f"{line[:120]}...")
