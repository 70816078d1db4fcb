"""The mteval-v13a tokenisation, the one that BLEU scores are usually reported with.

Same tokens as sacrebleu's ``13a`` and Hugging Face ``evaluate``'s (a test compares with sacrebleu). Not sacrebleu's own
class, because that keeps the last 65,536 texts in memory, twice, and takes most of a second to import.
"""

from __future__ import annotations

import re

_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_RULES = (
    (re.compile(r"([{-~\[-` -&(-+:-@/])"), r" \1 "),  # ASCII symbols except ' , - .
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),  # full stop or comma not after a digit
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),  # full stop or comma not before a digit
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),  # hyphen after a digit
)


def tokenize_13a(text: str) -> list[str]:
    """Split a text into 13a tokens; case is kept."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    if "&" in text:
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    text = f" {text} "
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text.split()
