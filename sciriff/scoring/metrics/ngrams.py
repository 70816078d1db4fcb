"""Counting common n-grams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

Gram = TypeVar("Gram", bound=Hashable)


def clipped_matches(predicted: Iterable[Gram], expected: Mapping[Gram, int]) -> int:
    """How many of the predicted grams the reference has too, each as often as the reference has it at most."""
    found = list(filter(expected.__contains__, predicted))
    if len(set(found)) == len(found):  # mostly, and then there is nothing to clip
        return len(found)
    return sum(min(times, expected[gram]) for gram, times in Counter(found).items())
