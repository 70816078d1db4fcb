"""What is told of the build that a run's instances are of: one row of the table ``builds``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sciriff.results.schema import BUILDS
from sciriff.store import Store

Row = dict[str, Any]


def build_row(task: str, window: int, build_key: str, store: Store) -> Row | None:
    """The row of a build, from its manifest; None if the store does not hold that build (any more)."""
    manifest = store.read_manifest(f"instructions/{window}/{task}")
    if manifest is None or not build_key or manifest.get("key") != build_key:
        return None
    return _row(task, window, manifest)


def _row(task: str, window: int, manifest: Mapping[str, Any]) -> Row:
    inputs, parameters = manifest.get("inputs", {}), manifest.get("parameters", {})
    tokenizer, files = manifest.get("tokenizer", {}), manifest.get("files", {})
    row = {
        "build_key": manifest.get("key"),
        "task": task,
        "window_tokens": window,
        "source": inputs.get("source"),
        "licence": inputs.get("licence"),
        "is_sample": inputs.get("sample"),
        "is_partial": inputs.get("partial"),
        "source_sha256": ", ".join(file["sha256"] for file in inputs.get("files", {}).values()) or None,
        "fidelity": parameters.get("fidelity"),
        "split_by": parameters.get("split_by"),
        "seed": parameters.get("seed"),
        "cap": parameters.get("n_instances"),
        "template_ids": ", ".join(map(str, parameters.get("template_ids", []))) or None,
        "tokenizer": tokenizer.get("name"),
        "tokenizer_sha256": tokenizer.get("sha256"),
        **{split: files.get(f"{split}.jsonl", {}).get("rows", 0) for split in ("train", "validation", "test")},
        "tokens": manifest.get("tokens"),
    }
    assert list(row) == [column.name for column in BUILDS.columns]
    return row
