"""A disk that is full or read-only: clear words, nothing lost that was there, and the same bytes once there is room."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from docs_kit import CHECKOUT

TASKS = "scierc_ner,cdr_ner"


@pytest.fixture(scope="session")
def own_mounts() -> list[str]:
    """What makes a command run where it may mount disks that nobody else sees."""
    prefix = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    tried = subprocess.run(
        [*prefix, "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        pytest.skip(f"no disks can be mounted here: {tried.stderr.strip()}")
    return prefix


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose store ``before`` holds an earlier build of few instances, combined, mixed and evaluated."""
    work = tmp_path_factory.mktemp("work")
    for line in (
        f"build --tasks {TASKS} --windows 4096 --n-instances 3",
        "mix --instances-per-task 2 --tulu none --include-eval-tasks",
        "evaluate --model gold --tasks scierc_ner",
    ):
        done = subprocess.run(
            [sys.executable, "-m", "sciriff.cli", *line.split(), "--store", str(work / "before")],
            cwd=CHECKOUT,
            env=environment(work),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return work


def environment(work: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SCIRIFF_")}
    return {
        **kept,
        "PYTHONPATH": str(CHECKOUT),
        "SCIRIFF_OFFLINE": "1",
        "SCIRIFF_SAMPLES": "always",
        "SCIRIFF_WORKERS": "1",
        "SCIRIFF_CACHE": str(work / "cache"),
        "SCIRIFF_LOCK": str(work / "sources.lock"),
        "GX_ANALYTICS_ENABLED": "false",
    }


COMMANDS = {
    "build": f"build --tasks {TASKS} --windows 4096",
    "combine": "combine --windows 4096",
    "mix": "mix --instances-per-task 3 --tulu none --include-eval-tasks",
    "evaluate": "evaluate --model lead --tasks scierc_ner",
}
SHARES = ["0.02", "0.3", "0.55", "0.8", "0.95"]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_that_is_full_or_read_only(name: str, before: Path, own_mounts: list[str], tmp_path: Path) -> None:
    shutil.copytree(before / "before", tmp_path / "before")
    if name == "combine":  # what is combined already is not combined again
        shutil.rmtree(tmp_path / "before/instructions_hf")
    done = subprocess.run(
        [*own_mounts, sys.executable, "tests/full_disk.py", str(tmp_path), COMMANDS[name], *SHARES],
        cwd=CHECKOUT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    clean, *full, locked = map(json.loads, done.stdout.splitlines())
    assert clean["code"] == 0, clean["said"]
    assert clean["added"] > 0
    for result in full:
        check_full(result)
    assert full[0]["code"] == 1
    assert locked["code"] == 1
    assert "Read-only file system" in locked["said"]
    assert "Traceback" not in locked["said"]
    assert locked["changed"] == []
    assert (locked["again"], locked["different"]) == (0, [])


def check_full(result: dict[str, Any]) -> None:
    assert result["damaged"] == [], result
    assert "Traceback" not in result["said"], result["said"]
    assert "internal error" not in result["said"], result["said"]
    if result["code"]:
        assert result["code"] == 1, result["said"]
        assert "No space left on device" in result["said"], result["said"]
        assert "room" in result["said"], result["said"]
    assert result["again"] == 0, result["said_again"]
    assert result["different"] == [], result
