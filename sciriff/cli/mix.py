"""``sciriff mix``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from sciriff.cli.parameters import CountOrAll, count_or_none, settings_with, store_option, window_option

if TYPE_CHECKING:
    from sciriff.mixture import MixtureOutcome
    from sciriff.store import Store


@click.command()
@click.option(
    "--instances-per-task",
    type=CountOrAll(),
    metavar="N|all",
    required=True,
    help="Most training instances of each task; 0: none.",
)
@click.option(
    "--tulu",
    type=click.Choice(["match", "all", "none"]),
    required=True,
    help="General instruction data: as much as science, all of it, or none.",
)
@click.option("--include-eval-tasks", is_flag=True, help="Also take the tasks held out for evaluation.")
@window_option
@click.option("--seed", type=int, default=76, show_default=True, help="Seed of choice and order.")
@store_option
@click.option("--offline", is_flag=True, default=None, help="Forbid the network.")
@click.option("--mirror", metavar="URL", help="Folder or URL with a mirror.json, looked up for the Tulu files first.")
def mix_command(
    instances_per_task: int,
    tulu: Literal["match", "all", "none"],
    include_eval_tasks: bool,
    window: int,
    seed: int,
    store: str | None,
    offline: bool | None,
    mirror: str | None,
) -> int:
    """Make a training mixture in the `messages` format: instances of the training tasks, and general chat data."""
    from sciriff import api
    from sciriff.cli.progress import terminal_progress
    from sciriff.store import Store

    settings = settings_with(store=store, offline=offline, mirror=mirror)
    outcome = api.mix(
        instances_per_task=count_or_none(instances_per_task),
        tulu=tulu,
        include_eval_tasks=include_eval_tasks,
        window=window,
        seed=seed,
        settings=settings,
        progress=terminal_progress(),
    )
    click.echo(mixture_text(outcome, Store.of(settings)))
    return 0


def mixture_text(outcome: MixtureOutcome, store: Store) -> str:
    """Return a table of what the mixture holds, and where it lies."""
    from sciriff.cli.tables import table

    rows = [(f"science.{task}", count) for task, count in outcome.tasks.items()]
    if outcome.tulu:
        rows.append(("Tulu", outcome.tulu))
    parts = [table(("from", "records"), [*rows, ("together", outcome.science + outcome.tulu)])]
    if outcome.held_out:
        parts.append(f"held out for evaluation: {', '.join(outcome.held_out)}")
    if outcome.dropped:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in outcome.dropped.items())
        parts.append(f"Tulu records left out: {reasons}")
    state = "already done" if outcome.state == "cached" else "written"
    parts.append(f"{state}: {store.path(outcome.path)}")
    return "\n".join(parts)
