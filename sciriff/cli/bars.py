"""Moving bars for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from sciriff.cli.progress import in_bytes, megabytes
from sciriff.cli.screen import harmless, unscreened
from sciriff.redaction import redacted

if TYPE_CHECKING:
    from sciriff.building.progress import Stage

_LONGEST_NAME = 40


class BarProgress:
    """One moving bar per open stage; a finished one leaves nothing behind, a logged line stays."""

    def __init__(self, stream: TextIO) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            _Counted(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=Console(file=unscreened(stream), force_terminal=True),
            transient=True,
        )
        self._open = 0
        self._lock = Lock()

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:
        """Open a stage of ``total`` steps (None: unknown)."""
        with self._lock:
            self._open += 1
            if self._open == 1:
                self._bars.start()
        bar = self._bars.add_task(_short(_clean(name)), total=total, note="", in_bytes=in_bytes(name))
        try:
            yield _BarStage(self._bars, bar)
        finally:
            self._bars.remove_task(bar)
            with self._lock:
                self._open -= 1
                if self._open == 0:
                    self._bars.stop()

    def log(self, message: str) -> None:
        """Write a line above the bars."""
        self._bars.console.print(_clean(message), markup=False, highlight=False, soft_wrap=True)


def _clean(text: str) -> str:
    """Bars draw behind the screen that cleans what is printed, so what they draw is cleaned here."""
    return harmless(redacted(text))


def _short(name: str) -> str:
    """Return a stage's name without the folders of its URL, cut to fit beside a bar."""
    if in_bytes(name):
        name = f"fetch {name.rstrip('/').rpartition('/')[2]}"
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


class _BarStage:
    def __init__(self, bars: Progress, bar: TaskID) -> None:
        self._bars, self._bar = bars, bar

    def advance(self, n: int = 1, note: str = "") -> None:
        self._bars.update(self._bar, advance=n, note=_clean(note))


class _Counted(ProgressColumn):
    """Steps done, or megabytes and their speed."""

    def render(self, task: Task) -> Text:
        spell = megabytes if task.fields["in_bytes"] else "{:,.0f}".format
        text = spell(int(task.completed)) + (f"/{spell(int(task.total))}" if task.total is not None else "")
        speed = task.finished_speed or task.speed
        if task.fields["in_bytes"] and speed:
            text += f" {megabytes(int(speed))}/s"
        return Text(text)
