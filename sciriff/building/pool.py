"""Worker processes for one machine.

loky rather than the standard pool: it starts workers without importing the caller's main module again (a script that calls
``sciriff.build`` needs no main guard), it does not fork a process that has threads, and a worker that is killed is noticed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor

Item = TypeVar("Item")
Result = TypeVar("Result")

_QUEUED_PER_WORKER = 3


class WorkerPool:
    """Runs one function over a stream of items, in this process or in several.

    Use as a context manager. With one worker nothing is started: the function runs here.
    """

    def __init__(self, workers: int) -> None:
        """Name the number of worker processes; they start when the first work comes."""
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None
        self._starting = threading.Lock()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)
            self._executor = None

    def map_unordered(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield results as they come. Items are drawn only as fast as workers take them, so memory stays bounded.

        Raises:
            Exception: whatever the function raises for an item; results of items already handed out are given up.
        """
        if self.workers == 1:
            yield from map(function, items)
            return
        executor = self._started()
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
        finally:
            for future in pending:
                future.cancel()

    def _started(self) -> ProcessPoolExecutor:
        with self._starting:
            if self._executor is None:
                from loky import ProcessPoolExecutor

                environment: dict[str, Any] = {"TOKENIZERS_PARALLELISM": "false"}
                self._executor = ProcessPoolExecutor(
                    max_workers=self.workers, initializer=_end_with_parent, initargs=(os.getpid(),), env=environment
                )
            return self._executor


def _end_with_parent(parent: int) -> None:
    """Make a worker end soon after its parent was killed; a queue of its own would keep it waiting for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()
