"""Servers that measurements run against, as processes of their own on the loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_PATIENCE = 60.0


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Serve an empty bucket by the S3 protocol; yields its URL. The keys go into this process's environment."""
    (folder / "served" / "bucket").mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    command = [str(Path(sys.executable).with_name("rclone")), "serve", "s3", "--auth-key", "KEY,SECRET"]
    options = ["--addr", address, "--config", str(folder / "rclone.conf"), str(folder / "served")]
    server = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "KEY",
        "AWS_SECRET_ACCESS_KEY": "SECRET",
        "AWS_ENDPOINT_URL": f"http://{address}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }
    try:
        _wait(lambda: _answers(port))
        yield "s3://bucket/store"
    finally:
        server.kill()
        server.wait()


@contextmanager
def dask_workers(folder: Path, count: int, environment: Mapping[str, str]) -> Iterator[str]:
    """Run a Dask scheduler and workers of one thread each; yields the scheduler's address."""
    place, log = folder / "scheduler.json", folder / "dask.log"
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    scheduler = ["dask_scheduler", "--port", "0", "--scheduler-file", str(place), *local]
    worker = ["dask_worker", "--scheduler-file", str(place), "--nthreads", "1", "--no-nanny", *local]
    started: list[subprocess.Popen[bytes]] = []

    def start(module: str, *options: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.{module}", *options]
        with log.open("ab") as stream:
            process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=stream, stderr=stream)
        started.append(process)

    environment = {**environment, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    try:
        start(*scheduler)
        _wait(lambda: place.exists() and place.stat().st_size > 0)
        for _ in range(count):
            start(*worker)
        _wait(lambda: log.read_text("utf-8", errors="replace").count("Register worker") >= count)
        yield json.loads(place.read_text("utf-8"))["address"]
    finally:
        for process in started:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _wait(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"a server did not come up within {_PATIENCE:.0f} s")
        time.sleep(0.05)
