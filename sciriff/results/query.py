"""Read-only SQL over the index, and its answers as a text table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sciriff.errors import StoreError, UsageError
from sciriff.results.schema import INDEX_TABLES
from sciriff.results.views import VIEWS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from sciriff.store import Store

_MOST_TURNED_ROWS = 8


class Answer(NamedTuple):
    """The answer to a query: names of the columns, and rows of Python values."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def sql(
    query: str, index: Path, parameters: Mapping[str, Any] | Sequence[Any] = (), *, store: Store | None = None
) -> Answer:
    """Ask the index.

    Args:
        query: SQL in DuckDB's dialect; the tables and views are those of :mod:`sciriff.results.schema` and ``views``.
        index: the index file, see :func:`sciriff.results.index.current_index`.
        parameters: values of the query's placeholders.
        store: a store whose files the query may name by their URLs; ``getvariable('store')`` is its root.

    Raises:
        UsageError: if the query is wrong, or would change something.
        StoreError: if there is no index, or another process has it open for writing.
    """
    import duckdb

    with open_index(index) as connection:
        if store is not None:
            _let_name_files(connection, store)
        try:
            result = connection.execute(query, parameters)
            columns = [column[0] for column in result.description or []]
            return Answer(columns, result.fetchall() if columns else [])
        except duckdb.Error as error:
            tables = ", ".join(table.name for table in INDEX_TABLES)
            views = ", ".join(view.name for view in VIEWS)
            raise UsageError(f"{error}\n(tables: {tables}; views: {views})") from error


def _let_name_files(connection: DuckDBPyConnection, store: Store) -> None:
    """Let queries read files of a store: DuckDB reaches them as the store itself does, with the same keys."""
    root = store.path("").replace("'", "''")
    connection.execute(f"SET VARIABLE store = '{root}'")
    if not store.is_local:
        connection.register_filesystem(store.query_filesystem())


def open_index(index: Path) -> DuckDBPyConnection:
    """Open an index to read it.

    Raises:
        StoreError: if there is none, or another process has it open for writing.
    """
    import duckdb

    if not index.exists():
        raise StoreError(f"no index at {index}; run: sciriff evaluate --model gold")
    try:
        return duckdb.connect(str(index), read_only=True)
    except duckdb.Error as error:
        raise StoreError(f"cannot open the index {index}: {error}") from error


def format_table(answer: Answer, width: int = 120) -> str:
    """A table for the terminal. A short one that is too wide is turned: a line per column, a column per row.

    Args:
        answer: columns and rows.
        width: characters of a line.
    """
    from io import StringIO

    from rich.console import Console
    from rich.table import Table

    cells = [[_cell(value) for value in row] for row in answer.rows]
    header = list(answer.columns)
    numeric = [all(isinstance(row[at], int | float | None) for row in answer.rows) for at in range(len(header))]
    if 0 < len(cells) <= _MOST_TURNED_ROWS and _natural_width(header, cells) > width:
        header, cells = _turned(header, cells)
        numeric = [False, *(True for _ in header[1:])]
    table = Table(show_edge=False, pad_edge=False)
    for name, is_number in zip(header, numeric, strict=True):
        table.add_column(_plain(name), justify="right" if is_number else "left", overflow="fold")
    for row in cells:
        table.add_row(*(_plain(cell) for cell in row))
    console = Console(file=StringIO(), width=width, color_system=None, highlight=False, markup=False)
    console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)


def _natural_width(header: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    widths = [max([len(header[at]), *(len(row[at]) for row in cells)]) for at in range(len(header))]
    return sum(widths) + 3 * (len(widths) - 1)


def _turned(header: Sequence[str], cells: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    turned = [[name, *(row[at] for row in cells)] for at, name in enumerate(header)]
    return turned[0], turned[1:]
