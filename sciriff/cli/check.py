"""``sciriff check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sciriff.cli.parameters import NAMES, settings_with, split_option, store_option, tasks_option, window_option
from sciriff.cli.tables import table

if TYPE_CHECKING:
    from sciriff.results.check import Checked, CheckReport


@click.command()
@click.option(
    "--baseline", type=NAMES, required=True, metavar="MODEL|RUN,...", help="A model, or run ids, of earlier runs too."
)
@click.option("--model", "models", type=NAMES, help="Models to check.  [default: all others]")
@tasks_option
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Probability of a false alarm.",
)
@window_option
@split_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, one per test.")
@store_option
def check_command(
    baseline: tuple[str, ...],
    models: tuple[str, ...] | None,
    tasks: tuple[str, ...] | None,
    alpha: float,
    window: int,
    split: str,
    as_json: bool,
    store: str | None,
) -> int:
    """Fail if a model got significantly worse than a baseline: for continuous integration.

    Exit status 0: no model is worse; 1: one is, or lacks results that the baseline has.
    """
    from sciriff.results.check import check
    from sciriff.store import Store

    settings = settings_with(store=store)
    report = check(
        baseline,
        store=Store.of(settings),
        settings=settings,
        models=models,
        tasks=tasks,
        alpha=alpha,
        window=window,
        split=split,
    )
    if as_json:
        import orjson

        for each in report.checked:
            row = {**each.comparison._asdict(), "model_b": report.baseline, "p_corrected": each.p_value}
            click.echo(orjson.dumps({**row, "is_worse": each.p_value <= alpha}))
    else:
        click.echo(_table(report))
    for line in verdict_lines(report):
        click.echo(line, err=as_json)
    return int(report.exit_code)


def _table(report: CheckReport) -> str:
    rows = [
        (
            each.comparison.model_a,
            each.comparison.task,
            each.comparison.metric,
            100 * each.comparison.value_a,
            100 * each.comparison.value_b,
            f"{100 * each.comparison.difference:+.2f}",
            f"{each.p_value:.4f}",
            "worse" if each in report.worse else "",
            each.comparison.samples,
        )
        for each in report.checked
    ]
    return table(("model", "task", "metric", "value", "baseline", "difference", "p", "", "samples"), rows)


def verdict_lines(report: CheckReport) -> list[str]:
    """Return what a check found, in words."""
    lines = [
        f"WORSE: {each.comparison.model_a} on {_name(each)}: {100 * each.comparison.value_a:.2f} against "
        f"{100 * each.comparison.value_b:.2f} of {report.baseline} (p = {each.p_value:.4f}, one-sided, corrected)"
        for each in report.worse
    ]
    lines += [
        f"MISSING: {model} has no {metric} of {task}, which {report.baseline} has"
        for model, task, metric in report.missing
    ]
    unpaired = sum(each.comparison.unpaired for each in report.checked if each.comparison.task == "all")
    if unpaired:
        lines.append(f"note: {unpaired:,} samples that only one of two has a score of are left out")
    if not (report.worse or report.missing):
        tests = f"{len(report.checked)} tests, alpha {report.alpha:g} for all together"
        lines.append(f"not worse than {report.baseline}: {tests}")
        if report.detectable is not None:
            drop = f"{100 * report.detectable:.2f}"
            lines.append(f"a mean lower by {drop} points would have been found with a probability of 0.8")
    return lines


def _name(checked: Checked) -> str:
    row = checked.comparison
    return "the mean of the headline columns" if row.task == "all" else f"{row.task} {row.metric}"
