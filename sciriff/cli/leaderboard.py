"""``sciriff leaderboard``."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from sciriff.cli.parameters import settings_with, store_option
from sciriff.cli.tables import table, told_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sciriff.results.query import Answer

_COUNTS = ("samples", "scored", "model_failed", "system_failed")
_WIDE = 10_000
"""Characters of a line where no terminal sets a limit."""
_COLUMN = 30
"""About the characters of one model's column."""

_LEGEND = "Percent, profile corrected. In brackets the 95 % interval, by a bootstrap of documents."
_BOUNDS_LEGEND = (
    "In parentheses: if all replies (and ratings) that never came had been wrong, to: if all had been right."
)
_NOT_JUDGED = "SELECT DISTINCT task, note FROM judges WHERE state <> 'done' ORDER BY ALL"


@click.command()
@click.option("--json", "style", flag_value="json", help="Print JSON lines.")
@click.option("--csv", "style", flag_value="csv", help="Print CSV with a header.")
@click.option("--publish", is_flag=True, help="Put the DuckDB file into the store, too, where others can read it.")
@store_option
def leaderboard_command(style: str | None, publish: bool, store: str | None) -> int:
    """Print the scores of all models, with their intervals and the counts behind them.

    `sciriff sql "from leaderboard"` has the same, one row a model.
    """
    from sciriff.cli.sql import run_query
    from sciriff.results.index import current_index, publish_index
    from sciriff.results.query import sql
    from sciriff.store import Store

    settings = settings_with(store=store)
    if publish:
        click.echo(f"published {publish_index(Store.of(settings), settings)}", err=True)
    if style:
        run_query("from leaderboard", style, settings)
        return 0
    index = current_index(Store.of(settings), settings)
    click.echo(f"from {index}", err=True)
    click.echo(leaderboard_text(sql("from leaderboard", index), _width()))
    for line in told_once("not judged", sql(_NOT_JUDGED, index).rows):
        click.echo(line)
    return 0


def _width() -> int:
    import shutil
    import sys

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDE


def leaderboard_text(answer: Answer, width: int = _WIDE) -> str:
    """Return a table for each window and split: a line a headline, a column a model; as many models as fit beside.

    Args:
        answer: the view ``leaderboard``.
        width: characters of a line.
    """
    from sciriff.scoring.tasks import SUMMARY_COLUMNS

    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    at_once = max(1, (width - _COLUMN) // _COLUMN)
    blocks = [
        _block(models[start : start + at_once])
        for _, group in groupby(rows, key=lambda row: (row["window_tokens"], row["split"]))
        for models in [list(group)]
        for start in range(0, len(models), at_once)
    ]
    names = ["mean", *(column.name for column in SUMMARY_COLUMNS)]
    is_open = any(_is_open(row, name) for row in rows for name in names)
    legend = [_LEGEND, *([_BOUNDS_LEGEND] if is_open else [])]
    return "\n\n".join([*blocks, "\n".join(legend)])


def _block(models: Sequence[dict[str, Any]]) -> str:
    from sciriff.scoring.tasks import SUMMARY_COLUMNS

    lines = [
        (column.name, *(_cell(model, column.name) for model in models))
        for column in SUMMARY_COLUMNS
        if any(model[column.name] is not None for model in models)
    ]
    lines.append(("mean", *(_cell(model, "mean") for model in models)))
    lines.append(("columns", *(model["coverage"] for model in models)))
    lines += [(name, *(f"{model[name]:,}" for model in models)) for name in _COUNTS]
    if any(model["judge"] for model in models):
        lines.append(("judge", *(model["judge"] or "" for model in models)))
    title = f"window {models[0]['window_tokens']}, split {models[0]['split']}"
    return "\n".join([table((title, *(model["model"] for model in models)), lines), *_notes(models)])


def _cell(model: dict[str, Any], name: str) -> str:
    """A value with its interval, and its bounds if replies or ratings never came."""
    if model[name] is None:
        return ""
    cell = f"{model[name]:.2f}"
    if model[f"{name}_low"] is not None:
        cell += f" [{model[f'{name}_low']:.2f}, {model[f'{name}_high']:.2f}]"
    if _is_open(model, name):
        cell += f" ({model[f'{name}_at_worst']:.2f} to {model[f'{name}_at_best']:.2f})"
    return cell


def _is_open(model: dict[str, Any], name: str) -> bool:
    """Whether a value depends on replies, or judgements, that never came."""
    worst, best = model[f"{name}_at_worst"], model[f"{name}_at_best"]
    return worst is not None and worst != best


def _notes(models: Iterable[dict[str, Any]]) -> list[str]:
    notes: dict[str, list[str]] = {}
    for model in models:
        if model["data_note"]:
            notes.setdefault(model["data_note"], []).append(model["model"])
    return [f"note: {note}: {', '.join(names)}" for note, names in notes.items()]
