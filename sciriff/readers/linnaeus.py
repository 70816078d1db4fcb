"""LINNAEUS corpus: one text file a document, and one table of the tags of all documents.

``path`` is a pattern that matches the texts, e.g. ``archive!manual-corpus-species-1.0/txt/*.txt``; the id of a document
is the name of its file without ``.txt``.

Options:
    ``tags``: member path of the table. Required. Its lines are ``species id, document, start, end, text, code`` with
    tabs between; lines that begin with ``#`` and blank lines do not count. The type of a mention is what stands before
    the first colon of its species id, ``species`` in ``species:ncbi:9606``. The code, which may be missing, says what
    kind of name it is and is not used.

Documents without a tag are passed over: the corpus does not tell them from documents that nobody tagged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers.records import Document, Entity, PassedOver, Row, SplitSpec
from sciriff.readers.text import decode, fragments, numbered_lines, offset

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView

_SUFFIX = ".txt"
_FIELDS = (5, 6)

_Tag = tuple[str, bytes]
"""Where a line of the table stands, and the line."""


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row | PassedOver]:
    """Yield the tagged documents by id, then the lines of the table that name no document.

    ``raw`` is ``(id, text or None, lines of the table)``.

    Raises:
        TaskFileError: if the option ``tags`` is missing.
    """
    split.check_options("linnaeus", "tags")
    if "tags" not in split.options:
        raise TaskFileError(f"{split.path}: reader 'linnaeus' needs the option 'tags', the member path of the tags")
    tags, strays = _tags_by_document(view, str(split.options["tags"]))
    texts = {re.split("[/!]", path)[-1].removesuffix(_SUFFIX): content for path, content in view.members(split.path)}
    index = 0
    for name in sorted(texts.keys() | tags.keys()):
        if name in tags:
            yield Row(index, f"{split.path} ({name})", (name, texts.get(name), tuple(tags[name])))
            index += 1
        else:
            yield PassedOver("no tag", f"{split.path} ({name})")
    for stray in strays:
        yield Row(index, stray[0], (None, None, (stray,)))
        index += 1


def parse(row: Row, _split: SplitSpec) -> Document:
    """Parse one document, with its mentions in the order of the table.

    Raises:
        RecordError: if there is no text of that id, it is not UTF-8, or a line of the table is malformed.
    """
    name, raw_text, tags = row.raw
    text = "" if raw_text is None else decode(raw_text, row.where)
    entities = tuple(_entity(line, where, text) for where, line in tags)
    if raw_text is None:
        raise RecordError(row.where, f"there is no file {name}{_SUFFIX}, which {tags[0][0]} tags")
    return Document(id=name, passages=(text.replace("\r\n", "\n"),), entities=entities)


def _tags_by_document(view: ArchiveView, path: str) -> tuple[dict[str, list[_Tag]], list[_Tag]]:
    """Document id -> its lines in order, and the lines that name no document."""
    found: dict[str, list[_Tag]] = {}
    strays: list[_Tag] = []
    with view.open(path) as stream:
        for number, line in numbered_lines(stream):
            if not line.strip() or line.startswith(b"#"):
                continue
            _, _, rest = line.partition(b"\t")
            name = rest.partition(b"\t")[0].decode("utf-8", "replace").strip()
            tag = f"{path}:{number}", line
            if name:
                found.setdefault(name, []).append(tag)
            else:
                strays.append(tag)
    return found, strays


def _entity(line: bytes, where: str, text: str) -> Entity:
    fields = decode(line, where).split("\t")
    if len(fields) not in _FIELDS:
        raise RecordError(
            where, f"expected species id, document, start, end, text and code, found {len(fields)} fields"
        )
    kind, surface = fields[0].partition(":")[0].strip(), fields[4].strip()
    start, end = offset(fields[2], where), offset(fields[3], where)
    if not kind or not surface or end < start:
        raise RecordError(where, f"expected a species id and a mention with its place, found {fields[:5]}")
    return Entity(kind, fragments(text, [(start, end)], surface))
