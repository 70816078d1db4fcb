"""The build flow on a real server, with the library's verbs replaced: states, messages, artifacts, retries."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from prefect import State

from flows import work
from flows.build import build_sciriff
from sciriff.building.combine import CombinedWindow, CombineOutcome
from sciriff.building.outcome import TaskOutcome, outcome_of_error
from sciriff.building.overlaps import TrainingOverlaps
from sciriff.building.validate import result_path
from sciriff.errors import BlockedError, SciriffError, SourceError, StoreError, TransientError, UsageError
from sciriff.store import Store, sealed

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.usefixtures("in_process")


@dataclass
class FakeLibrary:
    """Stands in for the library's ``Build``; fails where it is told to.

    Attributes:
        store_path: root of the artifacts.
        source_errors: source -> errors that fetching it meets, one per attempt.
        manual: sources that the user fetches by hand.
        outcomes: task -> its outcome, in place of a built one.
        combine_error: what combining raises.
        host: whom all sources are fetched from.
        seconds: how long fetching takes.
        calls: what was called, in order.
        most_at_once: how many fetches were under way at once, at most.
    """

    store_path: Path
    source_errors: dict[str, list[SciriffError]] = field(default_factory=dict)
    manual: tuple[str, ...] = ()
    outcomes: dict[str, TaskOutcome] = field(default_factory=dict)
    combine_error: SciriffError | None = None
    host: str = "free.example"
    seconds: float = 0.0
    most_at_once: int = 0
    at_once: int = 0
    calls: list[str] = field(default_factory=list)

    def open(
        self, names: list[str] | None, options: Any, settings: Any, progress: Any, runner: None, *, force: bool
    ) -> FakeLibrary:
        self.tasks = sorted(names or ["alpha", "beta"])
        if "typo" in self.tasks:
            raise UsageError("unknown task 'typo'; did you mean topo?")
        self.source_of = {name: f"src_{name}" for name in self.tasks}
        self.by_hand = tuple(source for source in self.source_of.values() if source in self.manual)
        self.fetched = tuple(source for source in self.source_of.values() if source not in self.manual)
        self.acquired: dict[str, Any] = {}
        self.options, self.progress, self.store = options, progress, Store(settings.store)
        return self

    def acquire(self, source: str) -> Any:
        self.calls.append(f"fetch {source}")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.seconds)
        self.at_once -= 1
        errors = self.source_errors.get(source)
        self.acquired[source] = (
            errors.pop(0) if errors else SimpleNamespace(files={"a": SimpleNamespace(bytes=2_000_000)})
        )
        return self.acquired[source]

    def hosts(self, source: str) -> list[str]:
        return [self.host]

    def lack_of(self, source: str) -> SciriffError | None:
        acquired = self.acquired[source]
        return acquired if isinstance(acquired, SciriffError) else None

    def undisturbed(self) -> AbstractContextManager[None]:
        return nullcontext()

    def start(self, names: list[str]) -> int:
        return 1

    def build_task(self, task: str) -> TaskOutcome:
        self.calls.append(f"build {task}")
        if isinstance(error := self.acquired[f"src_{task}"], SciriffError):
            return outcome_of_error(task, error)
        if task in self.outcomes:
            return self.outcomes[task]
        with self.progress.stage(f"{task} train", 30_000) as stage:
            stage.advance(12_000)
        for window in self.options.windows:
            folder, entry = f"instructions/{window}/{task}", {"sha256": sha256(b"{}\n").hexdigest(), "bytes": 3}
            self.store.write_bytes(f"{folder}/train.jsonl", b"{}\n")
            self.store.write_manifest(folder, {"key": self.key(task), "files": {"train.jsonl": entry}})
        self.store.write_bytes(result_path(task), sealed({"suite_name": task}))
        rows = {window: {"train": 1, "validation": 0, "test": 0} for window in self.options.windows}
        return TaskOutcome(
            task,
            "built",
            rows=rows,
            tokens=dict.fromkeys(self.options.windows, 12),
            dropped={"too long": 3},
            notes=("a <b>note</b>",),
            seconds=1.25,
            key=self.key(task),
            reason_to_build="no artifacts",
        )

    def key(self, task: str) -> str:
        return f"{task}-key"

    def combine(self, store: Store, windows: tuple[int, ...], tell: Any) -> CombineOutcome:
        self.calls.append("combine")
        if self.combine_error:
            raise self.combine_error
        rows = {"train": 2, "validation": 0, "test": 0}
        place = {"task": "alpha", "split": "train", "other_task": "beta", "other_split": "test"}
        overlaps = {"places": [{**place, "same_text": 5, "same_document": 9}]}
        for window in windows:
            store.write_manifest(f"instructions_hf/{window}", {"key": "k", "files": {}, "overlaps": overlaps})
        combined = (
            CombinedWindow(
                w, "combined", f"instructions_hf/{w}", ("alpha",), {}, rows, "k", TrainingOverlaps(5, 9, 1, 2)
            )
            for w in windows
        )
        return CombineOutcome(tuple(combined), "")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    fake = FakeLibrary(tmp_path / "store")
    monkeypatch.setattr("sciriff.building.spread.plan_build", fake.open)
    monkeypatch.setattr("sciriff.building.build.combine_built", fake.combine)
    monkeypatch.setattr("sciriff.building.validate.publish_docs", lambda store: "validation/index.html")
    monkeypatch.setattr(work, "delays", lambda: [0.0])
    return fake


def run(library: FakeLibrary, **parameters: Any) -> State[Any]:
    state: State[Any] = build_sciriff(store=str(library.store_path), windows="4096", **parameters, return_state=True)
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
    assert "5 by text, 9 by document (of a held-out task: 1, 2)" in shown["build-summary"]["data"]
    assert '"window": 4096, "task": "alpha", "split": "train", "other_task": "beta"' in shown["build-overlaps"]["data"]
    assert f"`{library.store_path / 'instructions_hf' / '4096'}`" in shown["build-outputs"]["data"]
    assert f"`{(library.store_path / 'validation' / 'index.html').as_uri()}`" in shown["build-outputs"]["data"]
    flow_run = in_process.post(
        "flow_runs/filter", {"flow_runs": {"id": {"any_": [str(state.state_details.flow_run_id)]}}}
    )
    assert flow_run[0]["name"].startswith("build-sciriff tasks=alpha,beta windows=4096")


def test_what_the_store_already_has_is_shown_as_cached(in_process: Server, library: FakeLibrary) -> None:
    library.outcomes["alpha"] = TaskOutcome("alpha", "cached", rows={4096: {"train": 5}}, key="alpha-key")
    state = run(library)
    assert state.message == "1 of 2 tasks built, 1 already there"
    states = task_states(in_process, state, 5)
    assert (states["build alpha"], states["build beta"]) == ("Cached", "Completed")
    assert '"cache": "hit"' in artifacts(in_process, state)["build-tasks"]["data"]


def test_a_remembered_result_counts_only_while_the_files_are_whole(in_process: Server, library: FakeLibrary) -> None:
    run(library)
    for _ in range(2):  # the first of them finds nothing remembered and asks the library
        library.calls.clear()
        again = run(library)
    assert not [call for call in library.calls if call.startswith("build")]
    assert again.message == "0 of 2 tasks built, 2 already there"
    assert task_states(in_process, again, 5)["build alpha"] == "Cached"
    assert '"train": 1' in artifacts(in_process, again)["build-tasks"]["data"]

    (library.store_path / "instructions/4096/alpha/train.jsonl").write_bytes(b"rot\n")
    library.calls.clear()
    run(library)
    assert [call for call in library.calls if call.startswith("build")] == ["build alpha"]

    library.calls.clear()
    run(library, force=True)
    assert sorted(call for call in library.calls if call.startswith("build")) == ["build alpha", "build beta"]


def test_a_failure_belongs_to_what_failed(in_process: Server, library: FakeLibrary) -> None:
    library.outcomes["alpha"] = TaskOutcome("alpha", "failed", "alpha: template 0 misses variable 'text'")
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
    assert task_states(in_process, state, 5) == {
        "fetch src_alpha": "Blocked",
        "fetch src_beta": "Completed",
        "build alpha": "Blocked",
        "build beta": "Completed",
        "combine": "Completed",
    }
    assert "Waiting for you" in artifacts(in_process, state)["build-summary"]["data"]


def test_a_failed_last_step_fails_the_run(library: FakeLibrary) -> None:
    library.combine_error = StoreError("cannot write /store: no space left on device")
    state = run(library)
    assert state.name == "Failed"
    assert state.message is not None
    assert "no space left on device" in state.message


def test_a_server_that_is_down_is_tried_again_and_a_wrong_hash_is_not(in_process: Server, library: FakeLibrary) -> None:
    lost = TransientError("a: given up after 5 failures in a row, the last: the server answered 503")
    wrong = SourceError("b: expected sha256 1, found 2")
    library.source_errors = {"src_alpha": [lost], "src_beta": [wrong]}
    state = run(library)
    assert library.calls.count("fetch src_alpha") == 2
    assert library.calls.count("fetch src_beta") == 1
    assert state.name == "Failed"
    assert state.message is not None
    assert "beta failed: b: expected sha256 1, found 2" in state.message
    assert "alpha" not in state.message


def test_an_unknown_task_fails_with_the_librarys_words(library: FakeLibrary) -> None:
    state = run(library, tasks="typo")
    assert (state.name, state.message) == ("Failed", "unknown task 'typo'; did you mean topo?")
    assert library.calls == []


@pytest.mark.parametrize("limit", [1, None])
def test_a_limit_of_a_host_holds_for_all_who_fetch_from_it(
    in_process: Server, library: FakeLibrary, limit: int | None
) -> None:
    library.host, library.seconds = f"limited-{limit}.example", 0.5
    if limit is not None:
        made = in_process.prefect("concurrency-limit", "create", f"host:{library.host}", str(limit))
        assert made.returncode == 0, made.stdout + made.stderr
    state = run(library, tasks="alpha,beta,gamma")
    assert state.name == "Completed", state.message
    assert limit is None or library.most_at_once == limit
    body = {"flow_runs": {"id": {"any_": [str(state.state_details.flow_run_id)]}}}
    task_states(in_process, state, 7)
    tags = {each["name"]: each["tags"] for each in in_process.post("task_runs/filter", body)}
    assert tags["fetch src_alpha"] == [f"host:{library.host}"]
    assert tags["build alpha"] == []


def test_a_task_that_takes_too_long_fails_by_name_and_stops_no_other(
    in_process: Server, library: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_alone: list[bool] = []
    monkeypatch.setattr(work, "SECONDS_TO_END", 0.1)
    monkeypatch.setattr(work, "leave_when_over", lambda: left_alone.append(True))
    hangs = threading.Event()

    def build(task: str) -> TaskOutcome:
        if task == "alpha":
            hangs.wait(60)  # in C: an exception does not get in
        return FakeLibrary.build_task(library, task)

    monkeypatch.setattr(library, "build_task", build)
    state = run(library, tasks="alpha,beta", task_hours=1 / 3600)
    hangs.set()
    assert state.name == "Failed"
    assert state.message is not None
    assert "1 of 2 tasks built" in state.message
    assert "build alpha: not done after 1 s, and given up; run the same again" in state.message
    assert left_alone == [True]
    states = task_states(in_process, state, 5)
    assert (states["build alpha"], states["build beta"], states["combine"]) == ("Failed", "Completed", "Completed")


def test_a_run_that_takes_too_long_is_given_up(library: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "leave_when_over", lambda: None)
    library.seconds = 2.0
    state = run(library, tasks="alpha,beta", run_hours=1 / 3600)
    assert state.name == "Failed"
    assert "build-sciriff: not done after 1 s (run_hours), and given up" in (state.message or "")
    assert not [call for call in library.calls if call.startswith("build")]


def test_a_store_that_is_away_for_a_moment_is_tried_again_and_a_full_disk_is_not(
    in_process: Server, library: FakeLibrary
) -> None:
    away = StoreError("s3://store cannot be reached")
    away.__cause__ = ConnectionResetError("reset by peer")
    full = StoreError("cannot write /store: no space left on device")
    full.__cause__ = OSError(28, "No space left on device")
    failing = {"alpha": [away], "beta": [full, full]}
    build = library.build_task

    def build_task(task: str) -> TaskOutcome:
        if failing[task]:
            library.calls.append(f"build {task}")
            return outcome_of_error(task, failing[task].pop(0))
        return build(task)

    library.build_task = build_task  # type: ignore[method-assign]
    state = run(library, tasks="alpha,beta")
    assert state.name == "Failed"
    assert (library.calls.count("build alpha"), library.calls.count("build beta")) == (2, 1)
    assert "beta failed: cannot write /store: no space left on device" in (state.message or "")
    assert "alpha" not in (state.message or "")
