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
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from sciriff.errors import SciriffError

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor

Item = TypeVar("Item")
Result = TypeVar("Result")

_WORK = "sciriff.building.instances"
_QUEUED_PER_WORKER = 3
_IDLE_SECONDS = 20


class WorkerPool:
    """Runs one function over a stream of items, in this process or in several.

    With one worker nothing is started: the function runs here. Otherwise the process keeps one set of workers, shared
    by all pools of the same size; they end when they have been idle for a while, or with the process.
    """

    def __init__(self, workers: int) -> None:
        """Name the number of worker processes; they start when the first work comes."""
        self.workers = workers

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
                if len(pending) >= self.workers * _QUEUED_PER_WORKER:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenExecutor as error:
            raise SciriffError(
                "a worker process was killed or crashed in the middle of its work, most often because memory ran out; "
                "what is finished is kept: run the same command again, if need be with fewer --workers"
            ) from error
        finally:
            for future in pending:
                future.cancel()


@atexit.register
def stop_workers() -> None:
    """End the process's workers, if it has any, once they have done what they were given."""
    with _SHARING:
        for key in [key for key in _SHARED if key[0] == os.getpid()]:
            _SHARED.pop(key).shutdown(wait=True)


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
