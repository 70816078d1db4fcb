"""``sciriff evaluate``."""

from __future__ import annotations

import click

from sciriff.cli.parameters import NAMES, settings_with, store_option, window_option


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

    report = api.evaluate(
        models,
        tasks=tasks,
        window=window,
        split=split,
        limit=limit,
        settings=settings_with(store=store),
        progress=terminal_progress(),
    )
    click.echo(evaluation_text(report))
    return int(report.exit_code)
