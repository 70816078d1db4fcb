"""Processes in the background that carry a mark in their environment, so that they can be told from all others later.

Every process inherits the environment of the one that started it. So whoever carries the mark was started by us or by
something that we started, however far down; a process that merely got the same number later, after a reboot say, does
not carry it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psutil import Process

MARK = "SCIRIFF_STARTED_BY"
_SECONDS_BETWEEN_LOOKS = 0.1


def start(command: Sequence[str | Path], mark: str, *, log: Path, folder: Path, environment: Mapping[str, str]) -> int:
    """Start a process that outlives this one and the terminal. Returns its number.

    Args:
        command: the program and its arguments.
        mark: value of the mark.
        log: file that its output is appended to.
        folder: its working folder.
        environment: its environment, without the mark.
    """
    with log.open("ab") as stream:
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env={**environment, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        ).pid


def marked(mark: str) -> list[Process]:
    """All processes of this user that carry the mark and still run, but for this one."""
    import psutil

    return [process for process in psutil.process_iter() if process.pid != os.getpid() and _carries(process, mark)]


def is_marked(pid: int, mark: str) -> bool:
    """Whether the process of this number runs and carries the mark."""
    import psutil

    with suppress(psutil.Error):
        return _carries(psutil.Process(pid), mark)
    return False


def _carries(process: Process, mark: str) -> bool:
    import psutil

    # Another user's environment cannot be read, that of a process which has ended is empty.
    with suppress(psutil.Error, OSError):
        return bool(process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE)
    return False


def end(find: Callable[[], Iterable[Process]], patience: float) -> list[Process]:
    """Ask processes to end, and make them after ``patience`` seconds. Returns those that nothing could end.

    Args:
        find: looks for them; asked again and again, since they may start others meanwhile.
        patience: seconds for which they are asked, and then as long for which they are made to.
    """
    import psutil

    running: list[Process] = []
    for verb in ("terminate", "kill"):
        told: set[Process] = set()
        deadline = time.monotonic() + patience
        while (running := list(find())) and time.monotonic() < deadline:
            for process in running:
                if process not in told:
                    told.add(process)
                    with suppress(psutil.NoSuchProcess):
                        getattr(process, verb)()
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        if not running:
            break
    return running
