"""End what was started, and only that; say what runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flows.local import marked
from flows.local.place import FOLDER, LocalError, Place
from flows.local.server import Server

if TYPE_CHECKING:
    from psutil import Process

Say = Callable[[str], None]
"""Is told what happens, a line at a time."""

_LOCK_SECONDS = 600
_CANCEL_SECONDS = 45
_ENDING_SECONDS = 20


def down(project: Path, *, say: Say = print) -> None:
    """End server, worker and runs that were started from a project folder, and only those; what they wrote stays.

    Raises:
        LocalError: if something does not end.
    """
    place = Place(project.resolve())
    if not place.mark:
        say("nothing was ever started from this folder")
        return
    with alone(place):
        found = marked.marked(place.mark)
        server = place.running("server")
        if server is not None and place.port is not None:
            _cancel_runs(Server(place.port, place.password), say)
        end(place, but=server)  # the server last: the others tell it how they end
        end(place)
        place.forget("server", "worker")
        place.take_down_sign_post()
        say(f"ended {len(found)} processes" if found else "nothing was running")
        say(f"history and logs stay in {FOLDER}/")


@contextmanager
def alone(place: Place) -> Iterator[None]:
    """Keep others from starting or ending the same processes.

    Raises:
        LocalError: if somebody else is at it for ten minutes.
    """
    from filelock import FileLock, Timeout

    try:
        with FileLock(place.folder / "lock", timeout=_LOCK_SECONDS):
            yield
    except Timeout:
        raise LocalError("another make up or make down of this folder is under way and does not end") from None


def end(place: Place, *, but: int | None = None) -> None:
    """End all processes of a place, save one.

    Raises:
        LocalError: if some cannot be ended.
    """

    def found() -> list[Process]:
        return [process for process in marked.marked(place.mark) if process.pid != but]

    if left := marked.end(found, _ENDING_SECONDS):
        raise LocalError(f"processes {', '.join(str(each.pid) for each in left)} do not end, not even when killed")


def _cancel_runs(server: Server, say: Say) -> None:
    """Cancel what is under way while the worker can still do it, so that no run looks as if it went on."""
    try:
        runs = server.runs_under_way()
        for run in runs:
            say(f"cancelling {run['name']}; started again, it goes on from what is done")
            server.set_state(run["id"], "CANCELLING")
        deadline = time.monotonic() + _CANCEL_SECONDS
        while runs and time.monotonic() < deadline:
            time.sleep(0.5)
            runs = server.runs_under_way()
        for run in runs:
            server.set_state(run["id"], "CANCELLED", "ended by make down")
    except OSError as error:
        say(f"note: runs cannot be cancelled, the server does not answer: {error}")
