"""The statistics of a whole store: made once per state of its tasks, kept as two Parquet tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciriff.building.combine import built_tasks
from sciriff.building.facts import Checks, compile_checks
from sciriff.building.plan import TaskPlan, plan_tasks
from sciriff.building.progress import Progress
from sciriff.building.suites import default_suite
from sciriff.dataset.statistics import SPLITS, SplitStatistics, TokenQuantiles, describe, read_instances
from sciriff.dataset.tables import publish_tables
from sciriff.errors import UsageError
from sciriff.sources import catalogue
from sciriff.store import Store

STATISTICS = "reports/statistics"


@dataclass(frozen=True)
class TaskDescription:
    """What the catalogue and the task file say of a task.

    Attributes:
        task: its name.
        family: task family of its metadata.
        domains: domains of its metadata.
        source: id of its source.
        licence: licence id of the source.
        redistributable: whether that licence, as far as it is stated, allows copies to be passed on.
    """

    task: str
    family: str
    domains: tuple[str, ...]
    source: str
    licence: str
    redistributable: bool


@dataclass(frozen=True)
class Summary:
    """The statistics of the tasks of a store.

    Attributes:
        windows: context windows in tokens, ascending.
        tasks: what is described, sorted by name.
        splits: one entry per task, window and split.
        folder: where the Parquet tables lie, relative to the store root.
    """

    windows: tuple[int, ...]
    tasks: tuple[TaskDescription, ...]
    splits: tuple[SplitStatistics, ...]
    folder: str


def summarise(
    store: Store,
    *,
    windows: Sequence[int] | None = None,
    tasks: Sequence[str] | None = None,
    templates_dir: Path | None = None,
    progress: Progress,
) -> Summary:
    """Describe built tasks, and write ``splits.parquet`` and ``labels.parquet`` to ``reports/statistics``.

    Args:
        store: where the built tasks lie and the tables go.
        windows: context windows in tokens; None for all that are built.
        tasks: task names; None for all that are built.
        templates_dir: folder of task files in place of the bundled ones.
        progress: where progress goes.

    Raises:
        UsageError: if nothing is built at these windows, or a task that was asked for is not.
        StoreError: if the store cannot be read or written.
    """
    built = {window: built_tasks(store, window) for window in windows or _windows(store)}
    chosen = sorted({task for names in built.values() for task in names})
    if missing := sorted(set(tasks or ()) - set(chosen)):
        raise UsageError(f"{', '.join(missing)}: not built in {store.path('')}; run `sciriff build` first")
    chosen = [task for task in chosen if tasks is None or task in tasks]
    if not chosen:
        raise UsageError(f"no task is built in {store.path('')}; run `sciriff build` first")
    plans = plan_tasks(chosen, templates_dir)
    found: list[SplitStatistics] = []
    with progress.stage("tasks described", len(chosen)) as stage:
        for task in chosen:
            checks = _checks(plans[task])
            for window, names in sorted(built.items()):
                for split in SPLITS if task in names else ():
                    found.append(describe(task, window, split, read_instances(store, window, task, split), checks))
            stage.advance(note=task)
    descriptions = tuple(_description(task, plan) for task, plan in plans.items() if isinstance(plan, TaskPlan))
    _write(store, found)
    return Summary(tuple(sorted(built)), descriptions, tuple(found), STATISTICS)


def _windows(store: Store) -> list[int]:
    return [int(name) for name in store.folders("instructions") if name.isdigit()]


def _checks(plan: Any) -> Checks:
    """The suite of a task; of one whose files cannot be used any more, one that finds no labels."""
    return compile_checks(plan.suite if isinstance(plan, TaskPlan) else default_suite("unknown", "text"))


def _description(task: str, plan: TaskPlan) -> TaskDescription:
    metadata = plan.task_file.metadata
    source = catalogue.source(plan.binding.source)
    return TaskDescription(
        task,
        metadata.task,
        tuple(metadata.domains),
        source.id,
        source.licence.id,
        source.licence.redistributable,
    )


def totals(splits: Iterable[SplitStatistics]) -> dict[tuple[int, str], tuple[int, int]]:
    """(window, split) -> instances of all tasks together, and tokens of their inputs and outputs."""
    found: dict[tuple[int, str], tuple[int, int]] = {}
    for entry in splits:
        instances, tokens = found.get((entry.window, entry.split), (0, 0))
        spent = sum(part.total for part in (entry.input_tokens, entry.output_tokens) if part is not None)
        found[entry.window, entry.split] = (instances + entry.instances, tokens + spent)
    return found


def _write(store: Store, splits: Sequence[SplitStatistics]) -> None:
    publish_tables(store, STATISTICS, "statistics", {"splits": _split_rows(splits), "labels": _label_rows(splits)})


_Table = tuple[list[dict[str, Any]], Mapping[str, str]]


def _split_rows(splits: Sequence[SplitStatistics]) -> _Table:
    parts = [f"{side}_tokens_{name}" for side in ("input", "output") for name in TokenQuantiles._fields]
    schema = {"task": "string", "window": "int64", "split": "string", "instances": "int64", "documents": "int64"}
    rows = []
    for entry in splits:
        row: dict[str, Any] = {name: getattr(entry, name) for name in schema}
        for side, tokens in (("input", entry.input_tokens), ("output", entry.output_tokens)):
            if tokens is not None:
                row |= {f"{side}_tokens_{name}": value for name, value in tokens._asdict().items()}
        rows.append(row)
    return rows, {**schema, **dict.fromkeys(parts, "int64")}


def _label_rows(splits: Sequence[SplitStatistics]) -> _Table:
    rows = [
        {
            "task": entry.task,
            "window": entry.window,
            "split": entry.split,
            "label": label,
            "instances": count.instances,
            "occurrences": count.occurrences,
        }
        for entry in splits
        for label, count in entry.labels.items()
    ]
    kinds = {"task": "string", "window": "int64", "split": "string", "label": "string"}
    return rows, {**kinds, "instances": "int64", "occurrences": "int64"}
