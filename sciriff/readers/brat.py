"""brat standoff, see https://brat.nlplab.org/standoff.html: a ``.txt`` and an ``.ann`` file for each document.

``path`` is a pattern that matches both, e.g. ``corpus!AnatEM-1.0.2/standoff/train/*``.

Options:
    ``list``: member path of a fold list, a text file with one document id a line. Only its documents are read, in its
    order. Without it all documents are read, sorted by id.

Of the annotation lines, T (mentions, also of several spans) and E (events) are used; R, A, M, N, ``*`` and ``#``
lines are passed over. A line of none of these forms carries on the surface text of the T line above it, which some
files break over lines. Offsets count characters of the text with its carriage returns; passages and fragments have
plain newlines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sciriff.errors import RecordError
from sciriff.readers.members import listed_ids
from sciriff.readers.records import Argument, Document, Entity, Event, Row, SplitSpec
from sciriff.readers.text import decode, fragments, offset

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView

_LINE = re.compile(r"(?:[TEAMNR]\d+|\*|#\w*)\t")
_CUT_OFF = re.compile(r"[TE]\d+\s*")
_MENTION = re.compile(r"(\S+) +([^ ;]+ +[^ ;]+(?:;[^ ;]+ +[^ ;]+)*) *")
_SUFFIXES = (".txt", ".ann")


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield the documents by id or in list order; ``raw`` is ``(id, text or None, annotations or None)``.

    The files are read in one pass, because members of a compressed tar cannot be had in any other order.
    """
    split.check_options("brat", "list")
    listed = listed_ids(view, str(split.options["list"])) if "list" in split.options else None
    found = _pairs(view, split.path, None if listed is None else frozenset(listed))
    stems: dict[str, list[str]] = {}
    for name, stem in sorted(found):
        stems.setdefault(name, []).append(stem)
    index = 0
    for name in stems if listed is None else listed:
        for stem in stems.get(name, [f"{split.path}:{name}"]):
            text, annotations = found.get((name, stem), (None, None))
            yield Row(index, stem, (name, text, annotations))
            index += 1


def parse(row: Row, _split: SplitSpec) -> Document:
    """Parse one document. The mentions that trigger events are no entities.

    Raises:
        RecordError: if a file is missing or not UTF-8, a T or E line is malformed, or an id is unknown or used twice.
    """
    name, raw_text, raw_annotations = row.raw
    for suffix, content in zip(_SUFFIXES, (raw_text, raw_annotations), strict=True):
        if content is None:
            raise RecordError(row.where, f"there is no file {name}{suffix}")
    text = decode(raw_text, f"{row.where}.txt")
    return _Annotations(text, decode(raw_annotations, f"{row.where}.ann"), f"{row.where}.ann").document(name)


_Key = tuple[str, str]
"""Document id and member path without suffix."""


def _pairs(
    view: ArchiveView, pattern: str, wanted: frozenset[str] | None
) -> dict[_Key, tuple[bytes | None, bytes | None]]:
    found: dict[_Key, tuple[bytes | None, bytes | None]] = {}
    for member, content in view.members(pattern):
        stem, suffix = member[:-4], member[-4:]
        name = re.split("[/!]", stem)[-1]
        if suffix not in _SUFFIXES or name.startswith("._") or (wanted is not None and name not in wanted):
            continue
        text, annotations = found.get((name, stem), (None, None))
        found[name, stem] = (content, annotations) if suffix == ".txt" else (text, content)
    return found


class _Annotations:
    """The T and E lines of one ``.ann`` file."""

    def __init__(self, text: str, annotations: str, where: str) -> None:
        self._text = text
        self._where = where
        self._mentions: dict[str, Entity] = {}
        self._events: dict[str, tuple[str, str]] = {}  # id -> (line's content, where)
        for number, line in _joined(annotations.split("\n")):
            self._read(line, f"{where}:{number}")

    def document(self, name: str) -> Document:
        """The document, with events in line order."""
        triggers = {self._trigger(event) for event in self._events}
        return Document(
            id=name,
            passages=(self._text.replace("\r\n", "\n"),),
            entities=tuple(mention for key, mention in self._mentions.items() if key not in triggers),
            events=tuple(self._event(key) for key in self._events),
        )

    def _read(self, line: str, where: str) -> None:
        if not line.startswith(("T", "E")):
            return
        key, _, content = line.partition("\t")
        if key in self._mentions or key in self._events:
            raise RecordError(where, f"annotation id {key} is used twice")
        if key.startswith("E"):
            self._events[key] = (content, where)
        else:
            self._mentions[key] = self._mention(content, where)

    def _mention(self, content: str, where: str) -> Entity:
        head, tab, surface = content.partition("\t")
        match = _MENTION.fullmatch(head)
        surface = surface.strip()
        if not (tab and match and surface):
            raise RecordError(where, f"expected 'type start end[;start end]<tab>text', found {content!r}")
        spans = []
        for span in match[2].split(";"):
            start, end = (offset(value, where) for value in span.split())
            if end < start:
                raise RecordError(where, f"mention ends at {end}, before its start {start}")
            spans.append((start, end))
        parts = fragments(self._text, spans, surface)
        return Entity(match[1], tuple(part.replace("\r\n", "\n") for part in parts))

    def _event(self, key: str) -> Event:
        content, where = self._events[key]
        head, *pairs = content.split()
        arguments = []
        for pair in pairs:
            role, _, target = pair.rpartition(":")
            if not role:
                raise RecordError(where, f"expected 'role:id', found {pair!r}")
            arguments.append(Argument(role, self._surface(target, where)))
        return Event(head.rpartition(":")[0], self._surface(self._trigger(key), where), tuple(arguments))

    def _trigger(self, key: str) -> str:
        content, where = self._events[key]
        kind, _, trigger = content.partition(" ")[0].strip().rpartition(":")
        if not kind or not trigger.startswith("T"):
            raise RecordError(where, f"expected 'type:trigger role:id ...', found {content!r}")
        return trigger

    def _surface(self, key: str, where: str) -> tuple[str, ...]:
        """Text of a mention, or of the trigger of an event."""
        target = self._trigger(key) if key in self._events else key
        if target not in self._mentions:
            raise RecordError(where, f"there is no annotation {key}")
        return self._mentions[target].text


def _joined(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Number the lines from 1, with continuation lines joined to the T line above them."""
    held: tuple[int, str] | None = None
    for number, raw in enumerate(lines, start=1):
        line = raw.strip("\r\n")
        if _LINE.match(line) or _CUT_OFF.fullmatch(line):
            if held:
                yield held
            held = (number, line)
        elif held and held[1].startswith("T") and line.strip():
            held = (held[0], f"{held[1]} {line.strip()}")
    if held:
        yield held
