"""Chapters of literature reviews written from abstracts (SciReviewGen)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.rendering import Fidelity

_FIELD, _UNIT = "<s>", "</s>"


class _Chapter(NamedTuple):
    """Titles of review and chapter, and ``(label, abstract)`` of the cited papers."""

    review: str
    title: str
    papers: list[tuple[str, str]]


def format_scireviewgen(record: Mapping[str, Any], *, fidelity: Fidelity = "corrected") -> Iterator[dict[str, Any]]:
    """Yield one instance.

    - ``input_transformed`` (str): title of the review, title of the chapter, then ``1. (BIB001) abstract`` and so on,
      each on a line of its own;
    - ``target_transformed`` (str): the chapter, which cites by the labels.

    Under ``original`` the first abstract is lost and each other one stands under the label of the paper before it.

    Args:
        record: ``target`` and ``reference``: units ``review title <s> chapter title <s> abstract <s> label``, separated
            by ``</s>``.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if the chapter is blank.
        RecordError: if a field is missing, or a unit has not the four parts.
    """
    reference, target = record.get("reference"), record.get("target")
    if not isinstance(reference, str) or not isinstance(target, str):
        raise RecordError("chapter", "fields 'reference' and 'target': expected two strings")
    if not target.strip():
        raise Dropped("blank target")
    chapter = _as_the_original(reference) if fidelity == "original" else _chapter(reference)
    papers = [f"{place}. ({label}) {abstract}" for place, (label, abstract) in enumerate(chapter.papers, start=1)]
    lines = [f"Review title: {chapter.review}", f"Chapter title: {chapter.title}", *papers]
    yield {
        "input_transformed": "\n".join(lines).strip(),
        "target_transformed": target,
        "_document_text": chapter.review.strip(),
    }


def _chapter(reference: str) -> _Chapter:
    papers = []
    review = title = ""
    for place, unit in enumerate(reference.strip().removesuffix(_UNIT).split(_UNIT)):
        parts = [part.strip() for part in unit.split(_FIELD)]
        if len(parts) < 4:
            raise _malformed(reference, f"unit {place + 1} has {len(parts)} of the 4 parts")
        if place == 0:
            review, title = parts[:2]
        papers.append((parts[-1], f" {_FIELD} ".join(parts[2:-1])))
    return _Chapter(review, title, papers)


def _as_the_original(reference: str) -> _Chapter:
    parts = reference.split(_FIELD, 2)
    if len(parts) < 3:
        raise _malformed(reference, f"it has {len(parts)} of the first 3 parts")
    review, title, rest = parts
    papers = [
        (f"BIB{piece.partition(f' {_UNIT}')[0]}", piece.rpartition(_FIELD)[2].strip())
        for piece in rest.split(f"{_FIELD} BIB")[:-1]
        if f" {_UNIT}" in piece
    ]
    return _Chapter(review, title, papers)


def _malformed(reference: str, reason: str) -> RecordError:
    return RecordError(
        f"chapter of {reference[:60].strip()!r}",
        f"field 'reference': {reason}; expected title <s> chapter title <s> abstract <s> label, separated by </s>",
    )
