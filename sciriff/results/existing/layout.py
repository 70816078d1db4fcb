"""Which files of a folder hold predictions, and of what: a pure function from paths.

A file's name says its task, the folders around it say its model:

- ``samples_<task>_<date>.jsonl``: lm-evaluation-harness since 0.4.3. Of several runs the newest counts.
- ``pretrained__<arguments>_<task>.jsonl``, ``model__...``: lm-evaluation-harness before that.
- ``<task>.jsonl``: lines of prompt, pred, ref.
- ``<task>/raw_predictions.jsonl``: the same, as the original's metric script leaves them.
- ``<task>/<window>-<split>/predictions.jsonl``: predictions of this pipeline.
- ``<16 hex digits>/<part>.jsonl``: a ledger of this pipeline.

The model is the folder around the one that is named after a task (or ``science_adapt``, the group of all nine). Where
there is none, it is the folder of the files. Of harness output as it lies that is the folder which the harness named
after the model's id, and its last part counts (``allenai__scitulu-7b``: scitulu-7b), unless it lies in a folder that
somebody gave another name.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from pathlib import PurePosixPath
from typing import NamedTuple

from sciriff.tasks.evaluation_tasks import EVAL_TASKS

GROUP = "science_adapt"
"""The harness group of all nine tasks, and the name of its folder."""


class Format(IntEnum):
    """What wrote a file. Of two undated files of one model and task the one of the higher format counts."""

    RAW = 0
    PLAIN = 1
    HARNESS = 2
    ARTIFACT = 3


class Data(NamedTuple):
    """Which instances: their context window, in tokens, and their split."""

    window: int
    split: str


class PredictionFile(NamedTuple):
    """Predictions of one model for one task.

    Attributes:
        model: display name of the model.
        task: the evaluation task.
        data: which instances they answer.
        path: the file, relative to the folder.
        format: what wrote it.
        date: when, as its name says; else empty.
    """

    model: str
    task: str
    data: Data
    path: str
    format: Format
    date: str = ""


@dataclass(frozen=True)
class Layout:
    """What a folder holds.

    Attributes:
        files: one per model, task, window and split; sorted by these, tasks in their usual order.
        superseded: file -> the one that counts in its place.
        ledgers: folder of a ledger -> its files, in the order in which they were written.
        unknown: files whose names speak of no evaluation task.
    """

    files: tuple[PredictionFile, ...]
    superseded: Mapping[str, str]
    ledgers: Mapping[str, tuple[str, ...]]
    unknown: tuple[str, ...]


_DATE = r"\d{4}-\d{2}-\d{2}T[\d.-]+?"
_SAMPLES = re.compile(rf"samples_(?P<task>.+?)(?:_(?P<date>{_DATE}))?\.jsonl?")
_BEFORE_SAMPLES = re.compile(r"(?:pretrained|model|peft|delta|path|engine)__.+\.jsonl?")
_WINDOW_AND_SPLIT = re.compile(r"(?P<window>\d+)-(?P<split>train|validation|test)")
_LEDGER = re.compile(r"[0-9a-f]{16}")
_LEDGER_PART = re.compile(r"[0-9a-f]{12}-[0-9a-f]{12}(?:\.jsonl)?")
_RAW, _ARTIFACT, _MANIFEST = "raw_predictions.jsonl", "predictions.jsonl", "manifest.json"
_BY_FILES = re.compile(r"eleuther\.jsonl|.*batch_tasks\.jsonl")
"""What the original's scripts leave beside predictions."""


class _Named(NamedTuple):
    """What a file's name says."""

    task: str
    format: Format
    date: str = ""


def arrange(paths: Iterable[str], root: PurePosixPath, data: Data) -> Layout:
    """Find the predictions among files.

    Args:
        paths: files, relative to the folder.
        root: the folder itself; its last two names may be those of a model and a task.
        data: which instances files answer that do not say so themselves.
    """
    there = sorted(paths)
    manifests = {str(PurePosixPath(path).parent) for path in there if path.rpartition("/")[2] == _MANIFEST}
    found: dict[tuple[str, str, Data], list[PredictionFile]] = defaultdict(list)
    is_id: dict[str, bool] = {}
    ledgers: dict[str, list[str]] = defaultdict(list)
    unknown = []
    for path in there:
        parts = PurePosixPath(path).parts
        if ledger := _ledger(parts, root):
            ledgers[ledger].append(path)
            continue
        named = _named(parts, root)
        if named is None:
            if path.endswith(".jsonl") and not _BY_FILES.fullmatch(parts[-1]):
                unknown.append(path)
        elif named.format is Format.RAW and str(PurePosixPath(path).parent) in manifests:
            pass  # a metric file of this pipeline: its predictions lie elsewhere
        else:
            folder, by_harness = _model_of(parts, root, named.format)
            is_id[folder] = by_harness and is_id.get(folder, True)
            file = PredictionFile(folder, named.task, _data(parts, root) or data, path, named.format, named.date)
            found[folder, file.task, file.data].append(file)
    files, superseded = _newest(found.values())
    names = _display_names(is_id)
    shown = (file._replace(model=names[file.model]) for file in files)
    return Layout(
        files=tuple(sorted(shown, key=lambda file: (file.model, EVAL_TASKS.index(file.task), file.data))),
        superseded=superseded,
        ledgers={folder: tuple(files) for folder, files in ledgers.items()},
        unknown=tuple(unknown),
    )


