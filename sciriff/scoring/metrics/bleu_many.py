"""BLEU counts of many replies at once: the same numbers as of each alone, in a fraction of the time.

Tokens become whole numbers, and an n-gram the pair of the (n-1)-gram's place among those of the reference and its last
token; the 0-gram of a reference is the reference itself. What is to be looked up and counted are then arrays.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from typing import TYPE_CHECKING, NamedTuple

from sciriff.scoring.metrics.bleu import MAX_ORDER
from sciriff.scoring.metrics.statistics import BleuCounts
from sciriff.scoring.metrics.tokenize_13a import LONGEST_KEPT, tokens_of_word, words_13a

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

_NO_TOKEN = 0
"""Stands for tokens that no reference has, and between the texts."""
_GAP_WORD = ""
"""Ends a text; no word is empty."""
_GAP = MAX_ORDER - 1
"""So many places without a token keep n-grams from reaching into the next text."""
_NUMBER = "i"
"""Type code of the numbers of tokens."""

_WORDS_KEPT = 1 << 16


class _Vocabulary(dict[str, bytes]):
    """Words, and the packed numbers of their tokens: each word is cut up and numbered where it is first met.

    Packed because bytes are joined to one array much quicker than numbers are.

    Sound with several threads: none can give a token a second number.
    """

    def __init__(self) -> None:
        super().__init__({_GAP_WORD: array(_NUMBER, [_NO_TOKEN] * _GAP).tobytes()})
        self._number_of: dict[str, int] = {}
        self._fresh = count(_NO_TOKEN + 1)

    def __missing__(self, word: str) -> bytes:
        number_of = self._number_of.setdefault
        numbers = array(_NUMBER, [number_of(token, next(self._fresh)) for token in tokens_of_word(word)]).tobytes()
        if len(word) <= LONGEST_KEPT:
            self[word] = numbers
        return numbers


_vocabulary = _Vocabulary()


def _current_vocabulary() -> _Vocabulary:
    """The words met so far; a new vocabulary when they have become too many."""
    global _vocabulary
    if len(_vocabulary) > _WORDS_KEPT:
        _vocabulary = _Vocabulary()
    return _vocabulary


def bleu_counts_of(pairs: Sequence[tuple[str, str]]) -> list[BleuCounts]:
    """Counts of (prediction, reference) pairs, as of :func:`~sciriff.scoring.metrics.bleu.bleu_counts`."""
    if not pairs:
        return []
    import numpy as np

    place_of = {text: place for place, text in enumerate(dict.fromkeys(reference for _, reference in pairs))}
    reference_of = np.array([place_of[reference] for _, reference in pairs])
    vocabulary = _current_vocabulary()
    references = _joined(place_of, vocabulary)
    replies = _joined((prediction for prediction, _ in pairs), vocabulary)
    matches = _clipped_matches(replies, references, reference_of)
    ngrams = [np.maximum(replies.lengths - order, 0) for order in range(MAX_ORDER)]
    columns = np.stack([*matches, *ngrams, replies.lengths, references.lengths[reference_of]], axis=1)
    return list(map(BleuCounts._make, columns.tolist()))


class _Texts(NamedTuple):
    """Texts end to end, with a gap behind each.

    Attributes:
        ids: numbers of the tokens.
        owners: text that each of them is of.
        lengths: tokens of each text.
    """

    ids: Numbers
    owners: Numbers
    lengths: Numbers


def _joined(texts: Iterable[str], vocabulary: _Vocabulary) -> _Texts:
    import numpy as np

    words = chain.from_iterable([*words_13a(text), _GAP_WORD] for text in texts)
    ids = np.frombuffer(b"".join(map(vocabulary.__getitem__, words)), _NUMBER).astype(np.int64)
    ends = np.flatnonzero(ids == _NO_TOKEN)[_GAP - 1 :: _GAP] + 1
    sizes = np.diff(ends, prepend=0)
    return _Texts(ids, np.repeat(np.arange(len(ends)), sizes), sizes - _GAP)


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


def _orders(texts: _Texts, size: int) -> Iterator[_Order]:
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
        yield _Order(keys, times, np.searchsorted(owners, np.arange(len(texts.lengths) + 1)))


def _clipped_matches(replies: _Texts, references: _Texts, reference_of: Numbers) -> list[Numbers]:
    """For each order the matches of each reply with its reference."""
    import numpy as np

    tokens, renumbered = np.unique(references.ids, return_inverse=True)
    size = len(tokens)
    number_of = np.full(max(int(replies.ids.max()), int(tokens[-1])) + 1, _NO_TOKEN)
    number_of[tokens] = np.arange(size)
    ids = number_of[replies.ids]
    places = np.flatnonzero(ids)
    grams = reference_of[replies.owners[places]]
    found: list[Numbers] = []
    for order, known in enumerate(_orders(references._replace(ids=renumbered), size)):
        last = ids[places + order]
        looked_up = grams * size + last
        spots = np.searchsorted(known.keys, looked_up)
        is_found = (np.append(known.keys, -1)[spots] == looked_up) & (last != _NO_TOKEN)
        places, grams = places[is_found], spots[is_found]
        found.append(_clipped(replies.owners[places], grams, reference_of, known))
    return found


def _clipped(repliers: Numbers, grams: Numbers, reference_of: Numbers, known: _Order) -> Numbers:
    """Matches of each reply, an n-gram at most as often as its reference has it.

    Args:
        repliers: reply of each match.
        grams: place of its n-gram among those of the references.
        reference_of: reply -> its reference.
        known: n-grams of the references.
    """
    import numpy as np

    replies = len(reference_of)
    ends = np.cumsum(np.diff(known.starts)[reference_of])  # each reply has a bin for each n-gram of its reference
    shift = known.starts[1:][reference_of] - ends
    counted = np.bincount(grams - shift[repliers], minlength=int(ends[-1]))
    often = np.flatnonzero(counted > 1)  # the others are within the limit: an n-gram that is known occurs
    holders = np.searchsorted(ends, often, side="right")
    surplus = np.maximum(counted[often] - known.times[often + shift[holders]], 0)
    matches = np.bincount(repliers, minlength=replies)
    np.subtract.at(matches, holders, surplus)
    return matches
