"""Token F1 between two texts after SQuAD normalisation (Rajpurkar et al. 2016)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)

_TEXTS_KEPT = 32


def squad_tokens(text: str) -> list[str]:
    """Lower-case words of a text without ASCII punctuation and without the articles a, an, the."""
    return _ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split()


@lru_cache(maxsize=_TEXTS_KEPT)  # both profiles mostly see the same texts, and several models the same reference
def _counted(text: str) -> Counter[str]:
    return Counter(squad_tokens(text))


def token_f1(prediction: str, reference: str, *, both_empty: float = 1.0) -> float:
    """Harmonic mean of the shares of common tokens, counted with multiplicity.

    Args:
        prediction: one text.
        reference: the other.
        both_empty: the value if both texts normalise to nothing (``"A"`` and ``"A"``). The original gives 0.
    """
    predicted, expected = _counted(prediction), _counted(reference)
    if not predicted and not expected:
        return both_empty
    return overlap_f1(predicted, expected)


def overlap_f1(predicted: Counter[str], expected: Counter[str]) -> float:
    """Harmonic mean of the shares of common tokens; 0 if there are none."""
    common = common_tokens(predicted, expected)
    if not common:
        return 0.0
    precision, recall = common / predicted.total(), common / expected.total()
    return 2 * precision * recall / (precision + recall)


def common_tokens(predicted: Mapping[str, int], expected: Mapping[str, int]) -> int:
    """How many tokens two texts share, counted with multiplicity."""
    return sum(min(predicted[token], expected[token]) for token in predicted.keys() & expected.keys())