def _named(parts: Sequence[str], root: PurePosixPath) -> _Named | None:
    """What the name of a file, and if need be its folder's, says; None if it names no evaluation task."""
    name, around = parts[-1], _around(parts, root)
    if name == _ARTIFACT:
        return _known(_Named(around[-2] if _WINDOW_AND_SPLIT.fullmatch(around[-1]) else around[-1], Format.ARTIFACT))
    if name == _RAW:
        return _known(_Named(around[-1], Format.RAW))
    if samples := _SAMPLES.fullmatch(name):
        return _known(_Named(samples["task"], Format.HARNESS, samples["date"] or ""))
    if _BEFORE_SAMPLES.fullmatch(name):
        ends = (task for task in EVAL_TASKS if re.search(rf"_{task}\.jsonl?$", name))
        return next((_Named(task, Format.HARNESS) for task in ends), None)
    return _known(_Named(name.removesuffix(".jsonl"), Format.PLAIN)) if name.endswith(".jsonl") else None


def _known(named: _Named) -> _Named | None:
    return named if named.task in EVAL_TASKS else None


def _around(parts: Sequence[str], root: PurePosixPath) -> list[str]:
    """Folders around a file, from outside in; at least three, the first of them no more than a name to fall back on."""
    return [*("", "", *root.parts)[-3:], *parts[:-1]]


def _data(parts: Sequence[str], root: PurePosixPath) -> Data | None:
    """Window and split that the folder of an artifact is named after."""
    part = _WINDOW_AND_SPLIT.fullmatch(_around(parts, root)[-1])
    return Data(int(part["window"]), part["split"]) if part and parts[-1] == _ARTIFACT else None


def _ledger(parts: Sequence[str], root: PurePosixPath) -> str:
    """The folder of the ledger that a file belongs to, relative to the root; empty if it belongs to none."""
    names = [root.name, *parts]
    for place, (outer, inner) in enumerate(pairwise(names)):
        if _LEDGER.fullmatch(outer) and _LEDGER_PART.fullmatch(inner) and parts[-1].endswith(".jsonl"):
            return "/".join(names[1 : place + 1]) or "."
    return ""


def _model_of(parts: Sequence[str], root: PurePosixPath, written_by: Format) -> tuple[str, bool]:
    """The folder that names the model, and whether the harness named it after the model's id."""
    around = _around(parts, root)
    below_task = _WINDOW_AND_SPLIT.fullmatch(root.name) or "__" in root.name
    first = 1 if below_task else 2  # else a name outside the folder says nothing
    for place, folder in enumerate(around[first:], start=first):
        if folder in EVAL_TASKS or folder == GROUP:
            return around[place - 1], False
    of_harness = written_by is Format.HARNESS and "__" in around[-1]
    if of_harness and len(parts) > 2:
        return around[-2], False
    return around[-1], of_harness


def _newest(candidates: Iterable[Sequence[PredictionFile]]) -> tuple[list[PredictionFile], dict[str, str]]:
    files: list[PredictionFile] = []
    superseded: dict[str, str] = {}
    for same in candidates:
        *others, newest = sorted(same, key=lambda file: (file.date, file.format, file.path))
        files.append(newest)
        superseded |= {file.path: newest.path for file in others}
    return files, superseded


def _display_names(is_id: Mapping[str, bool]) -> dict[str, str]:
    """Folder -> what the model is called: of an id its last part, if no other model is called so."""
    names = {folder: folder.rpartition("__")[2] if of_id else folder for folder, of_id in is_id.items()}
    taken = Counter(names.values())
    return {folder: name if name and taken[name] == 1 else folder or "model" for folder, name in names.items()}
