"""Real clusters for tests: schedulers and workers as processes of their own, on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
_PATIENCE = 120.0


@dataclass
class DaskCluster:
    """A scheduler and its workers, each with one thread and without a nanny: who is killed stays dead.

    Attributes:
        address: of the scheduler.
        workers: the worker processes.
    """

    address: str
    folder: Path
    environment: Mapping[str, str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _logs: list[Any] = field(default_factory=list)

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker; it registers in a while."""
        place = self.folder / f"worker-{len(self.workers)}"
        place.mkdir()
        command = ["dask_worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        options = ["--host", "127.0.0.1", "--local-directory", str(place), "--death-timeout", "60"]
        process = _start([*command, *options], place, self.environment)
        self.workers.append(process)
        return process

    def log(self) -> str:
        """What scheduler and workers have printed."""
        return "\n".join(path.read_text("utf-8", errors="replace") for path in sorted(self.folder.rglob("log.txt")))


@contextmanager
def dask_cluster(folder: Path, workers: int, environment: Mapping[str, str]) -> Iterator[DaskCluster]:
    """Start a scheduler and workers, and wait until they know each other."""
    folder.mkdir(exist_ok=True)
    place = folder / "scheduler.json"
    command = ["dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(place)]
    scheduler = _start(command, folder, environment)
    cluster = DaskCluster("", folder, environment)
    try:
        wait_for(lambda: place.exists() and place.stat().st_size > 0, lambda: cluster.log())
        cluster.address = json.loads(place.read_text("utf-8"))["address"]
        for _ in range(workers):
            cluster.add_worker()
        wait_for(lambda: cluster.log().count("Register worker") >= workers, lambda: cluster.log())
        yield cluster
    finally:
        for process in (*cluster.workers, scheduler):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _start(module_and_options: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    module, *options = module_and_options
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *options],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_for(condition: Any, told: Any = lambda: "") -> None:
    """Wait until something is so.

    Raises:
        AssertionError: if it takes too long, with what is told then.
    """
    end = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {_PATIENCE} s in vain\n{told()}"
        time.sleep(0.01)


def cluster_environment(**changes: str) -> dict[str, str]:
    """The environment of workers: bundled samples, nothing of the caller's own settings, no colours in logs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SCIRIFF_", "DASK_", "RAY_"))}
    return {**kept, "SCIRIFF_OFFLINE": "1", "PYTHONPATH": str(CHECKOUT), "NO_PROXY": "127.0.0.1", **changes}
