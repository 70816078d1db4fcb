"""Writing the files of a task: one per window and split.

Output lines were serialised once, by the workers; here they are only copied out of the spool files, in their order.
Windows that keep the same instances of a split have equal files, which are written side by side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sciriff.building.pieces import Piece, PieceReader

if TYPE_CHECKING:
    from sciriff.building.instances import Instance
    from sciriff.building.pool import WorkerPool

_CHUNK = 1 << 20

Files = dict[str, dict[str, Any]]
"""File name -> ``{sha256, bytes, rows}``."""


def write_windows(
    windows: Mapping[int, Mapping[str, Sequence[Instance]]], workspace: Path, pool: WorkerPool
) -> dict[int, Files]:
    """Write ``{window}/{split}.jsonl`` for each window and final split.

    Args:
        windows: window -> final split -> instances in output order.
        workspace: folder of the workers' spool files, to which the new folders are added.
        pool: who writes.
    """
    for window in windows:
        (workspace / str(window)).mkdir()
    written = {
        (window, job.name): entry
        for job, entry in pool.map_unordered(partial(_write, workspace), _jobs(windows, workspace))
        for window in job.windows
    }
    return {
        window: {name: written[window, name] for name in map(_file_name, splits)} for window, splits in windows.items()
    }


class _Job(NamedTuple):
    """Equal files: their name, the windows that have them, and where their lines lie."""

    name: str
    windows: tuple[int, ...]
    lines: tuple[Piece, ...]


def _jobs(windows: Mapping[int, Mapping[str, Sequence[Instance]]], workspace: Path) -> Iterator[_Job]:
    for split in dict.fromkeys(split for splits in windows.values() for split in splits):
        waiting = [window for window in windows if split in windows[window]]
        while waiting:
            instances = windows[waiting[0]][split]
            same = tuple(window for window in waiting if windows[window][split] == instances)
            waiting = [window for window in waiting if window not in same]
            spools = {name: workspace / name for name in {instance.spool for instance in instances}}
            lines = tuple(Piece(spools[instance.spool], instance.offset, instance.length) for instance in instances)
            yield _Job(_file_name(split), same, lines)


def _file_name(split: str) -> str:
    return f"{split}.jsonl"


def _write(workspace: Path, job: _Job) -> tuple[_Job, dict[str, Any]]:
    hasher, size = hashlib.sha256(), 0
    with ExitStack() as stack:
        outs = [stack.enter_context((workspace / str(window) / job.name).open("wb")) for window in job.windows]
        for chunk in _chunks(job.lines):
            hasher.update(chunk)
            size += len(chunk)
            for out in outs:
                out.write(chunk)
    entry = {"sha256": hasher.hexdigest(), "bytes": size, "rows": len(job.lines)}
    return job._replace(lines=()), entry


def _chunks(lines: Sequence[Piece]) -> Iterator[bytes]:
    chunk: list[bytes] = []
    size = 0
    with PieceReader() as pieces:
        for line in lines:
            chunk.append(pieces.read(line))
            size += line.length
            if size >= _CHUNK:
                yield b"".join(chunk)
                chunk, size = [], 0
    yield b"".join(chunk)
