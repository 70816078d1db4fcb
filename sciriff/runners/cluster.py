"""A cluster as a runner: connected, its workers looked at, units driven."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol
from uuid import uuid4

from sciriff import __version__
from sciriff.building.progress import Progress
from sciriff.building.runner import AnyUnit, Result
from sciriff.building.travel import travelling
from sciriff.errors import SciriffError, UsageError
from sciriff.runners.drive import Patience, drive
from sciriff.runners.engine import Engine
from sciriff.runners.worker import Introduction, installed_code
from sciriff.settings import Settings
from sciriff.store import Store


class Cluster(Engine, Protocol):
    """An engine that can be asked about its workers."""

    address: str

    def complaints(self, introduction: Introduction) -> dict[str, str]:
        """What workers say that are not fit to work for a client: address -> why."""

    def wide_workers(self) -> list[str]:
        """Addresses of worker processes that have several places, of which only one can work at a time."""

    def close(self) -> None:
        """Disconnect; the cluster stays."""


class ClusterRunner:
    """Runs units on a cluster; see :class:`sciriff.building.runner.Runner`."""

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        along: Mapping[str, Any],
        log: Callable[[str], None],
        patience: Patience,
    ) -> None:
        """Take a connected cluster."""
        self.name, self.along = name, along
        self._cluster, self._log, self._patience = cluster, log, patience

    def places(self) -> int:
        """How many units the cluster runs at a time, as things are."""
        return max(1, self._cluster.workers())

    def run(
        self, function: Callable[[AnyUnit], Result], units: Sequence[AnyUnit]
    ) -> Iterator[tuple[AnyUnit, Result | SciriffError]]:
        """Yield units as they end."""
        return drive(self._cluster, function, units, installed_code(), self._patience, self._log)


@contextmanager
def connected(settings: Settings, progress: Progress, patience: Patience) -> Iterator[ClusterRunner]:
    """Connect to the cluster of the settings, and make sure that its workers are fit.

    Raises:
        UsageError: if no cluster answers, its workers run other code or do not see the store, or a setting that goes
            along holds a secret.
        StoreError: if the store cannot be written.
    """
    store = Store.of(settings)
    if not store.is_shared:
        raise UsageError(
            f"runner {settings.runner}: a store in memory ({settings.store}) cannot be shared with workers"
        )
    along = travelling(settings)
    cluster = _connect(settings)
    try:
        workers = cluster.workers()
        progress.log(f"{settings.runner} cluster at {cluster.address}: {workers} workers")
        with _probe(store) as probe:
            wrong = cluster.complaints(Introduction(__version__, installed_code(), along, probe))
        if wrong:
            raise UsageError(
                "; ".join(f"worker {worker} {why}" for worker, why in sorted(wrong.items())[:3])
                + (f"; and {len(wrong) - 3} more workers" if len(wrong) > 3 else "")
            )
        if wide := cluster.wide_workers():
            progress.log(
                f"worker {wide[0]} has several threads in one process, and does one piece of work at a time all the "
                "same; start workers with one thread and as many processes (dask worker --nworkers N --nthreads 1)"
            )
        yield ClusterRunner(settings.runner, cluster, along, progress.log, patience)
    finally:
        cluster.close()


def _connect(settings: Settings) -> Cluster:
    if settings.runner == "dask":
        from sciriff.runners.dask_cluster import DaskEngine

        return DaskEngine(settings.cluster)
    from sciriff.runners.ray_cluster import RayEngine

    return RayEngine(settings.cluster)


@contextmanager
def _probe(store: Store) -> Iterator[str]:
    """A small artifact that workers look for, gone afterwards."""
    name = f".staging/cluster-{uuid4().hex}"
    store.write_bytes(name, b"")
    try:
        yield name
    finally:
        with suppress(SciriffError):
            store.delete(name)
