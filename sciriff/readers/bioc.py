"""BioC XML collections, see http://bioc.sourceforge.net. No options.

A collection is cut into its ``<document>`` elements by their tags, and each is parsed on its own: memory stays at one
document, a malformed document does not take the others with it, and no parser ever sees the DOCTYPE, so there is no
DTD to load and no entity to expand. Only numeric references and the five entities of XML itself are accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from sciriff.errors import RecordError, SourceError
from sciriff.readers.records import Document, Entity, Row, SplitSpec
from sciriff.readers.text import fragments, offset

if TYPE_CHECKING:
    from lxml.etree import _Element

    from sciriff.sources.archives import ArchiveView

_READ = 1 << 16
_MARK = re.compile(rb"<!--|<!\[CDATA\[|<document(?=[\s>])|</document\s*>")
_LONGEST_MARK = 32
_CLOSING = {b"<!--": b"-->", b"<![CDATA[": b"]]>"}
_ENTITY = re.compile(rb"<!ENTITY\s+(?:%\s*)?([^\s>]+)")
_ENCODING = re.compile(rb"<\?xml[^>]*\bencoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield the documents in file order; ``raw`` is ``(encoding, bytes of the element)``.

    Raises:
        SourceError: if the file is no BioC collection, declares entities of its own, or is cut off.
    """
    split.check_options("bioc")
    with view.open(split.path) as stream:
        cutter = _Cutter(stream)
        prolog = cutter.until_document()
        if entity := _ENTITY.search(prolog):
            name = entity[1].decode("ascii", "replace")
            raise SourceError(f"{split.path} declares the entity {name!r}; entities are refused, no corpus needs them")
        if b"<collection" not in prolog:
            raise SourceError(f"{split.path}: expected BioC XML, found no <collection> element")
        declared = _ENCODING.search(prolog)
        encoding = declared[1].decode() if declared else "UTF-8"
        for index, element in enumerate(cutter.documents()):
            yield Row(index, f"{split.path}:document {index + 1}", (encoding, element))
        if b"</collection" not in prolog + cutter.rest:
            raise SourceError(f"{split.path} ends without </collection>: it is cut off; fetch it again")


def parse(row: Row, _split: SplitSpec) -> Document:
    """Parse one document.

    Passages without text are left out; so are annotations without a location or without text (they index the document,
    they do not mention anything in it).

    Raises:
        RecordError: if the element is not well-formed, lacks its id or a type, or has an offset that is no number.
    """
    from lxml import etree

    encoding, element = row.raw
    parser = etree.XMLParser(
        encoding=encoding,
        load_dtd=False,
        no_network=True,
        resolve_entities=False,
        huge_tree=False,
        remove_comments=True,
    )
    try:
        root = etree.fromstring(element, parser)
    except (etree.XMLSyntaxError, LookupError) as error:
        raise RecordError(row.where, f"not well-formed XML: {error}") from error
    name = (root.findtext("id") or "").strip()
    if not name:
        raise RecordError(row.where, "the document has no <id>")
    where = f"{row.where} ({name})"
    passages: list[str] = []
    entities: list[Entity] = []
    for passage in root.findall("passage"):
        text = passage.findtext("text") or ""
        if text.strip():
            passages.append(text)
        for holder in (passage, *passage.findall("sentence")):
            entities.extend(_entities(holder, where))
    return Document(name, tuple(passages), tuple(entities))


def _entities(holder: _Element, where: str) -> Iterator[Entity]:
    """Mentions of a passage or sentence, in document order."""
    annotations = holder.findall("annotation")
    if not annotations:
        return
    text = holder.findtext("text") or ""
    shift = offset((holder.findtext("offset") or "").strip(), f"{where}, <offset>")
    for annotation in annotations:
        at = f"{where}, annotation {annotation.get('id')!r}"
        surface = annotation.findtext("text") or ""
        spans = []
        for location in annotation.findall("location"):
            start = offset(location.get("offset", ""), at) - shift
            spans.append((start, start + offset(location.get("length", ""), at)))
        if not spans or not surface.strip():
            continue
        kind = next((infon.text for infon in annotation.findall("infon") if infon.get("key") == "type"), None)
        if not kind:
            raise RecordError(at, "there is no <infon key='type'>")
        # An offset before its own passage would count from the end of the text.
        in_place = all(start >= 0 for start, _ in spans)
        yield Entity(kind, fragments(text, spans, surface) if in_place else (surface,))


class _Cutter:
    """Finds ``<document>`` elements in a stream by their tags, passing over comments and CDATA sections."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._buffer = b""
        self._at = 0
        self._ended = False
        self.rest = b""
        """What follows the last document."""

    def until_document(self) -> bytes:
        """Everything before the first document: XML declaration, DOCTYPE and head of the collection."""
        while (mark := self._next_mark()) is not None:
            if mark.startswith(b"<document"):
                self._at -= len(mark)
                break
        return self._take()

    def documents(self) -> Iterator[bytes]:
        """Yield each element. One that never closes ends where the next begins, so that only itself is malformed."""
        open_ = False
        while (mark := self._next_mark()) is not None:
            if mark.startswith(b"</"):
                yield self._take()
                open_ = False
            elif mark.startswith(b"<document"):
                self._at -= len(mark)
                before = self._take()
                if open_:
                    yield before
                self._at += len(mark)
                open_ = True
        self.rest = self._take()
        if open_:
            yield self.rest

    def _take(self) -> bytes:
        taken, self._buffer = self._buffer[: self._at], self._buffer[self._at :]
        self._at = 0
        return taken

    def _next_mark(self) -> bytes | None:
        """Pass the next document tag and return it; None at the end of the stream."""
        while True:
            match = _MARK.search(self._buffer, self._at)
            if match is None or (match.end() == len(self._buffer) and not self._ended):
                if self._ended:
                    self._at = len(self._buffer)
                    return None
                self._at = match.start() if match else max(self._at, len(self._buffer) - _LONGEST_MARK)
                self._grow()
                continue
            self._at = match.end()
            closing = _CLOSING.get(match.group())
            if closing is None:
                return match.group()
            self._pass(closing)

    def _pass(self, closing: bytes) -> None:
        while (found := self._buffer.find(closing, self._at)) < 0:
            self._at = max(self._at, len(self._buffer) - len(closing))
            if not self._grow():
                self._at = len(self._buffer)
                return
        self._at = found + len(closing)

    def _grow(self) -> bool:
        data = self._stream.read(max(_READ, len(self._buffer)))
        self._buffer += data
        self._ended = not data
        return bool(data)
