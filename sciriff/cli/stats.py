"""``sciriff stats``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sciriff.cli.parameters import NUMBERS, settings_with, store_option, tasks_option, templates_option

if TYPE_CHECKING:
    from sciriff.dataset.statistics import SplitStatistics, TokenQuantiles
    from sciriff.dataset.summary import Summary
    from sciriff.store import Store

_SHOWN_LABELS = 6


@click.command()
@tasks_option
@click.option("--windows", type=NUMBERS, help="Context windows in tokens (default: all that are built).")
@store_option
@templates_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stats_command(
    tasks: tuple[str, ...] | None,
    windows: tuple[int, ...] | None,
    store: str | None,
    templates_dir: Path | None,
    as_json: bool,
) -> int:
    """Print the statistics of the built tasks, as a dataset paper gives them.

    Instances per split and window, documents, token quantiles, label and entity-type distributions, licences; per task
    and in total. Also writes them to reports/statistics/{splits,labels}.parquet in the store.
    """
    from sciriff import api
    from sciriff.cli.progress import terminal_progress
    from sciriff.store import Store

    settings = settings_with(store=store, templates_dir=templates_dir)
    summary = api.stats(tasks, windows=windows, settings=settings, progress=terminal_progress())
    if as_json:
        import orjson

        click.echo(orjson.dumps(summary, option=orjson.OPT_INDENT_2))
        return 0
    click.echo(summary_text(summary, Store.of(settings)))
    return 0


def summary_text(summary: Summary, store: Store) -> str:
    """Return the statistics as tables: sizes, tokens, labels, totals."""
    largest = [entry for entry in summary.splits if entry.window == max(summary.windows)]
    parts = [
        _sizes(summary),
        f"tokens and labels at window {max(summary.windows)}, all splits together:",
        _tokens(largest),
        _labels(largest),
        _totals(summary),
        f"tables       {store.path(summary.folder)}/{{splits,labels}}.parquet",
    ]
    return "\n\n".join(parts)


def _sizes(summary: Summary) -> str:
    from sciriff.cli.tables import split_counts, table

    counts = {(entry.task, entry.window, entry.split): entry.instances for entry in summary.splits}
    documents = {
        task.task: sum(e.documents for e in summary.splits if e.task == task.task and e.window == max(summary.windows))
        for task in summary.tasks
    }
    rows = [
        (
            task.task,
            task.family,
            task.licence if task.redistributable else f"{task.licence} (not to be passed on)",
            documents[task.task],
            *(
                split_counts(
                    {split: counts.get((task.task, window, split), 0) for split in ("train", "validation", "test")}
                )
                for window in summary.windows
            ),
        )
        for task in summary.tasks
    ]
    return table(("task", "family", "licence", "documents", *map(str, summary.windows)), rows)


def _by_task(entries: Sequence[SplitStatistics]) -> dict[str, list[SplitStatistics]]:
    found: dict[str, list[SplitStatistics]] = {}
    for entry in entries:
        found.setdefault(entry.task, []).append(entry)
    return found


def _tokens(entries: Sequence[SplitStatistics]) -> str:
    """Quantiles of the training split, the largest one; the extremes over all splits."""
    from sciriff.cli.tables import table

    rows = [
        (task, *_distribution(splits, "input_tokens"), *_distribution(splits, "output_tokens"))
        for task, splits in _by_task(entries).items()
    ]
    heads = [f"{side} {name}" for side in ("in", "out") for name in ("min", "median (train)", "p95 (train)", "max")]
    return table(("task", *heads), rows)


def _distribution(splits: Sequence[SplitStatistics], side: str) -> tuple[int | None, ...]:
    found: dict[str, TokenQuantiles] = {entry.split: tokens for entry in splits if (tokens := getattr(entry, side))}
    if not found:
        return (None, None, None, None)
    train = found.get("train")
    return (
        min(tokens.min for tokens in found.values()),
        train.p50 if train else None,
        train.p95 if train else None,
        max(tokens.max for tokens in found.values()),
    )


def _labels(entries: Sequence[SplitStatistics]) -> str:
    from collections import Counter

    from sciriff.cli.tables import table

    rows = []
    for task, splits in _by_task(entries).items():
        counts: Counter[str] = Counter()
        for entry in splits:
            counts.update({label: count.occurrences for label, count in entry.labels.items()})
        if total := sum(counts.values()):
            shown = [f"{label} {count / total:.0%}" for label, count in counts.most_common(_SHOWN_LABELS)]
            more = len(counts) - len(shown)
            rows.append((task, total, len(counts), ", ".join(shown) + (f", {more} more" if more > 0 else "")))
    return table(("task", "labelled", "labels", "shares"), rows)


def _totals(summary: Summary) -> str:
    from sciriff.cli.tables import table
    from sciriff.dataset.summary import totals

    found = totals(summary.splits)
    rows = [
        (window, *(cell for split in ("train", "validation", "test") for cell in found.get((window, split), (0, 0))))
        for window in summary.windows
    ]
    heads = [f"{split}{what}" for split in ("train", "validation", "test") for what in ("", " tokens")]
    return table(("window", *heads), rows)
