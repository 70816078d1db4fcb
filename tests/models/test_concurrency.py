"""The limit against simulated servers."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from sciriff.models.concurrency import AdaptiveLimit


def simulate(limit: AdaptiveLimit, requests: int, serve: Callable[[int], float | None]) -> tuple[float, list[int]]:
    """Send requests as the limit allows.

    ``serve`` gives, for the number under way, the seconds that a request takes, or None if the server is too busy.
    Returns the seconds it all took, and the limit over time.
    """
    now, answered, limits = 0.0, 0, []
    under_way: list[tuple[float, float, bool]] = []
    while answered < requests:
        while len(under_way) < limit.now:
            seconds = serve(len(under_way) + 1)
            heapq.heappush(under_way, (now + (seconds or 0.01), now, seconds is not None))
        now, began, well = under_way[0]
        if well:
            answered += 1
            limit.went_well(now - began, len(under_way))
        else:
            limit.went_badly(began, now, busy=True)
        heapq.heappop(under_way)
        limits.append(limit.now)
    return now, limits


def test_a_server_that_takes_everything_soon_gets_the_most() -> None:
    seconds, limits = simulate(AdaptiveLimit(128), 2000, lambda under_way: 1.0)
    assert limits[112] == 128
    assert min(limits[112:]) == 128
    assert seconds < 2000 / 128 + 4


def test_a_busy_server_gets_about_what_it_takes() -> None:
    _, limits = simulate(AdaptiveLimit(128), 5000, lambda under_way: 1.0 if under_way <= 20 else None)
    later = limits[1000:]
    assert 10 <= sum(later) / len(later) <= 22
    assert max(later) <= 24


def test_a_server_that_only_makes_requests_wait_gets_no_more_than_helps() -> None:
    """It works on 10 at a time; with twice that under way every request just takes twice as long."""
    _, limits = simulate(AdaptiveLimit(128, first=16), 5000, lambda under_way: max(1.0, under_way / 10))
    assert max(limits[500:]) <= 40


def test_a_server_that_gets_more_done_when_more_is_asked_is_asked_more() -> None:
    seconds, limits = simulate(AdaptiveLimit(128), 5000, lambda under_way: 1.0 + under_way / 100)
    assert limits[-1] == 128
    assert seconds < 1.1 * 5000 / 128 * 2.28


def test_failures_of_one_round_count_once_and_the_limit_comes_back() -> None:
    limit = AdaptiveLimit(64, first=64)
    for _ in range(64):
        limit.went_badly(0.0, 1.0, busy=True)
    assert limit.now == 32
    limit.went_badly(2.0, 2.5, busy=False)
    assert limit.now == 25
    for _ in range(4000):
        limit.went_well(1.0, limit.now)
    assert limit.now == 64


@given(st.integers(1, 200), st.lists(st.tuples(st.booleans(), st.floats(0.001, 1000))))
def test_the_limit_stays_in_its_bounds(most: int, events: list[tuple[bool, float]]) -> None:
    limit = AdaptiveLimit(most)
    now = 0.0
    for well, seconds in events:
        now += seconds
        if well:
            limit.went_well(seconds, limit.now)
        else:
            limit.went_badly(now - seconds, now, busy=True)
        assert 1 <= limit.now <= most
