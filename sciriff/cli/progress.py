"""Progress on a terminal (moving bars) or in a log (plain lines), always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from sciriff.building.progress import Progress, Stage

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_WORTH_A_LINE = 1.0


def terminal_progress(stream: TextIO | None = None) -> Progress:
    """Return bars if the stream (default: standard error) is a terminal, else plain lines."""
    stream = stream or sys.stderr
    if stream.isatty():
        from sciriff.cli.bars import BarProgress

        return BarProgress(stream)
    return LineProgress(stream)


class LineProgress:
    """A line every ten seconds while a stage runs, and one at its end if it took a second."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """Open a stage of ``total`` steps (None: unknown)."""
        lines = _Lines(name, total, speller(name), self._clock, self.log)
        yield lines
        lines.close()

    def log(self, message: str) -> None:
        """Write a line."""
        print(message, file=self._stream, flush=True)


class _Lines:
    """Counts the steps of one stage and says now and then how many there were."""

    def __init__(
        self,
        name: str,
        total: int | None,
        spell: Callable[[int], str],
        clock: Callable[[], float],
        log: Callable[[str], None],
    ) -> None:
        self._name, self._total, self._spell, self._clock, self._log = name, total, spell, clock, log
        self._done = 0
        self._start = self._last_line = clock()

    def advance(self, n: int = 1, note: str = "") -> None:
        self._done += n
        if self._clock() - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = self._clock()
            self._log(f"{self._name}: {self._counted()}{f', {note}' if note else ''}")

    def close(self) -> None:
        seconds = self._clock() - self._start
        if seconds >= _SECONDS_WORTH_A_LINE:
            self._log(f"{self._name}: {self._counted()} in {seconds:,.0f} s")

    def _counted(self) -> str:
        done = self._spell(self._done)
        return done if self._total is None else f"{done} of {self._spell(self._total)}"


def in_bytes(stage_name: str) -> bool:
    """Whether a stage counts bytes: those that fetch a file do (see ``Transfers`` in sciriff.building.progress)."""
    return stage_name.startswith("fetch ")


def speller(stage_name: str) -> Callable[[int], str]:
    """Return how to spell a number of steps of the stage: plain, or in decimal megabytes."""
    return megabytes if in_bytes(stage_name) else "{:,}".format


def megabytes(count: int) -> str:
    """Spell a number of bytes in decimal megabytes."""
    return f"{count / 1e6:,.1f} MB"
