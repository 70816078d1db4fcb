"""The evaluation: models x tasks -> predictions -> scores -> facts -> index -> metric files and tables.

Every step keeps what it made under a key of what it was made from, so a second run finds everything done. A model or
task that fails does not stop the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sciriff.building.fingerprint import code_digest
from sciriff.building.progress import Progress, Silent
from sciriff.errors import ExitCode, SciriffError, UsageError
from sciriff.models.baselines import baseline
from sciriff.models.instances import InstanceSet, NotBuiltError, load_instances
from sciriff.models.predict import predict, read_predictions
from sciriff.results.facts import Run, write_facts
from sciriff.results.index import build_index, index_path
from sciriff.results.sums import totals_of_runs
from sciriff.results.tables import MetricRow, missing_columns, write_metric_files, write_tables
from sciriff.scoring.outcome import Outcome, Profile
from sciriff.scoring.shapes import Flat
from sciriff.scoring.tasks import EVAL_TASKS, EvalTask, eval_task
from sciriff.settings import Settings
from sciriff.store import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DEFAULT_WINDOW = 4096
DEFAULT_SPLIT = "validation"


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
    """

    model: str
    task: str
    run_id: str
    outcomes: Mapping[Outcome, int]
    summary: Flat
    reused: bool
    data_note: str


@dataclass(frozen=True)
class EvaluationReport:
    """What an evaluation did.

    Attributes:
        window, split: what was evaluated on.
        results: every model and task that was scored.
        not_built: task -> why there are no instances of it.
        failures: (model or "", task) -> what went wrong; the others went on.
        missing_columns: summary columns without a value, as in the leaderboard.
        index: the DuckDB file.
        summaries: profile -> artifact path of ``summary.tsv``.
    """

    window: int
    split: str
    results: tuple[TaskResult, ...]
    not_built: Mapping[str, str]
    failures: Mapping[tuple[str, str], str]
    missing_columns: tuple[str, ...]
    index: Path
    summaries: Mapping[Profile, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> ExitCode:
        """FAILED if something failed, or if there was nothing to score."""
        return ExitCode.FAILED if self.failures or not self.results else ExitCode.DONE


def evaluate(
    models: Sequence[str],
    *,
    store: Store,
    settings: Settings,
    tasks: Sequence[str] | None = None,
    window: int = DEFAULT_WINDOW,
    split: str = DEFAULT_SPLIT,
    limit: int | None = None,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Evaluate models on the built instances of the held-out tasks.

    Args:
        models: names of models.
        store: where instances are read and results written.
        settings: where the index goes if the store is not a local folder.
        tasks: task names; None for all nine.
        window: context window of the instances, in tokens.
        split: their split.
        limit: at most so many samples of each task, the same for every model; None for all.
        progress: where to tell how far it is.

    Raises:
        UsageError: for an unknown model or task, or an impossible limit.
        StoreError: if the store cannot be written.
    """
    if not models:
        raise UsageError("no model to evaluate; give at least one, e.g. gold")
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit} is not a positive number of samples")
    for model in models:
        baseline(model)
    chosen = [eval_task(name) for name in dict.fromkeys(tasks)] if tasks is not None else list(EVAL_TASKS)
    store.check_writable()
    progress = progress or Silent()

    scored = _Scored()
    with progress.stage("evaluate", len(chosen) * len(set(models))) as stage:
        for task in chosen:
            instances = _load(task, store, window, split, limit, scored)
            for model in dict.fromkeys(models):
                if instances is not None:
                    _score(model, task, instances, store, scored)
                stage.advance(note=f"{task.name} {model}")

    path = index_path(store, settings)
    build_index(store, path)
    results, rows = _publish(scored, store, path, window, split)
    summaries = {profile: write_tables(rows[profile], profile, store) for profile in Profile if rows[profile]}
    store.sweep_staging()
    return EvaluationReport(
        window=window,
        split=split,
        results=tuple(results),
        not_built=scored.not_built,
        failures=scored.failures,
        missing_columns=tuple(column.name for column in missing_columns(rows[Profile.CORRECTED])),
        index=path,
        summaries=summaries,
    )


@dataclass
class _Scored:
    runs: list[tuple[Run, bool]] = field(default_factory=list)
    not_built: dict[str, str] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)


def _load(
    task: EvalTask, store: Store, window: int, split: str, limit: int | None, scored: _Scored
) -> InstanceSet | None:
    try:
        return load_instances(store, task.name, window, split, limit)
    except NotBuiltError as error:
        scored.not_built[task.name] = str(error)
    except SciriffError as error:
        scored.failures["", task.name] = str(error)
    return None


def _score(model: str, task: EvalTask, instances: InstanceSet, store: Store, scored: _Scored) -> None:
    try:
        predictions = predict(model, instances, store)
        run = Run(
            model=model,
            task=task.name,
            window_tokens=instances.window,
            split=instances.split,
            sample_limit=instances.limit,
            data_note=instances.note,
            build_key=instances.build_key,
            instances_sha256=instances.sha256,
            predictions=predictions.path,
            predictions_sha256=predictions.sha256,
            model_identity=predictions.model_identity,
            scorer=code_digest(["sciriff.scoring.tasks"]),
        )
        reused = store.intact(run.folder, run.run_id)
        if not reused:
            write_facts(run, task, read_predictions(store, predictions.path), store)
        scored.runs.append((run, reused))
    except SciriffError as error:
        scored.failures[model, task.name] = str(error)


def _publish(
    scored: _Scored, store: Store, path: Path, window: int, split: str
) -> tuple[list[TaskResult], dict[Profile, list[MetricRow]]]:
    """Write the metric files of this evaluation's runs, and read the metrics of all models for the tables."""
    import duckdb

    results = []
    with duckdb.connect(str(path), read_only=True) as connection:
        totals = totals_of_runs(connection)
        for run, reused in scored.runs:
            for profile in Profile:
                metrics = eval_task(run.task).shaper(totals[run.run_id, profile])
                write_metric_files(run, profile, metrics, store)
                if profile is Profile.CORRECTED:
                    outcomes = totals[run.run_id, profile].outcomes
                    results.append(
                        TaskResult(run.model, run.task, run.run_id, outcomes, metrics.summary, reused, run.data_note)
                    )
        rows = {profile: _metric_rows(connection, profile, window, split) for profile in Profile}
    return results, rows


def _metric_rows(connection: DuckDBPyConnection, profile: Profile, window: int, split: str) -> list[MetricRow]:
    query = """SELECT model, task, shape, metric, value FROM metrics
    WHERE profile = ? AND window_tokens = ? AND split = ? ORDER BY rowid"""
    return [MetricRow(*row) for row in connection.execute(query, [profile, window, split]).fetchall()]
