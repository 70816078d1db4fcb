"""The one door to artifacts: any fsspec URL, atomic writes, manifests.

A reader of the store never sees half a file: local files are written beside their place and renamed, object stores make
an object visible when its upload is complete. A folder is done when, and only when, its ``manifest.json`` names every
file in it with the right hash (design rule 2).
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

import orjson
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from sciriff.errors import StoreError, disk_full
from sciriff.filesystems import open_url
from sciriff.hashing import stream_sha256
from sciriff.owned import owned_name, was_left

if TYPE_CHECKING:
    from sciriff.settings import Settings

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
"""Raised when the shape of artifacts changes, so that older ones are rebuilt."""

_STAGING = ".staging"
_HIDDEN = (f"{_STAGING}/", ".leases/")  # the second: see sciriff.lease_boards
_TEMPORARY = "sciriff-"
_SEAL = "sha256_of_the_rest"
_LOGIN = re.compile(r"[\w+.-]+://[^/@]*:[^/@]*@")
_CLAIM_ATTEMPTS = 20
_READ_BYTES = 1 << 20
_AT_ONCE = 8
"""Requests at once to a remote store."""

T = TypeVar("T")


class Store:
    """Artifacts under one root URL. All paths are relative, with forward slashes."""

    def __init__(self, url: str, settings: Settings | None = None) -> None:
        """Open the root.

        Args:
            url: a local path or an fsspec URL such as ``s3://bucket/prefix`` or ``memory://run``.
            settings: keys and address of object stores; None for those of the environment.

        Raises:
            StoreError: if no file system can open the URL, or it holds a password.
        """
        if _LOGIN.match(url):
            raise StoreError(
                f"store {url!r}: a URL is printed, linked to and kept, so it must not hold a password; put keys into "
                "the environment (SCIRIFF_S3_KEY and SCIRIFF_S3_SECRET)"
            )
        try:
            filesystem, root = open_url(url, settings)
        except (ValueError, ImportError) as error:
            raise StoreError(f"store {url!r} cannot be opened: {error}; give a path or an fsspec URL") from error
        self.url = url
        self._settings = settings
        self._fs = filesystem
        self._root = root.rstrip("/")
        self.is_local = isinstance(filesystem, LocalFileSystem)
        self.is_shared = not isinstance(filesystem, MemoryFileSystem)  # whether other processes see the same artifacts

    def __reduce__(self) -> tuple[Callable[..., Store], tuple[str, Settings | None]]:
        """Let a store cross a process boundary with its keys."""
        return type(self), (self.url, self._settings)

    @classmethod
    def of(cls, settings: Settings) -> Store:
        """Open the store of a run, with its keys. Raises as :class:`Store`."""
        return cls(settings.store, settings)

    def path(self, relative: str) -> str:
        """Full path or URL of an artifact, for messages and links."""
        full = f"{self._root}/{relative}" if relative else self._root
        return full if self.is_local else self._fs.unstrip_protocol(full)

    def _full(self, relative: str) -> str:
        if ".." in relative.split("/") or relative.startswith("/") or "\0" in relative:
            raise StoreError(f"artifact path {relative!r} leaves the store")
        return f"{self._root}/{relative}"

    @contextmanager
    def _named_errors(self, verb: str, relative: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, FileNotFoundError) and verb not in ("write", "delete"):
                raise
            if self.is_local and (told := disk_full(error, self.path(relative))):
                raise told from error
            remedy = getattr(error, "remedy", None) or (
                f"check that the store {self.url} exists, has room and that you may write there"
            )
            raise StoreError(f"cannot {verb} {self.path(relative)}: {error}; {remedy}") from error

    def check_writable(self) -> None:
        """Write and delete a small probe, so that a build fails before it has worked for an hour.

        Raises:
            StoreError: if the store cannot be written.
        """
        # A name that a later run clears away, should this process be killed right here.
        probe = f"{_STAGING}/{owned_name()}" if self.is_local else f"{_STAGING}/probe"
        self.write_bytes(probe, b"")
        self.delete(probe)
        self.sweep_staging()

    def open_read(self, relative: str) -> BinaryIO:
        """Open an artifact for streaming.

        Raises:
            FileNotFoundError: if there is none.
            StoreError: if the store cannot be read.
        """
        with self._named_errors("read", relative):
            open_stream = getattr(self._fs, "open_stream", self._fs.open)
            stream = cast(BinaryIO, open_stream(self._full(relative)))
        if self.is_local or not self.is_shared:
            return stream
        return cast(BinaryIO, io.BufferedReader(_NamedReads(stream, self, relative), _READ_BYTES))

    def read_bytes(self, relative: str) -> bytes:
        """Read a whole artifact. Raises as :meth:`open_read`."""
        with self._named_errors("read", relative):
            return cast(bytes, self._fs.cat_file(self._full(relative)))

    def read_many(self, relatives: Sequence[str]) -> list[bytes]:
        """Read whole artifacts, many at a time where the store is remote. Raises as :meth:`open_read`."""
        if self.is_local or not relatives:
            return [self.read_bytes(relative) for relative in relatives]
        paths = [self._fs._strip_protocol(self._full(relative)) for relative in relatives]
        with self._named_errors("read", relatives[0]):
            found = self._fs.cat(paths)
        return [found[path] for path in paths]

    def query_filesystem(self) -> Any:
        """The fsspec file system behind the store, for one query of DuckDB; see ``open_url``."""
        return open_url(self.url, self._settings, remembering=True)[0]

    def exists(self, relative: str) -> bool:
        """Whether the artifact or folder exists."""
        with self._named_errors("look up", relative):
            return bool(self._fs.exists(self._full(relative)))

    def version(self, relative: str) -> str | None:
        """A token (hex digits) that changes when the artifact does, had without reading it; None if there is none."""
        with self._named_errors("look up", relative), suppress(FileNotFoundError):
            self._fs.invalidate_cache()
            return str(self._fs.ukey(self._full(relative)))
        return None

    def files(self, folder: str) -> list[str]:
        """Names of all files under a folder (recursive), relative to it, sorted; empty if there is no such folder."""
        return list(self.versions(folder))

    def versions(self, folder: str) -> dict[str, str]:
        """The same with a token of each file that changes when the file does, had without reading it."""
        with self._named_errors("list", folder):
            found = self._listed(self._full(folder) if folder else self._root)
            return {name: found[name] for name in sorted(found) if not name.startswith(_HIDDEN)}

    def _listed(self, base: str) -> dict[str, str]:
        if hasattr(self._fs, "versions_under"):
            return cast(dict[str, str], self._fs.versions_under(base))
        self._fs.invalidate_cache()
        prefix = self._fs._strip_protocol(base).rstrip("/") + "/"
        with suppress(FileNotFoundError):
            found = self._fs.find(base, detail=True)
            return {path[len(prefix) :]: _token(entry) for path, entry in found.items()}
        return {}

    def folders(self, folder: str) -> list[str]:
        """Names of the direct sub-folders that hold files, sorted."""
        return sorted({name.split("/", 1)[0] for name in self.files(folder) if "/" in name})

    def delete(self, relative: str) -> None:
        """Delete one artifact; one that is already gone is fine."""
        with self._named_errors("delete", relative), suppress(FileNotFoundError):
            self._fs.rm_file(self._full(relative))

    def write_bytes(self, relative: str, data: bytes) -> None:
        """Write a small artifact atomically.

        Raises:
            StoreError: if it cannot be written; what was there before is then still there.
        """
        with self._named_errors("write", relative):
            if self.is_local:
                with self._staged(relative) as staged:
                    staged.write_bytes(data)
            else:
                self._fs.pipe_file(self._full(relative), data)

    def put(self, relative: str, local: Path) -> None:
        """Copy a finished local file into the store atomically. Raises as :meth:`write_bytes`."""
        with self._named_errors("write", relative):
            if self.is_local:
                with self._staged(relative) as staged:
                    shutil.copyfile(local, staged)
            else:
                self._fs.put_file(str(local), self._full(relative))

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """Yield a local folder for unfinished work, removed at the end.

        For a local store it lies on the store's own file system, so that :meth:`publish` is a rename.

        Raises:
            StoreError: if the folder cannot be made.
        """
        if self.is_local:
            with self._named_errors("write", _STAGING):
                folder = self._claim(Path.mkdir)
        else:
            with temporary_folder() as folder:
                yield folder
            return
        try:
            with _told_if_full(self._root):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self._leave_staging()

    def publish(self, relative: str, local: Path) -> None:
        """Move a finished file out of a workspace into the store atomically. Raises as :meth:`write_bytes`."""
        if not self.is_local:
            self.put(relative, local)
            local.unlink()
            return
        with self._named_errors("write", relative):
            with local.open("rb") as stream:
                os.fsync(stream.fileno())
            target = Path(self._full(relative))
            target.parent.mkdir(parents=True, exist_ok=True)
            local.replace(target)

    @contextmanager
    def _staged(self, relative: str) -> Iterator[Path]:
        """Write to the store's own staging folder (same file system, so that the rename is atomic)."""
        staged = self._claim(Path.touch)
        try:
            yield staged
            with staged.open("rb") as stream:
                os.fsync(stream.fileno())
            target = Path(self._full(relative))
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)
            self._leave_staging()

    def _claim(self, make: Callable[[Path], None]) -> Path:
        """Make a file or folder of our own in the staging folder, which others remove whenever they find it empty."""
        staging = Path(self._root) / _STAGING
        for attempts_left in reversed(range(_CLAIM_ATTEMPTS)):
            place = staging / owned_name()
            try:
                staging.mkdir(parents=True, exist_ok=True)
                make(place)
                break
            except (FileNotFoundError, FileExistsError):  # it went away under our hands
                if not attempts_left:
                    raise
        return place

    def _leave_staging(self) -> None:
        """Remove the staging folder if nobody uses it."""
        if self.is_local:
            with suppress(OSError):
                (Path(self._root) / _STAGING).rmdir()

    def sweep_staging(self) -> None:
        """Remove what killed processes of this machine left in the staging folder, and the folder once it is empty.

        Of a store that is not local, unfinished work lies in the folder for temporary files, and uploads that were cut
        lie with the server.
        """
        if self.is_local:
            sweep(Path(self._root) / _STAGING)
            self._leave_staging()
        else:
            sweep(Path(tempfile.gettempdir()), _TEMPORARY)
            if hasattr(self._fs, "abort_stale_uploads"):
                self._fs.abort_stale_uploads(self._root)

    def read_manifest(self, folder: str) -> dict[str, Any] | None:
        """The manifest of a folder, or None if there is none or it is not as it was written."""
        return self.read_manifest_file(f"{folder}/{MANIFEST}")

    def read_manifests(self, folders: Mapping[str, str]) -> dict[str, dict[str, Any] | None]:
        """Name -> the manifest of its folder, as :meth:`read_manifest` gives it."""
        return dict(zip(folders, self._at_once(self.read_manifest, list(folders.values())), strict=True))

    def read_manifest_file(self, relative: str) -> dict[str, Any] | None:
        """The same of a manifest that has a name of its own."""
        try:
            return unsealed(self.read_bytes(relative))
        except FileNotFoundError:
            return None

    def write_manifest(self, folder: str, manifest: Mapping[str, Any]) -> None:
        """Write the manifest of a folder; the last act of publishing."""
        self.write_bytes(f"{folder}/{MANIFEST}", sealed(manifest))

    def intact(self, folder: str, key: str) -> bool:
        """Whether a folder is done for this key: a manifest with it, and every file in it with its hash."""
        manifest = self.read_manifest(folder)
        return manifest is not None and manifest.get("key") == key and not self.damaged(folder, manifest)

    def damaged(self, folder: str, manifest: dict[str, Any]) -> list[str]:
        """Names of the manifest's files that are missing or whose hash differs."""
        files = manifest.get("files", {})
        found = self._at_once(lambda name: self._is_damaged(f"{folder}/{name}", files[name]), list(files))
        return [name for name, is_damaged in zip(files, found, strict=True) if is_damaged]

    def _is_damaged(self, relative: str, entry: Mapping[str, Any]) -> bool:
        try:
            with self.open_read(relative) as stream:
                return bool(stream_sha256(stream) != entry["sha256"])
        except FileNotFoundError:
            return True

    def _at_once(self, ask: Callable[[str], T], about: Sequence[str]) -> list[T]:
        """Ask about each; several at once where an answer takes its time."""
        if self.is_local or not self.is_shared or len(about) < 2:
            return [ask(each) for each in about]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="store") as threads:
            return list(threads.map(ask, about))


