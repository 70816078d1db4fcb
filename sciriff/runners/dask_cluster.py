"""Units on an existing Dask cluster, by its own client."""

from __future__ import annotations

import pickle
import threading
import uuid
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import CancelledError as FutureCancelledError
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from typing import Any

from sciriff.building.runner import unwanted
from sciriff.errors import UsageError
from sciriff.runners.engine import ClusterLostError, WorkerLostError
from sciriff.runners.worker import Introduction, complaint

CONNECT_SECONDS = 30
_ANSWER_SECONDS = 60
_SECONDS_BETWEEN_LOOKS = 1.0


class DaskEngine:
    """The client of a Dask scheduler; see :class:`sciriff.runners.engine.Engine`."""

    def __init__(self, address: str | None) -> None:
        """Connect.

        Args:
            address: of the scheduler, e.g. ``tcp://host:8786``; None for the one of Dask's own settings.

        Raises:
            UsageError: if Dask is not installed, or no scheduler answers.
        """
        try:
            import dask
            from distributed import Client
        except ImportError as error:
            raise UsageError(
                f"runner dask needs the Dask client ({error}); install it with: pip install 'sciriff[dask]'"
            ) from error
        address = address or dask.config.get("scheduler-address", None)
        if not address:
            raise UsageError(
                "runner dask: say where the scheduler is, e.g. --cluster tcp://HOST:8786 (SCIRIFF_CLUSTER)"
            )
        try:
            self._client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name="sciriff")
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {address} within {CONNECT_SECONDS} s ({type(error).__name__}); start "
                "one with `dask scheduler`, or give its address with --cluster"
            ) from error
        self.address = address
        self._change = threading.Condition()

    def complaints(self, introduction: Introduction) -> dict[str, str]:
        """What workers say that are not fit to work for this client: address -> why."""
        with ThreadPoolExecutor(1) as thread:
            asking = thread.submit(self._client.run, complaint, introduction, on_error="return")
            try:
                answers = asking.result(_ANSWER_SECONDS)
            except FutureTimeoutError:
                return {self.address: f"some workers have not answered within {_ANSWER_SECONDS} s; restart them"}
        return {worker: _spelled(answer) for worker, answer in answers.items() if answer}

    def wide_workers(self) -> list[str]:
        """Workers with several threads, of which one only can work at a time."""
        return sorted(worker for worker, threads in self._client.nthreads().items() if threads > 1)

    def submit(self, call: Callable[[], Any], label: str, *, elsewhere: bool = False) -> Any:
        """Hand a call over."""
        import cloudpickle

        key = f"{label}-{uuid.uuid4().hex[:8]}"
        workers = self._idle_workers() if elsewhere else None
        job = self._client.submit(_opener(), cloudpickle.dumps(call), key=key, pure=False, workers=workers or None)
        job.add_done_callback(self._tell)
        return job

    def _tell(self, _job: Any) -> None:
        with self._change:
            self._change.notify_all()

    def ended(self, jobs: Collection[Any], seconds: float) -> Collection[Any]:
        """Wait for ended jobs."""
        with self._change:
            if not any(job.done() for job in jobs):
                self._change.wait(seconds)
        if self._client.status in ("closed", "closing"):
            raise self._gone()
        return [job for job in jobs if job.done()]

    def result(self, job: Any) -> Any:
        """What an ended job returned."""
        from distributed import KilledWorker

        if job.status in ("cancelled", "lost"):
            raise self._gone()
        try:
            return job.result()
        except KilledWorker as error:
            last = error.last_worker
            raise WorkerLostError(f"the last one was {last.address}", error.allowed_failures + 1) from error

    def cancel(self, jobs: Collection[Any]) -> None:
        """Give jobs up; one that is being run is told, see :data:`sciriff.building.runner.unwanted`."""
        with suppress(Exception):  # the cluster may be gone
            self._client.cancel(list(jobs), asynchronous=False)

    def workers(self) -> int:
        """Threads of all workers."""
        with self._named_loss():
            return sum(self._client.nthreads().values())

    def idle(self) -> int:
        """Workers with nothing to do."""
        return len(self._idle_workers())

    def _idle_workers(self) -> list[str]:
        with self._named_loss():
            return [worker for worker, keys in self._client.processing().items() if not keys]

    def close(self) -> None:
        """Disconnect; the cluster stays."""
        with suppress(Exception):
            self._client.close(timeout=5)

    @contextmanager
    def _named_loss(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError, FutureCancelledError) as error:  # RuntimeError: the client was closed meanwhile
            raise self._gone() from error

    def _gone(self) -> ClusterLostError:
        return ClusterLostError(
            f"the Dask scheduler at {self.address} went away; what is finished is kept: run the same command again "
            "once it is back"
        )


def _opener() -> Callable[[bytes], Any]:
    """Return what opens a call on a worker.

    The scheduler unpacks what it passes on, and need not have sciriff: so this goes there as code (a nested function is
    pickled by value), and the call as bytes.
    """

    def open_call(packed: bytes) -> Any:
        from sciriff.runners.dask_cluster import make_call

        return make_call(packed)

    return open_call


def make_call(packed: bytes) -> Any:
    """Make a call on a worker, and tell it when its job was given up; Dask cannot stop a thread."""
    event, over = threading.Event(), threading.Event()
    key, worker = _key_of_this_thread(), _worker_of_this_thread()

    def watch() -> None:
        while not over.wait(_SECONDS_BETWEEN_LOOKS):
            task = worker.state.tasks.get(key)
            if task is None or task.state == "cancelled":
                event.set()
                return

    unwanted.set(event)
    threading.Thread(target=watch, name="wanted", daemon=True).start()
    try:
        return pickle.loads(packed)()
    finally:
        over.set()


def _key_of_this_thread() -> Any:
    from distributed.worker import thread_state

    return thread_state.key


def _worker_of_this_thread() -> Any:
    from distributed import get_worker

    return get_worker()


def _spelled(answer: str | BaseException) -> str:
    if isinstance(answer, ImportError | AttributeError):
        return f"has no sciriff of this release ({answer}); install the same release as on the client"
    return answer if isinstance(answer, str) else f"{type(answer).__name__}: {answer}"
