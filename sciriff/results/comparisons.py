"""Tests of all pairs of models, from the grouped statistics.

The numbers of a pair depend on its two models alone, not on which others there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sciriff.results.estimates import RunMetric
from sciriff.results.groups import Group, Mask
from sciriff.results.headlines import COLUMNS, headlines
from sciriff.results.intervals import (
    Resampled,
    combined,
    difference,
    drawn_together,
    interval,
    resampled,
    resampled_sums,
)
from sciriff.results.paired import (
    detectable_difference,
    holm,
    lower_sided,
    null_differences,
    swap_patterns,
    swapped_sums,
    two_sided,
)
from sciriff.results.values import Array, value_of_sums
from sciriff.scoring.outcome import Profile

ALPHA = 0.05
ALL_TASKS, MEAN = "all", "mean"
"""Task and metric of the mean over the headline columns."""

_PAIRS_AT_ONCE = 1_000
"""So many keep their draws until their means are known: 0.2 MB each."""
_TABLES_AT_ONCE = 200


class Pair(NamedTuple):
    """Two models at a window and split."""

    model_a: str
    model_b: str
    window: int
    split: str


class Comparison(NamedTuple):
    """One headline of two models over the samples that both have, profile ``corrected``.

    Attributes:
        model_a, model_b: the models.
        window_tokens, split: what they were asked.
        task, metric: the headline; :data:`ALL_TASKS` and :data:`MEAN` for the mean over the headline columns.
        value_a, value_b: what each has over these samples.
        difference: value_a - value_b.
        low, high, standard_error: its 95 % interval and standard error; None where there are none.
        p_value: two-sided, by approximate randomization.
        p_lower: one-sided: how likely a difference as far down is if the models do not differ.
        p_holm: p_value with Holm's correction over the headline columns of the two models; None for metrics that are
            no column. Of the mean it is p_value, as the mean is no further task.
        detectable: the true difference that would be found at 0.05, so corrected, with a probability of 0.8.
        documents, samples: what is compared.
        unpaired: samples that only one of the two has a score of.
    """

    model_a: str
    model_b: str
    window_tokens: int
    split: str
    task: str
    metric: str
    value_a: float
    value_b: float
    difference: float
    low: float | None
    high: float | None
    standard_error: float | None
    p_value: float
    p_lower: float
    p_holm: float | None
    detectable: float | None
    documents: int
    samples: int
    unpaired: int


def all_pairs(groups: Iterable[Group]) -> list[Pair]:
    """Every two models with a task, window and split in common, in the order of names."""
    found: dict[Pair, None] = {}
    for group in groups:
        models = sorted({run.model for run in group.runs.values()})
        for place, first in enumerate(models):
            found |= dict.fromkeys(Pair(first, second, group.window, group.split) for second in models[place + 1 :])
    return sorted(found)


def comparisons(
    groups: Sequence[Group], pairs: Sequence[Pair], known: Mapping[RunMetric, Resampled] | None = None
) -> Iterator[Comparison]:
    """Compare models, each pair on all headlines that both have, then on their mean.

    Args:
        groups: the runs.
        pairs: which models.
        known: distributions of whole runs, see :attr:`sciriff.results.estimates.Estimates.resampled`; others are drawn.
    """
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        chosen = pairs[start : start + _PAIRS_AT_ONCE]
        tallies: dict[Pair, _Tally] = {pair: _Tally() for pair in chosen}
        for group in groups:
            for test in _tests(
                group, [pair for pair in chosen if pair[2:] == (group.window, group.split)], known or {}
            ):
                tallies[test.pair].take(test)
        for tally in tallies.values():
            yield from tally.finished()


@dataclass(frozen=True)
class _Test:
    """One headline of two models.

    Attributes:
        pair: the models.
        task, metric: the headline.
        values: what each has.
        difference: of the values, with its bootstrap distribution.
        null: differences if the models did not differ.
        samples: how many are compared.
        unpaired: how many only one of the two has.
    """

    pair: Pair
    task: str
    metric: str
    values: tuple[float, float]
    difference: Resampled
    null: Array
    samples: int
    unpaired: int


@dataclass
class _Tally:
    """What is known of a pair so far: its rows, not yet corrected, and the sum over its headline columns.

    Of the columns only the sum is kept: the draws of each would take too much room.
    """

    rows: list[Comparison] = field(default_factory=list)
    columns: list[Comparison] = field(default_factory=list)
    total: _Test | None = None

    def take(self, test: _Test) -> None:
        row = _row(test)
        self.rows.append(row)
        if (test.task, test.metric) in COLUMNS:
            self.columns.append(row)
            self.total = test if self.total is None else _sum(self.total, test)

    def finished(self) -> Iterator[Comparison]:
        corrected = dict(zip(self.columns, holm([row.p_value for row in self.columns]), strict=True))
        for row in self.rows:
            yield row._replace(p_holm=corrected.get(row), detectable=_detectable(row, max(1, len(self.columns))))
        if self.total is not None:
            mean = _row(_mean(self.total, self.columns))
            yield mean._replace(p_holm=mean.p_value, detectable=_detectable(mean, 1))


def _sum(first: _Test, second: _Test) -> _Test:
    """Two columns added up, with independent draws if they are of different tasks."""
    return replace(
        first, difference=combined([(1, first.difference), (1, second.difference)]), null=first.null + second.null
    )


def _mean(total: _Test, columns: Sequence[Comparison]) -> _Test:
    number = len(columns)
    by_task = {row.task: row for row in columns}.values()
    return _Test(
        pair=total.pair,
        task=ALL_TASKS,
        metric=MEAN,
        values=(fmean(row.value_a for row in columns), fmean(row.value_b for row in columns)),
        difference=combined([(1, total.difference)], number),
        null=total.null / number,
        samples=sum(row.samples for row in by_task),
        unpaired=sum(row.unpaired for row in by_task),
    )


def _row(test: _Test) -> Comparison:
    found = interval(test.difference)
    observed = test.difference.value
    return Comparison(
        *test.pair,
        task=test.task,
        metric=test.metric,
        value_a=test.values[0],
        value_b=test.values[1],
        difference=observed,
        low=found.low if found else None,
        high=found.high if found else None,
        standard_error=found.standard_error if found else None,
        p_value=two_sided(observed, test.null),
        p_lower=lower_sided(observed, test.null),
        p_holm=None,
        detectable=None,
        documents=sum(test.difference.documents.values()),
        samples=test.samples,
        unpaired=test.unpaired,
    )


def _detectable(row: Comparison, family: int) -> float | None:
    """None also where all documents agree: how they might differ is then not known."""
    return detectable_difference(row.standard_error, ALPHA / family) if row.standard_error else None


# --- one task -------------------------------------------------------------------------------------------------------


class _Side(NamedTuple):
    """One metric of one model over some samples: the same for all pairs over these samples."""

    run_id: str
    metric: str
    samples: bytes


class _Couple(NamedTuple):
    """One headline of two models that can be compared."""

    pair: Pair
    first: _Side
    second: _Side
    samples: int
    unpaired: int


@dataclass
class _Batch:
    """Couples that are tested together.

    Attributes:
        couples: the couples.
        tables: statistics of their sides by document.
        known: distributions of those sides that are whole runs.
    """

    couples: list[_Couple] = field(default_factory=list)
    tables: dict[_Side, Array] = field(default_factory=dict)
    known: dict[_Side, Resampled] = field(default_factory=dict)


def _tests(group: Group, pairs: Sequence[Pair], known: Mapping[RunMetric, Resampled]) -> Iterator[_Test]:
    """Test pairs on the headlines of one task."""
    for documents, alike in _by_documents(group, pairs):
        names = [name for name, is_in in zip(group.documents, documents, strict=True) if is_in]
        patterns = swap_patterns(names, group.task)
        for batch in _batches(group, documents, alike, known):
            yield from _tested(group.task, batch, patterns)


def _by_documents(group: Group, pairs: Sequence[Pair]) -> Iterator[tuple[Mask, list[Pair]]]:
    """The documents that pairs have in common, and the pairs that have just these: their draws are the same."""
    run_of = {run.model: run for run in group.runs.values()}
    found: dict[bytes, list[Pair]] = defaultdict(list)
    for pair in pairs:
        if pair.model_a in run_of and pair.model_b in run_of:
            both = run_of[pair.model_a].is_asked & run_of[pair.model_b].is_asked
            found[group.documents_of(both).tobytes()].append(pair)
    for packed, alike in found.items():
        documents = np.frombuffer(packed, dtype=bool)
        if documents.any():
            yield documents, alike


def _batches(
    group: Group, documents: Mask, pairs: Sequence[Pair], known: Mapping[RunMetric, Resampled]
) -> Iterator[_Batch]:
    run_of = {run.model: run for run in group.runs.values()}
    batch = _Batch()
    for pair in pairs:
        runs = run_of[pair.model_a], run_of[pair.model_b]
        for metric in (headline.metric for headline in headlines(group.task)):
            if any((Profile.CORRECTED, metric) not in run.scored for run in runs):
                continue
            scored = [run.scored[Profile.CORRECTED, metric] for run in runs]
            both = scored[0].is_scored & scored[1].is_scored
            if not both.any() or scored[0].judge != scored[1].judge:
                continue
            sides = [_Side(run.run_id, metric, both.tobytes()) for run in runs]
            for side, run, whole in zip(sides, runs, scored, strict=True):
                if side in batch.tables:
                    continue
                batch.tables[side] = group.by_document(whole, both)[documents]
                drawn = known.get(RunMetric(run.run_id, Profile.CORRECTED, metric))
                is_whole = np.array_equal(both, whole.is_scored)
                if drawn and is_whole and np.array_equal(documents, group.documents_of(run.is_asked)):
                    batch.known[side] = drawn
            unpaired = int(np.count_nonzero(scored[0].is_scored ^ scored[1].is_scored))
            batch.couples.append(_Couple(pair, sides[0], sides[1], int(np.count_nonzero(both)), unpaired))
        if len(batch.tables) >= _TABLES_AT_ONCE:
            yield batch
            batch = _Batch()
    if batch.couples:
        yield batch


def _tested(task: str, batch: _Batch, patterns: NDArray[np.uint8]) -> Iterator[_Test]:
    tables = batch.tables
    values = {headline.metric: value_of_sums(headline.kind, Profile.CORRECTED) for headline in headlines(task)}
    to_draw = {side: table for side, table in tables.items() if side not in batch.known}
    drawn = batch.known | {
        side: resampled(tables[side], sums, values[side.metric], task)
        for side, sums in drawn_together(to_draw, lambda beside: resampled_sums(beside, task))
    }
    swapped = dict(drawn_together(tables, lambda beside: swapped_sums(beside, patterns)))
    for pair, first, second, samples, unpaired in batch.couples:
        value = values[first.metric]
        yield _Test(
            pair=pair,
            task=task,
            metric=first.metric,
            values=(drawn[first].value, drawn[second].value),
            difference=difference(drawn[first], drawn[second]),
            null=null_differences(tables[first], tables[second], swapped[first], swapped[second], value),
            samples=samples,
            unpaired=unpaired,
        )
