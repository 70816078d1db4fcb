"""Metric files per model and task, in the shapes of the original's: three of metrics, and the raw predictions.

They lie in the folders of :func:`sciriff.results.tables.metrics_folder`, one for each profile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from sciriff.hashing import digest
from sciriff.models.lines import dump_line, load_json
from sciriff.models.predictions import prediction_lines
from sciriff.results.facts import Run
from sciriff.results.tables import metrics_folder
from sciriff.scoring.outcome import Profile
from sciriff.scoring.parsing import clean, clean_original
from sciriff.scoring.shapes import Metrics
from sciriff.store import MANIFEST, SCHEMA_VERSION, Store

_RAW = "raw_predictions.jsonl"
_PROMPT, _REPLY = b'"prompt":"', b'","reply":'
_WRITTEN_AT_ONCE = 1 << 20

Entry = dict[str, Any]
"""What a manifest says of a file."""


def files_folder(run: Run, profile: Profile) -> str:
    """Where the metric files of a run lie."""
    return f"{metrics_folder(profile, run.window_tokens, run.split)}/by_model/{run.model}/{run.task}"


def write_raw_predictions(run: Run, store: Store) -> dict[Profile, Entry]:
    """Write ``raw_predictions.jsonl`` of a run in all profiles, unless it is there.

    Returns:
        The entries for :func:`write_metric_files`.

    Raises:
        ReplacedError: if the predictions are others by now; nothing is written then.
        StoreError: if the predictions cannot be read, or the store cannot be written.
    """
    kept = {profile: entry for profile in Profile if (entry := _kept_raw(run, files_folder(run, profile), store))}
    missing = {profile: files_folder(run, profile) for profile in Profile if profile not in kept}
    return kept | _write_raw(run, missing, store) if missing else kept


def _kept_raw(run: Run, folder: str, store: Store) -> Entry | None:
    manifest = store.read_manifest(folder) or {}
    entry: Entry | None = manifest.get("files", {}).get(_RAW)
    if entry is None or manifest.get("run") != run.run_id or store.damaged(folder, {"files": {_RAW: entry}}):
        return None
    return entry


def _write_raw(run: Run, folders: Mapping[Profile, str], store: Store) -> dict[Profile, Entry]:
    with store.workspace() as workspace:
        files = {profile: _HashedFile(workspace / profile.value) for profile in folders}
        for line in prediction_lines(store, run.predictions, run.sample_limit, run.predictions_sha256):
            start, prediction = _parted(line)
            reply = prediction["reply"]
            lines: dict[str | None, bytes] = {}
            for profile, file in files.items():
                cleaned = None if reply is None else (clean_original if profile is Profile.ORIGINAL else clean)(reply)
                if cleaned not in lines:
                    lines[cleaned] = _raw_line(start, prediction, cleaned)
                file.write(lines[cleaned])
        entries = {profile: file.close() for profile, file in files.items()}
        for profile, folder in folders.items():
            store.delete(f"{folder}/{MANIFEST}")
            store.publish(f"{folder}/{_RAW}", workspace / profile.value)
    return entries


def _parted(line: bytes) -> tuple[bytes, dict[str, Any]]:
    """The prompt of a prediction as the start of a line of ours, and the other fields.

    Prompts are long, so they are passed on as they are spelt. In a string a quote has a backslash before it: ``","``
    after the prompt's start is its end, or lies in it and no reply follows. Where it cannot be done, the start is empty
    and the prompt is a field.
    """
    opening = line.find(_PROMPT)
    closing = line.find(b'","', opening + len(_PROMPT))
    if opening < 0 or not line.startswith(_REPLY, closing) or _may_hold_surrogates(line):
        return b"", load_json(line)
    return b"{" + line[opening : closing + 2], load_json(line[:opening] + line[closing + 2 :])


def _may_hold_surrogates(line: bytes) -> bool:
    """A line with a lone surrogate is spelt in another way, all in ASCII."""
    return line.isascii() and b"\\ud" in line


def _raw_line(start: bytes, prediction: Mapping[str, Any], cleaned: str | None) -> bytes:
    rest = {"pred": cleaned, "ref": prediction["reference"]}
    return start + dump_line(rest)[1:] if start else dump_line({"prompt": prediction["prompt"], **rest})


class _HashedFile:
    """A file that is hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("wb", buffering=_WRITTEN_AT_ONCE)
        self._hasher, self._size = hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self._hasher.update(data)
        self._size += len(data)

    def close(self) -> Entry:
        """Finish it; returns its entry in a manifest."""
        self._stream.close()
        return {"sha256": self._hasher.hexdigest(), "bytes": self._size}


def write_metric_files(run: Run, profile: Profile, metrics: Metrics, raw: Entry, store: Store) -> None:
    """Write ``metrics.json``, ``metrics_flat.json`` and ``metrics_summary.json`` of a run, and the manifest.

    What is there already stays as it is.

    Args:
        run, profile: which run, in which profile.
        metrics: its metrics.
        raw: what :func:`write_raw_predictions` returned for the profile.
        store: the artifacts.

    Raises:
        StoreError: if the store cannot be written.
    """
    folder = files_folder(run, profile)
    contents = {
        "metrics.json": _pretty(metrics.nested),
        "metrics_flat.json": _pretty(metrics.flat),
        "metrics_summary.json": _pretty(metrics.summary),
    }
    entries = {name: _entry(data) for name, data in contents.items()}
    key = digest({"schema": SCHEMA_VERSION, "run": run.run_id, "profile": profile, "files": entries})
    manifest = {
        "schema": SCHEMA_VERSION,
        "kind": "metrics",
        "key": key,
        "run": run.run_id,
        "files": {**entries, _RAW: raw},
    }
    if store.read_manifest(folder) == manifest and not store.damaged(folder, {"files": entries}):
        return
    store.delete(f"{folder}/{MANIFEST}")
    for name, data in contents.items():
        store.write_bytes(f"{folder}/{name}", data)
    store.write_manifest(folder, manifest)


def _pretty(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _entry(data: bytes) -> Entry:
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
