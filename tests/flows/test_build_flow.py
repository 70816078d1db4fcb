"""The build flow on a real server, with the library's verbs replaced: states, messages, artifacts, retries."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prefect import State

from flows import build as build_module
from flows.build import build_sciriff
from sciriff import api
from sciriff.building.combine import CombinedWindow, CombineOutcome
from sciriff.building.outcome import TaskOutcome
from sciriff.errors import BlockedError, SciriffError, SourceError, UsageError
from sciriff.hashing import digest
from sciriff.store import Store

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.usefixtures("in_process")


@dataclass
class FakeLibrary:
    """Builds files of a few bytes, and fails where it is told to.

    Attributes:
        store: root of the artifacts.
        source_errors: source -> errors that fetching it raises, one per attempt.
        task_errors: task -> state and message of its outcome.
        calls: what was called, in order.
    """

    store: Path
    source_errors: dict[str, list[SciriffError]] = field(default_factory=dict)
    task_outcomes: dict[str, TaskOutcome] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def plan_build(self, tasks: list[str] | None, *, options: Any, settings: Any) -> SimpleNamespace:
        names = sorted(tasks or ["alpha", "beta"])
        if "typo" in names:
            raise UsageError("unknown task 'typo'; did you mean topo?")
        return SimpleNamespace(
            tasks=names,
            sources=[f"src_{n}" for n in names],
            source_tasks={f"src_{n}": [n] for n in names},
            key=self.key,
        )

    def key(self, task: str) -> str:
        return digest([task, "key"])

    def fetch_source(self, source: str, settings: Any, **_: Any) -> SimpleNamespace:
        self.calls.append(f"fetch {source}")
        if errors := self.source_errors.get(source):
            raise errors.pop(0)
        return SimpleNamespace(files={})

    def build_task(self, task: str, *, options: Any, settings: Any, **_: Any) -> TaskOutcome:
        self.calls.append(f"build {task}")
        if task in self.task_outcomes:
            return self.task_outcomes[task]
        store = Store(settings.store)
        for window in options.windows:
            folder = f"instructions/{window}/{task}"
            store.write_bytes(f"{folder}/train.jsonl", b"{}\n")
            files = {"train.jsonl": {"sha256": digest_of(b"{}\n"), "bytes": 3, "rows": 1}}
            store.write_manifest(folder, {"key": self.key(task), "files": files})
        rows = {window: {"train": 1, "validation": 0, "test": 0} for window in options.windows}
        tokens = dict.fromkeys(options.windows, 12)
        return TaskOutcome(
            task, "built", rows=rows, tokens=tokens, dropped={"too long": 3}, notes=("a <b>note</b>",), seconds=1.25,
            key=self.key(task), reason_to_build="no artifacts",
        )  # fmt: skip

    def combine(self, *, windows: Any, settings: Any, **_: Any) -> CombineOutcome:
        self.calls.append("combine")
        rows = {"train": 2, "validation": 0, "test": 0}
        return CombineOutcome(
            tuple(CombinedWindow(w, "combined", f"instructions_hf/{w}", ("alpha",), {}, rows, "k") for w in windows), ""
        )


def digest_of(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    fake = FakeLibrary(tmp_path / "store")
    for verb in ("plan_build", "fetch_source", "build_task", "combine"):
        monkeypatch.setattr(api, verb, getattr(fake, verb), raising=False)
    monkeypatch.setattr(
        build_module, "fetch_source", build_module.fetch_source.with_options(retry_delay_seconds=0, retries=1)
    )
    return fake


def run(library: FakeLibrary, **parameters: Any) -> State[Any]:
    state: State[Any] = build_sciriff(store=str(library.store), windows="4096", **parameters, return_state=True)
    return state


def task_states(server: Server, state: State[Any], count: int) -> dict[str, str]:
    """Name -> state name of the run's task runs. The server records them from events, a moment after the flow ended."""
    from prefect.events.worker import EventsWorker

    EventsWorker.instance().drain()
    body = {"flow_runs": {"id": {"any_": [str(state.state_details.flow_run_id)]}}}
    deadline = time.monotonic() + 30
    while True:
        found = {each["name"]: each["state_name"] for each in server.post("task_runs/filter", body)}
        ended = [name for name in found.values() if name not in ("Pending", "Running", "AwaitingRetry", "Retrying")]
        if len(ended) == count or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def artifacts(server: Server, state: State[Any]) -> dict[str, Any]:
    body = {"artifacts": {"flow_run_id": {"any_": [str(state.state_details.flow_run_id)]}}}
    return {each["key"]: each for each in server.post("artifacts/filter", body)}


