"""A build that is killed at any moment: the same command ends with the bytes of an undisturbed run.

Moments are counted in changes of the store's folder that the build's own process makes (files opened for writing,
renamed, removed, folders made), so that each run of these tests kills at the same places of the code.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from build_kit import (
    BuildServer,
    RunningBuild,
    bare_environment,
    done_tasks,
    manifest,
    processes_of_group,
    tree,
    wait_until,
)

TASKS = ("discomat_te", "scicite_classification", "scierc_ner")
HIDDEN = (".staging/", ".leases/")
_PATIENCE = 15  # seconds; workers that are merely idle would live longer


@dataclass(frozen=True)
class Undisturbed:
    hashes: dict[str, str]
    changes: int
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(server: BuildServer, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    started = time.monotonic()
    told = server.build(store, TASKS, workers=2)
    seconds = time.monotonic() - started
    assert tree(store) == told.hashes
    return Undisturbed(told.hashes, told.changes, seconds)


def require_recovery(store: Path, server: BuildServer, undisturbed: Undisturbed) -> None:
    """What is visible after the kill is whole; the next run does what is missing, and leaves no trace of the first."""
    visible = {name: value for name, value in tree(store).items() if value and not name.startswith(HIDDEN)}
    assert visible.items() <= undisturbed.hashes.items()
    finished = done_tasks(store)
    told = server.build(store, TASKS, workers=2)
    assert told.states == {task: "cached" if task in finished else "built" for task in TASKS}
    assert tree(store) == undisturbed.hashes


def moments(count: int) -> list[float]:
    """Exponents of the number of changes: early moments, where tasks are built, lie closer than the later ones, where
    pages are written."""
    random = Random(76)
    return [round((place + random.random()) / count, 4) for place in range(count)]


@pytest.mark.parametrize("moment", moments(4))
def test_killed_at_a_change_of_the_store(
    moment: float, server: BuildServer, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    kill_at_change(moment, server, undisturbed, tmp_path / "store")


@pytest.mark.slow
@pytest.mark.parametrize("moment", moments(25))
def test_killed_at_many_changes_of_the_store(
    moment: float, server: BuildServer, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    kill_at_change(moment, server, undisturbed, tmp_path / "store")


def kill_at_change(moment: float, server: BuildServer, undisturbed: Undisturbed, store: Path) -> None:
    # The count differs a little from run to run, with how the workers' results come in.
    number = max(1, round((undisturbed.changes - 10) ** moment))
    assert server.start(store, TASKS, workers=2, die_at_change=number).wait() == -signal.SIGKILL
    require_recovery(store, server, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("share", [round((place + Random(place).random()) / 12, 3) for place in range(12)])
def test_killed_after_some_time(share: float, server: BuildServer, undisturbed: Undisturbed, tmp_path: Path) -> None:
    store = tmp_path / "store"
    build = server.start(store, TASKS, workers=2)
    time.sleep(share * 0.7 * undisturbed.seconds)  # the first of all builds takes longest
    build.kill()
    assert build.wait() in (0, -signal.SIGKILL)
    require_recovery(store, server, undisturbed)


def test_killed_again_and_again(server: BuildServer, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Kills in a row, each a little further; what one run finished the next one keeps."""
    store = tmp_path / "store"
    finished: set[str] = set()
    for number in (110, 120):
        server.start(store, TASKS, die_at_change=number).wait()
        assert finished <= done_tasks(store)
        finished = done_tasks(store)
    assert finished
    require_recovery(store, server, undisturbed)


def workers_at_work(store: Path) -> bool:
    """Whether worker processes have begun to write instances."""
    return any(path.stat().st_size for path in store.glob(".staging/*/*-*") if path.is_file())


def test_killed_while_artifacts_are_replaced(server: BuildServer, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """Old and new artifacts of other parameters never stand together under one manifest."""
    store = tmp_path / "store"
    server.build(store, TASKS, seed=1)
    old = tree(store)
    for number in (68, 85):
        server.start(store, TASKS, die_at_change=number).wait()
        now = tree(store)
        for path in store.glob("instructions/*/*/manifest.json"):
            window, task = path.parts[-3:-1]
            whole = undisturbed.hashes if manifest(store, int(window), task)["parameters"]["seed"] == 76 else old
            names = [f"instructions/{window}/{task}/{name}.jsonl" for name in ("train", "validation", "test")]
            assert [now[name] for name in names] == [whole[name] for name in names]
    server.build(store, TASKS)
    assert tree(store) == undisturbed.hashes


def test_workers_of_a_killed_build_end_by_themselves(
    server: BuildServer, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    build = server.start(store, TASKS, workers=2)
    assert wait_until(lambda: workers_at_work(store), 60)
    build.kill_parent_only()
    left = processes_of_group(build.pid)
    assert build.wait() == -signal.SIGKILL
    assert len(left) >= 2
    assert wait_until(lambda: not processes_of_group(build.pid), _PATIENCE)
    require_recovery(store, server, undisturbed)


@pytest.mark.slow
def test_the_same_command_right_after_the_kill_of_the_parent(
    server: BuildServer, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """Workers of the killed build may still be at work then."""
    store = tmp_path / "store"
    build = server.start(store, TASKS, workers=2)
    assert wait_until(lambda: workers_at_work(store), 60)
    build.kill_parent_only()
    assert build.wait() == -signal.SIGKILL
    require_recovery(store, server, undisturbed)


def test_a_killed_worker_fails_only_what_was_under_way(
    server: BuildServer, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    build = server.start(store, TASKS, workers=2)
    assert wait_until(lambda: any(store.glob(".staging/*/*-*")), 60)
    workers = workers_of(build)
    os.kill(workers[0], signal.SIGKILL)
    assert len(workers) <= 2
    told = build.told()
    assert set(told.states.values()) <= {"built", "failed"}
    for task, state in told.states.items():
        assert state == "built" or "a worker process was killed" in told.messages[task]
    again = server.build(store, TASKS, workers=2)
    assert again.states == {task: "cached" if told.states[task] == "built" else "built" for task in TASKS}
    assert tree(store) == undisturbed.hashes


def workers_of(build: RunningBuild) -> list[int]:
    found = []
    for pid in build.group():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            if b"popen_loky" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.8, 0.9])
def test_the_command_itself(share: float, server: BuildServer, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """`sciriff build` in a process of its own, killed and run again."""
    command = [sys.executable, "-m", "sciriff.cli", "build", "--tasks", ",".join(TASKS), "--workers", "2"]
    environment = bare_environment(SCIRIFF_OFFLINE="1", SCIRIFF_SAMPLES="always", XDG_CACHE_HOME=str(tmp_path))
    timed = time.monotonic()
    subprocess.run(command, env=environment, cwd=make(tmp_path / "whole"), check=True, capture_output=True)
    seconds = time.monotonic() - timed
    folder = make(tmp_path / "killed")
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(share * seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = done_tasks(folder / "artifacts")
    printed = subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True, text=True).stdout
    assert printed.count("already done") >= len(finished)
    assert tree(folder / "artifacts") == undisturbed.hashes == tree(tmp_path / "whole" / "artifacts")


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder
