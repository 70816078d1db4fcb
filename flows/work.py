"""What a task run does, so that it can be stopped, ends in time, is tried again if that may help, and says what failed.

A library call runs in a daemon thread of its own (:func:`within`), and Prefect's thread only waits for it. Prefect's
own time limits and its cancelling reach a thread only between two steps of Python code, and wait for whatever does not
come back: a read from a server that is gone, a worker process that hangs. A call that is given up is first asked to
end, by an exception in its thread, so that it closes what it has open; if it does not within :data:`SECONDS_TO_END`, it
is left alone, and the process ends without it (:func:`leave_when_over`). What is in the store is whole in either case.
"""

from __future__ import annotations

import ctypes
import math
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.runs import retry_if_it_can_pass
from flows.states import error_state
from sciriff.errors import SciriffError
from sciriff.redaction import redacted

if TYPE_CHECKING:
    from prefect.futures import PrefectConcurrentFuture
    from prefect.tasks import Task

Result = TypeVar("Result")

SECONDS_TO_END = 5.0
"""How long work that is given up may take to close what it has open."""

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_BETWEEN_REQUESTS = 2.0
_RETRIES = 4
_FIRST_DELAY = 5.0

RETRIED: Mapping[str, Any] = {
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": _RETRIES,
    "retry_condition_fn": retry_if_it_can_pass,
}
"""Options of tasks that use the network or the store. The delays between tries are drawn by :class:`Crew`."""

_stopping: ContextVar[threading.Event] = ContextVar("stopping")
"""Set when the run is stopped; every thread of a run sees the same."""


class TimeUpError(SciriffError):
    """A piece of work took longer than it may."""


class GivenUpError(BaseException):
    """Raised in the thread of work that is given up. Not an Exception: no piece of work is to take it for its own."""


def delays() -> list[float]:
    """Seconds before each retry: doubling, and each drawn anew from half to one and a half of that.

    Prefect's ``retry_jitter_factor`` has no effect on task runs (Prefect 3.7: the engine takes the delays as they are).
    """
    return [round(_FIRST_DELAY * 2**number * random.uniform(0.5, 1.5), 1) for number in range(_RETRIES)]


def done_or_told(name: str, work: Callable[[], Any], hours: float, advice: str) -> Any:
    """Do the work of a task run; what goes wrong becomes its state, whose message says what it was and what to do.

    Args:
        name: what is done, e.g. ``fetch biored``.
        work: does it.
        hours: how long it may take.
        advice: what to do if it takes longer.
    """
    try:
        return within(hours, name, work, advice)
    except GivenUpError:
        return Cancelled(message=f"{name}: stopped with its run; the next run goes on from what is in the store")
    except SciriffError as error:
        return error_state(error, name)
    except Exception as error:  # a defect of ours; Prefect logs where it comes from
        from prefect.logging import get_run_logger

        get_run_logger().exception("%s failed", name)
        what = redacted(f"{type(error).__name__}: {error}")
        return Failed(message=f"{name}: internal error, please report it: {what}", data=error)


def within(hours: float, name: str, work: Callable[[], Result], advice: str) -> Result:
    """Do work in a thread of its own, for as long as it may take and its run is not stopped.

    Raises:
        TimeUpError: if it takes longer; says ``advice``.
        GivenUpError: if the run is stopped.
        Exception: what the work raises.
    """
    stopping = _stopping.get(None) or threading.Event()
    if stopping.is_set():
        raise GivenUpError(name)
    outcome: Future[Result] = Future()
    context = copy_context()

    def do() -> None:
        try:
            outcome.set_result(context.run(work))
        except BaseException as error:  # it belongs to whoever waits
            outcome.set_exception(error)

    thread = threading.Thread(target=do, name=name, daemon=True)
    deadline = time.monotonic() + 3600 * hours
    thread.start()
    try:
        while not _is_done(outcome, min(_SECONDS_BETWEEN_LOOKS, deadline - time.monotonic())):
            if stopping.is_set():
                raise GivenUpError(name)
            if time.monotonic() >= deadline:
                raise TimeUpError(f"{name}: not done after {_spell(hours)}, and given up; {advice}")
    except BaseException:
        _end(thread, SECONDS_TO_END)
        raise
    return outcome.result()


