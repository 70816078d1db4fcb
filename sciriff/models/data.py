"""Which instances a model is evaluated on: ``built`` here, ``published`` by the authors of SciRIFF, or a path or URL.

The published ones are the Parquet files of ``allenai/SciRIFF`` on the Hub: source ``sciriff`` of the catalogue, with
mirror, cache and lock like any other. A path or URL is a file of instances (JSON lines or Parquet) in the shape of the
published ones (``input``, ``output``, ``_instance_id``), or a folder of them: ``SPLIT.jsonl``, ``TASK/SPLIT.jsonl`` or
``TASK.jsonl``, and the same with ``.parquet``. A file may hold several tasks; an instance's task is what stands before
the first colon of its id.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from sciriff.building.progress import Progress, Silent, Transfers
from sciriff.errors import SourceError, StoreError, UsageError
from sciriff.hashing import digest, file_sha256
from sciriff.models.data_place import SUFFIXES, Place, find_place
from sciriff.models.instances import (
    InstanceSet,
    NotBuiltError,
    checked_instance,
    instance_of,
    load_instances,
    sample,
)
from sciriff.settings import Settings
from sciriff.sources import catalogue
from sciriff.sources.fetch import AcquiredSource, acquire
from sciriff.store import Store
from sciriff.tasks.evaluation_tasks import EVAL_TASKS

BUILT, PUBLISHED = "built", "published"
SOURCE = "sciriff"

_KEY = re.compile(r"(?P<window>\d+)-(?P<split>[a-z]+)-\d+")
_COLUMNS = ("_instance_id", "input", "output", "_document_id")
_ROWS_AT_ONCE = 1_000
_FILES_REMEMBERED = 4

_ByTask = Mapping[str, tuple[Mapping[str, Any], ...]]


class NoInstancesError(NotBuiltError):
    """Data other than built ones has no instances of a task in a window and split; says where it was looked."""


def load_data(
    data: str,
    task: str,
    window: int,
    split: str,
    limit: int | None = None,
    *,
    store: Store,
    settings: Settings,
    progress: Progress | None = None,
) -> InstanceSet:
    """Read the instances of one evaluation task.

    Args:
        data: ``built``, ``published``, or the path or URL of a file or folder.
        task: task name.
        window: context window in tokens; of a path only told in the results.
        split: ``train``, ``validation`` or ``test``; of a single file only told in the results.
        limit: at most so many instances: a random sample by instance id, the same for every model; None for all.
        store: where built ones lie.
        settings: how published ones are fetched, and URLs opened.
        progress: where transfers are shown.

    Raises:
        NotBuiltError: if there are no such instances; says what to do.
        UsageError: if there is no such path or URL, or the published data has no such window and split.
        SourceError: if the published files cannot be had.
        StoreError: if a file is not what it should be; names file and line.
    """
    if data == BUILT:
        return load_instances(store, task, window, split, limit)
    if data == PUBLISHED:
        return _published(task, window, split, limit, settings, progress or Silent())
    return _from_place(find_place(data, settings), task, window, split, limit)


def require_data(data: str, window: int, split: str, settings: Settings, progress: Progress | None = None) -> None:
    """Make sure, once and before any task, that other data than built ones can be had; published ones are fetched.

    Raises:
        UsageError: if there is no such path or URL, or the published data has no such window and split.
        SourceError: if the published files cannot be had.
    """
    if data == PUBLISHED:
        _acquire(window, split, settings, progress or Silent())
    elif data != BUILT:
        find_place(data, settings)


def _published(
    task: str, window: int, split: str, limit: int | None, settings: Settings, progress: Progress
) -> InstanceSet:
    acquired = _acquire(window, split, settings, progress)
    rows = [
        row for file in acquired.files.values() for row in _read_once(file.path, file.sha256, file.url).get(task, ())
    ]
    partial = ", partial source" if acquired.partial else ""
    name = f"{PUBLISHED}:{window}/{split}"
    return _instance_set(rows, task, window, split, limit, PUBLISHED, name, f"published by the authors{partial}")


def _acquire(window: int, split: str, settings: Settings, progress: Progress) -> AcquiredSource:
    source = catalogue.source(SOURCE)
    keys = [key for key in source.files if (part := _KEY.fullmatch(key)) and _is(part, window, split)]
    if not keys:
        known = sorted({part["window"] for key in source.files if (part := _KEY.fullmatch(key))}, key=int)
        raise UsageError(
            f"the catalogue names no files of {source.homepage} for window {window} and split {split}; it has windows "
            f"{', '.join(known)}; download other files yourself and give them as --data PATH"
        )
    acquired = acquire(source, settings, files=keys, progress=Transfers(progress))
    if acquired.missing:
        raise SourceError("; ".join(acquired.missing.values()))
    return acquired


def _is(part: re.Match[str], window: int, split: str) -> bool:
    return (part["window"], part["split"]) == (str(window), split)


def _from_place(place: Place, task: str, window: int, split: str, limit: int | None) -> InstanceSet:
    path = place.path
    found = [path] if path.is_file() else list(_candidates(path, task, split))
    if not found:
        raise NoInstancesError(
            f"data {place.name}: the folder has neither {split}.jsonl, {task}/{split}.jsonl nor {task}.jsonl "
            "(or .parquet)"
        )
    file, name = found[0], place.name_of(found[0])
    rows = _read_once(file.resolve(), file_sha256(file), name).get(task, ())
    note = f"data of {PurePosixPath(place.name).name}"
    return _instance_set(rows, task, window, split, limit, place.name, name, note)


def _candidates(folder: Path, task: str, split: str) -> Iterator[Path]:
    for stem in (f"{task}/{split}", task, split):
        for suffix in SUFFIXES:
            if (path := folder / f"{stem}{suffix}").is_file():
                yield path


def _instance_set(
    rows: Sequence[Mapping[str, Any]],
    task: str,
    window: int,
    split: str,
    limit: int | None,
    data: str,
    path: str,
    note: str,
) -> InstanceSet:
    if not rows:
        raise NoInstancesError(f"{path} has no instances of {task}: none whose id begins with {task}:")
    return InstanceSet(
        task=task,
        window=window,
        split=split,
        limit=limit,
        path=path,
        sha256=digest(list(rows)),
        build_key="",
        note=note,
        instances=sample(rows, task, split, limit),
        pool=tuple(rows),
        data=data,
    )


@lru_cache(maxsize=_FILES_REMEMBERED)
def _read_once(path: Path, sha256: str, name: str) -> _ByTask:  # noqa: ARG001 - the hash tells versions of a file apart
    """The instances of all evaluation tasks in a file, by task, in file order.

    Replies are told apart by id, so an id that occurs again gets ``#2``, ``#3`` and so on.

    Raises:
        StoreError: if the file or a line of it is wrong.
    """
    by_task: dict[str, list[Mapping[str, Any]]] = {task: [] for task in EVAL_TASKS}
    times: Counter[str] = Counter()
    for instance in _parquet_rows(path, name) if _is_parquet(path) else _json_lines(path, name):
        instance_id = str(instance["_instance_id"])
        task = instance_id.partition(":")[0]
        if task not in by_task:
            continue
        times[instance_id] += 1
        if times[instance_id] > 1:
            instance = {**instance, "_instance_id": f"{instance_id}#{times[instance_id]}"}
        by_task[task].append(instance)
    return {task: tuple(rows) for task, rows in by_task.items()}


def _is_parquet(path: Path) -> bool:
    """By the first bytes: cached downloads do not always keep their file name."""
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1"


_ADVICE = "each instance needs input, output and _instance_id as text"


def _json_lines(path: Path, name: str) -> Iterator[Mapping[str, Any]]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield instance_of(line, f"{name}:{number}", _ADVICE)


def _parquet_rows(path: Path, name: str) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            columns = [column for column in _COLUMNS if column in file.schema_arrow.names]
            batches = file.iter_batches(_ROWS_AT_ONCE, columns=columns)
            rows = (row for batch in batches for row in batch.to_pylist())
            for number, row in enumerate(rows, start=1):
                yield checked_instance(row, f"{name}, row {number}", _ADVICE)
    except pa.ArrowException as error:
        raise StoreError(f"{name} is not whole Parquet: {error}; fetch it again") from error
