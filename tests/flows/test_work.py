"""Work that can be given up: what becomes of it, of what it has open, and of the process that it hangs in."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from flows import work
from flows.work import GivenUpError, TimeUpError, delays, done_or_told, within
from sciriff.errors import BlockedError, SourceError, TransientModelError, can_pass
from sciriff.models.loops import new_loop

SECOND = 1 / 3600


def test_work_is_done_with_its_result_or_its_error() -> None:
    assert within(1, "add", lambda: 1 + 1, "") == 2
    with pytest.raises(KeyError):
        within(1, "look up", lambda: {}["a"], "")


def test_work_that_takes_too_long_closes_what_it_has_open() -> None:
    closed = threading.Event()

    def endless() -> None:
        try:
            while True:
                time.sleep(0.01)
        finally:
            closed.set()

    with pytest.raises(TimeUpError, match="fetch biored: not done after 1 s, and given up; do this"):
        within(SECOND, "fetch biored", endless, "do this")
    assert closed.is_set()


def test_an_event_loop_that_waits_for_the_network_is_reached() -> None:
    closed = threading.Event()

    def waits() -> None:
        loop = new_loop()
        try:
            loop.run_until_complete(asyncio.sleep(3600))
        finally:
            loop.close()
            closed.set()

    with pytest.raises(TimeUpError):
        within(SECOND, "predict", waits, "")
    assert closed.is_set()


def test_work_of_a_run_that_is_stopped_ends_and_none_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping, began = threading.Event(), threading.Event()
    token = work._stopping.set(stopping)
    try:

        def endless() -> None:
            began.set()
            while True:
                time.sleep(0.01)

        threading.Thread(target=lambda: (began.wait(60), stopping.set())).start()
        state = done_or_told("build alpha", endless, 1, "")
        assert (state.name, state.message) == (
            "Cancelled",
            "build alpha: stopped with its run; the next run goes on from what is in the store",
        )
        with pytest.raises(GivenUpError):
            within(1, "later", lambda: pytest.fail("it began"), "")
    finally:
        work._stopping.reset(token)


@pytest.mark.parametrize(
    ("error", "name", "message"),
    [
        (SourceError("biored: wrong hash; get another"), "Failed", "biored: wrong hash; get another"),
        (SourceError("wrong hash; get another"), "Failed", "fetch biored: wrong hash; get another"),
        (BlockedError("sign in for biored"), "Blocked", "sign in for biored"),
    ],
)
def test_what_goes_wrong_is_told_by_name(error: Exception, name: str, message: str) -> None:
    def fails() -> None:
        raise error

    state = done_or_told("fetch biored", fails, 1, "")
    assert (state.name, state.message) == (name, message)


def test_delays_double_and_differ_from_run_to_run() -> None:
    drawn = [delays() for _ in range(20)]
    assert len({tuple(each) for each in drawn}) > 10
    for each in drawn:
        assert all(0.5 * 5 * 2**number <= seconds <= 1.5 * 5 * 2**number for number, seconds in enumerate(each))


def test_a_model_server_that_is_away_may_be_there_later() -> None:
    assert can_pass(TransientModelError("http://127.0.0.1:1 cannot be reached"))


def test_a_process_ends_whatever_hangs_in_it() -> None:
    """A thread that is no daemon keeps Python from ending; so does a pool that waits for its workers."""
    code = (
        "import threading; from flows.work import leave_when_over; "
        "threading.Thread(target=threading.Event().wait).start(); leave_when_over()"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 1
