"""From replies to results: facts, index, metric files and tables. What ``evaluate`` and ``score`` have in common.

A run is recorded when its replies are in the store; when all runs are, the results are published once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sciriff.errors import SciriffError
from sciriff.results.facts import Run
from sciriff.results.index import build_index, index_path
from sciriff.results.score_runs import pool_for, score_runs
from sciriff.results.sums import totals_of_runs
from sciriff.results.tables import MetricRow, metrics_folder, missing_columns, write_metric_files, write_tables
from sciriff.scoring.outcome import Outcome, Profile
from sciriff.scoring.shapes import Flat, Metrics
from sciriff.scoring.tasks import eval_task
from sciriff.settings import Settings
from sciriff.store import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Recorded:
    """A run whose facts are in the store.

    Attributes:
        run: the run.
        reused: whether they were there already.
    """

    run: Run
    reused: bool


@dataclass(frozen=True)
class NotRecorded:
    """A run that could not be scored.

    Attributes:
        run: the run.
        error: what went wrong.
    """

    run: Run
    error: SciriffError


@dataclass(frozen=True)
class TaskResult:
    """One model on one task.

    Attributes:
        model, task: what was evaluated.
        run_id: id of the run in facts and index.
        outcomes: samples by the class they ended in.
        summary: headline metrics as fractions, profile ``corrected``.
        reused: whether the scores were there already.
        data_note: what a reader should know of the data; else empty.
        window, split: which instances.
    """

    model: str
    task: str
    run_id: str
    outcomes: Mapping[Outcome, int]
    summary: Flat
    reused: bool
    data_note: str
    window: int
    split: str


@dataclass(frozen=True)
class Published:
    """What became of recorded runs.

    Attributes:
        results: one per run, in their order.
        index: the DuckDB file.
        summaries: artifact paths of every ``summary.tsv`` that was brought up to date, by profile.
        missing_columns: headline columns without a value, in all windows and splits that were published.
    """

    results: tuple[TaskResult, ...]
    index: Path
    summaries: Mapping[Profile, tuple[str, ...]]
    missing_columns: tuple[str, ...]


def record(run: Run, store: Store) -> Recorded:
    """Score the replies of one run and write the facts, unless that was done before.

    Raises:
        SciriffError: if the store cannot be read or written.
    """
    (done,) = record_all([run], store)
    if isinstance(done, NotRecorded):
        raise done.error
    return done


def record_all(runs: Sequence[Run], store: Store, workers: int = 1) -> Iterator[Recorded | NotRecorded]:
    """Score the replies of runs and write the facts, unless that was done before. Failures are told, not raised.

    Many runs at a time are quicker than one by one: models share what is made of a reference, tasks go side by side.

    Args:
        runs: the runs, whose predictions are in the store.
        store: the artifacts.
        workers: most processes.

    Yields:
        What became of each run, as it ends.
    """
    waiting = []
    for run in runs:
        if store.intact(run.folder, run.run_id):
            yield Recorded(run, reused=True)
        else:
            waiting.append(run)
    for run, error in score_runs(waiting, store, workers):
        yield Recorded(run, reused=False) if error is None else NotRecorded(run, error)


def publish(
    recorded: Sequence[Recorded], tables: Iterable[tuple[int, str]], store: Store, settings: Settings
) -> Published:
    """Bring the index up to date, and write the metric files of runs and the tables of all models.

    Args:
        recorded: the runs.
        tables: windows and splits whose tables are written.
        store: the artifacts.
        settings: where the index goes if the store is not a local folder.

    Raises:
        StoreError: if the store or the index cannot be written.
    """
    import duckdb

    path = index_path(store, settings)
    build_index(store, path)
    summaries: dict[Profile, list[str]] = {profile: [] for profile in Profile}
    missing: dict[str, None] = {}
    with duckdb.connect(str(path), read_only=True) as connection:
        results = _write_metrics(recorded, connection, store, settings.workers)
        for window, split in tables:
            for profile in Profile:
                rows = _metric_rows(connection, profile, window, split)
                if rows:
                    summaries[profile].append(write_tables(rows, metrics_folder(profile, window, split), store))
                if profile is Profile.CORRECTED:
                    missing |= dict.fromkeys(column.name for column in missing_columns(rows))
    store.sweep_staging()
    return Published(
        results=tuple(results),
        index=path,
        summaries={profile: tuple(paths) for profile, paths in summaries.items()},
        missing_columns=tuple(missing),
    )


def _write_metrics(
    recorded: Sequence[Recorded], connection: DuckDBPyConnection, store: Store, workers: int
) -> list[TaskResult]:
    totals = totals_of_runs(connection)
    results, to_write = [], []
    for run, reused in ((each.run, each.reused) for each in recorded):
        metrics = {profile: eval_task(run.task).shaper(totals[run.run_id, profile]) for profile in Profile}
        to_write.append((run, metrics))
        results.append(
            TaskResult(
                model=run.model,
                task=run.task,
                run_id=run.run_id,
                outcomes=totals[run.run_id, Profile.CORRECTED].outcomes,
                summary=metrics[Profile.CORRECTED].summary,
                reused=reused,
                data_note=run.data_note,
                window=run.window_tokens,
                split=run.split,
            )
        )
    pool = pool_for([each.run for each in recorded], store, workers)
    for _ in pool.map_unordered(partial(_write_files, store), to_write):
        pass
    return results


def _write_files(store: Store, run_and_metrics: tuple[Run, Mapping[Profile, Metrics]]) -> None:
    write_metric_files(*run_and_metrics, store)


def _metric_rows(connection: DuckDBPyConnection, profile: Profile, window: int, split: str) -> list[MetricRow]:
    query = """SELECT model, task, shape, metric, value FROM metrics
    WHERE profile = ? AND window_tokens = ? AND split = ? ORDER BY rowid"""
    return [MetricRow(*row) for row in connection.execute(query, [profile, window, split]).fetchall()]
