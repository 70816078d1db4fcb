"""The evaluation: models x tasks -> predictions -> scores -> facts -> index -> metric files and tables.

Every step keeps what it made under a key of what it was made from, so a second run finds everything done. A model or
task that fails does not stop the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sciriff.building.fingerprint import code_digest
from sciriff.building.progress import Progress, Silent
from sciriff.errors import ExitCode, SciriffError, UsageError
from sciriff.models.baselines import baseline
from sciriff.models.instances import InstanceSet, NotBuiltError, load_instances
from sciriff.models.predict import predict
from sciriff.results.facts import Run
from sciriff.results.record import Recorded, TaskResult, publish, record
from sciriff.results.tables import DEFAULT_SPLIT, DEFAULT_WINDOW
from sciriff.scoring.outcome import Profile
from sciriff.scoring.tasks import EVAL_TASKS, EvalTask, eval_task
from sciriff.settings import Settings
from sciriff.store import Store


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

    published = publish(scored.runs, [(window, split)], store, settings)
    return EvaluationReport(
        window=window,
        split=split,
        results=published.results,
        not_built=scored.not_built,
        failures=scored.failures,
        missing_columns=published.missing_columns,
        index=published.index,
        summaries={profile: paths[0] for profile, paths in published.summaries.items() if paths},
    )


@dataclass
class _Scored:
    runs: list[Recorded] = field(default_factory=list)
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
        scored.runs.append(record(run, store))
    except SciriffError as error:
        scored.failures[model, task.name] = str(error)
