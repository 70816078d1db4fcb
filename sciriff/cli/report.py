"""``sciriff report``."""

from __future__ import annotations

import click

from sciriff.cli.parameters import NAMES, settings_with, split_option, store_option, window_option


@click.command()
@click.option("--models", type=NAMES, help="Only these models (default: all).")
@window_option
@split_option
@click.option(
    "--profile",
    type=click.Choice(["corrected", "original"]),
    default="corrected",
    show_default=True,
    help="Whose numbers come first.",
)
@store_option
def report_command(models: tuple[str, ...] | None, window: int, split: str, profile: str, store: str | None) -> int:
    """Write the results as HTML pages: leaderboard, tasks, comparisons, judge, sample replies, provenance.

    The pages need no server, script or network; they lie in results/report of the store. `sciriff evaluate` and
    `sciriff score` write them too, of all models.
    """
    from sciriff.reporting.publish import write_report
    from sciriff.scoring.outcome import Profile
    from sciriff.store import Store

    settings = settings_with(store=store)
    shelf = Store.of(settings)
    done = write_report(shelf, settings, models=models, window=window, split=split, profile=Profile(profile))
    click.echo(f"report       {shelf.path(done.page)}")
    click.echo(f"models       {', '.join(done.models)}")
    if done.state == "cached":
        click.echo("it was there already")
    return 0
