"""From Penn-Treebank-style tokens back to readable text.

DyGIE++ files hold tokens only. The rules change nothing but blanks and quotation marks, and undo the escapes of
parentheses: :mod:`sciriff.tasks.formatters.mentions` finds mentions by counting all other characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_BEFORE_PUNCTUATION = re.compile(r"\s+([.,!?;:])")
_SPACED_HYPHEN = re.compile(r"\s+-\s+")

_SURFACE_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\d)\s+%"), r"\1%"),
    # quotes: ``a'' and ''a'' become 'a'; then ' a ' closes up (this last rule also catches two possessives)
    (re.compile(r"``\s?(.*?)\s?''"), r"'\1'"),
    (re.compile(r"''\s?(.*?)\s?''"), r"'\1'"),
    (re.compile(r"' (.*?) '"), r"'\1'"),
    # parentheses: one space outside, none inside
    (re.compile(r"\s?-LRB-\s?"), "("),
    (re.compile(r"\s?-RRB-\s?"), ")"),
    (re.compile(r"\)(?=[^\s.,;:])"), ") "),
    (re.compile(r"(?<=\S)\("), " ("),
    (re.compile(r"\(\s+"), "("),
    (re.compile(r"\s+\)"), ")"),
)


def fix_surface(text: str) -> str:
    """Close up percent signs, quotes and parentheses, and undo the escapes ``-LRB-`` and ``-RRB-``."""
    for pattern, replacement in _SURFACE_RULES:
        text = pattern.sub(replacement, text)
    return text


def detokenise(tokens: Iterable[str]) -> str:
    """Join tokens, close up punctuation and spaced hyphens, then :func:`fix_surface`."""
    text = _BEFORE_PUNCTUATION.sub(r"\1", " ".join(tokens))
    return fix_surface(_SPACED_HYPHEN.sub("-", text))
