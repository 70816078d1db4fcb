"""Ask a model and keep its replies: ``results/predictions/{model}/{task}/predictions.jsonl``, one line per instance."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from sciriff.building.fingerprint import code_digest
from sciriff.hashing import digest
from sciriff.models.baselines import baseline
from sciriff.models.instances import InstanceSet
from sciriff.store import MANIFEST, SCHEMA_VERSION, Store

_FILE = "predictions.jsonl"


class Predictions(NamedTuple):
    """Replies of one model to one set of instances.

    Attributes:
        path: artifact that holds them.
        sha256: hash of it.
        model_identity: digest of everything that a reply of the model depends on, apart from the prompt.
        reused: whether they were there already.
    """

    path: str
    sha256: str
    model_identity: str
    reused: bool


def predict(model: str, instances: InstanceSet, store: Store) -> Predictions:
    """Have every instance answered, unless that was done before.

    Each line holds ``instance_id, prompt, reply, reference, finish_reason, model``.

    Raises:
        UsageError: if there is no such model.
        StoreError: if the store cannot be written.
    """
    answer = baseline(model)
    identity = digest({"backend": "baseline", "name": model, "code": code_digest(["sciriff.models.baselines"])})
    folder = f"results/predictions/{model}/{instances.task}"
    asked = {
        "instances": instances.sha256,
        "window": instances.window,
        "split": instances.split,
        "limit": instances.limit,
    }
    key = digest({"schema": SCHEMA_VERSION, "model": identity, "asked": asked})
    if store.intact(folder, key):
        manifest = store.read_manifest(folder) or {}
        return Predictions(f"{folder}/{_FILE}", str(manifest["files"][_FILE]["sha256"]), identity, reused=True)
    lines = (_line(model, instance, answer(instance)) for instance in instances.instances)
    with store.workspace() as workspace:
        entry = _write(workspace / _FILE, lines)
        store.delete(f"{folder}/{MANIFEST}")
        store.publish(f"{folder}/{_FILE}", workspace / _FILE)
    manifest = {
        "schema": SCHEMA_VERSION,
        "kind": "predictions",
        "key": key,
        "model": model,
        "model_identity": identity,
        "inputs": {"path": instances.path, "sha256": instances.sha256, "build_key": instances.build_key},
        "parameters": asked,
        "files": {_FILE: entry},
    }
    store.write_manifest(folder, manifest)
    return Predictions(f"{folder}/{_FILE}", entry["sha256"], identity, reused=False)


def read_predictions(store: Store, path: str) -> Iterator[dict[str, Any]]:
    """The lines of a predictions artifact, in order."""
    with store.open_read(path) as stream:
        for line in stream:
            yield orjson.loads(line)


def _line(model: str, instance: Mapping[str, Any], reply: str) -> bytes:
    record = {
        "instance_id": instance["_instance_id"],
        "prompt": instance["input"],
        "reply": reply,
        "reference": instance["output"],
        "finish_reason": "stop",
        "model": model,
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def _write(path: Path, lines: Iterator[bytes]) -> dict[str, Any]:
    hasher, size, rows = hashlib.sha256(), 0, 0
    with path.open("wb") as stream:
        for line in lines:
            stream.write(line)
            hasher.update(line)
            size, rows = size + len(line), rows + 1
    return {"sha256": hasher.hexdigest(), "bytes": size, "rows": rows}
