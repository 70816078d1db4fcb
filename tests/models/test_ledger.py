"""The ledger: durable, append-only, shared by evaluations that run at once, and at ease with torn lines."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff import lease_boards
from sciriff.errors import StoreError
from sciriff.models import ledger_parts
from sciriff.models.ledger import Ledger, open_ledger
from sciriff.models.ledger_events import History, answer_line, header, is_settled
from sciriff.models.requests import Answer
from sciriff.store import Store

IDENTITY = "a" * 64
CHECKOUT = Path(__file__).parents[2]


def reply(key: str, text: str = "yes") -> Answer:
    return Answer(key, text, "stop", 10, 2, 0.25, served_model="m-2024")


def failure(key: str, *, final: bool = False) -> Answer:
    return Answer(key, None, error="the server answered 500", final=final, lost_tries=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "artifacts"))


@pytest.fixture
def remote() -> Iterator[Store]:
    store = Store("memory://ledger-test")
    yield store
    assert store.files(".leases") == []
    for name in store.files("results"):
        store.delete(f"results/{name}")


@pytest.fixture(params=["store", "remote"])
def any_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(ledger_parts, "_SECONDS_BETWEEN_UPLOADS", 0.02)
    store: Store = request.getfixturevalue(request.param)
    return store


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(1000):
        if is_so():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it did not come to that")


def parts(store: Store) -> list[str]:
    return [name for name in store.files("results/ledger/" + "a" * 16) if name.endswith(".jsonl")]


_TEXT = st.text(st.characters(), max_size=30)  # lone surrogates included


@given(
    st.builds(
        Answer,
        key=st.text("0123456789abcdef", min_size=64, max_size=64),
        text=_TEXT,
        finish_reason=st.sampled_from(["stop", "length", "content_filter"]),
        input_tokens=st.none() | st.integers(0, 10**6),
        output_tokens=st.none() | st.integers(0, 10**6),
        seconds=st.floats(0, 1000),
        served_model=_TEXT,
        lost_tries=st.integers(0, 9),
    )
)
def test_an_answer_comes_back_as_it_went_in(answer: Answer) -> None:
    history = History()
    line = answer_line(answer, "a label")
    assert line.count(b"\n") == 1
    history.read("part", [line])
    assert (history.answers, history.torn) == ({answer.key: answer}, 0)
    assert answer_line(history.answers[answer.key], "a label") == line


_SCALARS = st.none() | st.booleans() | st.floats(0, 1) | st.text("abc{}", max_size=5)


@given(st.lists(st.binary(max_size=60).filter(lambda line: b"{" not in line) | st.builds(orjson.dumps, _SCALARS)))
def test_lines_that_are_no_events_are_counted_and_nothing_else(lines: list[bytes]) -> None:
    history = History()
    history.read("part", [*lines, b'{"key": 3}', b'{"sent": []}', b'{"ledger": 99}', b"{}", b'{"batch": "b"}'])
    assert history == History(torn=len(lines) + 5, sent=history.sent)
    assert not any(history.sent.values())


@given(st.data())
def test_a_flipped_bit_is_found(data: st.DataObject) -> None:
    """Whatever bit of a line it is: the line counts as none, and those around it are read."""
    lines = [header(IDENTITY, "m"), *(answer_line(reply(key, f"reply {key}")) for key in "abc")]
    place = data.draw(st.integers(0, len(lines[2]) - 2))
    flipped = bytearray(lines[2])
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    lines[2:3] = bytes(flipped).splitlines(keepends=True)
    history = History()
    history.read("part", lines)
    assert history.answers == {key: reply(key, f"reply {key}") for key in "ac"}
    assert sum(history.damaged.values()) + history.torn >= 1


def test_a_line_of_an_older_release_has_no_checksum_and_counts() -> None:
    history = History()
    history.read("old", [b'{"ledger":1,"identity":"i","model":"m"}', b'{"key":"a","text":"yes"}'])
    assert (history.answers["a"].text, history.damaged, history.torn) == ("yes", {}, 0)


def test_damage_is_told_by_the_name_of_the_part(store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        ledger.record(reply("a"))
        ledger.record(reply("b"))
    [name] = parts(store)
    path = Path(store.path(f"results/ledger/{'a' * 16}/{name}"))
    path.write_bytes(path.read_bytes().replace(b'"key":"a"', b'"key":"c"'))
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        assert set(ledger.answers) == {"b"}
    assert f"not as they were written, in {name.removesuffix('.jsonl')} (1)" in caplog.text


def test_parts_keep_their_order_when_the_clock_goes_backwards(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first reply stays the first, and an error that a later run got past is past."""
    now = ledger_parts.time.time_ns()
    for hours, answers in ((0, [failure("a"), reply("b", "first")]), (9, [reply("a"), reply("b", "second")])):
        monkeypatch.setattr(ledger_parts.time, "time_ns", lambda hours=hours: now - hours * 3_600 * 10**9)
        with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
            for answer in answers:
                ledger.record(answer)
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        assert {key: answer.text for key, answer in ledger.answers.items()} == {"a": "yes", "b": "first"}


