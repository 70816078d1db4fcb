"""BLEU counts of many replies to one reference at once: the same numbers as of each alone, in half the time.

Tokens become whole numbers, and an n-gram the pair of the (n-1)-gram's place among those of the reference and its last
token. What is to be looked up and counted are then arrays, over all replies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, NamedTuple

from sciriff.scoring.metrics.bleu import MAX_ORDER
from sciriff.scoring.metrics.statistics import BleuCounts
from sciriff.scoring.metrics.tokenize_13a import tokenize_13a

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

_NO_TOKEN = 0
"""Stands for tokens that the reference lacks, and between the replies."""
_GAP = ("",) * (MAX_ORDER - 1)
"""No token is empty."""


def bleu_counts_of(predictions: Sequence[str], reference: str) -> list[BleuCounts]:
    """Counts of each prediction, as of :func:`~sciriff.scoring.metrics.bleu.bleu_counts`."""
    expected = tokenize_13a(reference)
    predicted = [tokenize_13a(prediction) for prediction in predictions]
    matches = zip(*_clipped_matches(predicted, expected), strict=True) if predicted else ()
    return [
        BleuCounts._make(
            [*found, *(max(0, len(tokens) - order) for order in range(MAX_ORDER)), len(tokens), len(expected)]
        )
        for tokens, found in zip(predicted, matches, strict=True)
    ]


class _Order(NamedTuple):
    """The n-grams of one order of a reference: their keys, sorted, and how often each occurs."""

    keys: Numbers
    times: Numbers


def _clipped_matches(predicted: Sequence[Sequence[str]], expected: Sequence[str]) -> list[list[int]]:
    """For each order the matches of each reply."""
    import numpy as np

    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(expected), start=1)}
    size = len(vocabulary) + 1
    length = sum(len(tokens) + len(_GAP) for tokens in predicted)
    everything = chain.from_iterable(chain(tokens, _GAP) for tokens in predicted)
    number_of: Callable[[str, int], int] = vocabulary.get
    ids = np.fromiter(map(number_of, everything, repeat(_NO_TOKEN)), np.int64, length)
    reply_of = np.repeat(np.arange(len(predicted)), [len(tokens) + len(_GAP) for tokens in predicted])
    places = np.flatnonzero(ids)
    grams = np.zeros(len(places), np.int64)
    found: list[list[int]] = []
    for order, (keys, times) in enumerate(_orders(expected, vocabulary)):
        last = ids[places + order]
        looked_up = grams * size + last
        spots = np.searchsorted(keys, looked_up)
        spots[spots == len(keys)] = 0
        is_found = (keys[spots] == looked_up) & (last != _NO_TOKEN) if len(keys) else np.zeros(len(places), bool)
        places, grams = places[is_found], spots[is_found]
        counted = np.bincount(reply_of[places] * len(keys) + grams, minlength=len(predicted) * len(keys))
        clipped = np.minimum(counted.reshape(len(predicted), len(keys)), times)
        found.append(clipped.sum(axis=1).tolist())
    return found


def _orders(tokens: Sequence[str], vocabulary: dict[str, int]) -> Iterator[_Order]:
    import numpy as np

    ids = np.fromiter(map(vocabulary.__getitem__, tokens), np.int64, len(tokens))
    grams = np.zeros(len(ids), np.int64)
    for order in range(MAX_ORDER):
        grams = grams[: max(0, len(ids) - order)] * (len(vocabulary) + 1) + ids[order:]
        keys, grams, times = np.unique(grams, return_inverse=True, return_counts=True)
        yield _Order(keys, times)
