"""Leases: one at a time gets a unit, in any interleaving; the dead hold nothing; nothing is left behind."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lease_kit import World

from sciriff import lease_boards
from sciriff.errors import StoppedError, StoreError
from sciriff.lease_boards import BeatBoard, LockBoard, NoLocksError, Watch
from sciriff.leases import Lease, Roll, lease, new_lease, release_all
from sciriff.settings import Settings
from sciriff.store import Store

CHECKOUT = Path(__file__).parents[1]
UNIT = "build/scierc_ner"


@pytest.fixture
def bucket(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    return "s3://bucket"


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    name = uuid.uuid4().hex
    urls: dict[str, Callable[[], str]] = {
        "local": lambda: str(tmp_path / "root"),
        "memory": lambda: f"memory://{name}/root",
        "s3": lambda: f"{request.getfixturevalue('bucket')}/{name}",
    }
    return Store(urls[request.param]())


def traces(store: Store) -> list[str]:
    return store.files(".leases") if not store.is_local else [str(path) for path in Path(store.url).rglob("*")]


# The algorithm, on a simulated board


def run_to_the_end(world: World) -> None:
    for steps, number in enumerate(cycle(range(len(world.processes)))):
        if not world.running:
            return
        assert steps < 5_000, f"nobody gets on: {world.claims}"
        if number in world.running:
            world.go_on(number)


@settings(max_examples=300, deadline=None)
@given(
    alike=st.lists(st.sampled_from(["", "", "x", "y"]), min_size=2, max_size=4),
    choices=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 19)), max_size=120),
)
@example(alike=["", ""], choices=[(0, 1), (1, 1)] * 40)
def test_in_any_order_of_steps_one_at_a_time_gets_the_unit_and_all_do_in_the_end(
    alike: list[str], choices: list[tuple[int, int]]
) -> None:
    world = World()
    try:
        for each in alike:
            world.start(each)
        for number, fate in choices:
            if number in world.running:
                if fate == 0 and len(world.running) > 1:
                    world.kill(number)
                else:
                    world.go_on(number)  # asserts that no two hold it that exclude each other
        run_to_the_end(world)
        assert set(world.done) == set(range(len(alike))) - world.dead
        assert all(world.owners[claim] in world.dead for claim in world.claims)
    finally:
        world.end()


def test_the_like_hold_a_unit_together() -> None:
    world = World()
    for _ in range(3):
        world.start("same", steps_of_work=40)
    run_to_the_end(world)
    assert world.most_together == 3


# On stores


def test_a_lease_is_alone_shows_in_no_listing_and_leaves_no_trace(store: Store) -> None:
    store.write_bytes("a", b"x")
    before = traces(store)
    with lease(store, UNIT) as held:
        assert held.is_held()
        assert held.ensure()
        held.require("scierc_ner")
        other = new_lease(store, UNIT)
        assert other.attempt()
        assert store.files("") == ["a"]
        assert store.folders("") == []
        with lease(store, "docs"):
            pass
    assert traces(store) == before
    assert other.attempt() == []
    assert not held.is_held()
    other.release()
    assert traces(store) == before


def test_who_waits_is_told_once_of_whom_and_gets_the_unit_when_it_is_free(store: Store) -> None:
    told: list[str] = []
    held = new_lease(store, UNIT)
    assert not held.wait()
    waiting = threading.Thread(target=lambda: order.append(second.wait("scierc_ner is being built", told.append)))
    order: list[object] = []
    second = new_lease(store, UNIT)
    waiting.start()
    for _ in range(600):
        if told:
            break
        time.sleep(0.05)
    order.append("freed")
    held.release()
    waiting.join(30)
    assert order == ["freed", True]
    [message] = told
    assert message.startswith(f"scierc_ner is being built by {os.uname().nodename}:{os.getpid()} since 20")
    assert message.endswith(" UTC; waiting")
    second.release()
    assert not traces(store)


def test_waiting_can_be_ended(store: Store) -> None:
    stop = threading.Event()
    with lease(store, UNIT):
        stop.set()
        with pytest.raises(StoppedError, match="stopped while waiting: it is being built"):
            new_lease(store, UNIT).wait("it is being built", stop=stop)
    assert not traces(store)


def test_a_wrong_order_is_found_before_it_can_block(store: Store) -> None:
    with lease(store, "combine/4096"):
        with (
            pytest.raises(AssertionError, match="build/x is waited for while combine is held"),
            lease(store, "build/x"),
        ):
            pass
        with pytest.raises(AssertionError, match="while combine"), lease(store, "combine/8192"):
            pass
        with lease(store, "docs"):
            pass


def test_all_that_a_process_holds_is_freed_at_once(store: Store) -> None:
    held = [new_lease(store, f"build/{number}") for number in range(3)]
    for each in held:
        each.wait()
    release_all()
    assert not traces(store)
    assert not any(each.is_held() for each in held)


COUNTING = """
import os, random, sys, time
from pathlib import Path
from sciriff.leases import lease
from sciriff.store import Store
store, counter, turns = Store(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
for _ in range(turns):
    with lease(store, "build/counter"):
        count = int(counter.read_text())
        time.sleep(random.uniform(0, 0.01))
        new = counter.with_name(f"{os.getpid()}.new")
        new.write_text(str(count + 1))
        new.replace(counter)
        with counter.with_name(f"{os.getpid()}.told").open("a") as told:
            told.write("x")
"""


def start(code: str, *arguments: object, seconds: float = 30) -> subprocess.Popen[str]:
    environment = {**os.environ, "SCIRIFF_LEASE_SECONDS": str(seconds)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_processes_count_one_at_a_time_while_some_are_killed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = str(tmp_path / "store") if kind == "local" else f"{request.getfixturevalue('bucket')}/{uuid.uuid4().hex}"
    counter = tmp_path / "counter"
    counter.write_text("0")
    doomed = [start(COUNTING, url, counter, 10_000) for _ in range(2)]
    steady = [start(COUNTING, url, counter, 10) for _ in range(2)]
    for process in doomed:
        mine = tmp_path / f"{process.pid}.told"
        while not mine.exists():
            assert process.poll() is None
            time.sleep(0.02)
        time.sleep(random.uniform(0, 0.3))
        process.kill()
        process.wait()
    assert [process.wait(120) for process in steady] == [0, 0]
    told = sum(path.stat().st_size for path in tmp_path.glob("*.told"))
    assert told <= int(counter.read_text()) <= told + len(doomed)  # who is killed may have counted without saying so
    store = Store(url)
    with lease(store, "build/counter"):
        pass
    assert not traces(store)


HOLDING = """
import sys, time
from sciriff.leases import lease
from sciriff.store import Store
with lease(Store(sys.argv[1]), "build/scierc_ner"):
    print("held", flush=True)
    time.sleep(600)
"""


def hold_elsewhere(store: Store, seconds: float = 30) -> subprocess.Popen[str]:
    process = start(HOLDING, store.url, seconds=seconds)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_who_is_killed_holds_nothing(
    bucket: str, tmp_path: Path, is_elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On this machine it is known at once, from another one when there has been no beat for a while."""
    for store in [Store(f"{bucket}/{uuid.uuid4().hex}"), Store(str(tmp_path / "store"))]:
        process = hold_elsewhere(store, seconds=1 if is_elsewhere else 10_000)
        if is_elsewhere:
            monkeypatch.setattr(lease_boards, "has_pulse", lambda name: None)
            monkeypatch.setattr(lease_boards, "load_settings", lambda: Settings(lease_seconds=1.0))
        waiting = new_lease(store, UNIT)
        assert waiting.attempt()
        time.sleep(2.5 if is_elsewhere else 0)
        assert waiting.attempt(), "it lives: it beats"
        process.kill()
        process.wait()
        waiting.wait()
        assert waiting.is_held()
        waiting.release()
        assert not traces(store)


# Beats


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=60))
def test_silence_is_never_more_than_the_time_without_change_nor_than_looks_vouch_for(
    looks: list[tuple[float, bool]],
) -> None:
    clock = Clock()
    watch = Watch(2.0, clock)
    sign, since, unchanged = 0, 0.0, 0
    watch.silence("owner", sign)
    for passed, changes in looks:
        clock.now += passed
        if changes:
            sign, since, unchanged = sign + 1, clock.now, 0
        else:
            unchanged += 1
        silence = watch.silence("owner", sign)
        assert 0 <= silence <= min(clock.now - since, 2.0 * unchanged)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store in memory that is taken for one that other machines see, too."""
    store = Store(f"memory://{uuid.uuid4().hex}")
    store.is_shared = True
    monkeypatch.setattr(lease_boards, "has_pulse", lambda name: None)
    return store


def test_an_owner_is_alive_while_its_beat_changes_and_dead_after_a_time_of_silence(shared: Store) -> None:
    clock = Clock()
    mine, theirs = BeatBoard(shared, UNIT, 30), BeatBoard(shared, UNIT, 30, clock)
    mine.post("a__", b"")
    for _ in range(20):
        assert theirs.names() == ["a__"]
        assert not theirs.is_dead("a__")
        clock.now += 5
        assert mine.beat("a__")
    assert len(shared.files(".leases")) == 2  # the claim, and one beat
    theirs.names()
    assert not theirs.is_dead("a__")
    clock.now += 1000  # nobody looked: the watcher slept, or the store was out of reach
    theirs.names()
    assert not theirs.is_dead("a__")
    looks = 0
    while not theirs.is_dead("a__"):
        clock.now += 2
        theirs.names()
        looks += 1
    assert looks >= 10
    theirs.remove("a__")
    assert shared.files(".leases") == []
    assert not mine.beat("a__")  # it was not dead after all; now it knows
    assert shared.files(".leases") == []


def test_who_holds_a_unit_with_others_clears_the_dead_among_them_away(shared: Store) -> None:
    clock = Clock()
    board = BeatBoard(shared, UNIT, 30, clock)
    board.post("living__", b"")
    BeatBoard(shared, UNIT, 30).post("dead__", b"")
    steady = BeatBoard(shared, UNIT, 30)
    steady.post("steady__", b"")
    for _ in range(10):
        assert board.beat("living__")
        assert steady.beat("steady__")
        clock.now += 6
    assert {name.partition("~")[0].rpartition("/")[2] for name in shared.files(".leases")} == {"living__", "steady__"}


def test_a_watcher_whose_clock_stands_still_takes_nobody_for_dead(shared: Store) -> None:
    board = BeatBoard(shared, UNIT, 30, lambda: 0.0)
    BeatBoard(shared, UNIT, 30).post("a__", b"")
    for _ in range(100):
        board.names()
        assert not board.is_dead("a__")


def test_who_lost_its_lease_finds_out_before_it_publishes(shared: Store) -> None:
    with lease(shared, UNIT) as held:
        [claim] = BeatBoard(shared, UNIT).names()
        BeatBoard(shared, UNIT).remove(claim)
        assert not held.is_held()
        with pytest.raises(StoreError, match="scierc_ner: this run was silent for so long that another took over"):
            held.require("scierc_ner")
        assert not held.ensure()
        assert held.is_held()
        assert BeatBoard(shared, UNIT).names() != [claim]
    assert shared.files(".leases") == []


def test_a_claim_that_did_not_arrive_is_taken_back(shared: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write = shared.write_bytes

    def late(relative: str, data: bytes) -> None:
        write(relative, data)
        raise StoreError("cannot write: timeout")

    monkeypatch.setattr(shared, "write_bytes", late)
    with pytest.raises(StoreError, match="timeout"), lease(shared, UNIT):
        pass
    assert shared.files(".leases") == []


def test_a_beat_without_a_claim_holds_nobody_up_and_goes(shared: Store) -> None:
    clock = Clock()
    board = BeatBoard(shared, UNIT, 30, clock)
    shared.write_bytes(f".leases/{UNIT}/gone__~000000007", b"")
    for _ in range(30):
        assert board.names() == []
        clock.now += 2
    assert shared.files(".leases") == []


def test_a_roll_knows_who_lives(shared: Store) -> None:
    one, two = Roll(shared, "ledger/a"), Roll(shared, "ledger/a")
    one.enter("0019-ab")
    two.enter("0019-cd")
    assert one.living() == two.living() == {"0019-ab", "0019-cd"}
    assert one.beat("0019-ab")
    two.leave("0019-cd")
    assert one.living() == {"0019-ab"}
    one.leave("0019-ab")
    assert two.living() == set()
    assert shared.files(".leases") == []


def test_pulses_of_the_dead_are_cleared_away_and_those_of_the_living_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lease_boards._place.cache_clear()
    try:
        folder, token = lease_boards._place()
        name = f"a__{token}"
        file = lease_boards.start_pulse(name)
        (folder / f"dead__{token}").write_bytes(b"")
        assert (lease_boards.has_pulse(name), lease_boards.has_pulse(f"dead__{token}")) == (True, False)
        assert lease_boards.has_pulse("elsewhere__0123") is None
        lease_boards._place.cache_clear()
        assert lease_boards._place() == (folder, token)
        assert {path.name for path in folder.iterdir()} == {"token", name}
        lease_boards.end_pulse(name, file)
        assert lease_boards.has_pulse(name) is False
        folder.chmod(0o777)  # anybody may put something there
        lease_boards._place.cache_clear()
        assert lease_boards.place_token() == ""
    finally:
        lease_boards._place.cache_clear()


# Locks


def test_a_disk_without_locks_gets_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(file: int, operation: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    store = Store(str(tmp_path))
    with pytest.raises(NoLocksError):
        LockBoard(tmp_path / ".leases" / "x").post("a__", b"")
    assert not traces(store)
    with lease(store, UNIT) as held:
        assert held.is_held()
        assert new_lease(store, UNIT).attempt()
        assert held.ensure()
    assert not traces(store)


def test_who_can_show_no_pulse_is_not_taken_for_dead(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder for temporary files is full."""
    store = Store(f"{bucket}/{uuid.uuid4().hex}")
    with monkeypatch.context() as patch:
        patch.setattr(lease_boards, "start_pulse", lambda name: None)
        held = new_lease(store, UNIT)
        held.wait()
    assert new_lease(store, UNIT).attempt()
    assert held.is_held()
    held.release()
    assert not traces(store)


def test_a_forked_child_frees_nothing_of_its_parent(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with lease(store, UNIT) as held:
        child = multiprocessing.get_context("fork").Process(target=held.release)
        child.start()
        child.join()
        assert held.is_held()


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot write"), lease(Store(str(tmp_path / "file" / "store")), UNIT):
        pass


def test_locks_under_many_threads_leave_the_folder_to_each_other(tmp_path: Path) -> None:
    store, failures, counted = Store(str(tmp_path)), [], []

    def work(worker: int) -> None:
        try:
            for number in range(15):
                with lease(store, f"build/{number % 2 if worker % 2 else worker}"):
                    counted.append(worker)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failures, len(counted)) == ([], 60)
    assert not traces(store)


def test_an_attempt_may_be_given_up(store: Store) -> None:
    attempt: Lease = new_lease(store, UNIT)
    attempt.release()
    assert not traces(store)
