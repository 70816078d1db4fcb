"""Confidence intervals by the bootstrap over documents, from sufficient statistics. Pure functions.

Samples of one document are not independent, so documents are drawn, each with all of its samples. A metric is a
function of sums over documents, so one draw is a row of weights (how often each document was drawn), and all draws of
all models are one product of matrices: weights x statistics.

The interval is BCa, bias-corrected and accelerated (Efron 1987, *Better Bootstrap Confidence Intervals*, JASA 82), with
the levels widened for few documents (Hesterberg 2015, *What Teachers Should Know about the Bootstrap*, The American
Statistician 69, section 5). Plain percentiles are too short, and off to one side for F1 near its top. How often 95 %
intervals held the true value in 1,500 simulations, and on which side they missed it: an F1 of 0.9 over 20 documents:
percentiles 89 % (10 % too high, 2 % too low), BCa with widened levels 92 % (6 and 2 %); a mean over 10: 90 and 96 %;
an F1 of 0.7 over 10: 88 and 93 %; BLEU over 50: 93 % both; from 200 documents on, all about 94 %.

What no bootstrap can see stays unseen: where all documents agree, the interval has no width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from sciriff.hashing import keyed_random
from sciriff.results.values import Array, Value

DRAWS = 10_000
CONFIDENCE = 0.95
TIE = 1e-12
"""Values that differ by no more are equal."""

_SEED = 0
NUMBERS_AT_ONCE = 1 << 23
"""Weights that are multiplied at a time: 64 MB."""
_NUMBERS_COUNTED = 1 << 18
"""Weights that are counted at a time: they fit into the cache."""
_COLUMNS_AT_ONCE = 1_000
"""Columns of sums that are held at a time: 80 MB."""
_STEP = 2.0**-32
"""Points are rounded to multiples of this, so that their sums are exact and do not depend on the order of adding."""

Key = TypeVar("Key")


class Interval(NamedTuple):
    """A confidence interval.

    Attributes:
        low, high: its ends.
        standard_error: standard deviation of the draws.
    """

    low: float
    high: float
    standard_error: float


@dataclass(frozen=True)
class Resampled:
    """A statistic, its bootstrap distribution, and how much each document bears on it.

    Attributes:
        value: the statistic of all documents.
        draws: its values on resampled documents.
        influences: documents that are drawn together (those of a task) -> mean of the leave-one-out values less the
            value without each document; 0 for documents without statistics.
        documents: the same -> how many documents have statistics.
    """

    value: float
    draws: Array
    influences: Mapping[str, Array]
    documents: Mapping[str, int]


def weights(documents: int, purpose: str, draws: int = DRAWS) -> Iterator[Array]:
    """How often each document is drawn, in blocks of (draws, documents).

    Args:
        documents: how many there are, and how many are drawn with replacement.
        purpose: draws of different purposes are independent; those of one purpose and number are always the same.
        draws: rows of all blocks together.
    """
    random = np.random.Generator(np.random.PCG64(keyed_random(_SEED, "bootstrap", purpose).getrandbits(128)))
    for rows in _portions(draws, documents, NUMBERS_AT_ONCE):
        block = np.empty((rows, documents))
        start = 0
        for few in _portions(rows, documents, _NUMBERS_COUNTED):
            block[start : start + few] = _counted(random, few, documents)
            start += few
        yield block


def _counted(random: np.random.Generator, rows: int, documents: int) -> NDArray[np.int64]:
    drawn = random.integers(0, documents, (rows, documents), dtype=np.uint32).astype(np.int64)
    drawn += documents * np.arange(rows)[:, np.newaxis]
    return np.bincount(drawn.ravel(), minlength=rows * documents).reshape(rows, documents)


def _portions(rows: int, columns: int, numbers: int) -> Iterator[int]:
    """Rows that are taken at a time, so that they hold about so many numbers."""
    at_once = max(1, numbers // max(1, columns))
    for start in range(0, rows, at_once):
        yield min(at_once, rows - start)


def exact(statistics: Array) -> Array:
    """Statistics that add up exactly, in any order, to sums below two million; whole numbers stay as they are."""
    return np.asarray(np.round(statistics / _STEP) * _STEP)


def resampled_sums(statistics: Array, purpose: str, draws: int = DRAWS) -> Array:
    """Sums of statistics over resampled documents.

    Args:
        statistics: (documents, ..., columns), made :func:`exact`.
        purpose: see :func:`weights`.
        draws: how many.

    Returns:
        (draws, ..., columns).
    """
    return weighted_sums(statistics, weights(len(statistics), purpose, draws), draws)


def weighted_sums(statistics: Array, blocks: Iterable[Array], draws: int) -> Array:
    """Products of weights and statistics; the draws of one column lie side by side in memory.

    Args:
        statistics: (documents, ..., columns).
        blocks: weights, each (some draws, documents).
        draws: how many the blocks have together.

    Returns:
        (draws, ..., columns).
    """
    distinct, places = _distinct_columns(statistics.reshape(len(statistics), -1))
    sums = np.empty((distinct.shape[1], draws))
    start = 0
    for block in blocks:
        sums[:, start : start + len(block)] = (block @ distinct).T
        start += len(block)
    return np.moveaxis(sums[places].reshape(*statistics.shape[1:], draws), -1, 0)


def _distinct_columns(table: Array) -> tuple[Array, list[int]]:
    """The columns of a table, each once, and where each is found: runs over the same samples have many in common."""
    places: dict[bytes, int] = {}
    where = [places.setdefault(column.tobytes(), len(places)) for column in table.T]
    first = [where.index(place) for place in range(len(places))]
    return table[:, first], where


def drawn_together(tables: Mapping[Key, Array], draw: Callable[[Array], Array]) -> Iterator[tuple[Key, Array]]:
    """Sums of many tables of statistics over the same draws, many tables in one product of matrices.

    Args:
        tables: statistics, each (documents, columns).
        draw: statistics -> their sums over draws, (draws, columns).
    """
    waiting: dict[Key, Array] = {}
    width = 0
    for key, table in tables.items():
        waiting[key] = table
        width += table.shape[1]
        if width >= _COLUMNS_AT_ONCE:
            yield from _drawn_at_once(waiting, draw)
            waiting, width = {}, 0
    if waiting:
        yield from _drawn_at_once(waiting, draw)


def _drawn_at_once(tables: Mapping[Key, Array], draw: Callable[[Array], Array]) -> Iterator[tuple[Key, Array]]:
    sums = draw(np.concatenate(list(tables.values()), axis=1))
    start = 0
    for key, table in tables.items():
        yield key, sums[:, start : start + table.shape[1]]
        start += table.shape[1]


def resampled(statistics: Array, sums: Array, value: Value, group: str) -> Resampled:
    """The bootstrap distribution of a metric.

    Args:
        statistics: (documents, columns).
        sums: the same over resampled documents, (draws, columns).
        value: the metric.
        group: name of the documents that are drawn together.
    """
    total = statistics.sum(axis=0)
    counted = np.any(statistics != 0, axis=-1)
    without = value(total - statistics)
    counted &= np.isfinite(without)
    influences = np.where(counted, without[counted].mean() - without, 0.0) if counted.any() else np.zeros(len(without))
    return Resampled(float(value(total)), value(sums), {group: influences}, {group: int(counted.sum())})


def combined(parts: Sequence[tuple[float, Resampled]], divisor: float = 1) -> Resampled:
    """A sum of statistics, each times a factor, over a divisor.

    Documents of one group are drawn together in all parts that have it; those of different groups are not.
    """
    groups = dict.fromkeys(group for _, part in parts for group in part.influences)
    influences = {
        group: np.sum([factor * part.influences[group] for factor, part in parts if group in part.influences], axis=0)
        for group in groups
    }
    return Resampled(
        value=sum(factor * part.value for factor, part in parts) / divisor,
        draws=np.sum([factor * part.draws for factor, part in parts], axis=0) / divisor,
        influences={group: each / divisor for group, each in influences.items()},
        documents={group: max(part.documents.get(group, 0) for _, part in parts) for group in groups},
    )


def difference(first: Resampled, second: Resampled) -> Resampled:
    """First less second, over the same draws of the same documents."""
    return combined([(1, first), (-1, second)])


def average(parts: Sequence[Resampled]) -> Resampled:
    """The plain mean of several statistics."""
    return combined([(1, part) for part in parts], len(parts))


def interval(statistic: Resampled, confidence: float = CONFIDENCE) -> Interval | None:
    """The BCa interval; None with fewer than two documents in a group, or where the statistic has no value.

    With several groups the acceleration is that of stratified samples (Davison and Hinkley 1997, *Bootstrap Methods and
    their Application*, section 5.3.2), and the degrees of freedom are Satterthwaite's.
    """
    draws = statistic.draws[np.isfinite(statistic.draws)]
    if min(statistic.documents.values()) < 2 or len(draws) < 2 or not np.isfinite(statistic.value):
        return None
    levels = _levels(statistic, draws, confidence)
    low, high = np.quantile(draws, levels)
    return Interval(float(low), float(high), float(draws.std(ddof=1)))


def _levels(statistic: Resampled, draws: Array, confidence: float) -> tuple[float, float]:
    """Levels of the draws at which the ends of the interval lie."""
    normal = NormalDist()
    ties = np.abs(draws - statistic.value) <= TIE
    below = float((np.count_nonzero((draws < statistic.value) & ~ties) + np.count_nonzero(ties) / 2) / len(draws))
    bias = normal.inv_cdf(min(max(below, 0.5 / len(draws)), 1 - 0.5 / len(draws)))
    squares = {group: float(np.square(each).sum()) for group, each in statistic.influences.items()}
    variance = sum(squares.values())
    if not variance:
        return (1 - confidence) / 2, (1 + confidence) / 2
    cubes = sum(float((each**3).sum()) for each in statistic.influences.values())
    acceleration = cubes / (6 * variance**1.5)
    reach = _reach(squares, statistic.documents, confidence)
    return _level(bias, acceleration, -reach), _level(bias, acceleration, reach)


def _level(bias: float, acceleration: float, reach: float) -> float:
    shrink = 1 - acceleration * (bias + reach)
    if shrink <= 0:  # beyond what the expansion can follow: the end of the draws
        return 0.0 if reach < 0 else 1.0
    return NormalDist().cdf(bias + (bias + reach) / shrink)


def _reach(squares: Mapping[str, float], documents: Mapping[str, int], confidence: float) -> float:
    """Standard errors from the middle to an end: those of Student's t, for the bootstrap's variance without n-1."""
    from scipy.special import stdtrit

    variance = sum(squares.values())
    freedom = variance**2 / sum(square**2 / (documents[group] - 1) for group, square in squares.items())
    widened = sum(square * documents[group] / (documents[group] - 1) for group, square in squares.items()) / variance
    reach: float = stdtrit(freedom, (1 + confidence) / 2) * widened**0.5
    return float(reach)
