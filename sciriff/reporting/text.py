"""Texts of strangers (replies, prompts, names) made fit to be looked at: nothing invisible, nothing endless.

HTML is escaped by the templates; here is what escaping leaves alone: control characters (terminal escape codes among
them), characters that turn the direction of text around, invisible ones, and halves of surrogate pairs, which no file
can hold.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CONTROL_PICTURES = 0x2400
_DELETE, _DELETE_PICTURE = 0x7F, 0x2421
_SPOKEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction
    "\u00ad\u180e\u200b\u2028\u2029\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb"  # invisible
    "\ud800-\udfff\ufffe\uffff"  # no characters at all
    "\U000e0000-\U000e007f]"  # tags
)


class Excerpt(NamedTuple):
    """A text cut to a length at which it can be shown.

    Attributes:
        start: its first part, or all of it.
        left_out: characters left out behind that.
        end: its last part; empty if nothing was left out.
        length: characters of the whole text.
    """

    start: str
    left_out: int
    end: str
    length: int


def visible(text: str) -> str:
    """A text with a sign in place of every character that cannot be seen or does something."""
    return _SPOKEN.sub(_sign, text.replace("\r\n", "\n"))


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    return chr(_DELETE_PICTURE) if code == _DELETE else f"⟨U+{code:04X}⟩"


def excerpt(text: str, most: int) -> Excerpt:
    """Cut a text: three quarters of what may be shown from its start, the rest from its end.

    Args:
        text: any text.
        most: characters that are shown.
    """
    if len(text) <= most:
        return Excerpt(text, 0, "", len(text))
    tail = most // 4
    head = most - tail
    return Excerpt(text[:head], len(text) - most, text[-tail:] if tail else "", len(text))
