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
    import duckdb

    from sciriff.errors import UsageError
    from sciriff.results.facts import FACTS
    from sciriff.results.index import build_index, index_path
    from sciriff.store import Store

    store = Store(settings.store)
    if not store.files(FACTS):
        raise UsageError(f"nothing is evaluated in {store.path('')}; run `sciriff evaluate --model gold,lead` first")
    path = index_path(store, settings)
    build_index(store, path)
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            answer = connection.execute(query)
            columns = [column[0] for column in answer.description or ()]
            rows = answer.fetchall()
    except duckdb.Error as error:
        raise UsageError(f'the query failed: {error}; `sciriff sql "show all tables"` lists the tables') from error
    click.echo(f"from {path}", err=True)
    click.echo(spell(columns, rows, style), nl=style != "csv")


def spell(columns: Sequence[str], rows: Sequence[Sequence[Any]], style: str | None) -> str:
    """Return rows as a table, as JSON lines (``json``) or as CSV with a header (``csv``)."""
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
