"""Ctrl-C and SIGTERM: the command ends, says that what is finished is kept, and holds nothing any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from sciriff.store import Store

CHECKOUT = Path(__file__).parents[2]
# The shell of a test may ignore Ctrl-C, and what it starts then does, too.
COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from sciriff.cli import main
main(sys.argv[1:])
"""


def is_building(store: Store) -> bool:
    if store.is_local:
        return any(Path(store.url).glob(".leases/build/*/*"))
    return any(name.startswith("build/") for name in store.files(".leases"))


@pytest.mark.parametrize(
    ("kind", "number", "status", "workers"),
    [
        ("s3", signal.SIGTERM, 143, 1),
        pytest.param("local", signal.SIGTERM, 143, 2, marks=pytest.mark.slow),
        pytest.param("s3", signal.SIGINT, 130, 2, marks=pytest.mark.slow),
        pytest.param("local", signal.SIGINT, 130, 1, marks=pytest.mark.slow),
    ],
)
def test_a_build_that_is_ended_frees_what_it_holds(
    kind: str,
    number: signal.Signals,
    status: int,
    workers: int,
    tmp_path: Path,
    s3_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    store = Store(str(tmp_path / "store") if kind == "local" else f"s3://bucket/{uuid.uuid4().hex}")
    environment = {
        **os.environ,
        "SCIRIFF_OFFLINE": "1",
        "SCIRIFF_SAMPLES": "always",
        "SCIRIFF_CACHE": str(tmp_path / "cache"),
        "SCIRIFF_LOCK": str(tmp_path / "sources.lock"),
        "SCIRIFF_LEASE_SECONDS": "10000",
    }
    arguments = ["build", "--tasks", "scierc_ner,discomat_te", "--workers", str(workers), "--store", store.url]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments], cwd=CHECKOUT, env=environment, stderr=subprocess.PIPE, text=True
    )
    while not is_building(store):
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.01)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == status, said
    assert "stopped; what is finished is kept" in said
    assert "Traceback" not in said
    assert store.files(".leases") == []
    if store.is_local:
        assert not (Path(store.url) / ".leases").exists()
        assert not (Path(store.url) / ".staging").exists()
