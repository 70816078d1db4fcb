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


def error_state(error: SciriffError) -> State[Any]:
    """The terminal state for an error that stopped the whole run; its message already says what to do."""
    return end_state(ExitCode(error.exit_code), str(error))
