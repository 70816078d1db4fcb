"""What is done when workers are lost or lag, with an engine that lives in the test and does what it is told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from sciriff.errors import SciriffError
from sciriff.runners.drive import Patience, drive
from sciriff.runners.engine import ClusterLostError, WorkerLostError
from sciriff.runners.worker import installed_code


@dataclass(frozen=True)
class Named:
    label: str


def shout(unit: Named) -> str:
    if unit.label == "bad":
        raise SciriffError("bad: not like that")
    if unit.label == "odd":
        raise KeyError("odd")
    return unit.label.upper()


@dataclass
class FakeEngine:
    """Runs calls one after another, each when it is looked at; deaths, hangs and the clock are the test's.

    Attributes:
        deaths: label -> how many of its jobs lose their worker.
        times: how many workers such a job has cost, as told by the engine.
        hangs: label -> how many of its jobs never end.
        seats: how many calls at a time; None: the cluster has gone.
    """

    deaths: dict[str, int] = field(default_factory=dict)
    times: int = 1
    hangs: dict[str, int] = field(default_factory=dict)
    seats: int | None = 2
    now: float = 0.0
    submitted: list[tuple[str, bool]] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    alone: dict[str, bool] = field(default_factory=dict)
    _jobs: dict[int, tuple[str, Callable[[], Any]]] = field(default_factory=dict)
    _hanging: set[int] = field(default_factory=set)
    _numbers: Any = field(default_factory=count)

    def submit(self, call: Callable[[], Any], label: str, *, elsewhere: bool = False) -> int:
        job = next(self._numbers)
        self.submitted.append((label, elsewhere))
        self._jobs[job] = (label, call)
        self.alone[label] = len(self._jobs) == 1
        if self.hangs.get(label, 0) > 0:
            self.hangs[label] -= 1
            self._hanging.add(job)
        return job

    def ended(self, jobs: Collection[int], seconds: float) -> list[int]:
        self.now += seconds
        return [job for job in jobs if job not in self._hanging][:1]

    def result(self, job: int) -> Any:
        if self.seats is None:
            raise ClusterLostError("gone")
        label, call = self._jobs.pop(job)
        if self.deaths.get(label, 0) > 0:
            self.deaths[label] -= 1
            raise WorkerLostError("killed", self.times)
        return call()

    def cancel(self, jobs: Collection[int]) -> None:
        self.cancelled += jobs

    def workers(self) -> int:
        return self.seats or 0

    def idle(self) -> int:
        return max(0, (self.seats or 0) - len(self._jobs))


def run(
    engine: FakeEngine, labels: Iterable[str], code: str | None = None, patience: Patience | None = None
) -> tuple[dict[str, str], list[str]]:
    told: list[str] = []
    units = [Named(label) for label in labels]
    outcomes = drive(
        engine, shout, units, code or installed_code(), patience or Patience(), told.append, lambda: engine.now
    )
    return {unit.label: str(outcome) for unit, outcome in outcomes}, told


def test_every_unit_ends_with_what_its_function_returned() -> None:
    assert run(FakeEngine(), "abc") == ({"a": "A", "b": "B", "c": "C"}, [])
    assert run(FakeEngine(), []) == ({}, [])


def test_an_error_belongs_to_its_unit() -> None:
    found, _ = run(FakeEngine(), ["a", "bad", "odd", "z"])
    assert found["bad"] == "bad: not like that"
    assert found["odd"].startswith("odd: internal error, please report it: KeyError")
    assert (found["a"], found["z"]) == ("A", "Z")


def test_a_unit_whose_worker_was_lost_is_run_again() -> None:
    engine = FakeEngine(deaths={"b": 2})
    found, told = run(engine, "abc")
    assert found == {"a": "A", "b": "B", "c": "C"}
    assert [label for label, _ in engine.submitted].count("b") == 3
    assert told == [
        "b: its worker was lost (killed); it is run again, 1 of 3",
        "b: its worker was lost (killed); it is run again, 2 of 3",
    ]


@pytest.mark.parametrize("times", [1, 4])
def test_one_that_kills_its_workers_fails_by_name_and_the_others_go_on(times: int) -> None:
    engine = FakeEngine(deaths={"b": 99}, times=times)
    found, _ = run(engine, "abcd")
    tries = [label for label, _ in engine.submitted].count("b")
    assert tries == (4 if times == 1 else 2)  # where the engine has tried again by itself, its tries count
    assert found.pop("b").startswith(f"b: its worker was lost {times * tries} times, at last while nothing else")
    assert found == {"a": "A", "c": "C", "d": "D"}


def test_one_that_stood_beside_it_is_cleared_by_a_run_of_its_own() -> None:
    engine = FakeEngine(deaths={"poison": 99, "bystander": 3})
    found, told = run(engine, ["poison", "bystander", "c"])
    assert found["bystander"] == "BYSTANDER"
    assert "its worker was lost" in found["poison"]
    assert engine.alone["poison"]
    assert engine.alone["bystander"]
    assert "bystander: its worker was lost 3 times; it is run once more by itself, at the end" in told


def test_a_straggler_is_started_a_second_time_where_a_worker_is_idle() -> None:
    engine = FakeEngine(hangs={"b": 1}, seats=3)
    found, told = run(engine, "abc")
    assert found == {"a": "A", "b": "B", "c": "C"}
    assert engine.submitted == [("a", False), ("b", False), ("c", False), ("b", True)]
    assert told == ["b: takes much longer than the others; started a second time elsewhere"]
    assert engine.cancelled == [1]
    assert engine.now > Patience().lag_seconds


def test_a_straggler_waits_while_all_workers_are_busy() -> None:
    engine = FakeEngine(hangs={"b": 1, "c": 1}, seats=2)
    patience = Patience(empty_seconds=10)
    outcomes = drive(engine, shout, [Named(x) for x in "abc"], installed_code(), patience, print, lambda: engine.now)
    assert next(outcomes) == (Named("a"), "A")
    for _ in range(1000):  # b and c hold both workers
        engine.now += 1
    engine.seats = 3
    assert next(outcomes)[1] == "B"
    outcomes.close()
    assert ("b", True) in engine.submitted


def test_a_second_start_that_is_lost_does_no_harm() -> None:
    engine = FakeEngine(hangs={"b": 1}, deaths={"b": 1}, seats=3)
    found, _ = run_some(engine)
    assert found == {"a": "A", "c": "C"}


def run_some(engine: FakeEngine) -> tuple[dict[str, str], FakeEngine]:
    """Draw until the twin of the hanging unit was lost: its first job is still waited for."""
    outcomes = drive(engine, shout, [Named(x) for x in "abc"], installed_code(), Patience(), print, lambda: engine.now)
    found = {unit.label: str(outcome) for unit, outcome in (next(outcomes), next(outcomes))}
    assert engine.submitted[:3] == [("a", False), ("b", False), ("c", False)]
    outcomes.close()
    assert engine.cancelled
    return found, engine


def test_a_cluster_without_workers_is_given_up_after_a_while() -> None:
    engine = FakeEngine(hangs={"a": 1}, seats=0)
    with pytest.raises(ClusterLostError, match="no worker for 300 s"):
        run(engine, "a")
    assert engine.now > 300
    assert engine.cancelled == [0]


def test_a_cluster_that_is_gone_ends_the_run() -> None:
    with pytest.raises(ClusterLostError, match="gone"):
        run(FakeEngine(seats=None), "ab")


def test_whoever_stops_drawing_gives_up_what_is_left() -> None:
    engine = FakeEngine()
    outcomes = drive(engine, shout, [Named(x) for x in "abc"], installed_code(), Patience(), print, lambda: engine.now)
    next(outcomes)
    outcomes.close()
    assert engine.cancelled == [1, 2]


def test_a_worker_of_another_release_says_so() -> None:
    found, _ = run(FakeEngine(), "a", code="0" * 64)
    assert "has another sciriff than the client" in found["a"]
    assert installed_code()[:12] in found["a"]
    assert "000000000000" in found["a"]
