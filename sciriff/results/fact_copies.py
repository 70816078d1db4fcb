"""Local copies of the facts of a remote store, kept from one run to the next: only what is new is read.

A fact file is named by its content and never changes; of a manifest the listing tells whether it did. So a listing and
the new files are all that is asked of the store.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from sciriff.errors import StoreError
from sciriff.results.facts import FACTS
from sciriff.store import MANIFEST, Store

_AT_ONCE = 32
_VERSIONS = "versions.json"


@contextmanager
def facts_at_hand(store: Store, cache: Path) -> Iterator[Store]:
    """Yield a local store that holds the facts of a store: itself, if it is local.

    Args:
        store: the artifacts.
        cache: local folder of copies of this store's facts. One process at a time works on it, others wait.

    Raises:
        StoreError: if the facts cannot be read, or the folder cannot be written.
    """
    if store.is_local:
        yield store
        return
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = os.open(cache / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise _unwritable(cache, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        copies = Store(str(cache))
        bring_home(store, copies)
        yield copies
    finally:
        os.close(lock)


def bring_home(store: Store, copies: Store) -> int:
    """Make the copies what the store holds.

    Args:
        store: the artifacts.
        copies: a local store; a file in it tells which version of each fact file the copies are of.

    Returns:
        How many files were read.

    Raises:
        StoreError: if the facts cannot be read, or the copies cannot be written.
    """
    had = _noted(Path(copies.path(_VERSIONS)))
    there = store.versions(FACTS)
    copied = set(copies.files(FACTS))
    for name in copied - there.keys():
        copies.delete(f"{FACTS}/{name}")
    known = {name: version for name, version in had.items() if name in copied and _is_same(name, version, there)}
    wanted = [name for name in there if name not in known]
    for start in range(0, len(wanted), _AT_ONCE):
        for name, data in _read(store, wanted[start : start + _AT_ONCE]):
            copies.write_bytes(f"{FACTS}/{name}", data)
            known[name] = there[name]
    if known != had:
        copies.write_bytes(_VERSIONS, orjson.dumps(known, option=orjson.OPT_SORT_KEYS))
    return len(wanted)


def _is_same(name: str, version: str, there: dict[str, str]) -> bool:
    """Whether a file is as it was; one that is named by its content always is."""
    return name in there and (there[name] == version or name.rpartition("/")[2] != MANIFEST)


def _read(store: Store, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    try:
        yield from zip(names, store.read_many([f"{FACTS}/{name}" for name in names]), strict=True)
    except FileNotFoundError:  # one of them was deleted meanwhile; the others count
        for name in names:
            with suppress(FileNotFoundError):
                yield name, store.read_bytes(f"{FACTS}/{name}")


def _noted(path: Path) -> dict[str, str]:
    try:
        noted = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _unwritable(cache: Path, error: OSError) -> StoreError:
    return StoreError(f"cannot write {cache}: {error}; check SCIRIFF_CACHE, and that there is room")
