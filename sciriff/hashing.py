"""Stable content keys and keyed ranks.

Nothing here depends on the process: equal values give equal digests on any machine, Python version and
``PYTHONHASHSEED``. Keyed ranks replace every random draw of the pipeline: an item's place in a random order is a
digest of (seed, task, split, purpose, item), so a sample never depends on the order in which items were met or on
worker count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

import orjson

_CHUNK = 1 << 20


def canonical_json(value: Any) -> bytes:
    """Serialise plain data with sorted keys, so that equal values give equal bytes.

    Raises:
        TypeError: if the value holds something that is not plain JSON data.
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(value: Any) -> str:
    """SHA-256 (64 hex digits) of the canonical JSON of plain data."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def text_sha256(text: str) -> str:
    """SHA-256 of a text as UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a local file, read in 1 MiB pieces."""
    with path.open("rb") as stream:
        return stream_sha256(stream)


def stream_sha256(stream: BinaryIO) -> str:
    """SHA-256 of what is left in a binary stream."""
    hasher = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        hasher.update(chunk)
    return hasher.hexdigest()


def keyed_rank(seed: int, *purpose: str) -> Callable[[str | int], int]:
    """Return the rank function of one keyed random order.

    Args:
        seed: the global seed of the build.
        purpose: what the order is for, e.g. ``("scierc_ner", "train", "sample")``. Orders of different purposes are
            independent.

    Returns:
        A function from an item's id to a 64-bit rank. Sorting by (rank, id) gives the keyed order.
    """
    key = hashlib.blake2b(canonical_json([seed, *purpose]), digest_size=32).digest()

    def rank(item: str | int) -> int:
        return int.from_bytes(hashlib.blake2b(str(item).encode(), digest_size=8, key=key).digest(), "big")

    return rank


def keyed_random(seed: int, *purpose: str) -> Random:
    """Return a random generator of its own for one record, seeded from a digest of (seed, purpose)."""
    return Random(int.from_bytes(hashlib.blake2b(canonical_json([seed, *purpose]), digest_size=16).digest(), "big"))
