"""Is one model better than another on the same samples? Pure functions over the sufficient statistics of both.

The test is approximate randomization (Noreen 1989, *Computer-Intensive Methods for Testing Hypotheses*; for metrics
that are no means: Yeh 2000, *More accurate tests for the statistical significance of result differences*, COLING): if
the models do not differ, the two replies to a document could as well be swapped. Each draw swaps a random half of the
documents, all samples of a document together, and the p-value is the share of draws whose difference is as large as
the one observed. It is exact up to the number of draws, for any metric and any number of documents, where the paired
bootstrap finds too many differences (Riezler and Maxwell 2005, *On Some Pitfalls in Automatic Evaluation and
Significance Testing for MT*, ACL workshop on evaluation measures).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sciriff.hashing import canonical_json
from sciriff.results.intervals import DRAWS, NUMBERS_AT_ONCE, TIE, weighted_sums
from sciriff.results.values import Array, Value

_SEED = 0
POWER = 0.8


def swap_patterns(documents: Sequence[str], purpose: str, draws: int = DRAWS) -> NDArray[np.uint8]:
    """In which draws the replies to each document are swapped: ones and zeros, (documents, draws).

    A document's pattern depends on its name and the purpose alone, not on which others there are.

    Args:
        documents: their names.
        purpose: patterns of different purposes are independent.
        draws: how many; a multiple of 8.
    """
    patterns = b"".join(
        hashlib.shake_128(canonical_json([_SEED, "swap", purpose, document])).digest(draws // 8)
        for document in documents
    )
    return np.unpackbits(np.frombuffer(patterns, dtype=np.uint8)).reshape(len(documents), draws)


def swapped_sums(statistics: Array, patterns: NDArray[np.uint8]) -> Array:
    """Sums of statistics over the documents that are swapped.

    Args:
        statistics: (documents, ..., columns), made exact.
        patterns: see :func:`swap_patterns`.

    Returns:
        (draws, ..., columns).
    """
    draws = patterns.shape[1]
    at_once = max(1, NUMBERS_AT_ONCE // max(1, len(statistics)))
    blocks = (patterns[:, start : start + at_once].T.astype(np.float64) for start in range(0, draws, at_once))
    return weighted_sums(statistics, blocks, draws)


def null_differences(first: Array, second: Array, first_swapped: Array, second_swapped: Array, value: Value) -> Array:
    """Differences of a metric, first less second, if the models did not differ: one for each draw of swaps.

    Args:
        first, second: statistics of both models, (documents, columns).
        first_swapped, second_swapped: their :func:`swapped_sums`.
        value: the metric.
    """
    exchanged = second_swapped - first_swapped
    return np.asarray(value(first.sum(axis=0) + exchanged) - value(second.sum(axis=0) - exchanged))


def two_sided(observed: float, null: Array) -> float:
    """Probability of a difference of at least this size, either way, if the models do not differ."""
    return _share(np.abs(null) >= abs(observed) - TIE)


def lower_sided(observed: float, null: Array) -> float:
    """Probability of a difference as far down as this, if the models do not differ."""
    return _share(null <= observed + TIE)


def _share(is_extreme: NDArray[np.bool_]) -> float:
    """Share of extreme draws, the observed one counted as one of them, so that it is never 0."""
    return float((np.count_nonzero(is_extreme) + 1) / (len(is_extreme) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for several tests, in the order given (Holm 1979, Scandinavian Journal of Statistics 6).

    The probability of any false alarm in the family is at most alpha if those up to alpha are called significant.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def detectable_difference(standard_error: float, alpha: float = 0.05, power: float = POWER) -> float:
    """The smallest true difference that a two-sided test at ``alpha`` finds with a probability of ``power``.

    (z(1 - alpha/2) + z(power)) * SE of the paired difference (Bloom 1995, *Minimum Detectable Effects*, Evaluation
    Review 19; for evaluations of language models: Card et al. 2020, *With Little Power Comes Great Responsibility*,
    EMNLP, and Miller 2024, *Adding Error Bars to Evals*, section 5). Give alpha / m to find it in the face of Holm's
    correction over m tests.
    """
    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) * standard_error
