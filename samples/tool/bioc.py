"""BioC XML as the chemical and gene corpora of the NLM write it: double quotes, one element after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
DOCTYPE = '<!DOCTYPE collection SYSTEM "BioC.dtd">'


class Annotation(NamedTuple):
    """An annotation; ``places`` are (offset, length) in the document, none for one that indexes it."""

    infons: Mapping[str, str]
    places: tuple[tuple[int, int], ...]
    text: str


class Passage(NamedTuple):
    """A passage at an offset of the document; without ``text`` if that is None."""

    infons: Mapping[str, str]
    offset: int
    text: str | None
    annotations: Sequence[Annotation] = ()


def collection(documents: Iterable[str], source: str, key: str, *, doctype: bool = True, ending: str = "\n") -> str:
    """A collection of written documents.

    Args:
        documents: as :func:`document` writes them.
        source, key: content of the elements of these names.
        doctype: whether a DTD is named (it is never shipped).
        ending: what ends each line.
    """
    head = DECLARATION + (DOCTYPE if doctype else "")
    start = f"<collection><source>{source}</source><date>2020-12-04</date><key>{key}</key>"
    return ending.join([f"{head}{start}", *documents, "</collection>", ""])


def document(name: str, passages: Iterable[Passage], ending: str = "\n") -> str:
    """A document; annotations are numbered through."""
    lines = [f"<document><id>{name}</id>"]
    number = 0
    for passage in passages:
        text = "" if passage.text is None else f"<text>{escape(passage.text)}</text>"
        lines.append(f"<passage>{_infons(passage.infons)}<offset>{passage.offset}</offset>{text}")
        for annotation in passage.annotations:
            places = "".join(f'<location offset="{start}" length="{length}"/>' for start, length in annotation.places)
            surface = f"<text>{escape(annotation.text)}</text>" if annotation.text else "<text/>"
            lines.append(f'<annotation id="{number}">{_infons(annotation.infons)}{places}{surface}</annotation>')
            number += 1
        lines.append("</passage>")
    return ending.join([*lines, "</document>"])


def _infons(infons: Mapping[str, str]) -> str:
    return "".join(f"<infon key={quoteattr(key)}>{escape(value)}</infon>" for key, value in infons.items())
