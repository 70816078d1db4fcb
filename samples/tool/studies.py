"""The invented biomedical studies: parsed texts, concept ids and composite mentions, ready for each format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from samples.tool import corpus
from samples.tool.markup import Marked, Span, join_marked, parse_markup

SECTIONS = ("background", "methods", "results", "conclusion")
TRAIN, DEV = 16, 6


class Mention(NamedTuple):
    """One mention in title + blank + abstract; several fragments if it is split; ``members`` if it is composite."""

    code: str
    fragments: tuple[tuple[int, int], ...]
    text: str
    concepts: tuple[str, ...]
    members: tuple[Mention, ...] = ()

    @property
    def start(self) -> int:
        """First character."""
        return self.fragments[0][0]

    @property
    def end(self) -> int:
        """One past the last character."""
        return self.fragments[-1][1]


class Study(NamedTuple):
    """One study: ``text`` is title + blank + abstract."""

    pmid: str
    title: str
    abstract: str
    mentions: tuple[Mention, ...]
    source: dict[str, Any]

    @property
    def text(self) -> str:
        """The text that offsets count in."""
        return f"{self.title} {self.abstract}"


SYMBOLS = {"-alpha": "-α", " beta]": "β]", "kappa ": "κ", " micromolar": " μM", " millimolar": " mM"}
"""Spellings of a corpus that is not plain ASCII, for :func:`load_studies`."""


def load_studies(spelling: Mapping[str, str] | None = None) -> list[Study]:
    """All studies, in the order of the corpus.

    Args:
        spelling: what to write instead of parts of the marked-up texts; concepts are named after what is written then.
    """
    return [
        _study(f"{90000001 + 137 * number}", _respelt(source, spelling or {}))
        for number, source in enumerate(corpus.load("biomedical"))
    ]


def _respelt(source: dict[str, Any], spelling: Mapping[str, str]) -> dict[str, Any]:
    changed = dict(source)
    for name in ("title", *SECTIONS):
        for plain, symbol in spelling.items():
            changed[name] = changed[name].replace(plain, symbol)
    return changed


def _study(pmid: str, source: dict[str, Any]) -> Study:
    title = parse_markup(source["title"])
    abstract = join_marked([parse_markup(source[name]) for name in SECTIONS], " ")
    whole = join_marked([title, abstract], " ")
    return Study(pmid, title.text, abstract.text, tuple(_mention(whole, span) for span in whole.spans), source)


def _mention(whole: Marked, span: Span) -> Mention:
    surface = whole.surface(span)
    if span.note.startswith("~"):
        members = tuple(_member(span, surface, member) for member in span.note[1:].split("~"))
        return Mention(
            span.code, ((span.start, span.end),), surface, tuple(member.concepts[0] for member in members), members
        )
    concept = span.note.removeprefix("#") or surface.lower()
    return Mention(span.code, ((span.start, span.end),), surface, (concept,))


def _member(span: Span, surface: str, pattern: str) -> Mention:
    """Cut one member of a composite out of its surface: fragments stand in order, joined by ``..`` in the pattern."""
    fragments: list[tuple[int, int]] = []
    at = 0
    for piece in pattern.split(".."):
        found = surface.index(piece, at)
        at = found + len(piece)
        fragments.append((span.start + found, span.start + at))
    text = " ".join(pattern.split(".."))
    return Mention(span.code, tuple(fragments), text, (text.lower(),))


_ID_FORMS = {"C": "C9{:05d}", "D": "D9{:05d}", "G": "9{:05d}", "F": "9{:05d}", "S": "98{:04d}", "L": "CVCL_9{:03d}"}


class ConceptIds:
    """Numbers concepts as they are met. The ids look like those of the real corpora but are none of theirs."""

    def __init__(self, studies: list[Study]) -> None:
        self._ids: dict[str, str] = {}
        for study in studies:
            for mention in study.mentions:
                for concept in mention.concepts:
                    self._add(mention.code, concept)

    def _add(self, code: str, concept: str) -> None:
        if concept in self._ids or (code != "V" and code not in _ID_FORMS):
            return
        form = _ID_FORMS.get(code)
        self._ids[concept] = form.format(len(self._ids) + 1) if form else concept

    def __contains__(self, concept: str) -> bool:
        return concept in self._ids

    def __getitem__(self, concept: str) -> str:
        return self._ids[concept]

    def get(self, concept: str, default: str) -> str:
        """The id of a concept, or the default if it has none."""
        return self._ids.get(concept, default)

    def join(self, concepts: tuple[str, ...], separator: str) -> str:
        """The ids of several concepts in one field."""
        return separator.join(self[concept] for concept in concepts)
