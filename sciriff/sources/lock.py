"""``sources.lock``: what was fetched, so that every later fetch brings the same bytes or says that it does not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from sciriff.errors import SourceError
from sciriff.owned import owned_name
from sciriff.sources.catalogue import Sha256
from sciriff.store import sweep


class LockEntry(BaseModel):
    """What one primary URL gave.

    Attributes:
        sha256: 64 hex digits.
        bytes: size.
        revision: the commit the server named, if it did (Hugging Face Hub).
        fetched_at: when these bytes were first met, ISO 8601, UTC, whole seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Sha256
    bytes: int = Field(ge=0)
    revision: str | None = None
    fetched_at: str


_ENTRIES = TypeAdapter(dict[str, LockEntry])


def now() -> str:
    """The present moment as locks write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_lock(path: Path) -> dict[str, LockEntry]:
    """Entries by primary URL; empty if there is no lock yet.

    Raises:
        SourceError: if the file is there but not a valid lock.
    """
    try:
        return _ENTRIES.validate_python(orjson.loads(path.read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, orjson.JSONDecodeError, ValidationError) as error:
        raise SourceError(
            f"{path} is not a valid lock of sources: {error}; restore it from version control, or delete it to lock "
            "anew what is fetched next"
        ) from error


def write_lock(path: Path, entries: Mapping[str, LockEntry]) -> None:
    """Write the lock atomically, sorted by URL.

    Raises:
        SourceError: if it cannot be written; what was there before is then still there.
    """
    plain = {url: entry.model_dump() for url, entry in entries.items()}
    data = orjson.dumps(plain, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    prefix = f".{path.name}-"
    staged = path.with_name(f"{prefix}{owned_name()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, prefix)
        staged.write_bytes(data)
        staged.replace(path)
    except OSError as error:
        raise SourceError(
            f"the lock {path} cannot be written: {error}; make its folder writable or set SCIRIFF_LOCK to another place"
        ) from error
    finally:
        staged.unlink(missing_ok=True)


def require_same(path: Path, url: str, locked: LockEntry, sha256: str, size: int) -> None:
    """Hold a file to its lock entry.

    Raises:
        SourceError: if it differs; names both hashes and the way to accept the new one.
    """
    if sha256 == locked.sha256 and size != locked.bytes:
        raise SourceError(
            f"{path} is damaged: of {url} it says {locked.bytes:,} bytes with sha256 {sha256}, but a file of that hash "
            f"has {size:,}; restore the lock from version control, or delete the entry to lock anew what is fetched "
            "next"
        )
    if sha256 != locked.sha256:
        raise SourceError(
            f"{url}: the file has changed since {locked.fetched_at}: {path} has sha256 {locked.sha256} "
            f"({locked.bytes:,} bytes), now found {sha256} ({size:,} bytes); accept the new file with --update-lock "
            "(update_lock=True), or bring back the old one through a mirror"
        )
