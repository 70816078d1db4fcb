"""Where instances of one's own lie: a path, or a URL whose files are copied into the cache."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from sciriff.errors import UsageError
from sciriff.hashing import digest
from sciriff.settings import Settings
from sciriff.store import Store

SUFFIXES = (".jsonl", ".parquet")


class Place(NamedTuple):
    """A file or folder of instances.

    Attributes:
        path: where it can be read.
        name: what it is called in messages and results: the path or URL that was given.
    """

    path: Path
    name: str

    def name_of(self, file: Path) -> str:
        """What a file of the place is called."""
        return self.name if file == self.path else f"{self.name.rstrip('/')}/{file.relative_to(self.path).as_posix()}"


def find_place(data: str, settings: Settings) -> Place:
    """The place of a path or of any fsspec URL.

    Files of a URL are copied once; a later call copies them anew if one of them has changed.

    Raises:
        UsageError: if there is no such file or folder.
        StoreError: if the URL cannot be read.
    """
    if "://" in data:
        return Place(_copy(data, settings), data)
    path = Path(data).expanduser()
    if not path.exists():
        raise _nowhere(path)
    return Place(path, str(path))


def _copy(url: str, settings: Settings) -> Path:
    folder, _, last = url.rstrip("/").rpartition("/")
    is_file = last.endswith(SUFFIXES)
    there = Store(folder if is_file else url, settings)
    names = [last] if is_file else [name for name in there.files("") if name.endswith(SUFFIXES)]
    versions = {name: version for name in names if (version := there.version(name))}
    if not versions:
        raise _nowhere(url)
    kept = settings.cache / "data" / digest([url, versions])[:16]
    if not kept.is_dir():
        unfinished = kept.with_name(f"{kept.name}.{os.getpid()}")
        for name in versions:
            target = unfinished / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with there.open_read(name) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        try:
            unfinished.rename(kept)
        except OSError:  # another process was quicker
            shutil.rmtree(unfinished)
    return kept / last if is_file else kept


def _nowhere(data: Path | str) -> UsageError:
    return UsageError(f"data {data}: there is no such file or folder; give built, published or a path or URL")
