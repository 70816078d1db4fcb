"""The errors a user can meet.

Every message says what was found, what was expected and what to do next. The exit status of the command is the worst
of the errors it met: 1 failed, 3 blocked on the user (manual data, a licence).
"""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import Any

from sciriff.redaction import redacted


class ExitCode(IntEnum):
    """Exit status of every command and the state of every flow run."""

    DONE = 0
    FAILED = 1
    BLOCKED = 3


class SciriffError(Exception):
    """Base of the errors whose message is meant for the user; anything else that escapes is a defect of ours.

    Attributes:
        exit_code: what a command that it stops exits with.
        may_pass: whether it is known to go away by itself, so that trying again later can help; see :func:`can_pass`.
    """

    exit_code = ExitCode.FAILED
    may_pass = False

    def __init__(self, *args: Any) -> None:
        # Here, since messages quote addresses and servers, and end up in logs, artifacts and databases.
        super().__init__(*(redacted(arg) if isinstance(arg, str) else arg for arg in args))


class UsageError(SciriffError):
    """An option or setting is wrong: unknown task, impossible window, store URL that nothing can open."""


class SourceError(SciriffError):
    """A source file cannot be had or is not what it should be: unreachable, wrong hash, truncated, hostile archive."""


class TransientError(SourceError):
    """A source cannot be had now, but the same request may succeed later: no connection, a server down or busy.

    The library has already tried several times. Whoever can wait longer (task retries of a flow) tries again after
    this error; after any other :class:`SourceError` (wrong hash, missing file, refused licence) that is of no use.
    """

    may_pass = True


class BlockedError(SciriffError):
    """Work waits for the user, for example for a manual download."""

    exit_code = ExitCode.BLOCKED


class ModelError(SciriffError):
    """A model cannot be asked: its server is out of reach, does not know it, or fails every request."""


class TransientModelError(ModelError):
    """A model's server is out of reach or fails one request after the other; it may be up again later."""

    may_pass = True


class TaskFileError(SciriffError):
    """A task file is wrong: unknown key, missing variable, bad metadata value. Names the file and the key."""


class StoreError(SciriffError):
    """The artifact store cannot be read or written."""


class StoppedError(SciriffError):
    """Work was ended before it was done because somebody wanted it so."""


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def disk_full(error: OSError, place: object) -> StoreError | None:
    """What to tell of a disk without room, a used up quota, or a file system that is read-only; None for other errors.

    Args:
        error: what writing met.
        place: where it was going on.
    """
    if error.errno not in _NO_ROOM:
        return None
    remedy = "make it writable" if error.errno == errno.EROFS else "make room there"
    return StoreError(
        f"cannot write {place}: {error.strerror or error}; {remedy}, or choose another place (--store, "
        "SCIRIFF_CACHE, TMPDIR), then run the same command again: what is done is kept and not done twice"
    )


class ValidationFailedError(SciriffError):
    """A built task does not meet its expectations; nothing of it was published."""


class RecordError(SciriffError):
    """One record is malformed. It is counted and named; the records around it go on.

    Args:
        where: file, member and line or record number, e.g. ``CDR_Data.zip!CDR/train.xml:document 12``.
        reason: what was expected and what was found.
    """

    def __init__(self, where: str, reason: str) -> None:
        Exception.__init__(self, f"{where}: {reason}")  # quotes a record, of which there can be many; no secrets there
        self.where = where
        self.reason = reason

    def __reduce__(self) -> tuple[type[RecordError], tuple[str, str]]:
        """Let the error cross a process boundary with both of its fields."""
        return type(self), (self.where, self.reason)


class Dropped(Exception):  # noqa: N818 - not an error: a formatter's decision, counted by reason
    """A formatter leaves something of a record out on purpose.

    Args:
        reasons: what the manifest counts it under; one reason for each thing left out, at least one.
    """

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


def can_pass(error: BaseException | None) -> bool:
    """Whether an error may go away by itself: the network, a server that is busy or down, a store that is away.

    Of its own errors the library says so itself, where it knows (:attr:`SciriffError.may_pass`); a wrong hash, a
    missing file, a wrong option or a refused licence stays what it is however often one asks. Of other errors the
    causes count, since the library wraps what went wrong in an error that says what to do.
    """
    import httpx

    while error is not None:
        if isinstance(error, SciriffError) and error.may_pass:
            return True
        if isinstance(error, SourceError | BlockedError | UsageError):
            return False
        if isinstance(error, httpx.HTTPStatusError):
            return error.response.status_code in _PASSING_STATUS
        if isinstance(error, httpx.TransportError | ConnectionError | TimeoutError):
            return True
        error = error.__cause__
    return False
