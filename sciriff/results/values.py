"""Metrics of many sums at once: the functions of :mod:`sciriff.scoring.metrics` over arrays.

The last axis holds the columns of a kind of statistics (:data:`~sciriff.scoring.metrics.statistics.KINDS`), in the
order of its fields; all other axes are kept. Where a metric has no value (a mean over no samples) it is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from sciriff.scoring.metrics.statistics import KINDS, BleuCounts, MatchCounts, MeanParts
from sciriff.scoring.outcome import Profile

Array = NDArray[np.float64]
Value = Callable[[Array], Array]
"""Sums (..., columns) -> values (...)."""

_ORDERS = 4


def f1_values(sums: Array, *, nothing: float = 1.0) -> Array:
    """F1 of counts, as :func:`~sciriff.scoring.metrics.statistics.precision_recall_f1`."""
    items = sums[..., 1] + sums[..., 2]
    values: Array = np.divide(2 * sums[..., 0], items, out=np.full(items.shape, nothing), where=items > 0)
    return values


def mean_values(sums: Array) -> Array:
    """Plain average of points, as :func:`~sciriff.scoring.metrics.statistics.mean`."""
    weight = sums[..., 1]
    values: Array = np.divide(sums[..., 0], weight, out=np.full(weight.shape, np.nan), where=weight > 0)
    return values


def bleu_values(sums: Array, *, short_replies: bool = True) -> Array:
    """Corpus BLEU, as :func:`~sciriff.scoring.metrics.bleu.bleu`."""
    matches, ngrams = sums[..., :_ORDERS], sums[..., _ORDERS : 2 * _ORDERS]
    length, expected_length = sums[..., 2 * _ORDERS], sums[..., 2 * _ORDERS + 1]
    used = (ngrams > 0) if short_replies else np.ones(ngrams.shape, dtype=bool)
    counts = (length > 0) & (expected_length > 0) & np.all((matches > 0) | ~used, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(used, np.log(matches / ngrams), 0.0).sum(axis=-1) / used.sum(axis=-1)
        values = np.exp(logs + np.minimum(0.0, 1 - expected_length / length))
    is_empty = (length == 0) & (expected_length == 0) & short_replies
    return np.where(counts, values, np.where(is_empty, 1.0, 0.0))


_CORRECTED: Mapping[type, Value] = {MatchCounts: f1_values, MeanParts: mean_values, BleuCounts: bleu_values}
_ORIGINAL: Mapping[type, Value] = {
    MatchCounts: lambda sums: f1_values(sums, nothing=0.0),
    MeanParts: mean_values,
    BleuCounts: lambda sums: bleu_values(sums, short_replies=False),
}


def value_of_sums(kind: str, profile: Profile) -> Value:
    """The metric of a kind of statistics (see :data:`~sciriff.scoring.metrics.statistics.KINDS`) in a profile."""
    return (_ORIGINAL if profile is Profile.ORIGINAL else _CORRECTED)[KINDS[kind]]
