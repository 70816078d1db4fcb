"""Brat annotation files of marked-up texts, with mentions in pieces and line ends that offsets count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from samples.tool.markup import Marked, Span


class BratMention(NamedTuple):
    """A T line: its type, its pieces as characters [start, end) of the text, and the pieces' words."""

    type: str
    pieces: tuple[tuple[int, int], ...]
    surface: str

    def line(self, number: int) -> str:
        """The line in the annotation file. A surface over several lines breaks it, as it does in some corpora."""
        spans = ";".join(f"{start} {end}" for start, end in self.pieces)
        return f"T{number}\t{self.type} {spans}\t{self.surface}\n"


def brat_mentions(marked: Marked, types: Mapping[str, str]) -> list[list[BratMention]]:
    """The mentions of each span that has a type, in text order.

    A span whose note begins with ``~`` gives the mentions that the note lists, ``~head..tail~other``, and not its own.
    """
    return [_mentions(marked, span, types[span.code]) for span in marked.spans if span.code in types]


def with_crlf(text: str, mentions: list[list[BratMention]]) -> tuple[str, list[list[BratMention]]]:
    """Make every line end a CRLF, which counts as two characters."""

    def moved(place: int) -> int:
        return place + text.count("\n", 0, place)

    return text.replace("\n", "\r\n"), [
        [
            mention._replace(pieces=tuple((moved(start), moved(end)) for start, end in mention.pieces))
            for mention in group
        ]
        for group in mentions
    ]


def _mentions(marked: Marked, span: Span, kind: str) -> list[BratMention]:
    surface = marked.surface(span)
    if not span.note.startswith("~"):
        return [BratMention(kind, ((span.start, span.end),), surface)]
    return [_part(span.start, surface, part.split(".."), kind) for part in span.note[1:].split("~")]


def _part(offset: int, surface: str, words: list[str], kind: str) -> BratMention:
    """One mention cut out of a surface, in which its pieces stand in order."""
    pieces = []
    at = 0
    for word in words:
        at = surface.index(word, at) + len(word)
        pieces.append((offset + at - len(word), offset + at))
    return BratMention(kind, tuple(pieces), " ".join(words))
