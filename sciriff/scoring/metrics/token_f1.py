"""Token F1 between two texts after SQuAD normalisation (Rajpurkar et al. 2016)."""

from __future__ import annotations

import re
import string
from collections import Counter

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def squad_tokens(text: str) -> list[str]:
    """Lower-case words of a text without ASCII punctuation and without the articles a, an, the."""
    return _ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split()


def token_f1(prediction: str, reference: str, *, both_empty: float = 1.0) -> float:
    """Harmonic mean of the shares of common tokens, counted with multiplicity.

    Args:
        prediction: one text.
        reference: the other.
        both_empty: the value if both texts normalise to nothing (``"A"`` and ``"A"``). The original gives 0.
    """
    predicted, expected = squad_tokens(prediction), squad_tokens(reference)
    if not predicted and not expected:
        return both_empty
    common = (Counter(predicted) & Counter(expected)).total()
    if not common:
        return 0.0
    precision, recall = common / len(predicted), common / len(expected)
    return 2 * precision * recall / (precision + recall)
