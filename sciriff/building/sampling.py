"""Which instances a window keeps: the lowest keyed ranks that fit, up to the cap.

The cap counts instances kept, per source split, before splits are standardised, as in the original. Because a rank is a
digest of the row alone, the choice does not depend on the order in which rows were examined, only on which were; so
rows are examined in rank order, in rounds, and only as many as it takes to fill every window.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sciriff.building.instances import ANY_WINDOW, CHAT_MARKUP_TOKENS, Batch, Instance

BEYOND_CAP = "beyond n_instances"
TOO_LONG = "longer than the window"
MALFORMED = "malformed record"

_SLACK = 1.05
_SMALLEST_ROUND = 64


@dataclass(slots=True)
class Selection:
    """What one window keeps of one source split.

    Attributes:
        instances: kept instances in keyed order.
        dropped: reason -> number of rows or instances left out.
    """

    instances: list[Instance]
    dropped: dict[str, int]


class SplitSample:
    """The examined part of one source split.

    Attributes:
        size: rows of the source split.
        asked: the windows that the current round is for; others are full.
    """

    def __init__(self, size: int, rank: Callable[[int], int], windows: tuple[int, ...], cap: int | None) -> None:
        """Start with nothing examined.

        Args:
            size: rows of the source split.
            rank: keyed rank of a row index.
            windows: context windows in tokens, ascending.
            cap: most instances a window keeps; None for all.
        """
        self.size = size
        self.windows = windows
        self.cap = cap
        self._order = sorted(range(size), key=rank)  # equal ranks stay in the order of rows
        self.asked = windows
        self._examined = 0
        self._instances: dict[int, list[Instance]] = {}
        self._reasons: dict[int, list[tuple[int, str]]] = {}
        self._malformed: dict[str, None] = {}

    @property
    def malformed(self) -> list[str]:
        """Messages of the records that could not be used, in source order."""
        return sorted(self._malformed)

    def unfilled(self) -> tuple[int, ...]:
        """Windows that still want instances."""
        if self._examined >= self.size:
            return ()
        return tuple(window for window in self.windows if self.cap is None or self._fitting(window) < self.cap)

    def next_round(self) -> list[int]:
        """Row indices to examine next; empty when every window is full or no row is left."""
        wanting = self.unfilled()
        if not wanting:
            return []
        self.asked = wanting
        start = self._examined
        if self.cap is None:
            self._examined = self.size
        elif start == 0:
            self._examined = min(self.size, max(_SMALLEST_ROUND, self.cap))
        else:
            # the window that needs the fewest: once it is full, longer texts need no longer be counted to their end
            rows = min(self._rows_to_fill(window, self.cap) for window in wanting)
            self._examined = min(self.size, start + max(_SMALLEST_ROUND, rows))
        return self._order[start : self._examined]

    def _rows_to_fill(self, window: int, cap: int) -> int:
        """Rows it should take to fill a window, by the share that has fitted so far."""
        fitting = self._fitting(window)
        per_row = max(fitting, 1) / self._examined
        return math.ceil((cap - fitting) / per_row * _SLACK)

    def _fitting(self, window: int) -> int:
        return sum(fits(instance, window) for found in self._instances.values() for instance in found)

    def add(self, batch: Batch) -> None:
        """Take in what became of examined rows; batches may come in any order."""
        for instance in batch.instances:
            self._instances.setdefault(instance.row, []).append(instance)
        for row, window in batch.too_long:
            self._reasons.setdefault(row, []).append((window, TOO_LONG))
        for row, window, reason in batch.dropped:
            self._reasons.setdefault(row, []).append((window, reason))
        for row, message in batch.malformed:
            if message not in self._malformed:
                self._malformed[message] = None
                self._reasons.setdefault(row, []).append((ANY_WINDOW, MALFORMED))

    def select(self, window: int) -> Selection:
        """Return what a window keeps. Independent of the size and order of rounds and batches."""
        kept: list[Instance] = []
        dropped: Counter[str] = Counter()
        for place, row in enumerate(self._order):
            if self.cap is not None and len(kept) >= self.cap:
                dropped[BEYOND_CAP] += self.size - place
                break
            dropped.update(reason for at, reason in self._reasons.get(row, ()) if at in (window, ANY_WINDOW))
            for instance in sorted(self._instances.get(row, ()), key=lambda found: found.order):
                if not fits(instance, window):
                    dropped[TOO_LONG] += instance.window == ANY_WINDOW
                elif self.cap is not None and len(kept) >= self.cap:
                    dropped[BEYOND_CAP] += 1
                else:
                    kept.append(instance)
        return Selection(kept, {reason: count for reason, count in sorted(dropped.items()) if count})


def fits(instance: Instance, window: int) -> bool:
    """Whether an instance belongs into a window; one that was fitted to a window belongs into that one only."""
    if instance.window != ANY_WINDOW:
        return instance.window == window
    return instance.tokens <= window - CHAT_MARKUP_TOKENS
