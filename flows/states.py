"""The state in which a run ends, by the same rule as the exit status of the command.

All done is ``Completed``; something failed is ``Failed``, with a message that names it. Work that waits only for the
user (a manual download, a licence) ends as ``Blocked``: of the completed type, because what could be done is done and
stands, but under a name of its own, so that nothing which waits for ``Completed`` goes on with half a dataset.
"""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from sciriff.errors import ExitCode, SciriffError

BLOCKED = "Blocked"
CACHED = "Cached"


def end_state(code: ExitCode, message: str, data: Any = None) -> State[Any]:
    """The terminal state for an exit status; the message is what the UI and ``--watch`` show beside it."""
    if code is ExitCode.FAILED:
        return Failed(message=message, data=data)
    return Completed(name=BLOCKED if code is ExitCode.BLOCKED else None, message=message, data=data)


def error_state(error: SciriffError, name: str = "") -> State[Any]:
    """The terminal state for an error that stopped a run; its message already says what to do.

    Args:
        error: what stopped it.
        name: what it stopped, for messages that do not say so themselves.
    """
    return end_state(ExitCode(error.exit_code), naming(name, str(error)) if name else str(error), error)


def passed_on(state: State[Any]) -> State[Any]:
    """The state of a run whose one task run ended so; Prefect would make "1/1 states failed." of that state itself."""
    return State(type=state.type, name=state.name, message=state.message)


def naming(name: str, message: str) -> str:
    """A message that says what it is about: as it stands if it does so already."""
    return message if name.rpartition(" ")[2] in message else f"{name}: {message}"
