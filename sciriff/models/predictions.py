"""Predictions as an artifact: a folder per model, task, window and split with ``predictions.jsonl``, a line per reply.

A line holds ``instance_id``, ``prompt`` (what the model got), ``reply`` (null if none came), ``reference``,
``finish_reason`` (null if it is not known) and ``model``; where they are known also ``document_id``, and ``input``: the
instance's text, if the prompt is more than that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sciriff.errors import StoreError, UsageError
from sciriff.leases import lease
from sciriff.models.lines import dump_line, load_json
from sciriff.names import flaw
from sciriff.store import MANIFEST, SCHEMA_VERSION, Store

PREDICTIONS = "results/predictions"
FILE = "predictions.jsonl"


class ReplacedError(StoreError):
    """Predictions are not those any more that they were."""


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


def predictions_folder(model: str, task: str, window: int, split: str) -> str:
    """Where the replies of a model to the instances of a task, window and split lie.

    Raises:
        UsageError: if the model's name cannot be that of a folder, on any machine.
    """
    if problem := flaw(model):
        raise UsageError(f"results cannot be filed under the model name {model!r}: {problem}; give it another name")
    return f"{PREDICTIONS}/{model}/{task}/{window}-{split}"


def kept_predictions(folder: str, key: str, store: Store) -> Predictions | None:
    """The predictions of a folder, if they are there, whole and of this key."""
    if not store.intact(folder, key):
        return None
    manifest = store.read_manifest(folder) or {}
    return Predictions(f"{folder}/{FILE}", str(manifest["files"][FILE]["sha256"]), manifest["model_identity"], True)


def keep_predictions(
    folder: str, key: str, lines: Iterable[Mapping[str, Any]], about: Mapping[str, Any], store: Store
) -> Predictions:
    """Write predictions, in place of those that are there; another run that writes the same is waited for instead.

    Args:
        folder: see :func:`predictions_folder`.
        key: digest of all that they depend on.
        lines: see the module.
        about: what the manifest says of them: ``model``, ``model_identity`` and what else there is to say.
        store: the artifacts.

    Raises:
        StoreError: if the store cannot be written.
        UsageError: if the predictions of another model are there.
    """
    unit = f"predictions/{folder.removeprefix(f'{PREDICTIONS}/')}"
    with lease(store, unit, doing=f"{folder} is being written") as held:
        if kept := kept_predictions(folder, key, store):
            return kept
        _require_same_model(folder, about, store)
        with store.workspace() as workspace:
            entry = _write(workspace / FILE, lines)
            held.require(folder)
            store.delete(f"{folder}/{MANIFEST}")
            store.publish(f"{folder}/{FILE}", workspace / FILE)
        manifest = {"schema": SCHEMA_VERSION, "kind": "predictions", "key": key, **about, "files": {FILE: entry}}
        store.write_manifest(folder, manifest)
    return Predictions(f"{folder}/{FILE}", entry["sha256"], str(about["model_identity"]), reused=False)


def _require_same_model(folder: str, about: Mapping[str, Any], store: Store) -> None:
    """Refuse to put the predictions of one model in place of another's.

    Two names can be one folder where case is ignored, and ``a/model`` and ``b/model`` are both filed under ``model``.
    """
    there = store.read_manifest(folder) or {}
    for field in ("model", "asked_of"):
        if field in there and field in about and there[field] != about[field]:
            raise UsageError(
                f"{store.path(folder)} holds the predictions of {there[field]}, and those of {about[field]} would "
                "take their place; give one of them an entry with a name of its own in a file of models "
                "(SCIRIFF_MODELS), or remove the folder"
            )


def _write(path: Path, lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    hasher, size, rows = hashlib.sha256(), 0, 0
    with path.open("wb") as stream:
        for record in lines:
            line = dump_line(record)
            stream.write(line)
            hasher.update(line)
            size, rows = size + len(line), rows + 1
    return {"sha256": hasher.hexdigest(), "bytes": size, "rows": rows}


def read_predictions(store: Store, path: str, limit: int | None = None, sha256: str = "") -> Iterator[dict[str, Any]]:
    """The lines of a predictions artifact, in order; at most so many. Raises as :func:`prediction_lines`."""
    for line in prediction_lines(store, path, limit, sha256):
        yield load_json(line)


def prediction_lines(store: Store, path: str, limit: int | None = None, sha256: str = "") -> Iterator[bytes]:
    """The same, as they are written.

    Raises:
        ReplacedError: at the end, if a hash is given and what was read has another one.
        StoreError: if the artifact cannot be read.
    """
    hasher = hashlib.sha256()
    with store.open_read(path) as stream:
        for number, line in enumerate(stream):
            is_wanted = limit is None or number < limit
            if is_wanted:
                yield line
            elif not sha256:
                return
            hasher.update(line)
    if sha256 and hasher.hexdigest() != sha256:
        raise ReplacedError(
            f"{store.path(path)} was replaced while it was in use, by a run of the same model with other options or "
            "replies; run the same command again when that is done"
        )
