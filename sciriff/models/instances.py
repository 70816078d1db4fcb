"""The instances that models are asked, and those that were built here; :mod:`sciriff.models.data` has the others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from sciriff.errors import SciriffError, StoreError
from sciriff.hashing import keyed_rank
from sciriff.store import Store

_LIMIT_SEED = 0
_TEXTS = ("_instance_id", "input", "output")
_DOCUMENT = "_document_id"


class NotBuiltError(SciriffError):
    """There are no built instances of a task in a window and split; says what to do."""


@dataclass(frozen=True)
class InstanceSet:
    """Instances of one task, window and split.

    Attributes:
        task, window, split: what they are.
        limit: how many were asked for; None for all.
        path: artifact they were read from; for others than built ones, the data and its part.
        sha256: hash of that artifact, or of the instances.
        build_key: key of the build that wrote it; empty for others than built ones.
        note: what a reader of scores should know of the data: built from samples, or from a partial source; else empty.
        instances: those that are asked, in file order. Each has ``_instance_id``, ``input`` and ``output``, and
            ``_document_id`` where the data says which document it is of.
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
    data = _read(store, f"{folder}/{name}")
    if data is None or hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise StoreError(
            f"{store.path(f'{folder}/{name}')} is missing or was changed after it was built; "
            f"run: sciriff build --tasks {task}"
        )
    instances = [
        instance_of(line, f"{folder}/{name}:{number}", "build the task anew")
        for number, line in enumerate(data.split(b"\n"), start=1)
        if line.strip()
    ]
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
        instances=sample(instances, task, split, limit),
        pool=tuple(instances),
    )


def _read(store: Store, path: str) -> bytes | None:
    """Read in one go: what is hashed is what is used, whatever another run puts there meanwhile."""
    try:
        return store.read_bytes(path)
    except FileNotFoundError:
        return None


def instance_of(line: bytes, where: str, advice: str) -> Mapping[str, Any]:
    """Read one line of instances; keeps the fields that evaluation needs.

    Args:
        line: a JSON object.
        where: file and line, for messages.
        advice: what the user should do about a line that is wrong.

    Raises:
        StoreError: if it is no instance.
    """
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise StoreError(f"{where}: not JSON ({error}); {advice}") from error
    return checked_instance(record, where, advice)


def checked_instance(record: Any, where: str, advice: str) -> Mapping[str, Any]:
    """The fields of an instance that evaluation needs. Arguments and errors as :func:`instance_of`."""
    fields = record if isinstance(record, dict) else {}
    missing = [field for field in _TEXTS if not isinstance(fields.get(field), str)]
    if missing:
        raise StoreError(f"{where}: no text under {', '.join(missing)}; {advice}")
    document = {_DOCUMENT: fields[_DOCUMENT]} if isinstance(fields.get(_DOCUMENT), str) else {}
    return {**{field: fields[field] for field in _TEXTS}, **document}


def sample(
    instances: Sequence[Mapping[str, Any]], task: str, split: str, limit: int | None
) -> tuple[Mapping[str, Any], ...]:
    """So many instances, drawn by their ids alone and in their order; all if ``limit`` is None."""
    if limit is None or limit >= len(instances):
        return tuple(instances)
    rank = keyed_rank(_LIMIT_SEED, "evaluate", task, split)
    by_rank = sorted(range(len(instances)), key=lambda place: (rank(str(instances[place]["_instance_id"])), place))
    return tuple(instances[place] for place in sorted(by_rank[:limit]))


def _data_note(manifest: Mapping[str, Any]) -> str:
    inputs = manifest.get("inputs") or {}
    notes = [("sample", "bundled samples"), ("partial", "partial source")]
    return ", ".join(note for flag, note in notes if inputs.get(flag))
