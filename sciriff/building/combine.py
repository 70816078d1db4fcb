"""Combine the built tasks of a window into one dataset, as JSON lines and as Parquet.

A record keeps ``input``, ``output``, ``metadata`` (domains, input_context, output_context, source_type, task_family)
and ``_instance_id`` (catalogue, templating 10 and 12). Each split is sorted by ``_instance_id`` as text; equal ids keep
their order in the task file. Ids begin with ``<task>:``, so sorting the tasks by that prefix and then each task by
itself gives the whole order while only one task's ids are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Self

import orjson

from sciriff.building.dataset_card import CARD, dataset_card
from sciriff.building.spool import LineSpool, Slot
from sciriff.errors import StoreError
from sciriff.hashing import digest, file_sha256
from sciriff.store import SCHEMA_VERSION, Store

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
    """

    window: int
    state: Literal["combined", "cached", "empty"]
    folder: str
    tasks: tuple[str, ...]
    skipped: dict[str, str]
    rows: dict[str, int]
    key: str


@dataclass(frozen=True)
class CombineOutcome:
    """The windows in the order asked for; ``card`` is the place of the dataset card, relative to the store root."""

    windows: tuple[CombinedWindow, ...]
    card: str


def combine(store: Store, *, windows: Sequence[int], tasks: Sequence[str]) -> CombineOutcome:
    """Write ``instructions_hf/{window}/{train,validation,test}.{jsonl,parquet}`` and the dataset card.

    Args:
        store: where the built tasks lie and the dataset goes.
        windows: context windows, in tokens.
        tasks: the tasks to take; those without a valid manifest at a window are left out there, named in the outcome.

    Raises:
        StoreError: if the store cannot be read or written, or a task file holds a record of another task.
    """
    outcome = CombineOutcome(
        tuple(_combine_window(store, window, sorted(set(tasks), key=_id_prefix)) for window in windows),
        f"{COMBINED}/{CARD}",
    )
    _write_card(store)
    return outcome


def built_tasks(store: Store, window: int) -> list[str]:
    """Names of all tasks with a manifest at a window, sorted."""
    return [task for task in store.folders(f"{INSTRUCTIONS}/{window}") if store.read_manifest(_folder(window, task))]


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


def _combine_window(store: Store, window: int, tasks: Sequence[str]) -> CombinedWindow:
    folder = f"{COMBINED}/{window}"
    found = {task: store.read_manifest(_folder(window, task)) for task in tasks}
    manifests = {task: manifest for task, manifest in found.items() if manifest is not None}
    skipped = {task: "not built at this window" for task in tasks if task not in manifests}
    if manifests and store.intact(folder, key := _key(window, manifests)):
        return CombinedWindow(window, "cached", folder, tuple(manifests), skipped, _rows_in_store(store, folder), key)

    for task in list(manifests):
        if bad := store.damaged(_folder(window, task), manifests[task]):
            skipped[task] = f"{', '.join(bad)} missing or changed since the build; build the task again"
            del manifests[task]
    if not manifests:
        return CombinedWindow(window, "empty", folder, (), skipped, dict.fromkeys(SPLITS, 0), "")

    key = _key(window, manifests)
    if store.intact(folder, key):
        return CombinedWindow(window, "cached", folder, tuple(manifests), skipped, _rows_in_store(store, folder), key)
    rows = _write_window(store, window, folder, manifests, key)
    return CombinedWindow(window, "combined", folder, tuple(manifests), skipped, rows, key)


def _key(window: int, manifests: dict[str, dict[str, Any]]) -> str:
    content = {task: [manifest["key"], manifest["files"]] for task, manifest in manifests.items()}
    return digest([SCHEMA_VERSION, "combined", window, content])


def _rows_in_store(store: Store, folder: str) -> dict[str, int]:
    manifest = store.read_manifest(folder) or {}
    return {split: manifest["files"][f"{split}.jsonl"]["rows"] for split in SPLITS}


def _write_window(
    store: Store, window: int, folder: str, manifests: dict[str, dict[str, Any]], key: str
) -> dict[str, int]:
    files: dict[str, dict[str, Any]] = {}
    rows = {}
    for split in SPLITS:
        with store.workspace() as workspace:
            with _SplitWriter(workspace, split) as writer:
                for task in manifests:
                    for line in _sorted_lines(store, f"{_folder(window, task)}/{split}.jsonl", task, workspace):
                        writer.add(line)
            rows[split] = writer.rows
            for path in (writer.jsonl_path, writer.parquet_path):
                files[path.name] = {"sha256": file_sha256(path), "bytes": path.stat().st_size, "rows": writer.rows}
                store.publish(f"{folder}/{path.name}", path)
    store.write_manifest(
        folder,
        {
            "schema": SCHEMA_VERSION,
            "key": key,
            "kind": "combined",
            "inputs": {task: manifest["key"] for task, manifest in manifests.items()},
            "provenance": provenance(manifests),
            "parameters": {"window": window},
            "files": files,
        },
    )
    return rows


def _sorted_lines(store: Store, path: str, task: str, workspace: Path) -> Iterator[bytes]:
    """Yield the lines of one task's split in the combined record shape, sorted by id, stably."""
    places: list[tuple[str, int, Slot]] = []
    with LineSpool(workspace) as spool, store.open_read(path) as stream:
        for number, line in enumerate(stream, start=1):
            record = combined_record(orjson.loads(line))
            instance_id = record["_instance_id"]
            if not instance_id.startswith(_id_prefix(task)):
                raise StoreError(
                    f"{store.path(path)}:{number}: _instance_id {instance_id!r} does not begin with "
                    f"{_id_prefix(task)!r}; the file is not of this task, build it again with --force"
                )
            places.append((instance_id, number, spool.add(orjson.dumps(record) + b"\n")))
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


def _write_card(store: Store) -> None:
    """Write the card for every window the store holds, unless it already says just that."""
    rows: dict[int, dict[str, int]] = {}
    stand_ins: set[str] = set()
    for folder in filter(str.isdigit, store.folders(COMBINED)):
        if manifest := store.read_manifest(f"{COMBINED}/{folder}"):
            rows[int(folder)] = _rows_in_store(store, f"{COMBINED}/{folder}")
            stand_ins.update(task for tasks in manifest.get("provenance", {}).values() for task in tasks)
    card = dataset_card(rows, sorted(stand_ins))
    path = f"{COMBINED}/{CARD}"
    if rows and not (store.exists(path) and store.read_bytes(path) == card):
        store.write_bytes(path, card)
