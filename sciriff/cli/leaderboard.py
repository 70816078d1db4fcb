"""``sciriff leaderboard``."""

from __future__ import annotations

import click

from sciriff.cli.parameters import settings_with, store_option


@click.command()
@click.option("--json", "style", flag_value="json", help="Print JSON lines.")
@click.option("--csv", "style", flag_value="csv", help="Print CSV with a header.")
@store_option
def leaderboard_command(style: str | None, store: str | None) -> int:
    """Print the scores of all models: `sciriff sql "select * from leaderboard"`."""
    from sciriff.cli.sql import run_query

    run_query("select * from leaderboard", style, settings_with(store=store))
    return 0
