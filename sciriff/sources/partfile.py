"""A download that is not finished: its bytes so far, their running hash, and what is needed to go on with it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

_CHUNK = 1 << 20
_HEAD = 1024


class HashedAppender:
    """Appends to a part file and hashes what it appends."""

    def __init__(self, part: PartFile, descriptor: int) -> None:
        self._part = part
        self._descriptor = descriptor

    def write(self, chunk: bytes) -> None:
        """Append and hash; unbuffered, so that a killed process leaves what it received."""
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._part.add_to_hash(chunk)


class PartFile:
    """``<target>.part`` with the bytes so far and ``<target>.part.json`` with ``{url, validator}``.

    The validator (RFC 9110: a strong ETag, else Last-Modified) lets the server say whether the rest still belongs to
    the bytes that are here.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._target = target
        self._note = target.with_name(f"{target.name}.part.json")
        self._hasher = hashlib.sha256()
        self._hashed = 0

    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def head(self) -> bytes:
        """The first KiB."""
        with self.path.open("rb") as stream:
            return stream.read(_HEAD)

    def resume_headers(self, url: str, *, hash_known: bool) -> dict[str, str]:
        """Request headers that ask for the rest; empty if the download must begin anew.

        Without a validator the rest is asked for only if the hash of the whole is known and will tell.
        """
        size = self.size()
        note = self._read_note()
        if not size or note.get("url") != url:
            return {}
        headers = {"Range": f"bytes={size}-"}
        if validator := note.get("validator"):
            headers["If-Range"] = validator
        elif not hash_known:
            return {}
        return headers

    def begin(self, url: str, response_headers: Mapping[str, str]) -> None:
        """Start from the first byte, remembering what a later resume needs."""
        self.discard()
        etag = response_headers.get("ETag", "")
        validator = etag if etag and not etag.startswith("W/") else response_headers.get("Last-Modified", "")
        self._note.write_bytes(orjson.dumps({"url": url, "validator": validator}))

    def discard(self) -> None:
        """Throw away what is here."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self._reset_hash()

    @contextmanager
    def append(self) -> Iterator[HashedAppender]:
        """Open for appending."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._catch_up()
            yield HashedAppender(self, descriptor)
        finally:
            os.close(descriptor)

    def add_to_hash(self, chunk: bytes) -> None:
        """Take appended bytes into the running hash."""
        self._hasher.update(chunk)
        self._hashed += len(chunk)

    def sha256(self) -> str:
        """SHA-256 of the bytes that are here."""
        self._catch_up()
        return self._hasher.hexdigest()

    def finish(self) -> None:
        """Rename into place."""
        with self.path.open("rb") as stream:
            os.fsync(stream.fileno())
        self.path.replace(self._target)
        self._note.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove the note of a download that was killed right after its last step."""
        if self._note.exists() and not self.path.exists():
            with suppress(OSError):  # a cache that cannot be written is none the worse for it
                self._note.unlink()

    def _catch_up(self) -> None:
        """Hash bytes that an earlier process wrote."""
        if self._hashed == self.size():
            return
        self._reset_hash()
        with self.path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                self.add_to_hash(chunk)

    def _reset_hash(self) -> None:
        self._hasher = hashlib.sha256()
        self._hashed = 0

    def _read_note(self) -> dict[str, str]:
        try:
            note = orjson.loads(self._note.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return {}
        return note if isinstance(note, dict) else {}
