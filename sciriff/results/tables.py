"""Tables per task and the summary, in the shapes of the original's files.

``results/metrics/`` holds the profile ``corrected``, ``results/metrics_original/`` the profile ``original``. What is
in them is of window 4096 and split validation; every other window and split has a folder with the same in it. Tables
are times 100 with two decimals; the JSON files hold fractions. A model's name that a spreadsheet would run is marked as
text (:mod:`sciriff.spreadsheet`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import NamedTuple

from sciriff import spreadsheet
from sciriff.scoring.outcome import Profile
from sciriff.scoring.tasks import EVAL_TASKS, SUMMARY_COLUMNS, Column
from sciriff.store import Store

DEFAULT_WINDOW = 4096
DEFAULT_SPLIT = "validation"

_ROOTS = {Profile.CORRECTED: "results/metrics", Profile.ORIGINAL: "results/metrics_original"}

Flat = Mapping[str, "float | None"]


def metrics_folder(profile: Profile, window: int, split: str) -> str:
    """Where metric files and tables of a profile, window and split lie."""
    if (window, split) == (DEFAULT_WINDOW, DEFAULT_SPLIT):
        return _ROOTS[profile]
    return f"{_ROOTS[profile]}/{window}-{split}"


class MetricRow(NamedTuple):
    """One metric of one model, as the table ``metrics`` of the index has it."""

    model: str
    task: str
    shape: str
    metric: str
    value: float | None


def write_tables(rows: Iterable[MetricRow], folder: str, store: Store) -> str:
    """Write ``tables/<task>.tsv`` and ``tables/summary.tsv``.

    Args:
        rows: metrics of one profile, window and split.
        folder: their :func:`metrics_folder`.
        store: the artifacts.

    Returns:
        Path of the summary.
    """
    kept = list(rows)
    folder = f"{folder}/tables"
    for task in (task.name for task in EVAL_TASKS):
        flat = [row for row in kept if row.task == task and row.shape == "flat"]
        if flat:
            _write_if_changed(store, f"{folder}/{task}.tsv", task_table(flat))
    path = f"{folder}/summary.tsv"
    _write_if_changed(store, path, summary_table([row for row in kept if row.shape == "summary"]))
    return path


def task_table(rows: Sequence[MetricRow]) -> str:
    """All metrics of one task, a line per model."""
    metrics = list(dict.fromkeys(row.metric for row in rows))
    values = {(row.model, row.metric): row.value for row in rows}
    lines = [["model", *metrics]]
    for model in _models(rows):
        lines.append([model, *(_cell(metric, values.get((model, metric))) for metric in metrics)])
    return spreadsheet.lines(lines, "\t")


def summary_table(rows: Sequence[MetricRow]) -> str:
    """The eleven headline columns, a line per model, with their plain mean and median.

    Both are over the columns that the model has. If a model lacks some, a last column ``partial`` says how many each
    mean is over: means over different columns do not compare.
    """
    values = {(row.model, row.task, row.metric): row.value for row in rows if row.value is not None}
    cells = {
        model: [values.get((model, column.task, column.metric)) for column in SUMMARY_COLUMNS]
        for model in _models(rows)
    }
    header = [
        ["task", *(column.alias for column in SUMMARY_COLUMNS), "mean", "median"],
        ["metric", *(column.metric for column in SUMMARY_COLUMNS), "", ""],
    ]
    lines = [[model, *map(_percent, row), *_averages(row)] for model, row in cells.items()]
    marks = [_how_partial(row) for row in cells.values()]
    if any(marks):
        columns = ["partial", "", *marks]
        marked = ([*line, mark] for line, mark in zip([*header, *lines], columns, strict=True))
        return spreadsheet.lines(marked, "\t")
    return spreadsheet.lines([*header, *lines], "\t")


def _averages(values: Sequence[float | None]) -> tuple[str, str]:
    present = [value for value in values if value is not None]
    return (_percent(fmean(present)), _percent(median(present))) if present else ("", "")


def _how_partial(values: Sequence[float | None]) -> str:
    present = sum(value is not None for value in values)
    return f"{present} of {len(values)}" if present < len(values) else ""


def missing_columns(rows: Sequence[MetricRow]) -> list[Column]:
    """Headline columns that no model has."""
    there = {(row.task, row.metric) for row in rows if row.shape == "summary" and row.value is not None}
    return [column for column in SUMMARY_COLUMNS if (column.task, column.metric) not in there]


def model_order(model: str) -> tuple[str, int]:
    """Sort key of a model's name: ``m_2`` before ``m_10``, seeds of a model together.

    A suffix that starts with ``-seed`` is dropped; then the part behind the last underscore counts as a number.
    """
    stem, _, number = model.split("-seed")[0].rpartition("_")
    return stem, int(number) if number.isdecimal() and number.isascii() else 0


def _models(rows: Sequence[MetricRow]) -> list[str]:
    return sorted(sorted({row.model for row in rows}), key=model_order)


def _cell(metric: str, value: float | None) -> str:
    """A value times 100; numbers of samples as they are."""
    if metric.endswith("_n_samples"):
        return "" if value is None else f"{value:.0f}"
    return _percent(value)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _write_if_changed(store: Store, path: str, text: str) -> None:
    data = text.encode()
    if not store.exists(path) or store.read_bytes(path) != data:
        store.write_bytes(path, data)
