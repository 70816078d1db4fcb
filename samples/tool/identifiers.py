"""Ids that look like those of the real files and mean nothing."""

from __future__ import annotations

import hashlib


def hex_id(*parts: str) -> str:
    """Forty hex digits that depend on the parts alone."""
    return hashlib.blake2b("\x00".join(parts).encode(), digest_size=20).hexdigest()
