"""The errors a user can meet.

Every message says what was found, what was expected and what to do next. The exit status of the command is the worst
of the errors it met: 1 failed, 3 blocked on the user (manual data, a licence).
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of every command and the state of every flow run."""

    DONE = 0
    FAILED = 1
    BLOCKED = 3


class SciriffError(Exception):
    """Base of the errors whose message is meant for the user; anything else that escapes is a defect of ours."""

    exit_code = ExitCode.FAILED


class UsageError(SciriffError):
    """An option or setting is wrong: unknown task, impossible window, store URL that nothing can open."""


class SourceError(SciriffError):
    """A source file cannot be had or is not what it should be: unreachable, wrong hash, truncated, hostile archive."""


class TransientError(SourceError):
    """A source cannot be had now, but the same request may succeed later: no connection, a server down or busy.

    The library has already tried several times. Whoever can wait longer (task retries of a flow) tries again after
    this error; after any other :class:`SourceError` (wrong hash, missing file, refused licence) that is of no use.
    """


class BlockedError(SciriffError):
    """Work waits for the user, for example for a manual download."""

    exit_code = ExitCode.BLOCKED


class ModelError(SciriffError):
    """A model cannot be asked: its server is out of reach, does not know it, or fails every request."""


class TaskFileError(SciriffError):
    """A task file is wrong: unknown key, missing variable, bad metadata value. Names the file and the key."""


class StoreError(SciriffError):
    """The artifact store cannot be read or written."""


class ValidationFailedError(SciriffError):
    """A built task does not meet its expectations; nothing of it was published."""


class RecordError(SciriffError):
    """One record is malformed. It is counted and named; the records around it go on.

    Args:
        where: file, member and line or record number, e.g. ``CDR_Data.zip!CDR/train.xml:document 12``.
        reason: what was expected and what was found.
    """

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
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
