"""Mirrors: a folder or fsspec URL with a ``mirror.json`` that maps primary URLs to files in it.

``mirror.json`` is an object ``{primary URL: {path, sha256, bytes, partial, note}}``. A *partial* file is a real but
incomplete stand-in: its hash takes the place of the catalogue's, and everything built from it says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import orjson
from fsspec.implementations.local import LocalFileSystem
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sciriff.errors import SourceError
from sciriff.filesystems import open_url
from sciriff.hashing import file_sha256
from sciriff.owned import owned_name
from sciriff.sources.catalogue import Sha256
from sciriff.sources.progress import NoProgress, Progress
from sciriff.store import sweep

if TYPE_CHECKING:
    from sciriff.settings import Settings

INDEX = "mirror.json"

_CHUNK = 1 << 20


class MirrorEntry(BaseModel):
    """One file of a mirror.

    Attributes:
        url: the primary address it stands for.
        path: where it lies, relative to the mirror.
        sha256: 64 hex digits.
        bytes: size, if stated.
        partial: whether it is an incomplete stand-in.
        note: what it holds, in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    path: str
    sha256: Sha256
    bytes: int | None = Field(None, ge=0)
    partial: bool = False
    note: str = ""


@dataclass(frozen=True)
class Mirror:
    """An opened mirror: its address, and its entries by primary URL."""

    location: str
    entries: Mapping[str, MirrorEntry]
    filesystem: Any
    root: str

    @property
    def index(self) -> str:
        """Address of its ``mirror.json``, for messages."""
        return f"{self.location.rstrip('/')}/{INDEX}"

    def lookup(self, url: str) -> MirrorEntry | None:
        """The entry of a primary URL."""
        return self.entries.get(url)

    def local_file(self, entry: MirrorEntry, cache: Path, progress: Progress | None = None) -> Path:
        """A verified local file of an entry: in place for a local mirror, else copied into the cache.

        Raises:
            SourceError: if the file is missing, or is not what ``mirror.json`` says; names URL, expected and found.
        """
        if isinstance(self.filesystem, LocalFileSystem):
            path = Path(self.root) / entry.path
            if not path.is_file():
                raise self._missing(entry)
        else:
            path = cache / "mirror" / f"{entry.sha256}-{PurePosixPath(entry.path).name}"
            if not path.is_file():
                self._copy(entry, path, progress or NoProgress())
        self._verify(entry, path)
        return path

    def _copy(self, entry: MirrorEntry, target: Path, progress: Progress) -> None:
        staged = target.with_name(f"{target.name}.part-{owned_name()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            sweep(target.parent, f"{target.name}.part-")
            with self.filesystem.open(f"{self.root}/{entry.path}", "rb") as stream, staged.open("wb") as out:
                progress.started(entry.url, entry.bytes)
                while chunk := stream.read(_CHUNK):
                    out.write(chunk)
                    progress.advanced(len(chunk))
            self._verify(entry, staged)
            staged.replace(target)
            progress.finished()
        except FileNotFoundError as error:
            raise self._missing(entry) from error
        except OSError as error:
            raise SourceError(
                f"{entry.url}: the copy from the mirror {self.location} to {target} failed: {error}; check that the "
                "mirror can be reached and the cache has room"
            ) from error
        finally:
            staged.unlink(missing_ok=True)

    def _missing(self, entry: MirrorEntry) -> SourceError:
        return SourceError(
            f"{entry.url}: {self.index} says it lies at {entry.path}, but there is no such file; put the file there or "
            "take the entry out"
        )

    def _verify(self, entry: MirrorEntry, path: Path) -> None:
        size, found = local_sha256(path)
        if (entry.bytes is not None and size != entry.bytes) or found != entry.sha256:
            expected_size = "" if entry.bytes is None else f" ({entry.bytes:,} bytes)"
            raise SourceError(
                f"{entry.url}: {path} is not the file that {self.index} describes: expected sha256 {entry.sha256}"
                f"{expected_size}, found {found} ({size:,} bytes); restore the file, or correct the entry if the "
                "change is meant"
            )


def load_mirror(location: str, settings: Settings | None = None) -> Mirror:
    """Read the ``mirror.json`` of a folder or fsspec URL.

    Args:
        location: the folder or URL.
        settings: keys and address of object stores; None for those of the environment.

    Raises:
        SourceError: if there is none or it is not valid; names the file and the entry.
    """
    try:
        filesystem, root = open_url(location, settings)
        with filesystem.open(f"{root.rstrip('/')}/{INDEX}", "rb") as stream:
            raw = orjson.loads(stream.read())
    except (OSError, ValueError, ImportError) as error:  # ValueError: bad JSON, unknown protocol
        raise SourceError(
            f"the mirror {location} cannot be used: {INDEX} in it cannot be read ({error}); point SCIRIFF_MIRROR to a "
            "folder or URL that has one"
        ) from error
    if not isinstance(raw, dict):
        raise SourceError(f"{INDEX} of the mirror {location} must map URLs to entries; found {type(raw).__name__}")
    entries = {url: _entry(location, url, value) for url, value in raw.items()}
    return Mirror(location, entries, filesystem, root.rstrip("/"))


def _entry(location: str, url: str, value: object) -> MirrorEntry:
    if not isinstance(value, dict):
        raise SourceError(f"{INDEX} of the mirror {location}, entry {url}: expected an object")
    try:
        entry = MirrorEntry.model_validate({"url": url, **value})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise SourceError(f"{INDEX} of the mirror {location}, entry {url}: {problems}") from error
    if entry.path.startswith("/") or ".." in PurePosixPath(entry.path).parts:
        raise SourceError(f"{INDEX} of the mirror {location}, entry {url}: path {entry.path!r} leaves the mirror")
    return entry


def local_sha256(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a local file; computed once per process while the file does not change."""
    status = path.stat()
    return status.st_size, _sha256(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256(path: Path, _size: int, _mtime_ns: int) -> str:
    return file_sha256(path)
