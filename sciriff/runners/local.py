"""Units on this machine, in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sciriff.building.pool import WorkerPool
from sciriff.building.runner import AnyUnit, Result
from sciriff.errors import SciriffError


class LocalRunner:
    """Runs units in processes of this machine, or in this one if one worker is asked for."""

    name = "local"

    def __init__(self, workers: int) -> None:
        """Name the number of worker processes."""
        self.along: Mapping[str, Any] = {}
        self._pool = WorkerPool(workers)

    def places(self) -> int:
        """The number of worker processes."""
        return self._pool.workers

    def run(
        self, function: Callable[[AnyUnit], Result], units: Sequence[AnyUnit]
    ) -> Iterator[tuple[AnyUnit, Result | SciriffError]]:
        """Yield units as they end; see :meth:`sciriff.building.runner.Runner.run`.

        Raises:
            SciriffError: if a worker process was killed.
        """
        yield from self._pool.map_unordered(partial(_called, function), units)


def _called(function: Callable[[AnyUnit], Result], unit: AnyUnit) -> tuple[AnyUnit, Result | SciriffError]:
    try:
        return unit, function(unit)
    except SciriffError as error:
        return unit, error
