"""Units on an existing Ray cluster, by Ray's own client."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from sciriff.errors import UsageError
from sciriff.runners.engine import ClusterLostError, WorkerLostError
from sciriff.runners.worker import Introduction, complaint

CONNECT_SECONDS = 30
_ANSWER_SECONDS = 120.0
_SCHEME = "ray://"


class RayEngine:
    """The driver of a Ray cluster; see :class:`sciriff.runners.engine.Engine`."""

    def __init__(self, address: str | None) -> None:
        """Connect.

        Args:
            address: of the head: ``host:6379`` from a machine of the cluster, ``ray://host:10001`` from elsewhere;
                ``auto`` or None for the cluster that this machine is part of.

        Raises:
            UsageError: if Ray is not installed, or no cluster answers.
        """
        try:
            import ray
        except ImportError as error:
            raise UsageError(f"runner ray needs Ray ({error}); install it with: pip install 'sciriff[ray]'") from error
        self._ray = ray
        self.address = address or os.environ.get("RAY_ADDRESS") or "auto"
        self._is_ours = not ray.is_initialized()
        if not self._is_ours:  # the program that calls us has connected already
            return
        if self.address.startswith(_SCHEME) and find_spec("grpc") is None:
            raise UsageError(
                f"{self.address} needs Ray's remote client; install it with: pip install 'ray[client]', or start this "
                "on a machine of the cluster with --cluster HOST:6379"
            )
        try:
            _reach(self.address)
            ray.init(address=self.address, log_to_driver=False, logging_level="error", configure_logging=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"no Ray cluster answers at {self.address} ({_first_line(error)}; waited at most {CONNECT_SECONDS} s); "
                "start one with `ray start --head`, or give its address with --cluster"
            ) from error

    def complaints(self, introduction: Introduction) -> dict[str, str]:
        """What nodes say that are not fit to work for this client: address -> why."""
        asked = {
            self._ray.remote(complaint)
            .options(num_cpus=0, max_retries=0, scheduling_strategy=_only_on(node["NodeID"]))
            .remote(introduction): node["NodeManagerAddress"]
            for node in self._nodes()
        }
        found = {}
        _, late = self._ray.wait(list(asked), num_returns=len(asked), timeout=_ANSWER_SECONDS) if asked else ([], [])
        for job, node in asked.items():
            if job in late:
                self._ray.cancel(job, force=True)
                found[node] = f"has not answered within {_ANSWER_SECONDS:.0f} s; restart Ray there"
            elif answer := self._answer(job):
                found[node] = answer
        return found

    def _answer(self, job: Any) -> str:
        try:
            return str(self._ray.get(job))
        except Exception as error:
            if "No module named" in str(error):
                return (
                    f"has no sciriff of this release ({_first_line(error)}); install the same release as on the client"
                )
            return f"{type(error).__name__}: {_first_line(error)}"

    def wide_workers(self) -> list[str]:
        """None: each call has a process of its own."""
        return []

    def submit(self, call: Callable[[], Any], label: str, *, elsewhere: bool = False) -> Any:  # noqa: ARG002 - only where a CPU is free
        """Hand a call over; it takes one CPU."""
        return self._ray.remote(_called).options(name=label, num_cpus=1, max_retries=0).remote(call)

    def ended(self, jobs: Collection[Any], seconds: float) -> Collection[Any]:
        """Wait for ended jobs."""
        if not self._ray.is_initialized():
            raise self._gone()
        try:
            found, _ = self._ray.wait(list(jobs), num_returns=1, timeout=seconds)
            more, _ = self._ray.wait(list(jobs), num_returns=len(jobs), timeout=0)
        except (ConnectionError, RuntimeError) as error:
            raise self._gone() from error
        return list(dict.fromkeys([*found, *more]))

    def result(self, job: Any) -> Any:
        """What an ended job returned."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(job)
        except (
            errors.WorkerCrashedError,
            errors.NodeDiedError,
            errors.OutOfMemoryError,
            errors.ObjectLostError,
            errors.LocalRayletDiedError,
        ) as error:
            raise WorkerLostError(_first_line(error)) from error
        except errors.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from error
        except (errors.RaySystemError, ConnectionError) as error:
            raise self._gone() from error

    def cancel(self, jobs: Collection[Any]) -> None:
        """Give jobs up; what is being run is killed."""
        for job in jobs:
            with suppress(Exception):  # the cluster may be gone
                self._ray.cancel(job, force=True)

    def workers(self) -> int:
        """CPUs of all nodes."""
        return int(self._ray.cluster_resources().get("CPU", 0))

    def idle(self) -> int:
        """Free CPUs."""
        return int(self._ray.available_resources().get("CPU", 0))

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]

    def close(self) -> None:
        """Disconnect; the cluster stays."""
        if self._is_ours:
            with suppress(Exception):
                self._ray.shutdown()

    def _gone(self) -> ClusterLostError:
        return ClusterLostError(
            f"the Ray cluster at {self.address} went away; what is finished is kept: run the same command again once "
            "it is back"
        )


def _called(call: Callable[[], Any]) -> Any:
    return call()


def _only_on(node: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)


def _reach(address: str) -> None:
    """Make sure that somebody listens there: Ray itself waits for minutes, then ends the process."""
    host, _, port = address.removeprefix(_SCHEME).rpartition(":")
    if address == "auto" or not port.isdigit():
        return
    with socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS):
        pass


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]
