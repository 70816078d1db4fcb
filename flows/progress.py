"""The library's progress, shown as a progress artifact that moves while a flow runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

if TYPE_CHECKING:
    from logging import Logger, LoggerAdapter

_SECONDS_BETWEEN_NOTES = 3.0


class ArtifactProgress:
    """Counts finished steps of a run in one progress artifact; give it to the library as its ``progress``.

    A finished step is shown at once, notes from inside a step at most every three seconds. Safe to use from threads.
    """

    def __init__(self, key: str, *, one_by_one: bool = False) -> None:
        """Create the artifact at 0 percent. Call it inside a flow run.

        Args:
            key: artifact key, lower-case letters, digits and dashes.
            one_by_one: whether steps come one after the other, so that how far a step is moves the bar as well.
        """
        self._one_by_one = one_by_one
        self._steps = 1
        self._done = 0
        self._shown_at = time.monotonic()
        self._lock = threading.Lock()
        self._logger: LoggerAdapter[Any] | Logger = get_run_logger()
        self._artifact: UUID = create_progress_artifact(0.0, key=key, description="starting")  # type: ignore[assignment]

    def expect(self, steps: int) -> None:
        """Say how many pieces of work there are."""
        with self._lock:
            self._steps = max(steps, 1)

    def expect_more(self, steps: int) -> None:
        """Say that there are more pieces of work than were thought."""
        with self._lock:
            self._steps += steps

    def finished(self, what: str) -> None:
        """Count one finished step."""
        with self._lock:
            self._done += 1
            self._show(f"{what}, {self._done} of {self._steps} steps done")

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[_Stage]:
        """Open a stage of the library."""
        yield _Stage(self, name, total)

    def log(self, message: str) -> None:
        """Write to the run's log."""
        self._logger.info(message)

    def note(self, text: str, share: float = 0.0) -> None:
        """Show what is going on inside a step, if the last change is long enough ago.

        Args:
            text: what is going on.
            share: how much of the step is done.
        """
        with self._lock:
            if time.monotonic() - self._shown_at >= _SECONDS_BETWEEN_NOTES:
                self._show(f"{text}; {self._done} of {self._steps} steps done", share if self._one_by_one else 0.0)

    def _show(self, text: str, share: float = 0.0) -> None:
        self._shown_at = time.monotonic()
        percent = round(100 * min(self._done + share, self._steps) / self._steps, 1)
        try:
            update_progress_artifact(self._artifact, percent, text[:1].upper() + text[1:])
        except Exception as error:  # the work matters more than its picture
            self._logger.warning("progress could not be shown: %s", error)


class _Stage:
    def __init__(self, progress: ArtifactProgress, name: str, total: int | None) -> None:
        self._progress = progress
        self._name = name
        self._total = total
        self._done = 0

    def advance(self, n: int = 1, note: str = "") -> None:
        """Report ``n`` more steps done."""
        self._done += n
        of = f" of {self._total:,}" if self._total else ""
        share = min(self._done / self._total, 1.0) if self._total else 0.0
        self._progress.note(f"{self._name} {self._done:,}{of}{f' ({note})' if note else ''}", share)