def _token(entry: Mapping[str, Any]) -> str:
    """What changes when a file does, from its entry in a listing."""
    return hashlib.sha256(
        repr([entry.get(key) for key in ("size", "mtime", "ino", "created", "modified")]).encode()
    ).hexdigest()


class _NamedReads(io.RawIOBase):
    """A stream of a remote artifact; what fails while it is read is a :class:`StoreError`, too."""

    def __init__(self, stream: BinaryIO, store: Store, relative: str) -> None:
        self._stream, self._store, self._relative = stream, store, relative

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            with self._store._named_errors("read", self._relative):
                data = self._stream.read(len(buffer))
        except FileNotFoundError as error:
            raise StoreError(
                f"{self._store.path(self._relative)} was deleted while it was read; run the same command again"
            ) from error
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def sealed(manifest: Mapping[str, Any]) -> bytes:
    """A manifest as a file: JSON that also holds a digest of itself, so that a damaged one is known for it."""
    return _json({**manifest, _SEAL: hashlib.sha256(_json(manifest)).hexdigest()})


def unsealed(data: bytes) -> dict[str, Any] | None:
    """The manifest in a file; None if this is not to the byte what :func:`sealed` gave."""
    try:
        manifest = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(manifest, dict):
        return None
    manifest.pop(_SEAL, None)
    return manifest if sealed(manifest) == data else None


def _json(value: Mapping[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a local folder of our own, removed at the end; should this process be killed, by a later one."""
    parent = Path(tempfile.gettempdir())
    sweep(parent, _TEMPORARY)
    folder = parent / f"{_TEMPORARY}{owned_name()}"
    with _told_if_full(folder):
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _told_if_full(place: object) -> Iterator[None]:
    """Let whoever works in a place say in clear words that there is no room."""
    try:
        yield
    except OSError as error:
        if told := disk_full(error, place):
            raise told from error
        raise


def sweep(folder: Path, prefix: str = "") -> None:
    """Remove what killed processes of this machine left in a folder under names that tell whose they are."""
    with suppress(OSError):  # somebody else has just removed the folder, or it is read-only
        for leftover in list(folder.iterdir()):
            if not (leftover.name.startswith(prefix) and was_left(leftover.name.removeprefix(prefix))):
                continue
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)  # orphaned workers may still write for a moment
            else:
                leftover.unlink(missing_ok=True)
