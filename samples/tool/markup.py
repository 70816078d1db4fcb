"""Inline mark-up: ``[CODE|surface]``, nested where needed; after ``#`` or ``~`` the surface may hold a note."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """One annotated stretch of text: characters [start, end), and the note without its text."""

    code: str
    start: int
    end: int
    note: str


class Marked(NamedTuple):
    """Plain text and its spans, ordered by start, outer before inner."""

    text: str
    spans: tuple[Span, ...]

    def surface(self, span: Span) -> str:
        """The text of a span."""
        return self.text[span.start : span.end]


def parse_markup(source: str) -> Marked:
    """Take the mark-up out of a text.

    Raises:
        ValueError: if a bracket is not closed or a code is missing.
    """
    text: list[str] = []
    spans: list[Span] = []
    opened: list[tuple[str, int]] = []
    note: list[str] | None = None
    at = 0
    while at < len(source):
        char = source[at]
        if char == "[":
            code, bar, _ = source[at + 1 :].partition("|")
            if not bar or "]" in code:
                raise ValueError(f"mark-up without code at {source[at : at + 40]!r}")
            opened.append((code, len(text)))
            at += len(code) + 1
        elif char == "]":
            if not opened:
                raise ValueError(f"bracket closed twice before {source[at : at + 40]!r}")
            code, start = opened.pop()
            spans.append(Span(code, start, len(text), "".join(note or [])))
            note = None
        elif note is not None:
            note.append(char)
        elif opened and char in "#~":
            note = [char]
        else:
            text.append(char)
        at += 1
    if opened:
        raise ValueError(f"bracket not closed in {source[:60]!r}")
    return Marked("".join(text), tuple(sorted(spans, key=lambda span: (span.start, -span.end))))


def join_marked(parts: list[Marked], separator: str) -> Marked:
    """Join marked texts, moving the spans along."""
    text = ""
    spans: list[Span] = []
    for number, part in enumerate(parts):
        text += separator if number else ""
        spans += [span._replace(start=span.start + len(text), end=span.end + len(text)) for span in part.spans]
        text += part.text
    return Marked(text, tuple(spans))
