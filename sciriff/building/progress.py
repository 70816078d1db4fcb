"""How long work tells a terminal or Prefect how far it is, without knowing either."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol


class Stage(Protocol):
    """One piece of work with a known or unknown number of steps."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Report ``n`` more steps done; ``note`` says what is going on now."""


class Progress(Protocol):
    """Where progress goes."""

    def stage(self, name: str, total: int | None = None) -> AbstractContextManager[Stage]:
        """Open a stage of ``total`` steps (None: unknown)."""

    def log(self, message: str) -> None:
        """Tell the user something that stays on the screen."""


class _SilentStage:
    def advance(self, n: int = 1, note: str = "") -> None:
        """Say nothing."""


class Silent:
    """Progress that goes nowhere; what library callers get unless they ask for more."""

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Stage]:  # noqa: ARG002 - the protocol's names
        """Open a stage that says nothing."""
        yield _SilentStage()

    def log(self, message: str) -> None:
        """Say nothing."""


class Transfers:
    """Shows the transfers of one source, one after another, each as a stage of bytes."""

    def __init__(self, progress: Progress) -> None:
        """Show them on ``progress``."""
        self._progress = progress
        self._open = ExitStack()
        self._stage: Stage = _SilentStage()

    def started(self, url: str, total_bytes: int | None) -> None:
        """Open the stage of a transfer, or open it anew."""
        self._open.close()
        self._stage = self._open.enter_context(self._progress.stage(f"fetch {url}", total_bytes))

    def advanced(self, byte_count: int) -> None:
        """Move the transfer's stage on."""
        self._stage.advance(byte_count)

    def finished(self) -> None:
        """Close the transfer's stage."""
        self._open.close()
