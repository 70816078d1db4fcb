"""Names that become folders: of models, of tasks.

A name is taken as it is or refused, never bent into another one, so no two names ever share a folder unnoticed. What is
refused would leave the store, be another name on another machine (Windows, or a file system that ignores case), or show
as something else than it is.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_NAME = 120
"""Bytes in UTF-8. File systems allow 255, of which some are needed around a name."""

_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)
_UNUSABLE = frozenset('/\\:*?"<>|')


def flaw(name: str) -> str:
    """What is wrong with a name as a folder of results; empty if nothing is."""
    if not name:
        return "it is empty"
    if not name.isprintable():
        return "it holds characters that cannot be seen"
    if len(name.encode()) > LONGEST_NAME:
        return f"it is longer than {LONGEST_NAME} bytes"
    if unusable := sorted(_UNUSABLE & set(name)):
        return f"it holds {' '.join(unusable)}"
    if name.startswith((".", " ", "-", "~")) or name.endswith((".", " ")):
        return "it begins with . - ~ or a space, or ends with . or a space"
    if _RESERVED.fullmatch(name):
        return "Windows has no files of that name"
    if unicodedata.normalize("NFC", name) != name:
        return "it is spelt with combining characters that have a letter of their own"
    return ""


def folded(name: str) -> str:
    """What names have in common that are one on a file system that ignores case, or that look the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
