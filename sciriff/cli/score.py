"""``sciriff score``."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from sciriff.cli.parameters import (
    NAMES,
    PathOrUrl,
    confirmation,
    data_options,
    judge_choices,
    judge_options,
    max_cost_option,
    no_wait_option,
    runner_options,
    settings_with,
    store_option,
    yes_option,
)

if TYPE_CHECKING:
    from sciriff.results.score import ScoreReport
    from sciriff.store import Store


@click.command()
@click.argument("pred_dir", type=PathOrUrl())
@click.option("--model", metavar="NAME", help="Only this model; if there is one only, what it is called.")
@click.option("--tasks", type=NAMES, help="Only these evaluation tasks (default: all that there are).")
@click.option("--max-instances", type=click.IntRange(min=1), metavar="N", help="Only the first N of each file.")
@data_options
@judge_options
@no_wait_option
@max_cost_option
@yes_option
@runner_options
@store_option
def score_command(
    pred_dir: str,
    no_wait: bool,
    yes: bool,
    runner: str | None,
    cluster: str | None,
    store: str | None,
    **choices: Any,
) -> int:
    """Score predictions that exist already, without a model, key, network or GPU.

    PRED_DIR has a folder per model, in it a folder per task with samples_*.jsonl of lm-evaluation-harness, or harness
    output as it lies, or TASK.jsonl with prompt, pred and ref; or it is a folder of predictions of `sciriff evaluate`.
    It is only read, and may be a URL (s3://). The options --data, --window and --split say which instances the
    predictions answer: ids, documents and references are looked up there.
    """
    from sciriff import api
    from sciriff.cli.progress import terminal_progress
    from sciriff.store import Store

    settings = settings_with(store=store, runner=runner, cluster=cluster)
    report = api.score(
        pred_dir,
        judge=judge_choices(choices),
        wait=not no_wait,
        confirm=confirmation(yes=yes),
        settings=settings,
        progress=terminal_progress(),
        **choices,
    )
    click.echo(score_text(report, Store.of(settings)))
    return int(report.exit_code)


def score_text(report: ScoreReport, store: Store) -> str:
    """Return a table of the scores, what a user should know of the files, and where the results lie."""
    from sciriff.cli.results import failure_lines, judge_lines, place_lines, results_table, waiting_lines
    from sciriff.cli.tables import shared_remarks
    from sciriff.results.score_notes import notes

    parts = [results_table(report.results)] if report.results else []
    for kind, same in groupby(notes(report), key=lambda note: note.kind):
        parts += shared_remarks(kind, ((note.about, note.text) for note in same))
    parts += judge_lines(report.judged)
    parts += waiting_lines(report.waiting.items())
    parts += failure_lines(report.failures.items())
    if not report.results:
        return "\n".join([*parts, "nothing was scored"])
    summaries = [path for paths in report.summaries.values() for path in paths]
    return "\n".join([*parts, "", *place_lines(report.results, summaries, report.index, store)])
