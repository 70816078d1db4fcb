"""The cluster that work is spread over, where one is set; nothing of Dask or Ray is imported."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import urlsplit

from sciriff.checkup.finding import Finding, fail, ok
from sciriff.settings import Settings

_SECONDS = 5.0
_LIBRARY = {"dask": "distributed", "ray": "ray"}
_VARIABLE = {"dask": "DASK_SCHEDULER_ADDRESS", "ray": "RAY_ADDRESS"}


def check_cluster(settings: Settings) -> Iterator[Finding]:
    """Whether the cluster's library is installed and something listens at its address."""
    runner = settings.runner
    if runner == "local":
        yield ok("cluster", f"none is set: this machine works, {settings.workers} processes at a time")
        return
    if find_spec(_LIBRARY[runner]) is None:
        yield fail("cluster", f"{_LIBRARY[runner]} is not installed", f"pip install 'sciriff[{runner}]'")
        return
    address = settings.cluster or os.environ.get(_VARIABLE[runner], "")
    place = _host_and_port(address)
    if place is None:
        remedy = f"give its address: SCIRIFF_CLUSTER, or {_VARIABLE[runner]}"
        found = f"{runner}: {address or 'no address'} names no host and port"
        yield fail("cluster", found, remedy) if runner == "dask" else ok("cluster", f"{found}; Ray finds it by itself")
        return
    try:
        socket.create_connection(place, timeout=_SECONDS).close()
    except OSError as error:
        yield fail("cluster", f"{runner}: {address} does not answer ({error})", "start it, or use SCIRIFF_RUNNER=local")
        return
    yield ok("cluster", f"{runner}: {address} answers")


def _host_and_port(address: str) -> tuple[str, int] | None:
    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        return (parts.hostname, parts.port) if parts.hostname and parts.port else None
    except ValueError:
        return None
