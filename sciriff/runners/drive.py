"""Running units on a cluster, whatever its engine: again where a worker was lost, a second time where one lags.

All units are handed over at once, so that the engine sees how much there is to do and a cluster that grows by demand
grows. The engine's queue decides which worker gets what. On top of that:

- A unit whose worker was lost is handed over again. After :attr:`Patience.losses` losses it is tried once more by
  itself, when everything else has ended: engines blame a worker's death on all that it had before it, and so the one
  that kills its workers is told from those that stood beside it.
- Where workers stand idle and a unit takes much longer than the others did, it is started a second time on an idle one,
  and whichever ends first counts. Calls may be made twice (:mod:`sciriff.building.runner`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Generic

from sciriff.building.runner import AnyUnit, Result
from sciriff.errors import SciriffError
from sciriff.runners.engine import ClusterLostError, Engine, WorkerLostError
from sciriff.runners.worker import Ended, run_unit


@dataclass(frozen=True, slots=True)
class Patience:
    """How patient a run on a cluster is.

    Attributes:
        losses: how often a unit is run again because its worker was lost.
        lag_factor: a unit lags if a worker has stood idle beside it for so many times as long as the median unit took,
        lag_seconds: and at least for so many seconds.
        empty_seconds: how long a cluster may be without any worker.
        look_seconds: time between two looks at the cluster.
    """

    losses: int = 3
    lag_factor: float = 3.0
    lag_seconds: float = 60.0
    empty_seconds: float = 300.0
    look_seconds: float = 1.0


def drive(
    engine: Engine,
    function: Callable[[AnyUnit], Result],
    units: Sequence[AnyUnit],
    code: str,
    patience: Patience,
    log: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[AnyUnit, Result | SciriffError]]:
    """Run units on a cluster; see :meth:`sciriff.building.runner.Runner.run`.

    Args:
        engine: the cluster.
        function: what is called for each unit, on a worker.
        units: the units.
        code: digest of the code that workers must have, see :func:`sciriff.runners.worker.installed_code`.
        patience: when to try again.
        log: told of units that are started again.
        clock: seconds.

    Raises:
        ClusterLostError: if the cluster goes away, or stays without workers.
    """
    run = _Run(engine, function, units, code, patience, log, clock)
    try:
        yield from run.outcomes()
    finally:
        engine.cancel(list(run.jobs))


class _Run(Generic[AnyUnit, Result]):
    """What is under way. Units go by their place in the list; a unit may have two jobs."""

    def __init__(
        self,
        engine: Engine,
        function: Callable[[AnyUnit], Result],
        units: Sequence[AnyUnit],
        code: str,
        patience: Patience,
        log: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self.engine, self.units = engine, units
        self.jobs: dict[Hashable, int] = {}
        self._function, self._code, self._patience, self._log, self._clock = function, code, patience, log, clock
        self._losses: Counter[int] = Counter()
        self._suspects: list[int] = []
        self._ended: set[int] = set()
        self._seconds: list[float] = []
        self._twins: set[int] = set()
        self._idle_since: float | None = None
        self._empty_since: float | None = None

    def outcomes(self) -> Iterator[tuple[AnyUnit, Result | SciriffError]]:
        for place in range(len(self.units)):
            self._start(place)
        yield from self._follow()
        while self._suspects:  # by themselves: a worker that is lost now is lost to this unit
            self._start(self._suspects[0])
            yield from self._follow()
            self._suspects.pop(0)

    def _start(self, place: int, *, elsewhere: bool = False) -> None:
        unit = self.units[place]
        job = self.engine.submit(partial(run_unit, self._code, self._function, unit), unit.label, elsewhere=elsewhere)
        self.jobs[job] = place

    def _follow(self) -> Iterator[tuple[AnyUnit, Result | SciriffError]]:
        """Yield outcomes until no job is under way."""
        while self.jobs:
            for job in self.engine.ended(list(self.jobs), self._patience.look_seconds):
                place = self.jobs.pop(job)
                if place not in self._ended and (outcome := self._outcome(job, place)) is not None:
                    self._ended.add(place)
                    self._give_up_twin(place)
                    yield self.units[place], outcome
            self._look()

    def _outcome(self, job: Hashable, place: int) -> Result | SciriffError | None:
        """What an ended job came to; None if its unit is still under way."""
        try:
            ended: Ended[Result] = self.engine.result(job)
        except WorkerLostError as loss:
            return self._lost(place, loss)
        except ClusterLostError:
            raise
        except Exception as error:  # the call itself tells its errors; this one was in bringing it there or back
            return SciriffError(f"{self.units[place].label}: cannot be run on the cluster: {_spelled(error)}")
        self._seconds.append(ended.seconds)
        return ended.outcome

    def _lost(self, place: int, loss: WorkerLostError) -> SciriffError | None:
        label = self.units[place].label
        was_alone = place in self._suspects
        self._losses[place] += loss.times
        lost = self._losses[place]
        if place in self.jobs.values():  # it has a second job
            return None
        if was_alone:
            return SciriffError(
                f"{label}: its worker was lost {lost} times, at last while nothing else was under way, most often "
                f"because memory runs out: {loss}. Give the workers more memory, then run the same command again; what "
                "is finished is kept"
            )
        if lost < self._patience.losses:
            self._log(f"{label}: its worker was lost ({loss}); it is run again, {lost} of {self._patience.losses}")
            self._start(place)
        else:
            self._log(f"{label}: its worker was lost {lost} times; it is run once more by itself, at the end")
            self._suspects.append(place)
        return None

    def _give_up_twin(self, place: int) -> None:
        twins = [job for job, other in self.jobs.items() if other == place]
        self.engine.cancel(twins)
        for job in twins:
            del self.jobs[job]

    def _look(self) -> None:
        """See whether the cluster has workers at all, and start what lags a second time where some are idle."""
        now, idle = self._clock(), self.engine.idle()
        self._empty_since = None if self.engine.workers() else _earlier(self._empty_since, now)
        if self.jobs and self._empty_since is not None and now - self._empty_since > self._patience.empty_seconds:
            raise ClusterLostError(
                f"the cluster has had no worker for {self._patience.empty_seconds:.0f} s; start some, then run the "
                "same command again: what is finished is kept"
            )
        self._idle_since = _earlier(self._idle_since, now) if idle else None
        if self._idle_since is None or not self._seconds or self._suspects:
            return
        limit = max(self._patience.lag_seconds, self._patience.lag_factor * median(self._seconds))
        if now - self._idle_since <= limit:
            return
        # Nothing waits in the queue while a worker is idle: what is under way has been running all that time.
        for place in [place for place in self.jobs.values() if place not in self._twins][:idle]:
            self._twins.add(place)
            self._log(f"{self.units[place].label}: takes much longer than the others; started a second time elsewhere")
            self._start(place, elsewhere=True)


def _earlier(since: float | None, now: float) -> float:
    return now if since is None else since


def _spelled(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
