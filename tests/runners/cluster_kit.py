"""Real clusters for tests: schedulers and workers as processes of their own, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build_kit import tree

CHECKOUT = Path(__file__).resolve().parents[2]
TASKS = ["anat_em_ner", "discomat_te", "scierc_ner"]
EVALUATED = ["discomat_te", "scierc_ner"]
WINDOWS = [4096]
_PATIENCE = 120.0


def but_the_index(store: Path) -> dict[str, str]:
    """Hashes of the files of a store; the bytes of DuckDB's are not promised."""
    return {name: value for name, value in tree(store).items() if ".duckdb" not in name}


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
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

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
    cluster = DaskCluster("", folder, environment, scheduler)
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


_WORKER = "from distributed.cli.dask_worker import main; main()"
_WITHOUT_SCIRIFF = (
    "import sys; sys.modules['sciriff'] = None; from distributed.cli.dask_scheduler import main; main()"  # no import
)


def _start(module_and_options: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    module, *options = module_and_options
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", _WITHOUT_SCIRIFF if module == "dask_scheduler" else _WORKER, *options],
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


@contextmanager
def killer(store: Path) -> Iterator[list[int]]:
    """Kills with -9 the first process but this one that is in the midst of building a task; yields who was killed.

    Whoever builds has a folder for unfinished work in the store, whose name says whose it is.
    """
    killed: list[int] = []
    over = threading.Event()

    def building() -> list[int]:
        names = [path.name for path in store.glob(".staging/*-*-*")] if store.exists() else []
        return sorted({int(name.rsplit("-", 4)[2]) for name in names} - {os.getpid()})

    def kill() -> None:
        wait_for(lambda: building() or over.is_set())
        for pid in building()[:1]:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def cluster_environment(**changes: str) -> dict[str, str]:
    """The environment of workers: bundled samples, nothing of the caller's own settings, no colours in logs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SCIRIFF_", "DASK_", "RAY_"))}
    return {**kept, "SCIRIFF_OFFLINE": "1", "PYTHONPATH": str(CHECKOUT), "NO_PROXY": "127.0.0.1", **changes}


@contextmanager
def ray_cluster(environment: Mapping[str, str], cpus: int) -> Iterator[str]:
    """Start a Ray head of few means, and yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # Ray's sockets lie in it: their paths must be short
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--num-cpus={cpus}"]
    options = [f"--port={port}", "--node-ip-address=127.0.0.1", "--include-dashboard=false", "--disable-usage-stats"]
    limits = ["--object-store-memory=80000000", f"--temp-dir={folder}"]
    log = folder / "log.txt"
    with log.open("wb") as stream:
        head = subprocess.Popen(
            [*command, *options, *limits, "--min-worker-port=0", "--max-worker-port=0"],
            cwd=folder,
            env={**environment, "RAY_USAGE_STATS_ENABLED": "0"},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(lambda: b"Ray runtime started" in log.read_bytes(), lambda: log.read_text("utf-8"))
        yield f"127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGKILL)  # all of Ray's processes are of its group
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)
