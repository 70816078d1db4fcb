"""From replies to results: facts, index, metric files and tables. What ``evaluate`` and ``score`` have in common.

A run is recorded when its replies are in the store; when all runs are, the results are published once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sciriff.building.runner import Runner
from sciriff.errors import SciriffError
from sciriff.hashing import digest
from sciriff.leases import lease, tidy
from sciriff.models.predictions import ReplacedError
from sciriff.results.facts import Run
from sciriff.results.index import build_index, index_path
from sciriff.results.metric_files import Entry, write_metric_files, write_raw_predictions
from sciriff.results.score_runs import pool_for, score_runs
from sciriff.results.sums import totals_of_runs
from sciriff.results.tables import MetricRow, metrics_folder, missing_columns, write_tables
from sciriff.scoring.outcome import Outcome, Profile
from sciriff.scoring.shapes import Flat, Metrics
from sciriff.scoring.tasks import eval_task
from sciriff.scoring.totals import Totals
from sciriff.settings import Settings
from sciriff.store import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


_FILES_AT_ONCE = 8
_REPLACED = (
    "its scores were replaced before they were published, by a run of the same model with other options or replies; "
    "run the same command again when that is done"
)


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
        results: one per run, in their order; runs of ``replaced`` have none.
        replaced: (model, task) -> what is told of runs that are not the current ones any more.
        index: the DuckDB file.
        summaries: artifact paths of every ``summary.tsv`` that was brought up to date, by profile.
        missing_columns: headline columns without a value, in all windows and splits that were published.
    """

    results: tuple[TaskResult, ...]
    index: Path
    summaries: Mapping[Profile, tuple[str, ...]]
    missing_columns: tuple[str, ...]
    replaced: Mapping[tuple[str, str], str] = field(default_factory=dict)


def record(run: Run, store: Store) -> Recorded:
    """Score the replies of one run and write the facts, unless that was done before.

    Raises:
        SciriffError: if the store cannot be read or written.
    """
    (done,) = record_all([run], store)
    if isinstance(done, NotRecorded):
        raise done.error
    return done


def record_all(
    runs: Sequence[Run], store: Store, workers: int = 1, runner: Runner | None = None
) -> Iterator[Recorded | NotRecorded]:
    """Score the replies of runs and write the facts, unless that was done before. Failures are told, not raised.

    Many runs at a time are quicker than one by one: models share what is made of a reference, tasks go side by side.

    Args:
        runs: the runs, whose predictions are in the store.
        store: the artifacts.
        workers: most processes.
        runner: who scores; None for processes of this machine.

    Yields:
        What became of each run, as it ends.
    """
    waiting = []
    for run in runs:
        if store.intact(run.folder, run.run_id):
            yield Recorded(run, reused=True)
        else:
            waiting.append(run)
    if not waiting:
        return
    # One lease for them all: of evaluations that want just the same, one scores. Facts never get in each other's way.
    unit = f"score/{digest(sorted(run.run_id for run in waiting))[:16]}"
    with lease(store, unit, doing="the same replies are being scored"):
        left = []
        for run in waiting:
            if store.intact(run.folder, run.run_id):
                yield Recorded(run, reused=True)
            else:
                left.append(run)
        for run, error in score_runs(left, store, workers, runner):
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

    runs = [each.run for each in recorded]
    path = index_path(store, settings)
    summaries: dict[Profile, list[str]] = {profile: [] for profile in Profile}
    missing: dict[str, None] = {}
    # The workspace keeps the store from making and removing its staging folder for every file.
    with (
        lease(store, "publish", doing="results are being published"),
        store.workspace(),
        ThreadPoolExecutor(1) as beside,
    ):
        raw = beside.submit(_write_raw_predictions, runs, store, settings.workers)
        build_index(store, path)
        with duckdb.connect(str(path), read_only=True) as connection:
            totals = totals_of_runs(connection)
            for window, split in tables:
                for profile in Profile:
                    rows = _metric_rows(connection, profile, window, split)
                    if rows:
                        summaries[profile].append(write_tables(rows, metrics_folder(profile, window, split), store))
                    if profile is Profile.CORRECTED:
                        missing |= dict.fromkeys(column.name for column in missing_columns(rows))
        current = [each for each in recorded if all(key in totals for key in _keys(each.run))]
        kept = [each.run for each in current]
        metrics = {key: eval_task(run.task).shaper(totals[key]) for run in kept for key in _keys(run)}
        _write_metric_files(kept, metrics, raw.result(), store)
    tidy(store)
    return Published(
        results=tuple(_result(each, totals, metrics) for each in current),
        replaced={(run.model, run.task): _REPLACED for run in runs if run not in kept},
        index=path,
        summaries={profile: tuple(paths) for profile, paths in summaries.items()},
        missing_columns=tuple(missing),
    )


_Key = tuple[str, Profile]
"""Run id and profile."""


def _keys(run: Run) -> list[_Key]:
    return [(run.run_id, profile) for profile in Profile]


def _write_raw_predictions(runs: Sequence[Run], store: Store, workers: int) -> dict[_Key, Entry]:
    found: dict[_Key, Entry] = {}
    for run_id, entries in pool_for(runs, store, workers).map_unordered(partial(_write_raw, store), runs):
        found |= {(run_id, profile): entry for profile, entry in entries.items()}
    return found


def _write_raw(store: Store, run: Run) -> tuple[str, dict[Profile, Entry]]:
    try:
        return run.run_id, write_raw_predictions(run, store)
    except ReplacedError:  # whoever replaced the predictions writes their metric files, too
        return run.run_id, {}


def _write_metric_files(
    runs: Sequence[Run], metrics: Mapping[_Key, Metrics], raw: Mapping[_Key, Entry], store: Store
) -> None:
    """Many at a time: small files mostly wait for the disk."""

    def write(run_and_key: tuple[Run, _Key]) -> None:
        run, key = run_and_key
        write_metric_files(run, key[1], metrics[key], raw[key], store)

    with ThreadPoolExecutor(_FILES_AT_ONCE) as threads:
        for _ in threads.map(write, [(run, key) for run in runs for key in _keys(run) if key in raw]):
            pass


def _result(recorded: Recorded, totals: Mapping[_Key, Totals], metrics: Mapping[_Key, Metrics]) -> TaskResult:
    run, key = recorded.run, (recorded.run.run_id, Profile.CORRECTED)
    return TaskResult(
        model=run.model,
        task=run.task,
        run_id=run.run_id,
        outcomes=totals[key].outcomes,
        summary=metrics[key].summary,
        reused=recorded.reused,
        data_note=run.data_note,
        window=run.window_tokens,
        split=run.split,
    )


def _metric_rows(connection: DuckDBPyConnection, profile: Profile, window: int, split: str) -> list[MetricRow]:
    query = """SELECT model, task, shape, metric, value FROM metrics
    WHERE profile = ? AND window_tokens = ? AND split = ? ORDER BY rowid"""
    return [MetricRow(*row) for row in connection.execute(query, [profile, window, split]).fetchall()]