def pause(seconds: float) -> None:
    """Sleep, in a piece of work; not for longer than its run goes on."""
    if (stopping := _stopping.get(None)) is None:
        time.sleep(seconds)
    elif stopping.wait(seconds):
        raise GivenUpError


def _is_done(outcome: Future[Any], seconds: float) -> bool:
    from concurrent.futures import wait

    return bool(wait([outcome], timeout=max(seconds, 0.0)).done)


def _spell(hours: float) -> str:
    return f"{hours:g} h" if hours >= 1 else f"{math.ceil(3600 * hours):,} s"


def _end(thread: threading.Thread, seconds: float) -> None:
    """Ask a thread to end, more than once, since an exception may get lost on its way; leave it alone after a while."""
    from sciriff.models.loops import wake

    deadline = time.monotonic() + seconds
    while thread.is_alive() and time.monotonic() < deadline:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(GivenUpError))
        wake()  # an event loop that waits for the network runs no step of Python
        thread.join(min(_SECONDS_BETWEEN_REQUESTS, max(deadline - time.monotonic(), 0.0)))
    if thread.is_alive():
        leave_when_over()


@contextmanager
def time_limit(name: str, hours: float) -> Iterator[None]:
    """Give up the body of a flow, with all that it has started, when its time is up.

    Raises:
        TimeUpError: then.
    """
    from prefect.utilities.timeout import timeout

    try:
        with timeout(3600 * hours, _BodyTimeUpError):
            yield
    except _BodyTimeUpError as error:
        raise TimeUpError(
            f"{name}: not done after {_spell(hours)} (run_hours), and given up; run the same again: it goes on"
        ) from error


class _BodyTimeUpError(TimeoutError):
    """Told apart from what goes wrong inside the body."""


def leave_when_over() -> None:
    """Let the process end when its main thread has, whatever other threads still wait for."""
    threading.Thread(target=_leave_when_over, name="leave when over", daemon=True).start()


def _leave_when_over() -> None:
    threading.main_thread().join()
    time.sleep(1.0)  # nothing hangs, most often: then the process has ended by itself meanwhile
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    from sciriff.building.pool import stop_workers

    stop_workers(at_once=True)
    for flush in (EventsWorker.drain_all, APILogHandler.flush):
        worker = threading.Thread(target=flush, daemon=True)
        worker.start()
        worker.join(SECONDS_TO_END)
    os._exit(1)


class Crew(ThreadPoolTaskRunner[Any]):
    """Task runs side by side, in threads, each with delays of its own between tries.

    When the thread that waits for them is interrupted (the run is cancelled, or its time is up), they are all stopped.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        """Say how many run at once."""
        super().__init__(max_workers)
        self._stopping = threading.Event()
        self._given: list[PrefectConcurrentFuture[Any]] = []

    def give(
        self, task: Task[Any, Any], parameters: dict[str, Any], tags: Iterable[str] = ()
    ) -> PrefectConcurrentFuture[Any]:
        """Start a task run, now or when its turn comes.

        Args:
            task: the task.
            parameters: its parameters.
            tags: tags of this run, besides those of the task; a concurrency limit of that name holds for it.
        """
        options: dict[str, Any] = {"tags": {*task.tags, *tags}}
        if task.retries:
            options["retry_delay_seconds"] = delays()
        token = _stopping.set(self._stopping)
        try:
            future = self.submit(task.with_options(**options), parameters)
        finally:
            _stopping.reset(token)
        self._given.append(future)
        return future

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for all task runs; if this is an interruption, stop them, and wait for no longer than that takes."""
        if kind is not None and not issubclass(kind, Exception):
            self._stop()
        super().__exit__(kind, error, trace)

    def _stop(self) -> None:
        from sciriff.building.pool import stop_workers

        leave_when_over()
        self._stopping.set()
        stop_workers(at_once=True)
        deadline = time.monotonic() + SECONDS_TO_END + 1
        for future in self._given:
            future.wait(max(deadline - time.monotonic(), 0.0))
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)


def alone(task: Task[Any, Any], parameters: dict[str, Any], tags: Iterable[str] = ()) -> State[Any]:
    """Run one task, and wait for its final state."""
    with Crew(1) as crew:
        future = crew.give(task, parameters, tags)
        future.wait()
    return future.state
