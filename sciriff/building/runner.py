"""What work that can be spread over machines asks of whoever spreads it; :mod:`sciriff.runners` has who does.

A *unit* is a piece of work that needs nothing of the others: a task build, or some runs to score. Its function is
called wherever there is room, reads and writes the store alone, and may be called a second time: what it makes has the
same bytes, and what is there is left as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from sciriff.errors import SciriffError

unwanted: ContextVar[threading.Event] = ContextVar("unwanted")
"""Set when nobody wants the unit any more that is being worked at; whoever does it then ends within seconds."""


class Unit(Protocol):
    """A piece of work. Plain data, so that it can go to another machine; it never holds a secret."""

    @property
    def label(self) -> str:
        """What messages and dashboards call it."""


AnyUnit = TypeVar("AnyUnit", bound=Unit)
Result = TypeVar("Result")


class Runner(Protocol):
    """Whoever runs units.

    Attributes:
        name: ``local``, ``dask`` or ``ray``.
        along: settings that go along with units to another machine, by name; empty if they stay here.
    """

    name: str
    along: Mapping[str, Any]

    def places(self) -> int:
        """How many units can be under way at a time, as things are; at least 1."""

    def run(
        self, function: Callable[[AnyUnit], Result], units: Sequence[AnyUnit]
    ) -> Iterator[tuple[AnyUnit, Result | SciriffError]]:
        """Yield every unit as it ends, with what the function returned or why there is nothing of it.

        A unit that fails does not stop the others. Whoever stops drawing gives up what is left.

        Raises:
            SciriffError: if nothing can be run any more.
        """
