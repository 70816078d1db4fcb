"""ROUGE-1, -2, -L and -Lsum of one pair of texts (Lin 2004), F-measure, without stemming.

The same values as Google's ``rouge_score`` with ``use_stemmer=False``, which Hugging Face ``evaluate`` calls (a test
compares). That package fills a table of all pairs of tokens in Python; here a longest common subsequence takes one step
of bit arithmetic per token (Hyyrö 2004, "Bit-parallel LCS-length computation revisited").
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from itertools import chain, pairwise
from typing import NamedTuple

from sciriff.scoring.metrics.ngrams import clipped_matches

_TOKEN = re.compile(r"[a-z0-9]+")

_REFERENCES_KEPT = 16
_PAIRS_KEPT = 8


class Rouge(NamedTuple):
    """F-measures between 0 and 1. ``rougeLsum`` takes each line as a sentence."""

    rouge1: float = 0.0
    rouge2: float = 0.0
    rougeL: float = 0.0  # noqa: N815 - the metric's published name
    rougeLsum: float = 0.0  # noqa: N815


class _Line(NamedTuple):
    """A line of a reference: its tokens, and for each different token the bits of its places."""

    tokens: list[str]
    places: dict[str, int]


class _Reference(NamedTuple):
    tokens: list[str]
    unigrams: dict[str, int]
    bigrams: dict[tuple[str, str], int]
    whole: _Line
    lines: list[_Line]


def rouge(prediction: str, reference: str, *, short_texts: bool = True) -> Rouge:
    """ROUGE of one pair of texts.

    Args:
        prediction: the reply.
        reference: the text it is compared with.
        short_texts: where neither text has two tokens, ROUGE-2 is ROUGE-1; where neither has any (no ASCII letter or
            digit), all four tell whether the texts are equal but for case and blanks at the ends. The original gives 0.
    """
    sizes, scores = _rouge(prediction, reference)
    if not short_texts or max(sizes) > 1:
        return scores
    if sizes == (1, 1):
        return scores._replace(rouge2=scores.rouge1)
    return Rouge(1.0, 1.0, 1.0, 1.0) if prediction.strip().lower() == reference.strip().lower() else scores


@lru_cache(maxsize=_PAIRS_KEPT)  # both profiles mostly see the same reply
def _rouge(prediction: str, reference: str) -> tuple[tuple[int, int], Rouge]:
    """Numbers of tokens, and scores as in the definition."""
    lines = [tokens for line in prediction.lower().split("\n") if (tokens := _TOKEN.findall(line))]
    tokens = lines[0] if len(lines) == 1 else list(chain.from_iterable(lines))
    expected = _reference(reference)
    sizes = len(tokens), len(expected.tokens)
    if not tokens or not expected.tokens:
        return sizes, Rouge()
    unigrams = _f_measure(clipped_matches(tokens, expected.unigrams), *sizes)
    bigrams = _f_measure(clipped_matches(pairwise(tokens), expected.bigrams), sizes[0] - 1, sizes[1] - 1)
    longest = _f_measure(_lcs_length(tokens, expected.whole), *sizes)
    if len(lines) == len(expected.lines) == 1:
        return sizes, Rouge(unigrams, bigrams, longest, longest)
    return sizes, Rouge(unigrams, bigrams, longest, _f_measure(_union_hits(lines, expected), *sizes))


@lru_cache(maxsize=_REFERENCES_KEPT)  # several models' replies to one reference follow each other
def _reference(text: str) -> _Reference:
    lines = [_line(tokens) for line in text.lower().split("\n") if (tokens := _TOKEN.findall(line))]
    whole = lines[0] if len(lines) == 1 else _line(list(chain.from_iterable(line.tokens for line in lines)))
    return _Reference(whole.tokens, dict(Counter(whole.tokens)), dict(Counter(pairwise(whole.tokens))), whole, lines)


def _line(tokens: list[str]) -> _Line:
    places: dict[str, int] = {}
    for place, token in enumerate(tokens):
        places[token] = places.get(token, 0) | 1 << place
    return _Line(tokens, places)


def _f_measure(hits: int, predicted: int, expected: int) -> float:
    precision, recall = hits / max(predicted, 1), hits / max(expected, 1)
    return 2 * precision * recall / (precision + recall) if hits else 0.0


def _lcs_length(tokens: list[str], reference: _Line) -> int:
    """Tokens of a longest common subsequence.

    In the table of LCS lengths of prefixes, a column grows by 0 or 1 from each token of the reference to the next;
    a set bit of ``flat`` says that it does not grow at that token. One column is computed from the one before.
    """
    everywhere = (1 << len(reference.tokens)) - 1
    flat = everywhere
    for token in tokens:
        if (places := reference.places.get(token)) is not None:
            grown = flat & places
            flat = (flat + grown) | (flat - grown)
    return (everywhere & ~flat).bit_count()


def _lcs_places(tokens: list[str], reference: _Line) -> int:
    """Bits of the places in the reference of the one longest common subsequence that ``rouge_score`` traces.

    It goes back from the ends of both texts. Where the tokens are the same, it takes them; else it steps back in the
    reference, unless only a step back in ``tokens`` keeps the length, that is, where the column grows at this place.
    """
    everywhere = (1 << len(reference.tokens)) - 1
    flat = everywhere
    columns = []
    for token in tokens:
        places = reference.places.get(token, 0)
        grown = flat & places
        flat = (flat + grown) | (flat - grown)
        columns.append((places, everywhere & ~flat))
    found, within = 0, everywhere
    for places, growing in reversed(columns):
        stops = (places | growing) & within
        if not stops:
            break
        last = 1 << stops.bit_length() - 1
        if last & places:
            found |= last
            within = last - 1
        else:
            within = (last << 1) - 1
    return found


def _union_hits(lines: list[list[str]], expected: _Reference) -> int:
    """Tokens in the union of each reference line's LCSs with all lines of the reply, clipped to what both have."""
    left_predicted = Counter(chain.from_iterable(lines))
    left_expected = Counter(expected.unigrams)
    hits = 0
    for line in expected.lines:
        union = 0
        for tokens in lines:
            union |= _lcs_places(tokens, line)
        for place, token in enumerate(line.tokens):
            if union >> place & 1 and left_predicted[token] > 0 and left_expected[token] > 0:
                hits += 1
                left_predicted[token] -= 1
                left_expected[token] -= 1
    return hits
