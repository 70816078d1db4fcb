"""Predictions that lie in a store, as a folder on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sciriff.errors import UsageError
from sciriff.models.predictions import PREDICTIONS
from sciriff.settings import Settings
from sciriff.store import Store, temporary_folder


@contextmanager
def own_predictions(store: Store) -> Iterator[Path]:
    """Yield a folder laid out as the store, with its predictions in it: the store itself, or a copy if it is remote.

    Raises:
        StoreError: if the store cannot be read.
    """
    if store.is_local:
        yield Path(store.path(""))
        return
    with store.workspace() as copy:
        (copy / PREDICTIONS).mkdir(parents=True)
        _copy(store, PREDICTIONS, copy / PREDICTIONS)
        yield copy


@contextmanager
def local_predictions(place: str | Path | None, settings: Settings) -> Iterator[Path | None]:
    """Yield predictions as a local folder or file: what is named by a URL is copied, under its name.

    Raises:
        UsageError: if there is nothing at the URL.
        StoreError: if it cannot be read.
    """
    if place is None or isinstance(place, Path) or "://" not in place:
        yield None if place is None else Path(place)
        return
    root, _, name = place.rstrip("/").rpartition("/")
    there = Store(root, settings)
    with temporary_folder() as folder:
        copy = folder / name
        if not _copy(there, name, copy):
            try:
                copy.write_bytes(there.read_bytes(name))
            except FileNotFoundError:
                raise UsageError(f"there are no predictions at {place}") from None
        yield copy


def _copy(store: Store, folder: str, target: Path) -> int:
    """Copy the files of a folder of a store; how many there were."""
    names = store.files(folder)
    for name in names:
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with store.open_read(f"{folder}/{name}") as stream, copy.open("wb") as file:
            shutil.copyfileobj(stream, file)
    return len(names)
