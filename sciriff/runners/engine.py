"""What a cluster engine is asked for; :mod:`sciriff.runners.drive` makes a runner of it, alike for all engines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Any, Protocol

from sciriff.errors import SciriffError


class WorkerLostError(SciriffError):
    """The worker of a job went away while the job was under way: killed, out of memory, cut off.

    Args:
        what: what the engine says of it.
        times: workers that were lost, where the engine itself has tried again before it told.
    """

    def __init__(self, what: str, times: int = 1) -> None:
        super().__init__(what)
        self.times = times


class ClusterLostError(SciriffError):
    """The cluster itself went away; no job comes back."""


class Engine(Protocol):
    """An existing cluster, connected. A job is whatever the engine's client calls a call under way."""

    def submit(self, call: Callable[[], Any], label: str, *, elsewhere: bool = False) -> Hashable:
        """Have a call made on some worker; it waits in the engine's own queue if all are busy.

        Args:
            call: picklable.
            label: what dashboards call it.
            elsewhere: only on a worker that has nothing to do now.
        """

    def ended(self, jobs: Collection[Any], seconds: float) -> Collection[Any]:
        """Those jobs that have ended; waits for the first at most so many seconds."""

    def result(self, job: Any) -> Any:
        """What the call of an ended job returned.

        Raises:
            WorkerLostError: if its worker was lost.
            ClusterLostError: if the cluster is gone.
            Exception: what the call raised.
        """

    def cancel(self, jobs: Collection[Any]) -> None:
        """Give jobs up, started or not; those that have ended are left alone."""

    def workers(self) -> int:
        """How many calls the cluster makes at a time, as things are."""

    def idle(self) -> int:
        """How many more calls could be made right now."""
