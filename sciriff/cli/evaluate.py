"""``sciriff evaluate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sciriff.cli.parameters import (
    NAMES,
    ask_choices,
    ask_options,
    confirmation,
    data_options,
    judge_choices,
    judge_options,
    prompt_options,
    runner_options,
    settings_with,
    store_option,
    yes_option,
)

if TYPE_CHECKING:
    from sciriff.results.evaluate import EvaluationReport
    from sciriff.store import Store


@click.command()
@click.option("--model", "models", type=NAMES, required=True, metavar="NAME,...", help="Models, e.g. gold,lead.")
@click.option("--tasks", type=NAMES, help="Only these evaluation tasks (default: all that there are).")
@data_options
@click.option("--limit", type=click.IntRange(min=1), help="Most instances per task (default: all).")
@prompt_options
@ask_options
@judge_options
@yes_option
@runner_options
@store_option
@click.option("--offline", is_flag=True, default=None, help="Forbid the network.")
@click.option("--mirror", metavar="URL", help="Folder or URL with a mirror.json, looked up before the network.")
def evaluate_command(
    models: tuple[str, ...],
    tasks: tuple[str, ...] | None,
    data: str,
    window: int,
    split: str,
    limit: int | None,
    yes: bool,
    runner: str | None,
    cluster: str | None,
    store: str | None,
    offline: bool | None,
    mirror: str | None,
    json_schema: bool,
    **choices: Any,
) -> int:
    """Predict with models, score the replies and index the scores.

    A model is an entry of deployments/models.yaml (an unknown name lists them), owner/name of the Hub, a folder with
    weights, or openai:NAME. Baselines that need no weights: gold (the reference itself), empty, lead (first sentences),
    prompt-echo.

    Each reply is kept when it arrives. After an interruption the same command goes on where it stopped, and asks
    nothing twice.
    """
    from sciriff import api
    from sciriff.cli.progress import terminal_progress
    from sciriff.store import Store

    settings = settings_with(store=store, runner=runner, cluster=cluster, offline=offline, mirror=mirror)
    report = api.evaluate(
        models,
        tasks=tasks,
        data=data,
        window=window,
        split=split,
        limit=limit,
        options=ask_choices(choices),
        judge=judge_choices(choices),
        constrain=json_schema,
        confirm=confirmation(yes=yes),
        settings=settings,
        progress=terminal_progress(),
    )
    click.echo(evaluation_text(report, Store.of(settings)))
    return int(report.exit_code)


def evaluation_text(report: EvaluationReport, store: Store) -> str:
    """Return a table of the scores, what could not be scored and why, and where the results lie."""
    from sciriff.cli.results import failure_lines, judge_lines, place_lines, results_table, waiting_lines
    from sciriff.cli.tables import named, shared_remarks

    parts = [results_table(report.results)] if report.results else []
    notes = {result.task: result.data_note for result in report.results if result.data_note}
    parts += shared_remarks("note", notes.items())
    parts += judge_lines(report.judged)
    parts += [f"not built: {named(task, reason)}" for task, reason in report.not_built.items()]
    parts += waiting_lines(report.waiting.items())
    parts += failure_lines(report.failures.items())
    if not report.results:
        return "\n".join([*parts, "nothing was scored"])
    return "\n".join([*parts, "", *place_lines(report.results, report.summaries.values(), report.index, store)])
