"""What the index adds to the facts: metrics with their intervals and bounds, means, and comparisons of models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from sciriff.results.estimates import Estimate, RunMetric, Standing, estimates
from sciriff.results.groups import load_groups
from sciriff.results.headlines import COLUMNS
from sciriff.results.sums import totals_of_runs
from sciriff.scoring.bounds import bounds
from sciriff.scoring.outcome import Profile
from sciriff.scoring.tasks import eval_task

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_DIGITS = 12

Row = tuple[Any, ...]


class Derived(NamedTuple):
    """Rows of the tables ``metrics``, ``means`` and ``comparisons``."""

    metrics: list[Row]
    means: list[Row]
    comparisons: list[Row]


def derive(connection: DuckDBPyConnection) -> Derived:
    """Compute what is derived from ``runs``, ``samples``, ``scores`` and ``judges``.

    Args:
        connection: an index that is open for writing and has these tables.
    """
    from sciriff.results.comparisons import all_pairs, comparisons

    groups = list(load_groups(connection))
    found = estimates(groups)
    metrics = list(_metric_rows(connection, found.of_runs))
    compared = comparisons(groups, all_pairs(groups), found.resampled)
    return Derived(metrics, list(_mean_rows(metrics, found.of_means)), [_rounded(row) for row in compared])


def _metric_rows(connection: DuckDBPyConnection, found: Mapping[RunMetric, Estimate]) -> Iterator[Row]:
    runs = connection.execute("SELECT run_id, model, task, window_tokens, split FROM runs WHERE is_current").fetchall()
    by_id = {run[0]: run for run in runs}
    unanswered = dict(connection.execute(_UNANSWERED).fetchall())
    judged = {run_id: (low, high) for run_id, low, high in connection.execute(_JUDGED).fetchall()}
    for (run_id, profile), totals in totals_of_runs(connection).items():
        run = by_id[run_id]
        task = eval_task(run[2])
        shaped = task.shaper(totals)
        for metric, value in shaped.flat.items():
            yield (*run, profile.value, "flat", metric, value, *_NOTHING_MORE)
        low, high = bounds(task, totals, unanswered.get(run_id, ()))
        for metric, value in shaped.summary.items():
            sure = found.get(RunMetric(run_id, profile, metric)) if value is not None else None
            limits = (low[metric], high[metric])
            if metric == task.judged:
                limits = judged.get(run_id, _UNKNOWN) if profile is Profile.CORRECTED else _UNKNOWN
            yield (*run, profile.value, "summary", metric, value, *_certainty(sure), *limits)


_UNANSWERED = "SELECT run_id, list(reference) FROM samples WHERE reason = 'no_reply' GROUP BY run_id"
_JUDGED = "SELECT run_id, low, high FROM judges WHERE low IS NOT NULL"
_UNKNOWN = (None, None)
_NOTHING_MORE = (None,) * 6


def _certainty(estimate: Estimate | None) -> Row:
    """Columns low, high, standard_error and documents."""
    if estimate is None:
        return None, None, None, None
    return _rounded((*(estimate.interval or (None, None, None)), estimate.documents))


def _mean_rows(metrics: Sequence[Row], found: Mapping[Standing, Estimate]) -> Iterator[Row]:
    """Means over the headline columns, by model, window and split, in the profile ``corrected``."""
    by_standing: dict[Standing, list[Row]] = defaultdict(list)
    for _, model, task, window, split, profile, shape, metric, value, *more in metrics:
        is_column = (shape, profile) == ("summary", Profile.CORRECTED.value) and (task, metric) in COLUMNS
        if is_column and value is not None:
            by_standing[Standing(model, window, split)].append((value, *more[-2:]))
    for standing, parts in by_standing.items():
        value, at_worst, at_best = (_mean(part[place] for part in parts) for place in range(3))
        yield (*standing, value, len(parts), *_certainty(found.get(standing)), at_worst, at_best)


def _mean(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else fmean(value for value in known if value is not None)


def _rounded(row: Row) -> Row:
    """Digits that depend on how a machine adds are dropped."""
    return tuple(round(value, _DIGITS) if isinstance(value, float) else value for value in row)
