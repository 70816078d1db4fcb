"""The three kinds of sufficient statistics that all metrics of the nine tasks come down to.

Each is a tuple of numbers with named columns; the statistics of a set of samples are the column sums.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar


class MatchCounts(NamedTuple):
    """Counts behind precision, recall and F1.

    Attributes:
        correct: predicted items that are right.
        predicted: predicted items.
        expected: items of the reference.
    """

    correct: int = 0
    predicted: int = 0
    expected: int = 0


def set_counts(predicted: frozenset[Any], expected: frozenset[Any]) -> MatchCounts:
    """Matches and totals of two sets."""
    return MatchCounts(len(predicted & expected), len(predicted), len(expected))


class MeanParts(NamedTuple):
    """A sum of per-sample values and the number of samples they are averaged over.

    Attributes:
        points: sum of the values, each between 0 and 1.
        weight: how many samples (or parts of samples) the mean is over.
    """

    points: float = 0.0
    weight: int = 0


class BleuCounts(NamedTuple):
    """Counts behind corpus BLEU (Papineni et al. 2002), n-gram orders 1 to 4.

    Attributes:
        match_1, match_2, match_3, match_4: n-grams of the reply that the reference has too, clipped.
        ngrams_1, ngrams_2, ngrams_3, ngrams_4: n-grams of the reply.
        length: tokens of the reply.
        expected_length: tokens of the reference.
    """

    match_1: int = 0
    match_2: int = 0
    match_3: int = 0
    match_4: int = 0
    ngrams_1: int = 0
    ngrams_2: int = 0
    ngrams_3: int = 0
    ngrams_4: int = 0
    length: int = 0
    expected_length: int = 0

    @property
    def matches(self) -> tuple[int, int, int, int]:
        """Clipped matches by order."""
        return self[:4]

    @property
    def ngrams(self) -> tuple[int, int, int, int]:
        """N-grams of the reply by order."""
        return self[4:8]


Vector = MatchCounts | MeanParts | BleuCounts
KINDS: dict[str, type[Vector]] = {"counts": MatchCounts, "mean": MeanParts, "share": MeanParts, "bleu": BleuCounts}
"""Kind of metric -> its columns. A share tells how replies were read; it says nothing of how right they are."""

AnyVector = TypeVar("AnyVector", MatchCounts, MeanParts, BleuCounts)


def add(vectors: Iterable[AnyVector], zero: AnyVector) -> AnyVector:
    """Column sums, starting from ``zero``."""
    total: list[Any] = list(zero)
    for vector in vectors:
        for column, value in enumerate(vector):
            total[column] += value
    return type(zero)(*total)


class PrecisionRecallF1(NamedTuple):
    """Precision, recall and their harmonic mean, as fractions."""

    p: float
    r: float
    f1: float


def precision_recall_f1(total: MatchCounts, *, nothing: float = 1.0) -> PrecisionRecallF1:
    """Micro-averaged precision, recall and F1.

    Args:
        total: summed counts.
        nothing: the value where nothing was to be found and nothing was claimed. The original gives 0 there.
    """
    if not total.predicted and not total.expected:
        return PrecisionRecallF1(nothing, nothing, nothing)
    precision = total.correct / total.predicted if total.predicted else 0.0
    recall = total.correct / total.expected if total.expected else 0.0
    harmonic = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return PrecisionRecallF1(precision, recall, harmonic)


def mean(total: MeanParts) -> float | None:
    """Plain average; None over no samples."""
    return total.points / total.weight if total.weight else None
