"""The predictions that evaluations left in the store, as a folder on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sciriff.models.predictions import PREDICTIONS
from sciriff.store import Store


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
        for name in store.files(PREDICTIONS):
            target = copy / PREDICTIONS / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with store.open_read(f"{PREDICTIONS}/{name}") as stream, target.open("wb") as file:
                shutil.copyfileobj(stream, file)
        yield copy
