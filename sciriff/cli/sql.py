"""``sciriff sql``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from sciriff.cli.parameters import settings_with, store_option

if TYPE_CHECKING:
    from sciriff.settings import Settings


@click.command()
@click.argument("query")
@click.option("--json", "style", flag_value="json", help="Print JSON lines.")
@click.option("--csv", "style", flag_value="csv", help="Print CSV with a header.")
@store_option
def sql_command(query: str, style: str | None, store: str | None) -> int:
    """Run QUERY on the scores, read-only, e.g. sciriff sql "select * from leaderboard"."""
    run_query(query, style, settings_with(store=store))
    return 0


def run_query(query: str, style: str | None, settings: Settings) -> None:
    """Print the answer of a query: a table, JSON lines or CSV.

    Raises:
        UsageError: if nothing is evaluated yet, or the query is wrong.
    """
    from sciriff.results.query import query as ask

    columns, rows = ask(settings, query)
    click.echo(_spell(columns, rows, style), nl=style != "csv")


def _spell(columns: Sequence[str], rows: Sequence[Sequence[Any]], style: str | None) -> str:
    if style == "json":
        import orjson

        return "\n".join(orjson.dumps(dict(zip(columns, row, strict=True)), default=str).decode() for row in rows)
    if style == "csv":
        import csv
        import io

        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        return text.getvalue()
    from sciriff.cli.tables import table

    return table(columns, rows)
