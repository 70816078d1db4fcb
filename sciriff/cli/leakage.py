"""``sciriff leakage``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sciriff.cli.parameters import settings_with, store_option, window_option

if TYPE_CHECKING:
    from sciriff.dataset.leakage_report import LeakageReport
    from sciriff.store import Store

_FAILED = 1
_SHOWN_PLACES = 3

max_leakage_option = click.option(
    "--max-leakage",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Fail if of any evaluation split a larger share stands in training data (0.01: one in a hundred).",
)


@click.command()
@window_option
@click.option(
    "--mixture", metavar="NAME", help="Also compare this training mixture of the store, its Tulu part included."
)
@click.option(
    "--threshold",
    type=float,
    default=0.5,
    show_default=True,
    help="Least similarity of near-duplicates: Jaccard, over runs of 13 words.",
)
@max_leakage_option
@store_option
def leakage_command(
    window: int, mixture: str | None, threshold: float, max_leakage: float | None, store: str | None
) -> int:
    """Say which evaluation instances also stand in training data.

    Compares all built tasks and splits of a window, and a training mixture, by document, by text and by nearly the same
    text. Prints the evaluation splits that meet training data; writes every pair and the whole matrix as Parquet, and a
    page, to reports/leakage in the store.
    """
    from sciriff import api
    from sciriff.cli.progress import terminal_progress
    from sciriff.store import Store

    settings = settings_with(store=store)
    report = api.leakage(
        window=window, mixture=mixture, threshold=threshold, settings=settings, progress=terminal_progress()
    )
    click.echo(leakage_text(report, Store.of(settings)))
    return print_over_limit(report, max_leakage)


def leakage_text(report: LeakageReport, store: Store) -> str:
    """Return the evaluation splits that meet training data, and where the whole report lies."""
    from sciriff.cli.tables import table
    from sciriff.dataset.leakage_page import evaluation_rows, place_name

    rows = []
    for row in evaluation_rows(report.leakage):
        where = [
            f"{place_name(other)} ({cell.same_text} same, {cell.near_text} nearly, {cell.same_document} by document)"
            for other, cell in row["others"][:_SHOWN_PLACES]
        ]
        more = len(row["others"]) - len(where)
        rows.append(
            (
                place_name(row["place"]),
                "held out" if row["held_out"] else "",
                row["instances"],
                row["leaked"],
                f"{row['share']:.1%}",
                "; ".join(where) + (f"; and {more} more" if more > 0 else ""),
            )
        )
    heads = ("evaluation split", "", "instances", "in training", "share", "where")
    found = table(heads, rows) if rows else "no evaluation instance shares its document or its text with training data"
    folder = store.path(report.folder)
    lines = [
        found,
        "",
        f"compared     {_compared(report)}",
        f"report       {folder}/index.html",
        f"tables       {folder}/{{matrix,matches}}.parquet",
    ]
    return "\n".join(lines)


def _compared(report: LeakageReport) -> str:
    from sciriff.cli.tables import counted

    sizes = report.leakage.sizes
    mixture = f" and of the mixture {report.mixture}" if report.mixture else ""
    return f"{counted(sum(sizes.values()), 'instance')} in {len(sizes):,} splits at window {report.window}{mixture}"


def print_over_limit(report: LeakageReport, limit: float | None) -> int:
    """Print which evaluation splits leak more than the limit, none without a limit. Returns the exit status."""
    from sciriff.dataset.leakage_page import place_name

    over = {} if limit is None else report.over(limit)
    for place, share in over.items():
        allowed = f"--max-leakage allows {limit:.1%}"
        click.echo(f"LEAKAGE: {share:.1%} of {place_name(place)} stands in training data; {allowed}", err=True)
    return _FAILED if over else 0
