"""Qasper: token F1 of answer and joined evidence paragraphs, and ROUGE of the answer, averaged over samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sciriff.scoring.metrics.original_values import OriginalCrash, joined, opened
from sciriff.scoring.metrics.rouge import Rouge, rouge
from sciriff.scoring.metrics.statistics import MeanParts
from sciriff.scoring.metrics.token_f1 import token_f1
from sciriff.scoring.metrics.values import NotUnderstood, as_text, field, has_any


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


def read_answer(value: Any) -> QasperAnswer:
    """Read an answer object: whatever stands where text belongs counts by its text; the case of keys does not matter.

    Raises:
        NotUnderstood: if it is no object, or has neither an answer nor evidence.
    """
    if not isinstance(value, dict) or not has_any(value, ("answer", "evidence")):
        raise NotUnderstood
    answer, evidence = field(value, "answer"), field(value, "evidence")
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


SCORES = (
    "answer_f1",
    "answer_f1_parsed",
    "evidence_f1",
    "evidence_f1_parsed",
    *Rouge._fields,
    *(f"{name}_parsed" for name in Rouge._fields),
)
"""What is averaged. A part that is missing is worth 0, and is left out of ``*_parsed``."""

SHARES = ("answer_parsed", "evidence_parsed", "answer_is_text")
"""Shares of samples where the answer is there, where the evidence is there, and of answers that are strings."""


def qasper_parts(prediction: QasperAnswer, reference: QasperAnswer, *, both_empty: bool = True) -> dict[str, MeanParts]:
    """Statistics of one sample, by metric.

    Args:
        prediction: the model's answer.
        reference: the right one.
        both_empty: a part that is empty (or missing) on both sides is right, and so are equal answers too short for
            ROUGE-2. The original gives 0.
    """
    has_answer, has_evidence = prediction.answer is not None, prediction.evidence is not None
    answer_scores = _answer_scores(prediction.answer, reference.answer, both_empty)
    answer_points = {name: MeanParts(value, 1) for name, value in answer_scores.items()}
    evidence_points = MeanParts(_part_f1(prediction.evidence, reference.evidence, both_empty), 1)
    return {
        **answer_points,
        **{f"{name}_parsed": points if has_answer else _NONE for name, points in answer_points.items()},
        "evidence_f1": evidence_points,
        "evidence_f1_parsed": evidence_points if has_evidence else _NONE,
        "answer_parsed": MeanParts(float(has_answer), 1),
        "evidence_parsed": MeanParts(float(has_evidence), 1),
        "answer_is_text": MeanParts(float(prediction.answer_is_text), 1) if has_answer else _NONE,
    }


_NONE = MeanParts()


def _answer_scores(prediction: str | None, reference: str | None, both_empty: bool) -> dict[str, float]:
    scores = {"answer_f1": _part_f1(prediction, reference, both_empty)}
    if prediction is None or reference is None:
        return scores | dict.fromkeys(Rouge._fields, float(both_empty and prediction is reference))
    return scores | rouge(prediction, reference, short_texts=both_empty)._asdict()


def _part_f1(prediction: str | None, reference: str | None, both_empty: bool) -> float:
    if prediction is None or reference is None:
        return float(both_empty and prediction is reference)
    return token_f1(prediction, reference, both_empty=float(both_empty))


NOTHING_RIGHT = qasper_parts(QasperAnswer(), QasperAnswer(), both_empty=False)
"""Statistics of a reply that could not be understood."""
