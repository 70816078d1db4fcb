"""How a transfer tells the world how far it is; the command draws bars of it, flows make artifacts of it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of one transfer after another."""

    def started(self, url: str, total_bytes: int | None) -> None:
        """A transfer begins, or begins anew; its size is None if the server does not say."""

    def advanced(self, byte_count: int) -> None:
        """So many more bytes are here (for a resumed transfer first those that were already there)."""

    def finished(self) -> None:
        """The transfer is complete and its hash checked."""


class NoProgress:
    """Tells nobody."""

    def started(self, url: str, total_bytes: int | None) -> None:
        """Ignore."""

    def advanced(self, byte_count: int) -> None:
        """Ignore."""

    def finished(self) -> None:
        """Ignore."""
