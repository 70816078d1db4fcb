"""How many requests may be under way at once: as many as the server takes well, found out under way.

Additive increase, multiplicative decrease, as TCP: the limit doubles per round of replies until the server first shows
that it has enough, from then on it grows slowly. It is halved, once per round, when the server says that it is busy or
does not answer in time, and cut by a fifth when it fails otherwise, or when requests only wait for each other: when the
limit has at least doubled and the server does not get more done than before.
"""

from __future__ import annotations

from statistics import median

_FIRST = 64
_SMALLEST_ROUND = 12
_CUT, _TRIM = 0.5, 0.8
_LEAST_GAIN = 1.1
_ROUNDS_TO_THE_TOP = 64


class AdaptiveLimit:
    """The limit and what it has learnt. Times are seconds of any one clock."""

    def __init__(self, most: int, first: int = _FIRST) -> None:
        """Begin.

        Args:
            most: never more than this.
            first: what to begin with.
        """
        self._most = most
        self._step = max(1.0, most / _ROUNDS_TO_THE_TOP)
        self._limit = float(min(first, most))
        self._doubling = True
        self._last_cut = float("-inf")
        self._round = self._limit
        self._paces: list[float] = []
        self._quickest: tuple[float, float] | None = None

    @property
    def now(self) -> int:
        """How many requests may be under way."""
        return max(1, int(self._limit))

    def went_well(self, pace: float, under_way: int) -> None:
        """Learn from a reply.

        Args:
            pace: what it took, in seconds per unit of work.
            under_way: requests under way when it came, itself included; the limit only grows while it is reached.
        """
        if under_way >= self.now:
            self._limit = min(self._most, self._limit + (1 if self._doubling else self._step / self._limit))
        self._paces.append(pace)
        if len(self._paces) >= max(_SMALLEST_ROUND, self._round):
            self._compare(self._round, median(self._paces))
            self._begin_round()

    def went_badly(self, began: float, now: float, *, busy: bool) -> None:
        """Learn from a request that the server failed.

        Args:
            began: when it was sent.
            now: when it failed.
            busy: whether the server had too much to do, as far as it says.
        """
        self._doubling = False
        if began >= self._last_cut:  # those sent before the last cut say nothing about the limit since
            self._limit = max(1.0, self._limit * (_CUT if busy else _TRIM))
            self._last_cut = now
            self._begin_round()

    def _begin_round(self) -> None:
        self._round = self._limit
        self._paces.clear()

    def _compare(self, limit: float, pace: float) -> None:
        """Compare a round of replies with the quickest so far: throughput is limit / pace (Little's law)."""
        if self._quickest is None or pace <= self._quickest[1]:
            self._quickest = (limit, pace)
            return
        quickest_limit, quickest = self._quickest
        if limit >= 2 * quickest_limit and limit / pace < _LEAST_GAIN * quickest_limit / quickest:
            self._doubling = False
            self._limit *= _TRIM