def test_what_was_recorded_is_there_for_the_next(store: Store, tmp_path: Path) -> None:
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        assert parts(store) == []  # nothing to tell yet
        for key in "abc":
            ledger.note_sent(key)
        ledger.record(reply("a"), "task:validation:0")
        ledger.record(failure("b"))
        assert (ledger.is_settled("a"), ledger.is_settled("b")) == (True, False)
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        assert ledger.answers == {"a": reply("a"), "b": failure("b")}
        assert ledger.in_doubt == 2  # c was under way, and a try of b was lost
        assert ledger.torn_lines == 0
        ledger.record(reply("b"))
    assert len(parts(store)) == 2
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        assert ledger.answers["b"] == reply("b")
    with open_ledger(store, "b" * 64, "other", tmp_path) as ledger:
        assert ledger.answers == {}


def test_the_first_reply_stays_and_final_errors_are_settled(store: Store, tmp_path: Path) -> None:
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        ledger.record(reply("a", "first"))
        ledger.record(reply("a", "second"))
        ledger.record(failure("a"))
        ledger.record(failure("b", final=True))
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        assert ledger.answers["a"].text == "first"
        assert ledger.is_settled("b")
        assert not is_settled(None)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_counted_and_harms_nothing(store: Store, tmp_path: Path, cut: int) -> None:
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        ledger.record(reply("a"))
        ledger.record(reply("b"))
    [name] = parts(store)
    path = Path(store.path(f"results/ledger/{'a' * 16}/{name}"))
    path.write_bytes(path.read_bytes()[:-cut])
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        whole = cut == 1  # only the line feed is gone
        assert set(ledger.answers) == ({"a", "b"} if whole else {"a"})
        assert ledger.torn_lines == (0 if whole else 1)
        ledger.record(reply("b"))
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        assert set(ledger.answers) == {"a", "b"}


