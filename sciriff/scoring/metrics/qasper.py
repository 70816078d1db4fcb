"""Qasper: token F1 of the answer and of the joined evidence paragraphs, averaged over samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sciriff.scoring.metrics.original_values import OriginalCrash, joined, opened
from sciriff.scoring.metrics.statistics import MeanParts
from sciriff.scoring.metrics.token_f1 import token_f1
from sciriff.scoring.metrics.values import as_text


class QasperAnswer(NamedTuple):
    """An answer object as texts.

    Attributes:
        answer: the answer; None if missing or null.
        evidence: the evidence paragraphs joined by a space; None if missing or null.
        answer_is_text: whether the answer was given as a string.
    """

    answer: str | None = None
    evidence: str | None = None
    answer_is_text: bool = False


class QasperParts(NamedTuple):
    """Statistics of one sample. ``*_parsed`` are over the samples where the part is present only.

    Attributes:
        answer_f1, evidence_f1: token F1, a missing part being worth 0.
        answer_f1_parsed, evidence_f1_parsed: token F1 of the parts that are there.
        answer_parsed, evidence_parsed: share of samples where the part is there.
        answer_is_text: share of the answers that are strings.
    """

    answer_f1: MeanParts
    answer_f1_parsed: MeanParts
    evidence_f1: MeanParts
    evidence_f1_parsed: MeanParts
    answer_parsed: MeanParts
    evidence_parsed: MeanParts
    answer_is_text: MeanParts


def read_answer(value: Mapping[str, Any]) -> QasperAnswer:
    """Read an answer object: whatever stands where text belongs counts by its text."""
    answer, evidence = value.get("answer"), value.get("evidence")
    return QasperAnswer(
        answer=None if answer is None else as_text(answer),
        evidence=None if evidence is None else as_text(evidence),
        answer_is_text=isinstance(answer, str),
    )


def read_answer_original(value: Any) -> QasperAnswer:
    """Read an answer as the original does.

    Raises:
        OriginalCrash: where the original crashes, for example on a number as answer.
    """
    if not isinstance(value, Mapping):
        return QasperAnswer()
    answer, evidence = value.get("answer"), value.get("evidence")
    match answer:
        case None | str():
            text = answer
        case list():
            text = " ".join(str(item) for item in opened(answer))
        case dict():
            text = str(answer)
        case _:
            raise OriginalCrash(f"unexpected answer type {type(answer).__name__}")
    return QasperAnswer(text, None if evidence is None else joined(evidence), isinstance(answer, str))


def qasper_parts(prediction: QasperAnswer, reference: QasperAnswer, *, both_empty: float = 1.0) -> QasperParts:
    """Statistics of one sample.

    Args:
        prediction: the model's answer.
        reference: the right one.
        both_empty: worth of a part that is empty (or missing) on both sides; the original gives 0.
    """
    answer_f1 = _part_f1(prediction.answer, reference.answer, both_empty)
    evidence_f1 = _part_f1(prediction.evidence, reference.evidence, both_empty)
    has_answer, has_evidence = prediction.answer is not None, prediction.evidence is not None
    return QasperParts(
        answer_f1=MeanParts(answer_f1, 1),
        answer_f1_parsed=MeanParts(answer_f1, 1) if has_answer else MeanParts(),
        evidence_f1=MeanParts(evidence_f1, 1),
        evidence_f1_parsed=MeanParts(evidence_f1, 1) if has_evidence else MeanParts(),
        answer_parsed=MeanParts(float(has_answer), 1),
        evidence_parsed=MeanParts(float(has_evidence), 1),
        answer_is_text=MeanParts(float(prediction.answer_is_text), 1) if has_answer else MeanParts(),
    )


NOTHING_RIGHT = QasperParts(
    answer_f1=MeanParts(0.0, 1),
    answer_f1_parsed=MeanParts(),
    evidence_f1=MeanParts(0.0, 1),
    evidence_f1_parsed=MeanParts(),
    answer_parsed=MeanParts(0.0, 1),
    evidence_parsed=MeanParts(0.0, 1),
    answer_is_text=MeanParts(),
)
"""Statistics of a reply that could not be understood."""


def _part_f1(prediction: str | None, reference: str | None, both_empty: float) -> float:
    if prediction is None or reference is None:
        return both_empty if prediction is reference else 0.0
    return token_f1(prediction, reference, both_empty=both_empty)
