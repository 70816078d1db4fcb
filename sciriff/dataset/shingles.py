"""Texts as sets of 13-word shingles, without the words that a task's templates put around every text.

Thirteen words are the length by which overlaps of training and test data are commonly told (T. Brown et al.: Language
models are few-shot learners. NeurIPS, 2020, appendix C).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

SHINGLE_WORDS = 13
WORDING_SHARE = 0.5
"""A shingle that stands in at least this share of a task's documents is the template's, not the texts'."""
_LEAST_DOCUMENTS = 3

_WORD = re.compile(r"[^\W_]+")


def shingles(text: str) -> set[str]:
    """All runs of 13 words, in lower case and without punctuation; a shorter text is one shingle."""
    words = _WORD.findall(text.lower())
    if len(words) <= SHINGLE_WORDS:
        return {" ".join(words)} if words else set()
    return {" ".join(words[at : at + SHINGLE_WORDS]) for at in range(len(words) - SHINGLE_WORDS + 1)}


def wording(texts: Mapping[str, str]) -> frozenset[str]:
    """The shingles that a template contributes.

    Args:
        texts: document id -> one prompt of the task about it. A few hundred documents tell enough.
    """
    if len(texts) < _LEAST_DOCUMENTS:
        return frozenset()
    seen = Counter(shingle for text in texts.values() for shingle in shingles(text))
    least = max(_LEAST_DOCUMENTS, WORDING_SHARE * len(texts))
    return frozenset(shingle for shingle, count in seen.items() if count >= least)
