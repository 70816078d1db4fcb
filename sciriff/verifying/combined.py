"""Does the combined dataset hold what its tasks hold? The sampled records of all tasks are looked for in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from sciriff.building.combine import COMBINED, INSTRUCTIONS, SPLITS
from sciriff.errors import SciriffError
from sciriff.store import Store, temporary_folder
from sciriff.verifying.sampling import Difference, Stored, digest_of

_ROWS_AT_ONCE = 500


@dataclass
class CombinedProof:
    """What became of the sampled records in the combined dataset of a window.

    Attributes:
        window: context window in tokens.
        sampled: records that were looked for, in JSON lines and in Parquet.
        equal: how many of them stand there as in their tasks.
        differences: those that do not, and files with more or fewer records than their tasks.
        stale: tasks that were built anew since.
        not_possible: why it could not be looked at; empty if it could.
    """

    window: int
    sampled: int = 0
    equal: int = 0
    differences: list[Difference] = field(default_factory=list)
    stale: tuple[str, ...] = ()
    not_possible: str = ""


def prove_combined(store: Store, window: int, drawn: Mapping[str, Sequence[Stored]]) -> CombinedProof | None:
    """Look for sampled records in the combined dataset of a window.

    Args:
        store: where both lie.
        window: context window in tokens.
        drawn: task -> its sampled lines, of all windows.

    Returns:
        What was found; None if there is no such dataset, or its files are damaged.
    """
    folder = f"{COMBINED}/{window}"
    manifest = store.read_manifest(folder)
    if manifest is None or store.damaged(folder, manifest):
        return None
    tasks = {task: store.read_manifest(f"{INSTRUCTIONS}/{window}/{task}") or {} for task in manifest["inputs"]}
    stale = tuple(task for task, key in manifest["inputs"].items() if tasks[task].get("key") != key)
    proof = CombinedProof(window, stale=stale)
    if stale:
        return proof
    try:
        for split in SPLITS:
            wanted = [
                line
                for task in tasks
                for line in drawn.get(task, ())
                if line.path == f"{INSTRUCTIONS}/{window}/{task}/{split}.jsonl"
            ]
            rows = sum(entry["files"][f"{split}.jsonl"]["rows"] for entry in tasks.values())
            for path, lines in _files(store, f"{folder}/{split}"):
                _look(path, lines, wanted, rows, proof)
    except (OSError, SciriffError, KeyError, TypeError, ValueError) as error:
        proof.not_possible = f"{type(error).__name__}: {error}"
    return proof


def _look(path: str, lines: Iterator[bytes], wanted: Sequence[Stored], rows: int, proof: CombinedProof) -> None:
    there: set[bytes] = set()
    number = 0
    for line in lines:
        there.add(digest_of(line))
        number += 1
    for each in wanted:
        proof.sampled += 1
        if each.combined in there:
            proof.equal += 1
        else:
            what = f"not as in {each.path}:{each.line}"
            proof.differences.append(Difference(path, 0, each.instance_id, what))
    if number != rows:
        proof.differences.append(Difference(path, 0, "", f"{number:,} records, its tasks have {rows:,}"))


def _files(store: Store, stem: str) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The records of a split as lines, once from the JSON lines and once from Parquet."""
    with store.open_read(f"{stem}.jsonl") as stream:
        yield f"{stem}.jsonl", iter(stream)
    yield f"{stem}.parquet", _parquet_lines(store, f"{stem}.parquet")


def _parquet_lines(store: Store, path: str) -> Iterator[bytes]:
    import shutil

    import pyarrow.parquet as pq

    with temporary_folder() as folder:
        copy = folder / "split.parquet"
        with store.open_read(path) as stream, copy.open("wb") as out:
            shutil.copyfileobj(stream, out)
        with pq.ParquetFile(copy) as file:
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                rows: list[dict[str, Any]] = batch.to_pylist()
                yield from (orjson.dumps(row) + b"\n" for row in rows)
