"""Who runs units of work (:mod:`sciriff.building.runner`): this machine, a Dask cluster, a Ray cluster.

``sciriff/runners/drive.py`` is the part that matters: what is done when a worker is lost or lags, for any engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sciriff.building.progress import Progress
from sciriff.building.runner import Runner
from sciriff.settings import Settings


@contextmanager
def open_runner(settings: Settings, progress: Progress) -> Iterator[Runner | None]:
    """Connect to the cluster of the settings; None where work stays on this machine.

    Raises:
        UsageError: if no cluster answers, or its workers are not fit.
        StoreError: if the store cannot be written.
    """
    if settings.runner == "local":
        yield None
        return
    from sciriff.runners.cluster import connected
    from sciriff.runners.drive import Patience

    with connected(settings, progress, Patience()) as runner:
        yield runner
