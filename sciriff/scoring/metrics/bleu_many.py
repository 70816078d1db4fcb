"""BLEU counts of many replies at once: the same numbers as of each alone, in a fraction of the time.

Tokens become whole numbers, and an n-gram the pair of the (n-1)-gram's place among those of the reference and its last
token; the 0-gram of a reference is the reference itself. What is to be looked up and counted are then arrays.
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
"""Stands for tokens that no reference has, and between the texts."""
_GAP = ("",) * (MAX_ORDER - 1)
"""No token is empty."""


def bleu_counts_of(pairs: Sequence[tuple[str, str]]) -> list[BleuCounts]:
    """Counts of (prediction, reference) pairs, as of :func:`~sciriff.scoring.metrics.bleu.bleu_counts`."""
    if not pairs:
        return []
    references = {text: tokenize_13a(text) for text in dict.fromkeys(reference for _, reference in pairs)}
    place_of = {text: place for place, text in enumerate(references)}
    predicted = [tokenize_13a(prediction) for prediction, _ in pairs]
    matches = _clipped_matches(predicted, list(references.values()), [place_of[reference] for _, reference in pairs])
    return [
        BleuCounts._make(
            [
                *found,
                *(max(0, len(tokens) - order) for order in range(MAX_ORDER)),
                len(tokens),
                len(references[reference]),
            ]
        )
        for tokens, found, (_, reference) in zip(predicted, zip(*matches, strict=True), pairs, strict=True)
    ]


class _Texts(NamedTuple):
    """Texts end to end, with gaps.

    Attributes:
        ids: numbers of the tokens.
        owners: text that each of them is of.
    """

    ids: Numbers
    owners: Numbers


def _joined(texts: Sequence[Sequence[str]], vocabulary: dict[str, int]) -> _Texts:
    import numpy as np

    lengths = [len(tokens) + len(_GAP) for tokens in texts]
    number_of: Callable[[str, int], int] = vocabulary.get
    everything = chain.from_iterable(chain(tokens, _GAP) for tokens in texts)
    ids = np.fromiter(map(number_of, everything, repeat(_NO_TOKEN)), np.int64, sum(lengths))
    return _Texts(ids, np.repeat(np.arange(len(texts)), lengths))


class _Order(NamedTuple):
    """The n-grams of one order of all references.

    Attributes:
        keys: what tells them apart, sorted, those of one reference side by side.
        times: how often each occurs.
        starts: where those of each reference begin, and the end of all.
    """

    keys: Numbers
    times: Numbers
    starts: Numbers


def _orders(texts: _Texts, references: int, size: int) -> Iterator[_Order]:
    import numpy as np

    places = np.flatnonzero(texts.ids)
    grams = texts.owners[places]
    for order in range(MAX_ORDER):
        last = texts.ids[places + order]
        goes_on = last != _NO_TOKEN
        places = places[goes_on]
        keys, first, grams, times = np.unique(
            grams[goes_on] * size + last[goes_on], return_index=True, return_inverse=True, return_counts=True
        )
        owners = texts.owners[places[first]]
        yield _Order(keys, times, np.searchsorted(owners, np.arange(references + 1)))


def _clipped_matches(
    predicted: Sequence[Sequence[str]], references: Sequence[Sequence[str]], reference_of: Sequence[int]
) -> list[list[int]]:
    """For each order the matches of each reply with its reference."""
    import numpy as np

    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(chain(*references)), start=1)}
    size = len(vocabulary) + 1
    replies, owner = _joined(predicted, vocabulary), np.array(reference_of)
    places = np.flatnonzero(replies.ids)
    grams = owner[replies.owners[places]]
    found: list[list[int]] = []
    for order, known in enumerate(_orders(_joined(references, vocabulary), len(references), size)):
        last = replies.ids[places + order]
        looked_up = grams * size + last
        spots = np.searchsorted(known.keys, looked_up)
        is_found = (np.append(known.keys, -1)[spots] == looked_up) & (last != _NO_TOKEN)
        places, grams = places[is_found], spots[is_found]
        found.append(_clipped(replies.owners[places], grams, owner, len(predicted), known))
    return found


def _clipped(repliers: Numbers, grams: Numbers, owner: Numbers, replies: int, known: _Order) -> list[int]:
    """Matches of each reply, an n-gram at most as often as its reference has it.

    Args:
        repliers: reply of each match.
        grams: place of its n-gram among those of the references.
        owner: reply -> its reference.
        replies: how many there are.
        known: n-grams of the references.
    """
    import numpy as np

    sizes = np.diff(known.starts)[owner]
    ends = np.cumsum(sizes)
    bin_of = (ends - sizes)[repliers] + grams - known.starts[owner[repliers]]
    counted = np.bincount(bin_of, minlength=int(ends[-1]))
    holders = np.repeat(np.arange(replies), sizes)
    gram_of_bin = np.arange(len(holders)) - (ends - sizes)[holders] + known.starts[owner[holders]]
    clipped = np.minimum(counted, known.times[gram_of_bin])
    matches: list[int] = np.bincount(holders, weights=clipped, minlength=replies).astype(np.int64).tolist()
    return matches
