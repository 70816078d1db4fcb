"""Event loops beside the caller's own: a notebook or server that calls us runs one in the same thread already."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakSet

Item = TypeVar("Item")

_SECONDS_TO_END = 5.0

_LOOPS: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop that :func:`wake` knows."""
    loop = asyncio.new_event_loop()
    _LOOPS.add(loop)
    return loop


def wake() -> None:
    """Let every loop run one step, whatever it waits for: in that step its thread takes in an interruption."""
    for loop in list(_LOOPS):
        with suppress(RuntimeError):  # closed
            loop.call_soon_threadsafe(lambda: None)


def has_running_loop() -> bool:
    """Whether an event loop runs in this thread, so that another cannot."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def run(work: Callable[[], Coroutine[Any, Any, Item]]) -> Item:
    """Run a coroutine to its end, beside whatever loop runs in this thread."""
    if not has_running_loop():
        return _run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_run, work).result()


def _run(work: Callable[[], Coroutine[Any, Any, Item]]) -> Item:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work())


class _End:
    """What follows the last item: the error that ended the work, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def in_thread(items: Generator[Item, None, None], stop: Callable[[], None]) -> Iterator[Item]:
    """Yield the items of a generator that runs in a thread of its own.

    Args:
        items: the generator.
        stop: makes it end soon; called when the iterator is closed.
    """
    done: queue.SimpleQueue[Item | _End] = queue.SimpleQueue()

    def work() -> None:
        try:
            for item in items:
                done.put(item)
            done.put(_End(None))
        except BaseException as error:  # it belongs to whoever takes the items
            done.put(_End(error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while not isinstance(item := done.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop()
        thread.join(_SECONDS_TO_END)
