"""Metric files per model and task, tables per task, and the summary, in the shapes of the original's files.

``results/metrics/`` holds the profile ``corrected``, ``results/metrics_original/`` the profile ``original``. What is
in them is of window 4096 and split validation; every other window and split has a folder with the same in it. Tables
are times 100 with two decimals; the JSON files hold fractions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import orjson

from sciriff.hashing import digest
from sciriff.models.lines import dump_line
from sciriff.models.predictions import read_predictions
from sciriff.results.facts import Run
from sciriff.scoring.outcome import Profile
from sciriff.scoring.parsing import clean, clean_original
from sciriff.scoring.shapes import Metrics
from sciriff.scoring.tasks import EVAL_TASKS, SUMMARY_COLUMNS, Column
from sciriff.store import MANIFEST, SCHEMA_VERSION, Store

DEFAULT_WINDOW = 4096
DEFAULT_SPLIT = "validation"

_ROOTS = {Profile.CORRECTED: "results/metrics", Profile.ORIGINAL: "results/metrics_original"}
_RAW = "raw_predictions.jsonl"

Flat = Mapping[str, "float | None"]


def metrics_folder(profile: Profile, window: int, split: str) -> str:
    """Where metric files and tables of a profile, window and split lie."""
    if (window, split) == (DEFAULT_WINDOW, DEFAULT_SPLIT):
        return _ROOTS[profile]
    return f"{_ROOTS[profile]}/{window}-{split}"


def write_metric_files(run: Run, metrics: Mapping[Profile, Metrics], store: Store) -> None:
    """Write ``metrics.json``, ``metrics_flat.json``, ``metrics_summary.json`` and ``raw_predictions.jsonl`` of a run.

    What is there already stays as it is.

    Args:
        run: the run.
        metrics: its metrics in the profiles whose files are wanted.
        store: the artifacts.

    Raises:
        StoreError: if the store cannot be written.
    """
    begun = {}
    raw: dict[Profile, dict[str, Any]] = {}
    for profile, shaped in metrics.items():
        folder = f"{metrics_folder(profile, run.window_tokens, run.split)}/by_model/{run.model}/{run.task}"
        contents = {
            "metrics.json": _pretty(shaped.nested),
            "metrics_flat.json": _pretty(shaped.flat),
            "metrics_summary.json": _pretty(shaped.summary),
        }
        entries = {name: _entry(data) for name, data in contents.items()}
        key = digest({"schema": SCHEMA_VERSION, "run": run.run_id, "profile": profile, "files": entries})
        before = store.read_manifest(folder) or {}
        is_whole = bool(before) and not store.damaged(folder, before)
        if is_whole and before.get("key") == key:
            continue
        if is_whole and before.get("run") == run.run_id and _RAW in before["files"]:
            raw[profile] = before["files"][_RAW]
        store.delete(f"{folder}/{MANIFEST}")
        for name, data in contents.items():
            store.write_bytes(f"{folder}/{name}", data)
        begun[profile] = (folder, key, entries)
    raw |= _write_raw(run, {profile: folder for profile, (folder, *_) in begun.items() if profile not in raw}, store)
    for profile, (folder, key, entries) in begun.items():
        files = {**entries, _RAW: raw[profile]}
        manifest = {"schema": SCHEMA_VERSION, "kind": "metrics", "key": key, "run": run.run_id, "files": files}
        store.write_manifest(folder, manifest)


def _pretty(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _entry(data: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _write_raw(run: Run, folders: Mapping[Profile, str], store: Store) -> dict[Profile, dict[str, Any]]:
    """Write the raw predictions of several profiles in one go; returns their entries in the manifests."""
    if not folders:
        return {}
    with store.workspace() as workspace:
        files = {profile: _HashedFile(workspace / profile.value) for profile in folders}
        for prediction in read_predictions(store, run.predictions, run.sample_limit):
            reply = prediction["reply"]
            lines: dict[str | None, bytes] = {}
            for profile, file in files.items():
                cleaned = None if reply is None else (clean_original if profile is Profile.ORIGINAL else clean)(reply)
                if cleaned not in lines:
                    record = {"prompt": prediction["prompt"], "pred": cleaned, "ref": prediction["reference"]}
                    lines[cleaned] = dump_line(record)
                file.write(lines[cleaned])
        entries = {profile: file.close() for profile, file in files.items()}
        for profile, folder in folders.items():
            store.publish(f"{folder}/{_RAW}", workspace / profile.value)
    return entries


class _HashedFile:
    """A file that is hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("wb")
        self._hasher, self._size = hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self._hasher.update(data)
        self._size += len(data)

    def close(self) -> dict[str, Any]:
        """Finish it; returns its entry in a manifest."""
        self._stream.close()
        return {"sha256": self._hasher.hexdigest(), "bytes": self._size}


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
    return _tsv(lines)


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
        return _tsv([*line, mark] for line, mark in zip([*header, *lines], columns, strict=True))
    return _tsv([*header, *lines])


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


def _tsv(lines: Iterable[Sequence[str]]) -> str:
    return "".join("\t".join(line) + "\n" for line in lines)


def _write_if_changed(store: Store, path: str, text: str) -> None:
    data = text.encode()
    if not store.exists(path) or store.read_bytes(path) != data:
        store.write_bytes(path, data)
