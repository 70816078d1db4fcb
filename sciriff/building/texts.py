"""The text behind an instance, and an id by which equal texts are found whatever the prompts say around them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

_LOWERED: Final = bytes(range(256)).lower()
_NO_MATTER: Final = bytes(code for code in range(128) if not chr(code).isalnum())


def source_text(variables: Mapping[str, Any], names: Iterable[str]) -> str:
    """The longest text among the named variables; strings of a list count as one text, a line each.

    That is the abstract, paper or passage, since questions and titles are shorter. A list of nothing but single words
    is a list of labels and no text: it may well be longer than a short passage. Empty if no variable is text.
    """
    longest = ""
    for name in names:
        value = variables.get(name)
        if isinstance(value, list):
            parts = [part for part in value if isinstance(part, str)]
            value = "\n".join(parts) if any(" " in part for part in parts) else ""
        if isinstance(value, str) and len(value) > len(longest):
            longest = value
    return longest


def text_id(text: str) -> str:
    """Digest (24 hex digits) of the letters and digits of a text.

    White space, ASCII punctuation and the case of ASCII letters do not count, so that a text equals its tokenised self.
    """
    raw = text.encode()
    return hashlib.blake2b(raw.translate(_LOWERED, _NO_MATTER) or raw, digest_size=12).hexdigest()
