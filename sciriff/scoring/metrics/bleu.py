"""Corpus BLEU from per-sample counts (Papineni et al. 2002): 13a tokens, orders 1 to 4, one reference, no smoothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from sciriff.scoring.metrics.ngrams import clipped_matches
from sciriff.scoring.metrics.statistics import BleuCounts
from sciriff.scoring.metrics.tokenize_13a import tokenize_13a

MAX_ORDER = 4

NGrams = dict[Any, int]
"""N-grams of one order, and how often each occurs: of order 1 the tokens, of the others tuples of tokens."""

_REFERENCES_KEPT = 16
_PAIRS_KEPT = 4


@lru_cache(maxsize=_REFERENCES_KEPT)  # several models' replies to one reference follow each other
def _reference(text: str) -> tuple[int, tuple[NGrams, ...]]:
    tokens = tokenize_13a(text)
    return len(tokens), tuple(dict(Counter(grams)) for grams in _grams(tokens))


def _grams(tokens: list[str]) -> Iterator[Iterable[Any]]:
    """The n-grams of each order."""
    yield tokens
    shifted = [tokens[start:] for start in range(MAX_ORDER)]
    for order in range(2, MAX_ORDER + 1):
        yield zip(*shifted[:order], strict=False)


@lru_cache(maxsize=_PAIRS_KEPT)  # both profiles mostly see the same reply
def bleu_counts(prediction: str, reference: str) -> BleuCounts:
    """Clipped n-gram matches, n-gram totals and lengths of one pair of texts."""
    expected_length, expected = _reference(reference)
    tokens = tokenize_13a(prediction)
    matches = [0] * MAX_ORDER
    for order, (predicted, grams) in enumerate(zip(_grams(tokens), expected, strict=True)):
        matches[order] = clipped_matches(predicted, grams)
        if not matches[order]:
            break
    totals = [max(0, len(tokens) - order) for order in range(MAX_ORDER)]
    return BleuCounts._make([*matches, *totals, len(tokens), expected_length])


def bleu(total: BleuCounts, *, short_replies: bool = True) -> float:
    """Corpus BLEU between 0 and 1 of summed counts; 0 if an order has no match or a side is empty.

    Args:
        total: summed counts.
        short_replies: leave out the orders for which no reply of the corpus is long enough: right answers of three
            tokens each score 1 then, and the brevity penalty still holds; replies and references that are all empty
            score 1. The original gives 0 in both cases.
    """
    if short_replies and not total.length and not total.expected_length:
        return 1.0
    orders = [order for order in range(MAX_ORDER) if total.ngrams[order] or not short_replies]
    if not total.length or not total.expected_length or any(not total.matches[order] for order in orders):
        return 0.0
    log_precision = sum(math.log(total.matches[order] / total.ngrams[order]) for order in orders) / len(orders)
    brevity = min(0.0, 1 - total.expected_length / total.length)
    return math.exp(log_precision + brevity)
