"""``sciriff build``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from sciriff.cli.leakage import leakage_text, max_leakage_option, print_over_limit
from sciriff.cli.parameters import (
    NUMBERS,
    CountOrAll,
    count_or_none,
    runner_options,
    settings_with,
    source_options,
    store_option,
    tasks_option,
    templates_option,
    windows_option,
)

if TYPE_CHECKING:
    from sciriff.building.build import BuildReport
    from sciriff.building.outcome import TaskOutcome, TaskState


@click.command()
@tasks_option
@windows_option
@click.option(
    "--n-instances",
    type=CountOrAll(),
    metavar="N|all",
    default=2500,
    show_default=True,
    help="Most instances per source split; 'all': no cap.",
)
@templates_option
@click.option("--template-ids", type=NUMBERS, default="0", show_default=True, help="Templates to apply to each record.")
@click.option("--seed", type=int, default=None, help="Seed of every random choice (default: the project's).")
@click.option(
    "--fidelity",
    type=click.Choice(["corrected", "original"]),
    default="corrected",
    show_default=True,
    help="Put right what is wrong in instances of the original SciRIFF (docs/fidelity.md), or leave it as it was.",
)
@click.option(
    "--split-by",
    type=click.Choice(["document", "instance"]),
    help="What stays together where a missing validation or test split is carved out of another.  "
    "[default: document; instance with --fidelity original]",
)
@click.option("--tokenizer", metavar="NAME_OR_FILE", help="Hub repository or tokenizer.json to count tokens with.")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes (default: all cores).")
@runner_options
@store_option
@click.option("--force", is_flag=True, help="Build again what is already done.")
@max_leakage_option
@source_options
def build_command(
    tasks: tuple[str, ...] | None,
    windows: tuple[int, ...],
    n_instances: int,
    templates_dir: Path | None,
    template_ids: tuple[int, ...],
    seed: int | None,
    fidelity: Literal["corrected", "original"],
    split_by: Literal["document", "instance"] | None,
    tokenizer: str | None,
    workers: int | None,
    runner: str | None,
    cluster: str | None,
    store: str | None,
    force: bool,
    max_leakage: float | None,
    update_lock: bool,
    offline: bool | None,
    mirror: str | None,
) -> int:
    """Build tasks from their source files, then combine them.

    Gets the sources it lacks, then samples, renders, counts, splits, validates and publishes each task at every window.
    What is already built from the same inputs is left as it is. Prints a table of the tasks and where they lie. With
    --max-leakage, all built tasks are then compared as `sciriff leakage` does, at the largest window.
    """
    from sciriff import api
    from sciriff.building.options import DEFAULT_SEED
    from sciriff.cli.progress import terminal_progress
    from sciriff.store import Store

    settings = settings_with(
        store=store,
        templates_dir=templates_dir,
        tokenizer=tokenizer,
        workers=workers,
        runner=runner,
        cluster=cluster,
        offline=offline,
        mirror=mirror,
    )
    report = api.build(
        tasks,
        windows=windows,
        n_instances=count_or_none(n_instances),
        template_ids=template_ids,
        seed=DEFAULT_SEED if seed is None else seed,
        fidelity=fidelity,
        split_by=split_by,
        force=force,
        update_lock=update_lock,
        settings=settings,
        progress=terminal_progress(),
    )
    click.echo(build_text(report))
    if max_leakage is None or report.combined is None:
        return int(report.exit_code)
    leakage = api.leakage(window=max(windows), settings=settings, progress=terminal_progress())
    click.echo(leakage_text(leakage, Store.of(settings)))
    return print_over_limit(leakage, max_leakage) or int(report.exit_code)


_STATES: dict[TaskState, str] = {"built": "built", "cached": "already done", "blocked": "BLOCKED", "failed": "FAILED"}


def build_text(report: BuildReport) -> str:
    """Return the table of tasks, what a user should know of them, where everything lies and what to do next."""
    from sciriff.cli.tables import shared_remarks, told_once

    parts = [_task_table(report)]
    parts += shared_remarks("note", ((outcome.task, note) for outcome in report.outcomes for note in outcome.notes))
    for state in ("blocked", "failed"):
        parts += told_once(_STATES[state], ((o.task, o.message) for o in report.outcomes if o.state == state))
    parts += ["", _summary(report)]
    return "\n".join(parts)


def _task_table(report: BuildReport) -> str:
    from sciriff.cli.tables import split_counts, table

    windows = sorted({window for outcome in report.outcomes for window in outcome.rows})
    rows = [
        (
            outcome.task,
            _STATES[outcome.state],
            *(split_counts(outcome.rows[window]) if window in outcome.rows else "-" for window in windows),
            outcome.seconds,
            _dropped(outcome),
        )
        for outcome in report.outcomes
    ]
    return table(("task", "state", *map(str, windows), "seconds", "dropped at the largest window"), rows)


def _dropped(outcome: TaskOutcome) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(outcome.dropped.items()) if count)


def _summary(report: BuildReport) -> str:
    from collections import Counter

    from sciriff.cli.tables import counted, split_counts

    states = Counter(outcome.state for outcome in report.outcomes)
    ended = ", ".join(f"{states[state]} {_STATES[state].lower()}" for state in _STATES if states[state])
    tasks = counted(len(report.outcomes), "task")
    lines = [
        f"{tasks} in {report.seconds:,.1f} s: {ended} (columns: train/validation/test rows)",
        f"tokenizer    {', '.join(report.tokenizers) or 'none: nothing to count'}",
    ]
    combined = report.combined.windows if report.combined else ()
    for window in combined:
        lines.append(
            f"combined     {window.folder}: {split_counts(window.rows)} rows of {counted(len(window.tasks), 'task')}"
            + (" (already done)" if window.state == "cached" else "")
        )
        lines += [f"left out     {window.folder}: {task}: {reason}" for task, reason in window.skipped.items()]
        if window.state != "empty":
            lines.append(f"overlaps     {window.folder}: {window.overlaps}")
    lines.append(f"artifacts    {report.store_path}")
    if report.docs_path:
        lines.append(f"checks       {report.store_path.rstrip('/')}/{report.docs_path}")
    if any(outcome.done for outcome in report.outcomes):
        lines.append("next         sciriff mix --instances-per-task 1000 --tulu none")
        lines.append("             sciriff evaluate --model gold,lead")
    if states["failed"]:
        lines.append(
            "next         put right what the messages above name; the same command then builds only what is missing"
        )
    elif states["blocked"]:
        done = "everything else is built; " if len(report.outcomes) > states["blocked"] else ""
        lines.append(
            f"next         {done}do what BLOCKED above says; the same command then builds only what waits for it"
        )
    return "\n".join(lines)