def test_a_clean_build_completes_and_shows_what_a_person_wants_to_know(
    in_process: Server, library: FakeLibrary
) -> None:
    state = run(library, tasks="alpha,beta")
    assert (state.name, state.message) == ("Completed", "2 of 2 tasks built, 0 already there")
    assert task_states(in_process, state, 5) == {
        "fetch src_alpha": "Completed",
        "fetch src_beta": "Completed",
        "build alpha": "Completed",
        "build beta": "Completed",
        "combine": "Completed",
    }
    shown = artifacts(in_process, state)
    assert shown["build-progress"]["data"] == 100
    table = shown["build-tasks"]["data"]
    assert '"cache": "miss: no artifacts"' in table
    assert '"dropped": "3 too long"' in table
    assert '"tokens": 12' in table
    assert "a &lt;b>note" in shown["build-summary"]["data"]
    assert (library.store / "instructions_hf" / "4096").as_uri() in shown["build-combined-4096"]["data"]
    flow_run = in_process.post(
        "flow_runs/filter", {"flow_runs": {"id": {"any_": [str(state.state_details.flow_run_id)]}}}
    )
    assert flow_run[0]["name"].startswith("build-sciriff tasks=alpha,beta windows=4096")


def test_a_remembered_result_counts_only_while_the_files_are_whole(in_process: Server, library: FakeLibrary) -> None:
    run(library)
    second = run(library)
    assert second.message == "0 of 2 tasks built, 2 already there"
    assert task_states(in_process, second, 5)["build alpha"] == "Cached"
    assert '"cache": "hit"' in artifacts(in_process, second)["build-tasks"]["data"]

    (library.store / "instructions/4096/alpha/train.jsonl").write_bytes(b"rot\n")
    library.calls.clear()
    third = run(library)
    assert third.message == "1 of 2 tasks built, 1 already there"
    assert [call for call in library.calls if call.startswith("build")] == ["build alpha"]

    library.calls.clear()
    run(library, force=True)
    assert [call for call in library.calls if call.startswith("build")] == ["build alpha", "build beta"]


def test_a_failure_belongs_to_what_failed(in_process: Server, library: FakeLibrary) -> None:
    library.task_outcomes["alpha"] = TaskOutcome("alpha", "failed", "alpha: template 0 misses variable 'text'")
    state = run(library)
    assert state.name == "Failed"
    assert state.message is not None
    assert "1 of 2 tasks built" in state.message
    assert "alpha failed: alpha: template 0 misses variable 'text'" in state.message
    states = task_states(in_process, state, 5)
    assert (states["build alpha"], states["build beta"], states["combine"]) == ("Failed", "Completed", "Completed")
    assert "misses variable" in artifacts(in_process, state)["build-summary"]["data"]


def test_a_build_that_waits_for_the_user_alone_is_blocked(in_process: Server, library: FakeLibrary) -> None:
    library.source_errors["src_alpha"] = [BlockedError("get alpha.zip by hand and put it at /cache/alpha.zip")]
    state = run(library)
    assert (state.type.value, state.name) == ("COMPLETED", "Blocked")
    assert state.message is not None
    assert "alpha blocked: get alpha.zip by hand" in state.message
    assert task_states(in_process, state, 4)["fetch src_alpha"] == "Blocked"
    assert library.calls.count("build beta") == 1
    assert "build alpha" not in library.calls


def test_a_blocked_outcome_is_not_remembered(library: FakeLibrary) -> None:
    library.task_outcomes["alpha"] = TaskOutcome("alpha", "blocked", "accept the licence")
    assert run(library).name == "Blocked"
    del library.task_outcomes["alpha"]
    assert run(library).name == "Completed"


def test_a_lost_connection_is_tried_again_and_a_wrong_hash_is_not(in_process: Server, library: FakeLibrary) -> None:
    lost, wrong = SourceError("a: gave up"), SourceError("b: expected sha256 1, found 2")
    lost.__cause__ = httpx.ConnectError("refused")
    library.source_errors = {"src_alpha": [lost], "src_beta": [wrong]}
    state = run(library)
    assert library.calls.count("fetch src_alpha") == 2
    assert library.calls.count("fetch src_beta") == 1
    assert state.name == "Failed"
    assert state.message is not None
    assert "beta failed: b: expected sha256 1, found 2" in state.message
    assert library.calls.count("build alpha") == 1


def test_an_unknown_task_fails_with_the_librarys_words(library: FakeLibrary) -> None:
    state = run(library, tasks="typo")
    assert (state.name, state.message) == ("Failed", "unknown task 'typo'; did you mean topo?")
    assert library.calls == []
