"""From Penn-Treebank-style tokens back to readable text.

DyGIE++ files hold tokens only. Text and mentions go through the same rules, so that mentions are found in the text.
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


def find_mention(mention: str, text: str) -> str | None:
    """Return the mention as the text has it, or None if the text lacks it.

    The spacing of a mention can differ from its text's, since the rules above see more of a sentence than of a
    mention (``LEXICALL -`` at the mention's end, a quotation mark paired with one outside). So where the mention itself
    is not found, its first occurrence with other or no whitespace counts, and the text's spacing wins.
    """
    if mention in text:
        return mention
    characters = "".join(mention.split())
    found = re.search(r"\s*".join(map(re.escape, characters)), text)
    return found.group() if found else None
