"""The build flow and files that the user fetches by hand: real builds, on a real server."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from by_hand_kit import OTHER, TASKS, ZIPS, drop, left_alone, mirror_of
from prefect import State

from flows import waiting, work
from flows.build import build_sciriff

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.usefixtures("in_process")


class Lab:
    """A user's folder, in which everything but BioASQ can be had from a mirror."""

    def __init__(self, server: Server, root: Path) -> None:
        self.server, self.root = server, root

    def build(self, **parameters: Any) -> State[Any]:
        given = {"tasks": [*TASKS, OTHER], "windows": 4096, "store": str(self.root / "store"), **parameters}
        state: State[Any] = build_sciriff(**given, return_state=True)
        return state

    def task_runs(self, state: State[Any], count: int) -> list[tuple[str, str]]:
        """``(name, state name)`` of the task runs; the server learns of them a moment after the flow ended."""
        from prefect.events.worker import EventsWorker

        EventsWorker.instance().drain()
        body = {
            "flow_runs": {"id": {"any_": [str(state.state_details.flow_run_id)]}},
            "sort": "EXPECTED_START_TIME_ASC",
        }
        deadline = time.monotonic() + 30
        while True:
            found = [(each["name"], each["state_name"]) for each in self.server.post("task_runs/filter", body)]
            if len(found) == count or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def artifact(self, key: str) -> Any:
        (found,) = self.server.post("artifacts/latest/filter", {"artifacts": {"key": {"any_": [key]}}})
        return found["data"]


@pytest.fixture
def lab(in_process: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    for name, value in (
        ("MIRROR", mirror_of(tmp_path / "mirror", "scicite")),
        ("MANUAL", tmp_path / "manual"),
        ("CACHE", tmp_path / "cache"),
        ("LOCK", tmp_path / "sources.lock"),
    ):
        monkeypatch.setenv(f"SCIRIFF_{name}", str(value))
    monkeypatch.setattr(waiting, "SECONDS_BETWEEN_LOOKS", 0.2)
    return Lab(in_process, tmp_path)


def cache_remarks(lab: Lab) -> dict[str, str]:
    return {line["task"]: line["cache"] for line in json.loads(lab.artifact("build-tasks"))}


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Do something in a thread of its own; what goes wrong there fails the test."""
    threads: list[threading.Thread] = []
    errors: list[BaseException] = []

    def start(work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                errors.append(error)

        threads.append(threading.Thread(target=guarded))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(60)
    assert errors == []


def test_a_run_is_blocked_and_the_next_one_builds_what_was_dropped_in(lab: Lab) -> None:
    blocked = lab.build()
    assert (blocked.type.value, blocked.name) == ("COMPLETED", "Blocked")
    assert blocked.message is not None
    assert blocked.message.startswith(f"1 of 5 tasks built, 0 already there\n{', '.join(TASKS)} blocked: BioASQ")
    runs = lab.task_runs(blocked, 8)
    assert dict(runs) == {
        "fetch scicite": "Completed",
        "fetch bioasq": "Blocked",
        f"build {OTHER}": "Completed",
        **{f"build {task}": "Blocked" for task in TASKS},
        "combine": "Completed",
    }
    page = lab.artifact("build-summary")
    assert "## Waiting for you" in page
    assert page.count("  - Get BioASQ-training11b.zip and Task11BGoldenEnriched.zip from http://participants") == 1
    for folder in (lab.root / "manual" / "bioasq", lab.root / "store" / "manual" / "bioasq"):
        assert f"    - {folder}\n" in page

    drop(lab.root / "store" / "manual" / "bioasq")
    before = left_alone(lab.root / "store" / "manual")
    done = lab.build()
    assert (done.name, done.message) == ("Completed", "4 of 5 tasks built, 1 already there")
    assert cache_remarks(lab) == {**dict.fromkeys(TASKS, "miss: no artifacts"), OTHER: "hit"}
    assert left_alone(lab.root / "store" / "manual") == before
    assert "Waiting for you" not in lab.artifact("build-summary")


def test_a_run_waits_for_the_files_and_goes_on_by_itself(lab: Lab, meanwhile: Any) -> None:
    manual = lab.root / "manual" / "bioasq"
    combined = lab.root / "store" / "instructions_hf" / "4096" / "manifest.json"
    seen: list[Any] = []

    def bring_files() -> None:
        deadline = time.monotonic() + 60
        while not combined.is_file():  # all else is built and combined before the run begins to wait
            assert time.monotonic() < deadline
            time.sleep(0.05)
        seen.append(json.loads(combined.read_bytes())["inputs"])
        drop(manual, ZIPS[0])
        (manual / ZIPS[1]).write_bytes(b"<html>Please sign in</html>")
        while "is a web page" not in str(lab.artifact("build-waiting") if seen_waiting() else ""):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        drop(manual, ZIPS[1])

    def seen_waiting() -> bool:
        return bool(lab.server.post("artifacts/latest/filter", {"artifacts": {"key": {"any_": ["build-waiting"]}}}))

    meanwhile(bring_files)
    state = lab.build(wait_for_manual_minutes=1)
    assert (state.name, state.message) == ("Completed", "5 of 5 tasks built, 0 already there")
    assert list(seen[0]) == [OTHER]
    assert sorted(json.loads(combined.read_bytes())["inputs"]) == sorted([*TASKS, OTHER])
    runs = lab.task_runs(state, 14)
    assert runs.count((f"build {OTHER}", "Completed")) == 1
    assert ("wait for bioasq", "Completed") in runs
    for task in TASKS:
        assert {name for run, name in runs if run == f"build {task}"} == {"Blocked", "Completed"}
    assert "Nothing to wait for" in lab.artifact("build-waiting")
    assert lab.artifact("build-progress") == 100


def test_a_run_that_has_waited_in_vain_is_blocked(lab: Lab) -> None:
    state = lab.build(tasks=["bioasq_list_qa", OTHER], wait_for_manual_minutes=0.01)
    assert state.name == "Blocked"
    assert state.message is not None
    assert state.message.startswith("1 of 2 tasks built, 0 already there\nbioasq_list_qa blocked: BioASQ")
    runs = dict(lab.task_runs(state, 6))
    assert runs["wait for bioasq"] == "Blocked"
    assert "Waiting for you" in lab.artifact("build-waiting")


def test_nothing_is_waited_for_if_nothing_is_blocked(lab: Lab) -> None:
    drop(lab.root / "manual")
    state = lab.build(tasks=["bioasq_list_qa"], wait_for_manual_minutes=600)
    assert (state.name, state.message) == ("Completed", "1 of 1 tasks built, 0 already there")
    assert {name for name, _ in lab.task_runs(state, 3)} == {"fetch bioasq", "build bioasq_list_qa", "combine"}


def test_a_run_that_waits_ends_when_it_is_stopped(lab: Lab, meanwhile: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its sleep is: the main thread, where a worker's signal arrives, only waits for it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    monkeypatch.setattr(waiting, "SECONDS_BETWEEN_LOOKS", 3600.0)
    is_waiting = threading.Event()
    pause = waiting.pause

    def long_pause(seconds: float) -> None:
        is_waiting.set()
        pause(seconds)

    def interrupt() -> None:
        assert is_waiting.wait(60)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(waiting, "pause", long_pause)
    monkeypatch.setattr(work, "leave_when_over", lambda: None)  # this process goes on
    meanwhile(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            lab.build(tasks=["bioasq_list_qa"], wait_for_manual_minutes=60)
    finally:
        signal.signal(signal.SIGINT, before)