def test_a_full_disk_is_an_error_and_nothing_is_put_behind_half_a_line(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger_write = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) > 40:
            return ledger_write(file, bytes(data)[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):  # noqa: PT012, SIM117 - the end of the block raises too
        with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
            ledger.record(reply("a"))
            monkeypatch.setattr(ledger_parts.os, "write", full)
            with pytest.raises(StoreError, match="No space left"):
                ledger.record(reply("b"))
            monkeypatch.setattr(ledger_parts.os, "write", ledger_write)
            ledger.record(reply("c"))
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        assert (set(ledger.answers), ledger.torn_lines) == ({"a"}, 1)


def test_a_disk_that_does_not_keep_what_it_took_is_an_error(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(ledger_parts.os, "fdatasync", broken)
    with pytest.raises(StoreError, match="Input/output"), open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        ledger.record(reply("a"))


def test_evaluations_at_once_write_apart_and_read_each_other(store: Store, tmp_path: Path) -> None:
    def write(ledger: Ledger, name: str) -> None:
        for number in range(200):
            ledger.record(reply(f"{name}{number}"))

    with open_ledger(store, IDENTITY, "m", tmp_path) as one, open_ledger(store, IDENTITY, "m", tmp_path) as two:
        threads = [threading.Thread(target=write, args=pair) for pair in ((one, "a"), (two, "b"), (one, "c"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        one.refresh()
        assert len(one.answers) == 600
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        assert (len(ledger.answers), ledger.torn_lines, len(parts(store))) == (600, 0, 2)


def test_nobody_gets_what_a_running_evaluation_claimed(any_store: Store, tmp_path: Path) -> None:
    with open_ledger(any_store, IDENTITY, "m", tmp_path) as two:
        with open_ledger(any_store, IDENTITY, "m", tmp_path) as one:
            assert one.claim(["a", "b"]) == ["a", "b"]
            assert two.claim(["b", "c"]) == ["c"]
            assert (one.claimed_by_others(), two.claimed_by_others()) == ({"c"}, {"a", "b"})
            one.record(reply("a"))
            wait_until(lambda: two.claimed_by_others() == {"b"})
            assert two.answers["a"] == reply("a")
        assert two.claimed_by_others() == set()
        assert two.claim(["a", "b"]) == ["b"]


def test_submissions_are_open_until_they_are_collected(store: Store, tmp_path: Path) -> None:
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        first = ledger.note_submission(["a", "b"])
        second = ledger.note_submission(["c"])
        third = ledger.note_submission(["d"])
        first = ledger.note_batch(first, "batch_1")
        second = ledger.note_batch(second, "batch_2")
        ledger.note_collected(second, "completed")
        ledger.note_collected(third, "never submitted")
        ledger.record(failure("a"))
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        assert ledger.submissions == (first,)
        assert (first.batch, first.keys) == ("batch_1", ("a", "b"))
        assert [ledger.times_submitted(key) for key in "abcd"] == [0, 1, 1, 0]
        assert ledger.collected == {"batch_2", third.id}


KILLED = """
import sys
from pathlib import Path
from sciriff.models.ledger import open_ledger
from sciriff.models.requests import Answer
from sciriff.store import Store
with open_ledger(Store(sys.argv[1]), "a" * 64, "m", Path(sys.argv[2])) as ledger:
    ledger.claim([str(number) for number in range(10**5)])
    for number in range(10**5):
        ledger.note_sent(str(number))
        ledger.record(Answer(str(number), "x" * 300, "stop"))
        print(number, flush=True)
"""


def kill_a_writer(url: str, cache: Path, after: int, environment: dict[str, str] | None = None) -> int:
    """Run a process that records answers, kill it after so many, and return the last number that it told."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, url, str(cache)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, **(environment or {})},
    )
    assert process.stdout is not None
    for _ in range(after):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().splitlines()
    process.wait()
    return int(rest[-1]) if rest else after - 1


@pytest.mark.parametrize("after", [1, 40, 170])
def test_what_was_told_before_a_kill_is_there(store: Store, tmp_path: Path, after: int) -> None:
    last = kill_a_writer(store.url, tmp_path / "cache", after)
    with open_ledger(store, IDENTITY, "m", tmp_path / "cache") as ledger:
        assert set(map(str, range(last + 1))) <= set(ledger.answers)
        assert len(ledger.answers) <= last + 3
        assert ledger.in_doubt <= 1
        assert ledger.claimed_by_others() == set()  # the dead hold nothing


def test_a_remote_store_gets_small_objects_that_never_change(
    remote: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_parts, "_SECONDS_BETWEEN_UPLOADS", 0.05)
    written: list[str] = []
    write = remote.write_bytes

    def counted(relative: str, data: bytes) -> None:
        if relative.startswith("results/"):
            written.append(relative)
            assert data.endswith(b"\n")
        write(relative, data)

    monkeypatch.setattr(remote, "write_bytes", counted)
    with open_ledger(remote, IDENTITY, "m", tmp_path) as ledger:
        ledger.record(reply("a"))
        for _ in range(100):
            if written:
                break
            threading.Event().wait(0.05)
        assert written
        ledger.record(reply("b"))
        assert list(tmp_path.rglob("*.jsonl"))
    assert len(written) == len(set(written)) == 2
    assert not list(tmp_path.rglob("*.jsonl"))  # all is in the store
    with open_ledger(remote, IDENTITY, "m", tmp_path) as ledger:
        assert set(ledger.answers) == {"a", "b"}
        assert ledger.claim(["a", "c"]) == ["c"]
    assert len(written) == 3


@pytest.fixture
def shared(remote: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store in memory that is taken for one that other machines see, too, of which one may be silent for long."""
    remote.is_shared = True
    monkeypatch.setattr(lease_boards, "has_pulse", lambda name: None)
    monkeypatch.setattr(ledger_parts, "_SECONDS_BETWEEN_UPLOADS", 0.02)
    return remote


def test_who_was_taken_for_dead_finds_out_and_claims_anew(shared: Store, tmp_path: Path) -> None:
    with open_ledger(shared, IDENTITY, "m", tmp_path / "a") as one, open_ledger(shared, IDENTITY, "m", tmp_path) as two:
        one._shelf._roll._board.seconds_between_beats = 0.04  # type: ignore[attr-defined]
        assert one.claim(["a", "b", "c"]) == ["a", "b", "c"]
        assert two.claim(["a", "b", "c"]) == []
        [claim] = [name for name in shared.files(".leases") if "~" not in name]
        shared.delete(f".leases/{claim}")  # as whoever saw no sign of life would
        assert two.claim(["b"]) == ["b"]
        wait_until(lambda: one.is_forgotten)
        assert one.claim(["a", "b", "c"]) == ["a", "c"]
        assert not one.is_forgotten
        assert two.claim(["a", "c"]) == []


def test_who_loses_the_right_to_claim_in_the_middle_of_it_gives_way(
    shared: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_ledger(shared, IDENTITY, "m", tmp_path / "a") as one, open_ledger(shared, IDENTITY, "m", tmp_path) as two:
        share = ledger_parts.RemotePart.share

        def slow(part: ledger_parts.RemotePart) -> None:
            monkeypatch.setattr(ledger_parts.RemotePart, "share", share)
            [claim] = [name for name in shared.files(".leases") if name.startswith("ledger/") and "~" not in name]
            shared.delete(f".leases/{claim}")
            thread = threading.Thread(target=lambda: others.extend(two.claim(["b"])))  # which knows of no other lease
            thread.start()
            thread.join()
            share(part)

        others: list[str] = []
        monkeypatch.setattr(ledger_parts.RemotePart, "share", slow)
        assert one.claim(["a", "b"]) == ["a"]
        assert others == ["b"]


def test_a_remote_store_that_is_down_at_the_end_loses_nothing(
    remote: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(relative: str, data: bytes) -> None:
        raise StoreError("cannot write")

    with monkeypatch.context() as patch:
        patch.setattr(remote, "write_bytes", down)
        with (
            pytest.raises(StoreError, match="no reply is lost"),
            open_ledger(remote, IDENTITY, "m", tmp_path) as ledger,
        ):
            ledger.record(reply("a"))
    with open_ledger(remote, IDENTITY, "m", tmp_path) as ledger:
        assert ledger.answers == {"a": reply("a")}
        assert not list(tmp_path.rglob("*.jsonl"))


def test_replies_of_an_evaluation_killed_over_s3_are_brought_home(
    s3_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    url = "s3://bucket/killed"
    last = kill_a_writer(url, tmp_path, 2000)
    store = Store(url)
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        assert set(map(str, range(last + 1))) <= set(ledger.answers)
        assert ledger.torn_lines <= 1
        assert ledger.in_doubt <= 1
    objects = parts(store)
    with open_ledger(store, IDENTITY, "m", tmp_path) as ledger:
        assert set(map(str, range(last + 1))) <= set(ledger.answers)
    assert parts(store) == objects
