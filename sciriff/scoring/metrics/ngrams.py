"""Counting common n-grams."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

Gram = TypeVar("Gram", bound=Hashable)


def clipped_matches(predicted: Iterable[Gram], expected: dict[Gram, int]) -> int:
    """How many of the predicted grams the reference has too, each as often as the reference has it at most."""
    left = expected.copy()
    found = 0
    for gram in predicted:
        if count := left.get(gram):
            left[gram] = count - 1
            found += 1
    return found
