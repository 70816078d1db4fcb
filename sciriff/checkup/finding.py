"""What a check finds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from sciriff.errors import ExitCode


class State(StrEnum):
    """How something stands."""

    OK = "ok"
    """It is as it should be, or not needed."""
    WARNING = "warning"
    """What most work does without; the finding says what does not."""
    FAIL = "fail"
    """Something that is needed does not work."""
    WAITS = "waits"
    """It waits for the user: a licence, a token."""


class Finding(NamedTuple):
    """One line of an examination.

    Attributes:
        check: what was looked at.
        state: how it stands.
        found: what was found, in words; never a secret.
        remedy: what to do about it; empty if there is nothing to do.
    """

    check: str
    state: State
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    """A finding that all is well."""
    return Finding(check, State.OK, found)


def warning(check: str, found: str, remedy: str = "") -> Finding:
    """A finding that a user should know of."""
    return Finding(check, State.WARNING, found, remedy)


def fail(check: str, found: str, remedy: str) -> Finding:
    """A finding that something needed does not work."""
    return Finding(check, State.FAIL, found, remedy)


def exit_code_of(findings: Iterable[Finding]) -> ExitCode:
    """FAILED if something that is needed does not work, BLOCKED if something only waits for the user."""
    states = {finding.state for finding in findings}
    if State.FAIL in states:
        return ExitCode.FAILED
    return ExitCode.BLOCKED if State.WAITS in states else ExitCode.DONE


def some(names: Sequence[str], most: int = 5) -> str:
    """Name a few of many."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
