"""BioC XML collections, see http://bioc.sourceforge.net.

``path`` names one collection of many documents; with ``list``, it is a pattern that matches one collection a document,
e.g. ``archive!Corpus/FINAL/*.BioC.XML``, where ``*`` stands for the document's id.

Options:
    ``list``: member path of a file with one document id a line, in the order of the split; only those files are read.
    ``then``: list of member paths of collections whose documents come after those of ``path``; rows are numbered on.
    ``unplaced``: what to do with an annotation without location or without text. ``refuse`` (default): the document is
    malformed. ``skip``: leave the annotation out, as it indexes its document and mentions nothing in it (NLM-Chem's
    ``MeSH_Indexing_Chemical``).

A collection is cut into its ``<document>`` elements by their tags, and each is parsed on its own: memory stays at one
document, a malformed document does not take the others with it, and no parser ever sees the DOCTYPE, so there is no
DTD to load and no entity to expand. Only numeric references and the five entities of XML itself are accepted.

The text of a mention is what its annotation says. Offsets serve only to part the fragments of a discontinuous mention,
and only where they fit: those of some corpora are off by one, or count from elsewhere.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from sciriff.errors import RecordError, SourceError, TaskFileError
from sciriff.readers.members import listed_ids
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
    """Yield the documents in file or list order; ``raw`` is ``(encoding, bytes of the element, what is wrong)``.

    Raises:
        TaskFileError: if an option is wrong, or ``path`` does not go with it.
        SourceError: if a collection of many documents is no BioC, declares entities of its own, or is cut off. Of a
            file that holds one document, that is the document's own error.
    """
    split.check_options("bioc", "list", "then", "unplaced")
    _skips_unplaced(split)
    paths = [split.path, *_more_paths(split)]
    if "list" in split.options:
        if len(paths) > 1:
            raise TaskFileError(f"{split.path}: reader 'bioc': the options list and then do not go together")
        yield from _listed_rows(view, split)
        return
    index = 0
    for path in paths:
        with view.open(path) as stream:
            for number, (encoding, element) in enumerate(_elements(stream, path), start=1):
                yield Row(index, f"{path}:document {number}", (encoding, element, ""))
                index += 1


def _more_paths(split: SplitSpec) -> list[str]:
    paths = split.options.get("then", [])
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise TaskFileError(f"{split.path}: reader 'bioc': then is {paths!r}; expected a list of member paths")
    return paths


def _skips_unplaced(split: SplitSpec) -> bool:
    choice = split.options.get("unplaced", "refuse")
    if choice not in ("refuse", "skip"):
        raise TaskFileError(f"{split.path}: reader 'bioc': unplaced is {choice!r}; expected refuse or skip")
    return bool(choice == "skip")


def _listed_rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """One row for each listed id, also where its file is missing or wrong: ``parse`` says so."""
    before, star, after = split.path.partition("*")
    if not star or "*" in after:
        raise TaskFileError(
            f"{split.path}: reader 'bioc': with a list, expected one * in the path, for the document's id"
        )
    listed = listed_ids(view, str(split.options["list"]))
    wanted = frozenset(f"{before}{name}{after}" for name in listed)
    # In one pass: members of a compressed tar cannot be had in any other order.
    contents = {path: content for path, content in view.members(split.path) if path in wanted}
    for index, name in enumerate(listed):
        path = f"{before}{name}{after}"
        yield Row(index, path, _only_element(contents.get(path), path))


def _only_element(content: bytes | None, path: str) -> tuple[str, bytes, str]:
    """The one document of a file, as the ``raw`` of a row."""
    if content is None:
        return "", b"", "it is listed, but there is no such file"
    try:
        found = list(_elements(io.BytesIO(content), path))
    except SourceError as error:
        return "", b"", str(error).removeprefix(path).lstrip(": ")
    if len(found) != 1:
        return "", b"", f"expected one document, found {len(found)}"
    return *found[0], ""


def _elements(stream: BinaryIO, path: str) -> Iterator[tuple[str, bytes]]:
    """Cut a collection: yield ``(encoding, bytes of the element)`` of each document.

    Raises:
        SourceError: if it is no BioC collection, declares entities of its own, or is cut off.
    """
    cutter = _Cutter(stream)
    prolog = cutter.until_document()
    if entity := _ENTITY.search(prolog):
        name = entity[1].decode("ascii", "replace")
        raise SourceError(f"{path} declares the entity {name!r}; entities are refused, no corpus needs them")
    if b"<collection" not in prolog:
        raise SourceError(f"{path}: expected BioC XML, found no <collection> element")
    declared = _ENCODING.search(prolog)
    encoding = declared[1].decode() if declared else "UTF-8"
    for element in cutter.documents():
        yield encoding, element
    if b"</collection" not in prolog + cutter.rest:
        raise SourceError(f"{path} ends without </collection>: it is cut off; fetch it again")


def parse(row: Row, split: SplitSpec) -> Document:
    """Parse one document.

    A passage without text of its own has that of its sentences; one that has none at all is left out.

    Raises:
        RecordError: if a listed file is missing or wrong, or the element is not well-formed, lacks its id or a type, or
            has an offset that is no number, or an annotation without location or text that is not to be skipped.
    """
    from lxml import etree

    encoding, element, problem = row.raw
    if problem:
        raise RecordError(row.where, problem)
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
    skips_unplaced = _skips_unplaced(split)
    passages: list[str] = []
    entities: list[Entity] = []
    for passage in root.findall("passage"):
        sentences = passage.findall("sentence")
        text = passage.findtext("text") or " ".join(sentence.findtext("text") or "" for sentence in sentences)
        if text.strip():
            passages.append(text)
        for holder in (passage, *sentences):
            entities.extend(_entities(holder, where, skips_unplaced))
    return Document(name, tuple(passages), tuple(entities))


def _entities(holder: _Element, where: str, skips_unplaced: bool) -> Iterator[Entity]:
    """Mentions of a passage or sentence, in document order."""
    annotations = holder.findall("annotation")
    if not annotations:
        return
    text = holder.findtext("text") or ""
    shift = offset((holder.findtext("offset") or "").strip(), f"{where}, <offset>")
    for annotation in annotations:
        at = f"{where}, annotation {annotation.get('id')!r}"
        surface = annotation.findtext("text") or ""
        kind = next((infon.text for infon in annotation.findall("infon") if infon.get("key") == "type"), None)
        spans = []
        for location in annotation.findall("location"):
            start = offset(location.get("offset", ""), at) - shift
            spans.append((start, start + offset(location.get("length", ""), at)))
        if not spans or not surface.strip():
            if skips_unplaced:
                continue
            lacking = "text" if spans else "location"
            raise RecordError(
                at,
                f"type {kind}: there is no {lacking}; the reader's option 'unplaced: skip' leaves such annotations out",
            )
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
