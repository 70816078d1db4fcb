"""Worker processes for one machine.

loky rather than the standard pool: it starts workers without importing the caller's main module again (a script that
calls ``sciriff.build`` needs no main guard), it does not fork a process that has threads, and a worker that is killed
is noticed.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sciriff.errors import SciriffError
from sciriff.owned import is_alive

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor

Item = TypeVar("Item")
Result = TypeVar("Result")

_WORK = "sciriff.building.instances"
_QUEUED_PER_WORKER = 3
_IDLE_SECONDS = 20
_SECONDS_OF_A_TURN = 1.0


class WorkerPool:
    """Runs one function over a stream of items, in this process or in several.

    With one worker nothing is started: the function runs here. Otherwise the process keeps one set of workers, shared
    by all pools of the same size; they end when they have been idle for a while, or with the process.
    """

    def __init__(self, workers: int) -> None:
        """Name the number of worker processes; they start when the first work comes."""
        self.workers = workers
        if workers > 1:
            _sweep_semaphores()

    def prepare(self) -> None:
        """Start the workers without waiting for them: that takes about a second, in which rows can be read."""
        if self.workers > 1:
            executor = _shared_executor(self.workers)
            with suppress(BrokenExecutor):  # killed just now; the work itself will get new ones
                for _ in range(self.workers):
                    executor.submit(int)

    def map_unordered(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield results as they come. Items are drawn only as fast as workers take them, so memory stays bounded.

        Raises:
            Exception: whatever the function raises for an item; results of items already handed out are given up.
            SciriffError: if a worker process was killed; all work that is under way then ends with this error, since
                nobody knows whose memory was the one too much.
        """
        if self.workers == 1:
            yield from map(function, items)
            return
        executor = _shared_executor(self.workers)
        pending: set[Future[Result]] = set()
        try:
            for item in items:
                pending.add(executor.submit(function, item))
                while len(pending) >= self.workers * _QUEUED_PER_WORKER:
                    done, pending = _wait(pending)
                    yield from (future.result() for future in done)
            while pending:
                done, pending = _wait(pending)
                yield from (future.result() for future in done)
        except BrokenExecutor as error:
            raise SciriffError(
                "a worker process was killed or crashed in the middle of its work, most often because memory ran out; "
                "what is finished is kept: run the same command again, if need be with fewer --workers"
            ) from error
        finally:
            for future in pending:
                future.cancel()


def _wait(pending: set[Future[Result]]) -> tuple[set[Future[Result]], set[Future[Result]]]:
    """Wait for the first of them, in short turns: a thread is interrupted only between two steps of Python."""
    done, left = wait(pending, timeout=_SECONDS_OF_A_TURN, return_when=FIRST_COMPLETED)
    return done, left


@atexit.register
def stop_workers(*, at_once: bool = False) -> None:
    """End the process's workers, if it has any: once they have done what they were given, or killed in mid-work."""
    with _SHARING:
        for key in [key for key in _SHARED if key[0] == os.getpid()]:
            _SHARED.pop(key).shutdown(wait=not at_once, kill_workers=at_once)


_SHARING = threading.Lock()
_SHARED: dict[tuple[int, int], ProcessPoolExecutor] = {}
"""(process, workers) -> its workers. A forked process has a copy of this, but the workers are not its own."""


def _shared_executor(workers: int) -> ProcessPoolExecutor:
    """The workers of this process, for all of its threads (loky's own reusable executor is one per thread)."""
    from loky import ProcessPoolExecutor

    key = (os.getpid(), workers)
    with _SHARING:
        if key in _SHARED:
            try:
                _SHARED[key].submit(int)
            except BrokenExecutor:  # a worker was killed; all of them are replaced
                _SHARED.pop(key).shutdown(wait=True, kill_workers=True)
        if key not in _SHARED:
            _SHARED[key] = ProcessPoolExecutor(
                workers,
                timeout=_IDLE_SECONDS,
                initializer=_end_with_parent,
                initargs=(os.getpid(),),
                env={"TOKENIZERS_PARALLELISM": "false"},
            )
        return _SHARED[key]


@cache
def _sweep_semaphores() -> None:
    """Remove the named semaphores of loky that processes left which were killed together with their keeper."""
    for path in Path("/dev/shm").glob("sem.loky-*"):
        pid = path.name.split("-")[1]
        with suppress(OSError):  # not Linux, or somebody else's
            if pid.isdigit() and path.stat().st_uid == os.getuid() and not is_alive(int(pid)):
                path.unlink()


def _end_with_parent(parent: int) -> None:
    """Make a worker end soon after its parent was killed; a queue of its own would keep it waiting for ever.

    Ctrl-C reaches the whole process group; only the parent answers it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_module(_WORK)  # before the first work comes
    gc.freeze()  # what was imported stays

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()
