"""Combine the built tasks of a window into one dataset, as JSON lines and as Parquet.

A record keeps ``input``, ``output``, ``metadata`` (domains, input_context, output_context, source_type, task_family)
and ``_instance_id`` (catalogue, templating 10 and 12). Each split is sorted by ``_instance_id`` as text; equal ids keep
their order in the task file. Ids begin with ``<task>:``, so sorting the tasks by that prefix and then each task by
itself gives the whole order while only one task's ids are in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Self

import orjson

from sciriff import __version__
from sciriff.building.croissant import CROISSANT, croissant
from sciriff.building.dataset_card import CARD, dataset_card
from sciriff.building.dataset_description import describe_dataset
from sciriff.building.overlap_file import OVERLAPS, write_overlaps
from sciriff.building.overlaps import (
    NO_OVERLAPS,
    Entry,
    Place,
    TrainingOverlaps,
    count_overlaps,
    entry_of_line,
    find_overlaps,
    training_overlaps,
)
from sciriff.building.spool import LineSpool, Slot
from sciriff.errors import StoreError
from sciriff.hashing import digest, file_sha256
from sciriff.leases import Lease, lease, tidy
from sciriff.store import MANIFEST, SCHEMA_VERSION, Store, sealed
from sciriff.tasks.evaluation_tasks import EVAL_TASKS

INSTRUCTIONS = "instructions"
COMBINED = "instructions_hf"
SPLITS = ("train", "validation", "test")

_BATCH_ROWS = 1_000
_BATCH_BYTES = 32 << 20


@dataclass(frozen=True)
class CombinedWindow:
    """What became of one window.

    Args:
        window: context window in tokens.
        state: ``combined`` (written now), ``cached`` (done before, for these tasks) or ``empty`` (nothing is built).
        folder: place of the dataset, relative to the store root.
        tasks: the tasks in it, sorted.
        skipped: task name to the reason why it is not in it; such a task was asked for but has no valid manifest.
        rows: rows per split.
        key: content key of the dataset; empty if there is none.
        overlaps: training instances that meet a validation or test split; ``overlaps.parquet`` names them and all
            others.
    """

    window: int
    state: Literal["combined", "cached", "empty"]
    folder: str
    tasks: tuple[str, ...]
    skipped: dict[str, str]
    rows: dict[str, int]
    key: str
    overlaps: TrainingOverlaps = NO_OVERLAPS


@dataclass(frozen=True)
class CombineOutcome:
    """The windows in the order asked for; ``card`` is the place of the dataset card, relative to the store root."""

    windows: tuple[CombinedWindow, ...]
    card: str


def combine(
    store: Store,
    *,
    windows: Sequence[int],
    tasks: Sequence[str] | None = None,
    target: Store | None = None,
    tell: Callable[[str], None] | None = None,
) -> CombineOutcome:
    """Write ``instructions_hf/{window}/{train,validation,test}.{jsonl,parquet}``, the dataset card and croissant.json.

    Args:
        store: where the built tasks lie.
        windows: context windows, in tokens.
        tasks: the tasks to take; those without a valid manifest at a window are left out there, named in the outcome.
            None for all that are built at any of the windows.
        target: where the dataset goes; None for the same store.
        tell: told if another run has to be waited for; the log if None.

    Raises:
        StoreError: if the store cannot be read or written, or a task file holds a record of another task or was changed
            while it was read.
    """
    target = target or store
    tidy(target)
    with lease(target, "combine", doing="the dataset is being combined", tell=tell) as held:
        if tasks is None:  # asked for now: those that were built while another run combined would be left out
            tasks = [task for window in windows for task in built_tasks(store, window)]
        ordered = sorted(set(tasks), key=_id_prefix)
        combined = tuple(_combine_window(store, target, window, ordered, held) for window in windows)
        _write_descriptions(store, target)
    return CombineOutcome(combined, f"{COMBINED}/{CARD}")


def built_tasks(store: Store, window: int) -> list[str]:
    """Names of all tasks with a manifest at a window, sorted."""
    tasks = store.folders(f"{INSTRUCTIONS}/{window}")
    found = store.read_manifests({task: _folder(window, task) for task in tasks})
    return [task for task in tasks if found[task]]


def provenance(manifests: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Name the tasks that do not come from whole primary sources, by what they come from instead.

    Args:
        manifests: task to its manifest.
    """
    inputs = {task: manifest.get("inputs", {}) for task, manifest in sorted(manifests.items())}
    return {
        "bundled_samples": [task for task, entry in inputs.items() if entry.get("sample")],
        "partial_sources": [task for task, entry in inputs.items() if entry.get("partial") and not entry.get("sample")],
    }


