"""How answers of each kind are read and compared: the pieces that the table of tasks is put together from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciriff.scoring.metrics import claim_f1, entity_f1, list_f1, qasper, tuple_f1
from sciriff.scoring.metrics.rouge import Rouge, rouge
from sciriff.scoring.metrics.statistics import MatchCounts, MeanParts, Vector, set_counts
from sciriff.scoring.rules import Rule, Rules

Vectors = Mapping[str, Vector]
"""Metric -> sufficient statistics of one sample."""


@dataclass(frozen=True, slots=True)
class Measure:
    """How answers of one kind are read and compared.

    Attributes:
        read: JSON value (or the text, where answers are plain text) -> what is compared. Raises ``NotUnderstood``.
        read_original: the same as the original reads it. Raises ``OriginalCrash``.
        compare: (what was read of the reply, or None if it was not understood; what was read of the reference; the
            rules that hold) -> statistics.
        metrics: (metric, kind of its statistics) of what ``compare`` gives.
        rules: the rules that bear on comparing two such answers.
        is_complete: whether what was read of a reference is all that it says.
        read_reference_original: how the original reads references; None if in the same way as replies.
    """

    read: Callable[[Any], Any]
    read_original: Callable[[Any], Any]
    compare: Callable[[Any, Any, Rules], Vectors]
    metrics: tuple[tuple[str, str], ...]
    rules: Rules = frozenset()
    is_complete: Callable[[Any], bool] = lambda _: True
    read_reference_original: Callable[[Any], Any] | None = None


def plain_text() -> Measure:
    """Texts of which only BLEU is taken, as it is of all answers."""
    return Measure(_as_it_is, _as_it_is, lambda *_: {}, ())


def summaries() -> Measure:
    """Texts of which ROUGE is taken."""
    return Measure(_as_it_is, _as_it_is, _compare_summaries, _kinds("mean", *Rouge._fields), frozenset({Rule.EMPTY}))


def lists() -> Measure:
    """Lists of strings."""
    metrics = (*_kinds("counts", "list_f1"), *_kinds("share", "list_parsed"))
    return Measure(list_f1.read_items, list_f1.read_items_original, _compare_lists, metrics)


def entity_lists(types: Sequence[str]) -> Measure:
    """Objects of entity type -> mentions."""
    metrics = _kinds("counts", "entity_typed", "entity_untyped")
    return Measure(
        lambda value: entity_f1.entities(value, types), entity_f1.entities_original, _compare_entities, metrics
    )


def findings() -> Measure:
    """Lists of five-item tuples."""
    fields = tuple_f1.TupleParts._fields
    return Measure(
        tuple_f1.read_findings,
        tuple_f1.read_findings_original,
        _compare_findings,
        (*_kinds("counts", *fields[:3]), *_kinds("share", *fields[3:])),
        frozenset({Rule.DISTINCT, Rule.EFFECTS, Rule.NULL_ITEMS, Rule.WHOLE_WORDS, Rule.ONE_TO_ONE}),
        is_complete=lambda found: not found.wrong_predictions,
        read_reference_original=tuple_f1.read_reference_original,
    )


def claims() -> Measure:
    """Objects of a verdict and its evidence."""
    fields = claim_f1.ClaimParts._fields
    metrics = (*_kinds("counts", *fields[:3]), *_kinds("share", *fields[3:]))
    return Measure(
        claim_f1.read_claim,
        claim_f1.read_claim_original,
        _compare_claims,
        metrics,
        is_complete=lambda claim: claim.has_verdict,
    )


def answers() -> Measure:
    """Objects of an answer and its evidence."""
    metrics = (*_kinds("mean", *qasper.SCORES), *_kinds("share", *qasper.SHARES))
    return Measure(qasper.read_answer, qasper.read_answer_original, _compare_answers, metrics, frozenset({Rule.EMPTY}))


def _kinds(kind: str, *metrics: str) -> tuple[tuple[str, str], ...]:
    return tuple((metric, kind) for metric in metrics)


def _as_it_is(text: str) -> str:
    return text


def _compare_summaries(prediction: str | None, reference: str, rules: Rules) -> Vectors:
    scores = rouge(prediction or "", reference, short_texts=Rule.EMPTY in rules)
    return {metric: MeanParts(value, 1) for metric, value in scores._asdict().items()}


def _compare_lists(prediction: list_f1.Items | None, reference: list_f1.Items, rules: Rules) -> Vectors:
    items = prediction.items if prediction else frozenset()
    counts = set_counts(items, reference.items)
    return {
        "list_f1": counts if prediction else _as_failure(counts, rules),
        "list_parsed": MeanParts(float(prediction is not None and prediction.is_readable), 1),
    }


def _compare_entities(prediction: entity_f1.Entities | None, reference: entity_f1.Entities, rules: Rules) -> Vectors:
    counts = entity_f1.entity_counts(prediction or frozenset(), reference)
    typed, untyped = counts if prediction is not None else (_as_failure(part, rules) for part in counts)
    return {"entity_typed": typed, "entity_untyped": untyped}


def _compare_findings(prediction: tuple_f1.Findings | None, reference: tuple_f1.Findings, rules: Rules) -> Vectors:
    parts = tuple_f1.tuple_parts(prediction or tuple_f1.Findings(), reference, rules)._asdict()
    return parts if prediction is not None else _all_as_failures(parts, rules)


def _compare_claims(prediction: claim_f1.Claim | None, reference: claim_f1.Claim, rules: Rules) -> Vectors:
    if prediction is not None:
        return claim_f1.claim_parts(prediction, reference)._asdict()
    nothing = claim_f1.Claim(verdict=claim_f1.NOT_ENOUGH_INFORMATION)
    return _all_as_failures(claim_f1.claim_parts(nothing, reference)._asdict(), rules)


def _compare_answers(prediction: qasper.QasperAnswer | None, reference: qasper.QasperAnswer, rules: Rules) -> Vectors:
    if prediction is None:
        return qasper.NOTHING_RIGHT
    return qasper.qasper_parts(prediction, reference, both_empty=Rule.EMPTY in rules)


def _all_as_failures(vectors: Vectors, rules: Rules) -> Vectors:
    return {
        metric: _as_failure(vector, rules) if isinstance(vector, MatchCounts) else vector
        for metric, vector in vectors.items()
    }


def _as_failure(counts: MatchCounts, rules: Rules) -> MatchCounts:
    """Where there was nothing to find, finding nothing is right; a reply that says nothing readable is not."""
    return MatchCounts(0, 1, 0) if Rule.EMPTY in rules and not counts.expected else counts
