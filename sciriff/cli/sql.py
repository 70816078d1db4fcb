"""``sciriff sql``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sciriff.cli.parameters import settings_with, store_option

if TYPE_CHECKING:
    from sciriff.results.query import Answer
    from sciriff.settings import Settings

_WIDE = 10_000
"""Characters of a line where no terminal sets a limit."""


@click.command()
@click.argument("query")
@click.option("--json", "style", flag_value="json", help="Print JSON lines.")
@click.option("--csv", "style", flag_value="csv", help="Print CSV with a header.")
@store_option
def sql_command(query: str, style: str | None, store: str | None) -> int:
    """Run QUERY on the scores, read-only, e.g. sciriff sql "select * from leaderboard".

    The scores lie in a DuckDB file, made anew from the results when they changed; its path stands on standard error.
    """
    run_query(query, style, settings_with(store=store))
    return 0


def run_query(query: str, style: str | None, settings: Settings) -> None:
    """Print the answer of a query: a table, JSON lines or CSV; first say on standard error which file is asked.

    Raises:
        UsageError: if nothing is evaluated yet, or the query is wrong.
        StoreError: if the results cannot be read.
    """
    from sciriff.results.index import current_index
    from sciriff.results.query import sql
    from sciriff.store import Store

    shelf = Store.of(settings)
    path = current_index(shelf, settings)
    answer = sql(query, path, store=shelf)
    click.echo(f"from {path}", err=True)
    text = spell(answer, style)
    click.echo(text.encode() if style else text, nl=style != "csv")


def spell(answer: Answer, style: str | None) -> str:
    """Return an answer as a table, as JSON lines (``json``) or as CSV for spreadsheets (``csv``)."""
    if style == "json":
        import orjson

        records = (dict(zip(answer.columns, row, strict=True)) for row in answer.rows)
        return "\n".join(orjson.dumps(record, default=_plain).decode() for record in records)
    if style == "csv":
        from sciriff import spreadsheet

        return spreadsheet.lines([answer.columns, *answer.rows], ",")
    import shutil
    import sys

    from sciriff.results.query import format_table

    return format_table(answer, shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDE)


def _plain(value: object) -> float | str:
    """Return a value of a type that JSON does not know as a number or text."""
    from decimal import Decimal

    return float(value) if isinstance(value, Decimal) else str(value)
