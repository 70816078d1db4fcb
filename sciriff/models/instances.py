"""The built instances that models are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from sciriff.errors import SciriffError, StoreError
from sciriff.hashing import keyed_rank
from sciriff.store import Store

_LIMIT_SEED = 0


class NotBuiltError(SciriffError):
    """There are no built instances of a task in a window and split; says what to do."""


@dataclass(frozen=True)
class InstanceSet:
    """Instances of one task, window and split.

    Attributes:
        task, window, split: what they are.
        limit: how many were asked for; None for all.
        path: artifact they were read from.
        sha256: hash of that artifact.
        build_key: key of the build that wrote it.
        note: what a reader of scores should know of the data: built from samples, or from a partial source; else empty.
        instances: those that are asked, in file order.
        pool: all instances of the split, in file order: what worked examples are drawn from.
        data: where they come from: ``built``, ``published``, or the name of a file of the user's.
    """

    task: str
    window: int
    split: str
    limit: int | None
    path: str
    sha256: str
    build_key: str
    note: str
    instances: tuple[Mapping[str, Any], ...]
    pool: tuple[Mapping[str, Any], ...] = ()
    data: str = "built"


def load_instances(store: Store, task: str, window: int, split: str, limit: int | None = None) -> InstanceSet:
    """Read built instances.

    Args:
        store: the artifacts.
        task: task name.
        window: context window in tokens.
        split: ``train``, ``validation`` or ``test``.
        limit: at most so many: a random sample by instance id, the same for every model; None for all.

    Raises:
        NotBuiltError: if no finished build of the task has such instances.
        StoreError: if the artifact is not what its manifest says, or a line of it is no instance.
    """
    folder, name = f"instructions/{window}/{task}", f"{split}.jsonl"
    manifest = store.read_manifest(folder)
    if manifest is None:
        raise NotBuiltError(f"{store.path(folder)} has no finished build; run: sciriff build --tasks {task}")
    entry = manifest.get("files", {}).get(name)
    if entry is None:
        raise NotBuiltError(f"the build in {store.path(folder)} has no split {split}")
    if store.damaged(folder, {"files": {name: entry}}):
        raise StoreError(
            f"{store.path(f'{folder}/{name}')} is missing or was changed after it was built; "
            f"run: sciriff build --tasks {task}"
        )
    instances = [_instance(line, f"{folder}/{name}:{number}") for number, line in _lines(store, f"{folder}/{name}")]
    if not instances:
        raise NotBuiltError(f"the build in {store.path(folder)} has no instances in split {split}")
    return InstanceSet(
        task=task,
        window=window,
        split=split,
        limit=limit,
        path=f"{folder}/{name}",
        sha256=str(entry["sha256"]),
        build_key=str(manifest.get("key", "")),
        note=_data_note(manifest),
        instances=tuple(_sample(instances, task, split, limit)),
        pool=tuple(instances),
    )


def _lines(store: Store, path: str) -> list[tuple[int, bytes]]:
    with store.open_read(path) as stream:
        return [(number, line) for number, line in enumerate(stream, start=1) if line.strip()]


def _instance(line: bytes, where: str) -> Mapping[str, Any]:
    try:
        instance = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise StoreError(f"{where}: not JSON ({error}); build the task anew") from error
    missing = [field for field in ("_instance_id", "input", "output") if not isinstance(_get(instance, field), str)]
    if missing:
        raise StoreError(f"{where}: no text under {', '.join(missing)}; build the task anew")
    return {field: instance[field] for field in ("_instance_id", "input", "output")}


def _get(instance: Any, field: str) -> Any:
    return instance.get(field) if isinstance(instance, dict) else None


def _sample(instances: list[Mapping[str, Any]], task: str, split: str, limit: int | None) -> list[Mapping[str, Any]]:
    if limit is None or limit >= len(instances):
        return instances
    rank = keyed_rank(_LIMIT_SEED, "evaluate", task, split)
    by_rank = sorted(range(len(instances)), key=lambda place: (rank(str(instances[place]["_instance_id"])), place))
    return [instances[place] for place in sorted(by_rank[:limit])]


def _data_note(manifest: Mapping[str, Any]) -> str:
    inputs = manifest.get("inputs") or {}
    notes = [("sample", "bundled samples"), ("partial", "partial source")]
    return ", ".join(note for flag, note in notes if inputs.get(flag))