def _id_prefix(task: str) -> str:
    return task + ":"


def _folder(window: int, task: str) -> str:
    return f"{INSTRUCTIONS}/{window}/{task}"


def _combine_window(store: Store, target: Store, window: int, tasks: Sequence[str], held: Lease) -> CombinedWindow:
    folder = f"{COMBINED}/{window}"
    found = store.read_manifests({task: _folder(window, task) for task in tasks})
    manifests = {task: manifest for task, manifest in found.items() if manifest is not None}
    skipped = {task: "not built at this window" for task in tasks if task not in manifests}
    if manifests and target.intact(folder, key := _key(window, manifests)):
        return _cached(target, window, folder, tuple(manifests), skipped, key)

    for task in list(manifests):
        if bad := store.damaged(_folder(window, task), manifests[task]):
            skipped[task] = f"{', '.join(bad)} missing or changed since the build; build the task again"
            del manifests[task]
    if not manifests:
        return CombinedWindow(window, "empty", folder, (), skipped, dict.fromkeys(SPLITS, 0), "")

    key = _key(window, manifests)
    if target.intact(folder, key):
        return _cached(target, window, folder, tuple(manifests), skipped, key)
    rows, overlaps = _write_window(store, target, window, folder, manifests, key, held)
    return CombinedWindow(window, "combined", folder, tuple(manifests), skipped, rows, key, overlaps)


def _cached(
    target: Store, window: int, folder: str, tasks: tuple[str, ...], skipped: dict[str, str], key: str
) -> CombinedWindow:
    overlaps = TrainingOverlaps(**(target.read_manifest(folder) or {})["overlaps"]["training"])
    return CombinedWindow(window, "cached", folder, tasks, skipped, _rows_in_store(target, folder), key, overlaps)


def _key(window: int, manifests: dict[str, dict[str, Any]]) -> str:
    content = {task: [manifest["key"], manifest["files"]] for task, manifest in manifests.items()}
    return digest([SCHEMA_VERSION, "combined, with overlaps", window, content])


def _rows_in_store(store: Store, folder: str) -> dict[str, int]:
    manifest = store.read_manifest(folder) or {}
    return {split: manifest["files"][f"{split}.jsonl"]["rows"] for split in SPLITS}


def _write_window(
    store: Store, target: Store, window: int, folder: str, manifests: dict[str, dict[str, Any]], key: str, held: Lease
) -> tuple[dict[str, int], TrainingOverlaps]:
    files: dict[str, dict[str, Any]] = {}
    rows = {}
    entries: list[Entry] = []
    with target.workspace() as workspace:
        for split in SPLITS:
            with _SplitWriter(workspace, split) as writer:
                for task in manifests:
                    source = f"{_folder(window, task)}/{split}.jsonl"
                    sha256 = manifests[task]["files"][f"{split}.jsonl"]["sha256"]
                    for line in _sorted_lines(store, source, sha256, Place(task, split), workspace, entries):
                        writer.add(line)
            rows[split] = writer.rows
            for path in (writer.jsonl_path, writer.parquet_path):
                files[path.name] = {"sha256": file_sha256(path), "bytes": path.stat().st_size, "rows": writer.rows}
        overlaps = list(find_overlaps(entries))
        files[OVERLAPS] = write_overlaps(overlaps, workspace / OVERLAPS)
        training = training_overlaps(overlaps, EVAL_TASKS)
        manifest = {
            "schema": SCHEMA_VERSION,
            "key": key,
            "kind": "combined",
            "inputs": {task: manifest["key"] for task, manifest in manifests.items()},
            "provenance": provenance(manifests),
            "parameters": {"window": window},
            "overlaps": {"training": training._asdict(), "places": count_overlaps(overlaps)},
            "files": files,
        }
        (workspace / MANIFEST).write_bytes(sealed(manifest))
        # All is written before anything old goes: a full disk costs nothing of what was there.
        held.require(f"combining window {window}")
        target.delete(f"{folder}/{MANIFEST}")
        for name in files:
            target.publish(f"{folder}/{name}", workspace / name)
        held.require(f"combining window {window}")
        target.publish(f"{folder}/{MANIFEST}", workspace / MANIFEST)
    return rows, training


