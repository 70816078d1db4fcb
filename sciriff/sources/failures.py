"""The errors of acquiring a source that callers tell apart."""

from __future__ import annotations

from collections.abc import Sequence

from sciriff.errors import BlockedError, SciriffError, SourceError, TransientError


class UnavailableError(SourceError):
    """No allowed place has the file: not the mirror, not the cache, and the network is forbidden."""


class UnreachableError(TransientError):
    """No connection to the server: no network, unknown host, refused, or a proxy that will not pass."""


class RefusedError(SourceError):
    """The server answers, and its answer is no.

    Args:
        message: for the user.
        status: the HTTP status, 400 or more.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    def __reduce__(self) -> tuple[type[RefusedError], tuple[str, int]]:
        """Let the error cross a process boundary with both of its fields."""
        return type(self), (str(self), self.status)


def joined(failures: Sequence[SciriffError]) -> SciriffError:
    """One error for a file that none of several addresses gave.

    It may pass if any of them may pass, and waits for the user if that is the best that can be done.
    """
    if len(failures) == 1:
        return failures[0]
    message = "; ".join(map(str, failures))
    if all(isinstance(failure, UnreachableError) for failure in failures):
        return UnreachableError(message)
    for kind in (TransientError, BlockedError):
        if any(isinstance(failure, kind) for failure in failures):
            return kind(message)
    return SourceError(message)
