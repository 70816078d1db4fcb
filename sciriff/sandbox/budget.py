"""What one rendering of a template may use.

The unit is *work*: a character of text that is made counts 1, an element of a list that is made 8, a step of a loop or
an operation 64, a call 256. It depends on the template and its variables alone, so a template is refused everywhere or
nowhere. Time is looked at as well, for what one unit can hide (comparing two long texts); it is the CPU time of the
rendering thread, which a busy machine does not change.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.utils import Namespace

LARGEST_VALUE = 8 << 20
"""Characters of one text, or eighths of them for elements of a list: some 100 times the largest window of a model."""

MOST_WORK = 128 << 20
"""Work of one rendering: 2 million steps, or 128 million characters made, kept or not."""

MOST_SECONDS = 10.0
"""CPU seconds of one rendering. Ours take 0.00001."""

STEP = 64
ELEMENT = 8

_WORK_BETWEEN_LOOKS = STEP << 10
_SMALL_INT = 1 << 62
_GROUPS: tuple[type[Iterable[Any]], ...] = (
    list,
    tuple,
    set,
    frozenset,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)


class BoundError(SecurityError):
    """A template uses more than a template may."""


class _Count:
    """What one rendering has used."""

    __slots__ = ("look_at", "until", "work")

    def __init__(self) -> None:
        self.work = 0
        self.look_at = _WORK_BETWEEN_LOOKS
        self.until: float | None = None


class _Running(threading.local):
    """The count of the rendering that runs in this thread; threads do not see each other's."""

    count = _Count()


_running = _Running()


def open_count() -> _Count:
    """Count from zero in this thread; returns the count that was open, for :func:`close_count`."""
    outer = _running.count
    _running.count = _Count()
    return outer


def close_count(outer: _Count) -> None:
    """Go back to the count that was open before; what was used inside counts for it too."""
    outer.work += _running.count.work
    _running.count = outer


def spend(work: int) -> None:
    """Count work of the rendering in this thread.

    Raises:
        BoundError: if the template has now used more than it may.
    """
    count = _running.count
    count.work = now = count.work + work
    if now > count.look_at:
        _look(count)


def _look(count: _Count) -> None:
    now = time.thread_time()
    if count.until is None:
        count.until = now + MOST_SECONDS
    if count.work > MOST_WORK:
        raise BoundError(
            f"it makes more than {MOST_WORK // STEP:,} steps, or {MOST_WORK:,} characters; "
            "is there a loop in a loop, or a macro that calls itself?"
        )
    if now > count.until:
        raise BoundError(f"it takes more than {MOST_SECONDS:.0f} seconds")
    count.look_at = count.work + _WORK_BETWEEN_LOOKS


def check_size(size: int) -> None:
    """Refuse a value before it is made, by an upper bound of its size.

    Raises:
        BoundError: if it may be larger than :data:`LARGEST_VALUE`.
    """
    if size > LARGEST_VALUE:
        raise BoundError(f"it makes a value of up to {size:,} characters; {LARGEST_VALUE:,} are allowed")


def weight(value: Any) -> int:
    """The size of a value as text: its characters and those of everything in it, as often as it is in it.

    A list that holds another one ten times, which holds a third one ten times, weighs as much as it prints.

    Raises:
        BoundError: if that is more than :data:`LARGEST_VALUE`.
    """
    if isinstance(value, str):
        check_size(len(value))
        return len(value)
    total = 0
    held = [value]
    while held:
        item = held.pop()
        if isinstance(item, str | bytes):
            total += len(item) + ELEMENT
        elif isinstance(item, dict):
            total += ELEMENT
            held.extend(item.keys())
            held.extend(item.values())
        elif isinstance(item, _GROUPS):
            total += ELEMENT
            held.extend(item)
        elif isinstance(item, int) and not -_SMALL_INT < item < _SMALL_INT:
            total += item.bit_length()
        elif isinstance(item, Namespace):
            total += ELEMENT
            held.append(_attributes(item))
        else:
            total += ELEMENT
        if total > LARGEST_VALUE:
            check_size(total)
    return total


def _attributes(namespace: Namespace) -> dict[str, Any]:
    """What ``namespace()`` holds; templates cannot get at it themselves, but it prints."""
    found: dict[str, Any] = object.__getattribute__(namespace, "_Namespace__attrs")
    return found
