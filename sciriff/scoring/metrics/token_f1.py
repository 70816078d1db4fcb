"""Token F1 between two texts after SQuAD normalisation (Rajpurkar et al. 2016)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

_ARTICLES = frozenset(("a", "an", "the"))
_ARTICLE = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)

_TEXTS_KEPT = 32
_PAIRS_KEPT = 8


def squad_tokens(text: str) -> list[str]:
    """Lower-case words of a text without ASCII punctuation and without the articles a, an, the."""
    text = text.lower().translate(_WITHOUT_PUNCTUATION)
    words = text.split()
    if "".join(words).isalnum():  # no word has a boundary inside, so that an article is a word of its own
        return [word for word in words if word not in _ARTICLES]
    return _ARTICLE.sub(" ", text).split()


def token_counts(text: str) -> dict[str, int]:
    """How often each token of a text occurs."""
    return dict(Counter(squad_tokens(text)))


_known_counts = lru_cache(maxsize=_TEXTS_KEPT)(token_counts)
"""Several models have the same reference."""


def token_f1(prediction: str, reference: str, *, both_empty: float = 1.0) -> float:
    """Harmonic mean of the shares of common tokens, counted with multiplicity.

    Args:
        prediction: one text.
        reference: the other.
        both_empty: the value if both texts normalise to nothing (``"A"`` and ``"A"``). The original gives 0.
    """
    value = _known_f1(prediction, reference)
    return both_empty if value is None else value


@lru_cache(maxsize=_PAIRS_KEPT)  # both profiles mostly see the same reply
def _known_f1(prediction: str, reference: str) -> float | None:
    predicted, expected = _known_counts(prediction), _known_counts(reference)
    return overlap_f1(predicted, expected) if predicted or expected else None


def overlap_f1(predicted: Mapping[str, int], expected: Mapping[str, int]) -> float:
    """Harmonic mean of the shares of common tokens; 0 if there are none."""
    common = common_tokens(predicted, expected)
    if not common:
        return 0.0
    precision, recall = common / sum(predicted.values()), common / sum(expected.values())
    return 2 * precision * recall / (precision + recall)


def common_tokens(one: Mapping[str, int], other: Mapping[str, int]) -> int:
    """How many tokens two texts share, counted with multiplicity."""
    if len(one) > len(other):
        one, other = other, one
    common = 0
    for token, count in one.items():
        if in_other := other.get(token):
            common += count if count < in_other else in_other
    return common
