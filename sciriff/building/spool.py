"""Put more lines in order than memory holds: the lines wait on local disk, only their places stay in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, Self

from sciriff.errors import StoreError


class Slot(NamedTuple):
    """Place of one line in the spool, in bytes."""

    offset: int
    length: int


class LineSpool:
    """A temporary file of lines that can be read back in any order. Use as a context manager; the file goes with it."""

    def __init__(self, folder: Path) -> None:
        """Open the file in a local folder."""
        self._folder = folder
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=1 << 20)  # noqa: SIM115
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, line: bytes) -> Slot:
        """Keep one line and return its place.

        Raises:
            StoreError: if the folder has no room.
        """
        try:
            self._file.write(line)
        except OSError as error:
            raise StoreError(f"cannot write to the work folder {self._folder}: {error}; make room there") from error
        slot = Slot(self._end, len(line))
        self._end += len(line)
        return slot

    def read(self, slots: Iterable[Slot]) -> Iterator[bytes]:
        """Yield the lines of the given places, in the order given. Nothing may be added meanwhile."""
        for slot in slots:
            self._file.seek(slot.offset)
            yield self._file.read(slot.length)
