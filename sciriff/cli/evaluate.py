"""``sciriff evaluate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sciriff.cli.parameters import NAMES, settings_with, store_option, window_option

if TYPE_CHECKING:
    from sciriff.results.evaluate import EvaluationReport
    from sciriff.results.record import TaskResult
    from sciriff.store import Store


@click.command()
@click.option("--model", "models", type=NAMES, required=True, help="Models, e.g. gold,lead.")
@click.option("--tasks", type=NAMES, help="Only these evaluation tasks (default: all that are built).")
@window_option
@click.option(
    "--split", type=click.Choice(["validation", "test"]), default="validation", show_default=True, help="Which split."
)
@click.option("--limit", type=click.IntRange(min=1), help="Most instances per task (default: all).")
@store_option
def evaluate_command(
    models: tuple[str, ...],
    tasks: tuple[str, ...] | None,
    window: int,
    split: str,
    limit: int | None,
    store: str | None,
) -> int:
    """Predict with models, score the replies and index the scores.

    Baselines that need no weights: gold (the reference itself), empty, lead (first sentences), prompt-echo.
    """
    from sciriff import api
    from sciriff.cli.progress import terminal_progress
    from sciriff.store import Store

    settings = settings_with(store=store)
    report = api.evaluate(
        models,
        tasks=tasks,
        window=window,
        split=split,
        limit=limit,
        settings=settings,
        progress=terminal_progress(),
    )
    click.echo(evaluation_text(report, Store(settings.store)))
    return int(report.exit_code)


_STATES = {True: "already done", False: "scored"}


def evaluation_text(report: EvaluationReport, store: Store) -> str:
    """Return a table of the scores, what could not be scored and why, and where the results lie."""
    from sciriff.cli.tables import named, shared_remarks, table

    parts = []
    if report.results:
        rows = [
            (
                result.model,
                result.task,
                "already done" if result.reused else "scored",
                *_samples(result),
                _scores(result),
            )
            for result in report.results
        ]
        parts.append(table(("model", "task", "state", "samples", "ended as", "scores x 100"), rows))
    notes = {result.task: result.data_note for result in report.results if result.data_note}
    parts += shared_remarks("note", notes.items())
    parts += [f"not built: {named(task, reason)}" for task, reason in report.not_built.items()]
    parts += [
        f"FAILED: {' on '.join(filter(None, (model, task)))}: {reason}"
        for (model, task), reason in report.failures.items()
    ]
    if not report.results:
        return "\n".join([*parts, "nothing was scored"])
    parts += ["", *(f"summary      {store.path(path)}" for path in report.summaries.values())]
    parts += [f"database     {report.index}", "next         sciriff leaderboard"]
    return "\n".join(parts)


def _samples(result: TaskResult) -> tuple[int, str]:
    """Return how many samples there were, and by class how they ended."""
    ended = {outcome.value: count for outcome, count in result.outcomes.items() if count}
    return sum(ended.values()), ", ".join(f"{count:,} {name}" for name, count in ended.items())


def _scores(result: TaskResult) -> str:
    values = (f"{name} {'-' if value is None else f'{100 * value:.2f}'}" for name, value in result.summary.items())
    return ", ".join(values)
