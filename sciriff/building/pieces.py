"""Bytes of local files that travel as their place: whoever needs them reads them."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self


class Piece(NamedTuple):
    """A piece of a local file, in bytes."""

    file: Path
    offset: int
    length: int


class PieceReader:
    """Reads pieces, opening each file once. Use as a context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._open: dict[Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, piece: Piece) -> bytes:
        """The bytes of a piece.

        Raises:
            OSError: if its file cannot be read.
        """
        file, offset, length = piece
        if file not in self._open:
            self._open[file] = self._stack.enter_context(file.open("rb")).fileno()
        return os.pread(self._open[file], length, offset)
