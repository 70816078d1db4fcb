"""`sciriff doctor` sees a real server of Prefect and its worker, over HTTP alone."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Server


def test_the_server_and_its_worker(server: Server, worker_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sciriff.cli", "doctor", "--json", "--store", str(tmp_path / "store")]
    done = subprocess.run(
        command, cwd=worker_folder, env=server.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {record["check"]: record for record in map(json.loads, done.stdout.splitlines())}
    assert found["prefect"]["state"] == "ok"
    assert f"version {version('prefect')}" in found["prefect"]["found"]
    assert found["worker"]["state"] == "ok"
    assert "sciriff (process): 1 online" in found["worker"]["found"]
