"""Intervals of all headlines, from the grouped statistics.

The interval of a run depends on that run alone, not on which others there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sciriff.results.groups import Group
from sciriff.results.headlines import COLUMNS, headlines
from sciriff.results.intervals import (
    Interval,
    Resampled,
    average,
    drawn_together,
    interval,
    resampled,
    resampled_sums,
)
from sciriff.results.values import value_of_sums
from sciriff.scoring.outcome import Profile


class Estimate(NamedTuple):
    """How sure a metric is.

    Attributes:
        interval: None where there is none, see :func:`sciriff.results.intervals.interval`.
        documents: how many documents it is over.
    """

    interval: Interval | None
    documents: int


class RunMetric(NamedTuple):
    """A headline metric of a run."""

    run_id: str
    profile: Profile
    metric: str


class Standing(NamedTuple):
    """A row of the leaderboard."""

    model: str
    window: int
    split: str


class Estimates(NamedTuple):
    """Intervals of runs and of models.

    Attributes:
        of_runs: of all headlines of all runs.
        of_means: of each model's mean over the headline columns, profile ``corrected``.
        resampled: the distributions behind those of the profile ``corrected``.
    """

    of_runs: dict[RunMetric, Estimate]
    of_means: dict[Standing, Estimate]
    resampled: dict[RunMetric, Resampled]


def estimates(groups: Iterable[Group]) -> Estimates:
    """Intervals of all headlines."""
    of_runs: dict[RunMetric, Estimate] = {}
    kept: dict[RunMetric, Resampled] = {}
    columns: dict[Standing, list[Resampled]] = defaultdict(list)
    for group in groups:
        for key, statistic in _resampled(group):
            of_runs[key] = _estimate(statistic)
            if key.profile is not Profile.CORRECTED:
                continue
            kept[key] = statistic
            if (group.task, key.metric) in COLUMNS:
                columns[Standing(group.runs[key.run_id].model, group.window, group.split)].append(statistic)
    return Estimates(of_runs, {standing: _estimate(average(parts)) for standing, parts in columns.items()}, kept)


def _estimate(statistic: Resampled) -> Estimate:
    return Estimate(interval(statistic), sum(statistic.documents.values()))


def _resampled(group: Group) -> Iterator[tuple[RunMetric, Resampled]]:
    """The bootstrap distributions of all headlines of a group; runs over the same documents share their draws."""
    same_documents: dict[bytes, list[str]] = defaultdict(list)
    for run_id, run in group.runs.items():
        same_documents[group.documents_of(run.is_asked).tobytes()].append(run_id)
    kinds = {headline.metric: headline.kind for headline in headlines(group.task)}
    for run_ids in same_documents.values():
        documents = group.documents_of(group.runs[run_ids[0]].is_asked)
        tables = {
            RunMetric(run_id, *key): group.by_document(scored)[documents]
            for run_id in run_ids
            for key, scored in group.runs[run_id].scored.items()
        }
        for key, sums in drawn_together(tables, lambda beside: resampled_sums(beside, group.task)):
            yield key, resampled(tables[key], sums, value_of_sums(kinds[key.metric], key.profile), group.task)
