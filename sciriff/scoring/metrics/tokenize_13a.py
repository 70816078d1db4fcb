"""The mteval-v13a tokenisation, the one that BLEU scores are usually reported with.

Same tokens as sacrebleu's ``13a`` and Hugging Face ``evaluate``'s (a test compares with sacrebleu). Not sacrebleu's own
class, because that keeps the last 65,536 texts in memory, twice, and is many times slower: no rule looks past a blank,
so that each word is cut up once.
"""

from __future__ import annotations

import re
import string
from functools import lru_cache
from itertools import chain

_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_SYMBOLS = str.maketrans({symbol: f" {symbol} " for symbol in string.punctuation if symbol not in "',-."})
_STOP_NOT_AFTER_DIGIT = re.compile(r"([^0-9])([.,])")
_STOP_NOT_BEFORE_DIGIT = re.compile(r"([.,])([^0-9])")
_HYPHEN_AFTER_DIGIT = re.compile(r"([0-9])(-)")

_WORDS_KEPT = 1 << 15
LONGEST_KEPT = 40
"""Longer words hardly come again."""


def tokenize_13a(text: str) -> list[str]:
    """Split a text into 13a tokens; case is kept."""
    return list(chain.from_iterable(map(tokens_of_word, words_13a(text))))


def words_13a(text: str) -> list[str]:
    """Words of a text, each of which is cut up into tokens without regard to the others."""
    text = text.replace("<skipped>", "").replace("-\n", "")
    if "&" in text:
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    return text.split()


def tokens_of_word(word: str) -> tuple[str, ...]:
    """Tokens of one of the :func:`words_13a`."""
    return _known_parts(word) if len(word) <= LONGEST_KEPT else _parts(word)


def _parts(word: str) -> tuple[str, ...]:
    """Tokens of a word. Symbols come off first; what is then left between blanks has mostly been seen before."""
    pieces = word.translate(_SYMBOLS).split()
    return tuple(chain.from_iterable(map(_known_pieces, pieces)))


_known_parts = lru_cache(maxsize=_WORDS_KEPT)(_parts)


def _piece_parts(piece: str) -> tuple[str, ...]:
    """Tokens of a word without symbols, or of one symbol."""
    text = _set_apart(f" {piece} ", _STOP_NOT_AFTER_DIGIT, 2)
    text = _set_apart(text, _STOP_NOT_BEFORE_DIGIT, 1)
    return tuple(_set_apart(text, _HYPHEN_AFTER_DIGIT, 2).split())


_kept_pieces = lru_cache(maxsize=_WORDS_KEPT)(_piece_parts)


def _known_pieces(piece: str) -> tuple[str, ...]:
    return _kept_pieces(piece) if len(piece) <= LONGEST_KEPT else _piece_parts(piece)


def _set_apart(text: str, pattern: re.Pattern[str], group: int) -> str:
    """Put blanks around one of a pattern's two groups wherever it matches (quicker than ``sub`` with a template)."""
    parts = pattern.split(text)
    parts[group::3] = [f" {part} " for part in parts[group::3]]
    return "".join(parts)
