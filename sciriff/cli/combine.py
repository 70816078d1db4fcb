"""``sciriff combine``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sciriff.cli.parameters import settings_with, store_option, windows_option

if TYPE_CHECKING:
    from sciriff.building.combine import CombineOutcome
    from sciriff.store import Store

_FAILED = 1


@click.command()
@windows_option
@store_option
def combine_command(windows: tuple[int, ...], store: str | None) -> int:
    """Combine the built tasks of each window into one dataset, as JSON lines and as Parquet.

    `sciriff build` does this as its last step.
    """
    from sciriff import api
    from sciriff.store import Store

    settings = settings_with(store=store)
    outcome = api.combine(windows=windows, settings=settings)
    click.echo(combine_text(outcome, Store.of(settings)))
    return 0 if any(window.state != "empty" for window in outcome.windows) else _FAILED


def combine_text(outcome: CombineOutcome, store: Store) -> str:
    """Return a table of the windows, the tasks left out, and how to load the dataset."""
    from sciriff.cli.tables import split_counts, table

    states = {"combined": "combined", "cached": "already done", "empty": "no task is built"}
    rows = [
        (str(window.window), states[window.state], len(window.tasks), split_counts(window.rows))
        for window in outcome.windows
    ]
    parts = [table(("window", "state", "tasks", "train/validation/test"), rows)]
    parts += [
        f"left out at {window.window}: {task}: {reason}"
        for window in outcome.windows
        for task, reason in window.skipped.items()
    ]
    parts += [
        f"{window.folder}/overlaps.parquet: {window.overlaps}" for window in outcome.windows if window.state != "empty"
    ]
    if filled := [window for window in outcome.windows if window.tasks]:
        folder = store.path(outcome.card.rpartition("/")[0])
        parts.append(f'read it with datasets.load_dataset("{folder}", "{filled[0].window}")')
    else:
        parts.append(f"nothing to combine in {store.path('')}: run `sciriff build` first")
    return "\n".join(parts)
