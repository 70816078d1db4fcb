"""The rows of one source split, read as often as sampling needs them.

Sampling must know how many rows there are before it can rank them, so a split is read once to count. What fits into a
small buffer is kept from that pass: of a row that lies in a plain file only its place, from which the worker that gets
the row fetches it. A split that is too large for that is read again.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sciriff.building.pieces import Piece
from sciriff.readers.records import PassedOver, Reader, Row, SplitSpec
from sciriff.sources.archives import ArchiveView

_BUFFER_BYTES = 64 << 20
_COMPARED_ROWS = 50
_BATCH_BYTES = 1 << 19
_BATCH_ROWS = 64
_UNKNOWN_BYTES = 1 << 10
_PIECE_BYTES = 1 << 8
_TEXT = (bytes, str)


class Tally(NamedTuple):
    """How many records a reader passed over for one reason, and which was the first."""

    records: int
    first: str


class SplitRows:
    """Rows of one source split.

    Attributes:
        size: number of rows.
        passed_over: reason -> records that the reader left out on purpose, in the order in which it met the reasons.
        likeness: digest that tells whether two splits of a source hold the same rows in the same order: of the sizes of
            all rows and of the first rows themselves.
    """

    def __init__(self, reader: Reader, view: ArchiveView, spec: SplitSpec) -> None:
        """Count the rows, keeping them if they are few.

        Raises:
            SourceError: if the source cannot be read.
        """
        self._reader, self._view, self._spec = reader, view, spec
        self._buffer: list[Row] | None = []
        self.size = 0
        self.passed_over: dict[str, Tally] = {}
        file: Path | None = None
        held = 0
        likeness = hashlib.blake2b(digest_size=16)
        for row in reader.rows(view, spec):
            if isinstance(row, PassedOver):
                tally = self.passed_over.get(row.reason, Tally(0, row.where))
                self.passed_over[row.reason] = tally._replace(records=tally.records + 1)
                continue
            size = raw_bytes(row)
            likeness.update(size.to_bytes(8, "big"))
            if self.size < _COMPARED_ROWS:
                likeness.update(pickle.dumps(row.raw))
            if self.size == 0 and row.at is not None:
                file = view.plain_file(spec.path)
            self.size += 1
            if self._buffer is not None:
                if file is not None and row.at is not None:
                    row = Row(row.index, row.where, Piece(file, row.at, size))
                    size = _PIECE_BYTES
                held += size
                self._buffer.append(row)
                if held > _BUFFER_BYTES:
                    self._buffer = None
        self.likeness = likeness.digest()

    def pick(self, indices: Collection[int]) -> Iterator[Row]:
        """Yield the rows with these indices, in source order."""
        wanted = frozenset(indices)
        rows = self._reader.rows(self._view, self._spec) if self._buffer is None else iter(self._buffer)
        return (row for row in rows if isinstance(row, Row) and row.index in wanted)


def raw_bytes(row: Row) -> int:
    """Size of what a row carries, roughly, in bytes."""
    raw = row.raw
    if isinstance(raw, Piece):
        return raw.length
    if isinstance(raw, tuple):
        return sum([len(part) for part in raw if type(part) in _TEXT])
    return len(raw) if type(raw) in _TEXT else _UNKNOWN_BYTES


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Group rows into batches that are worth handing to a worker and small enough to share out evenly."""
    batch: list[Row] = []
    held = 0
    for row in rows:
        batch.append(row)
        held += raw_bytes(row)
        if held >= _BATCH_BYTES or len(batch) >= _BATCH_ROWS:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
