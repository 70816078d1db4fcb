"""What a fitted formatter may spend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Budget:
    """The token budget of one record in one context window.

    Attributes:
        window: tokens that input and output may have together, already without the pad for chat markup.
        count: tokens of a text.
        random: the record's own generator.
    """

    window: int
    count: Callable[[str], int]
    random: Random


def piece_sizes(count: Callable[[str], int], pieces: tuple[str, ...]) -> tuple[int, ...]:
    """Tokens of each piece. Callers that meet the same pieces once per window cache it."""
    return tuple(count(piece) for piece in pieces)
