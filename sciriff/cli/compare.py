"""``sciriff compare``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sciriff.cli.parameters import settings_with, split_option, store_option, window_option
from sciriff.cli.tables import counted, table

if TYPE_CHECKING:
    from sciriff.results.query import Answer


@click.command()
@click.argument("first")
@click.argument("second")
@window_option
@split_option
@click.option("--json", "style", flag_value="json", help="Print JSON lines.")
@click.option("--csv", "style", flag_value="csv", help="Print CSV with a header.")
@store_option
def compare_command(first: str, second: str, window: int, split: str, style: str | None, store: str | None) -> int:
    """Print whether model FIRST is better or worse than model SECOND, over the samples that both have a score of.

    `sciriff sql "from compare('FIRST', 'SECOND')"` says the same.
    """
    from sciriff.cli.sql import spell
    from sciriff.results.index import current_index
    from sciriff.results.standing import compare
    from sciriff.store import Store

    settings = settings_with(store=store)
    index = current_index(Store.of(settings), settings)
    answer = compare(first, second, index, window, split)
    if style:
        click.echo(spell(answer, style).encode(), nl=style != "csv")
    else:
        click.echo(f"from {index}", err=True)
        click.echo(comparison_text(first, second, answer))
    return 0


def comparison_text(first: str, second: str, answer: Answer) -> str:
    """Return the table of a comparison, and what its columns mean."""
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    headers = ("task", "metric", first, second, "difference", "95 % interval", "p", "p, Holm", "", "detectable", "n")
    lines = [
        (
            row["task"],
            row["metric"],
            row["value_a"],
            row["value_b"],
            f"{row['difference']:+.2f}",
            _interval(row),
            _probability(row["p_value"]),
            _probability(row["p_holm"]),
            _verdict(row),
            row["detectable"],
            f"{counted(row['samples'], 'sample')} of {counted(row['documents'], 'document')}",
        )
        for row in rows
    ]
    columns = sum(row["p_holm"] is not None and row["task"] != "all" for row in rows)
    notes = [
        "",
        f"Values x 100, profile corrected; difference: {first} less {second}.",
        "95 % interval: BCa bootstrap of documents. p: two-sided, replies to documents swapped at random (approximate "
        "randomization).",
        f"p, Holm: corrected for {counted(columns, 'headline column')}; other metrics are not. better, worse: at 0.05.",
        "detectable: true difference that this comparison would find with a probability of 0.8.",
    ]
    unpaired = {row["task"]: row["unpaired"] for row in rows if row["unpaired"] and row["task"] != "all"}
    if unpaired:
        left_out = ", ".join(f"{count:,} of {task}" for task, count in unpaired.items())
        notes.append(f"Left out, as only one of the two has a score of them: {left_out}.")
    return "\n".join([table(headers, lines), *notes])


def _interval(row: dict[str, Any]) -> str:
    return "" if row["low"] is None else f"{row['low']:+.2f} to {row['high']:+.2f}"


def _probability(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _verdict(row: dict[str, Any]) -> str:
    if not row["is_significant"]:
        return ""
    return "better" if row["difference"] > 0 else "worse"