def _sorted_lines(
    store: Store, path: str, sha256: str, place: Place, workspace: Path, entries: list[Entry]
) -> Iterator[bytes]:
    """Yield the lines of one task's split in the combined record shape, sorted by id, stably; ``entries`` grows."""
    places: list[tuple[str, int, Slot]] = []
    hasher = hashlib.sha256()
    with LineSpool(workspace) as spool, store.open_read(path) as stream:
        for number, line in enumerate(stream, start=1):
            hasher.update(line)
            instance = orjson.loads(line)
            record = combined_record(instance)
            instance_id = record["_instance_id"]
            if not instance_id.startswith(_id_prefix(place.task)):
                raise StoreError(
                    f"{store.path(path)}:{number}: _instance_id {instance_id!r} does not begin with "
                    f"{_id_prefix(place.task)!r}; the file is not of this task, build it again with --force"
                )
            entries.append(entry_of_line(place, instance))
            places.append((instance_id, number, spool.add(orjson.dumps(record) + b"\n")))
        if hasher.hexdigest() != sha256:
            raise StoreError(
                f"{store.path(path)} was replaced while it was being combined, by a build that runs at the same time; "
                "combine again when that is done"
            )
        places.sort()
        yield from spool.read(slot for _, _, slot in places)


def combined_record(instance: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a built instance that the combined dataset keeps, keys in the published order."""
    metadata = instance["metadata"]
    return {
        "input": instance["input"],
        "output": instance["output"],
        "metadata": {
            "domains": metadata["domains"],
            "input_context": metadata["input_context"],
            "output_context": metadata["output_context"],
            "source_type": metadata["source_type"],
            "task_family": metadata["task"],
        },
        "_instance_id": instance["_instance_id"],
    }


class _SplitWriter:
    """Writes one split as JSON lines and as Parquet side by side, in row groups of bounded size."""

    def __init__(self, folder: Path, split: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.jsonl_path = folder / f"{split}.jsonl"
        self.parquet_path = folder / f"{split}.parquet"
        self.rows = 0
        labels = ("input_context", "output_context", "source_type", "task_family")
        metadata = pa.struct([("domains", pa.list_(pa.string())), *((name, pa.string()) for name in labels)])
        self._schema = pa.schema(
            [
                ("input", pa.string()),
                ("output", pa.string()),
                ("metadata", metadata),
                ("_instance_id", pa.string()),
            ]
        )
        self._jsonl: IO[bytes] = self.jsonl_path.open("wb")
        # Only the labels repeat; dictionaries of whole papers would cost memory and save nothing.
        repeated = ["metadata.domains.list.element", *(f"metadata.{name}" for name in labels)]
        self._parquet = pq.ParquetWriter(
            self.parquet_path, self._schema, compression="zstd", use_dictionary=repeated, version="2.6"
        )
        self._batch: list[dict[str, Any]] = []
        self._batch_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._jsonl.close()
        self._parquet.close()

    def add(self, line: bytes) -> None:
        self._jsonl.write(line)
        self._batch.append(orjson.loads(line))
        self._batch_bytes += len(line)
        self.rows += 1
        if len(self._batch) >= _BATCH_ROWS or self._batch_bytes >= _BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._batch:
            self._parquet.write_table(pa.Table.from_pylist(self._batch, schema=self._schema))
        self._batch, self._batch_bytes = [], 0


def _write_descriptions(store: Store, target: Store) -> None:
    """Write the card and ``croissant.json`` for every window the target holds, unless they already say just that."""
    combined: dict[int, dict[str, Any]] = {}
    tasks: dict[int, dict[str, dict[str, Any]]] = {}
    for window in map(int, filter(str.isdigit, target.folders(COMBINED))):
        if manifest := target.read_manifest(f"{COMBINED}/{window}"):
            combined[window] = manifest
            found = store.read_manifests({task: _folder(window, task) for task in manifest["inputs"]})
            tasks[window] = {task: entry for task, entry in found.items() if entry is not None}
    if not combined:
        return
    dataset = describe_dataset(combined, tasks)
    for name, content in ((CARD, dataset_card(dataset)), (CROISSANT, croissant(dataset, __version__))):
        path = f"{COMBINED}/{name}"
        if not (target.exists(path) and target.read_bytes(path) == content):
            target.write_bytes(path, content)
