"""Files that a GitHub repository keeps in Git LFS: from the pointer in the repository to the object itself."""

from __future__ import annotations

from datetime import UTC, datetime

from sciriff.errors import SourceError, TransientError
from sciriff.sources.addresses import LfsFile, lfs_file
from sciriff.sources.errand import Errand, shown
from sciriff.sources.failures import RefusedError
from sciriff.sources.http import Downloaded
from sciriff.sources.lfs_batch import WAY_OUT, ask_for_link
from sciriff.sources.pointer import LIMIT, Pointer, looks_like_pointer, parse_pointer

_LINKS = 3
"""How many download links are asked for: they expire."""


def fetch_from_lfs(errand: Errand, url: str) -> Downloaded:
    """Bring a file that is kept in Git LFS.

    The object is the one that is locked or pinned, else the one the pointer names; objects stay on the server when a
    branch moves on, as commits do. A server that gives the content in place of the pointer is taken at its word only
    if a hash is known beforehand.

    Raises:
        BlockedError: if the repository is not open to everybody.
        TransientError: if a server is out of reach, down or busy, in spite of patience.
        SourceError: if there is no such repository, file or object, if the owner's quota is spent, or if the file is
            not what it should be.
    """
    address = lfs_file(url)
    name = shown(url, errand.settings)
    seen = errand.look(url, LIMIT)
    if not looks_like_pointer(seen.body):
        if errand.sha256 is None:
            raise SourceError(
                f"{name}: expected a Git LFS pointer, found something else ({seen.content_type or 'no content type'}, "
                f"beginning {seen.body[:24]!r}), and no hash is known to tell whether it is the file; {WAY_OUT}"
            )
        return errand.bring(url)
    try:
        named = parse_pointer(seen.body)
    except ValueError as error:
        raise SourceError(f"{name}: the Git LFS pointer is malformed: {error}; {WAY_OUT}") from error
    return _fetch_object(errand, address, _wanted(errand, name, named), named, name)


def _wanted(errand: Errand, name: str, named: Pointer) -> Pointer:
    """The object to ask for."""
    if errand.sha256 is None or errand.sha256 == named.oid:
        return named
    if errand.bytes is None:
        raise _changed(name, named, errand.sha256, "and its size, without which it cannot be asked for, is not known")
    return Pointer(errand.sha256, errand.bytes)


def _changed(name: str, named: Pointer, expected: str, why: str) -> SourceError:
    return SourceError(
        f"{name}: the pointer now names sha256 {named.oid} ({named.size:,} bytes); expected sha256 {expected}, {why}; "
        f"accept the new file with --update-lock (update_lock=True), or {WAY_OUT}"
    )


def _fetch_object(errand: Errand, address: LfsFile, wanted: Pointer, named: Pointer, name: str) -> Downloaded:
    """Download an object by the server's link; a link that has expired is asked for anew."""
    refused: RefusedError | None = None
    for _ in range(_LINKS):
        try:
            link = ask_for_link(errand, address.repository, wanted, name)
        except RefusedError as error:
            if wanted != named:
                raise _changed(name, named, wanted.oid, f"which is no longer there ({error})") from error
            raise
        if link.has_expired(datetime.now(UTC)):
            continue
        try:
            return errand.bring(link.href, name=name, headers=link.header, sha256=wanted.oid, size=wanted.size)
        except RefusedError as error:
            refused = error
    if refused is not None:
        raise refused
    raise TransientError(
        f"{name}: the download links that the Git LFS server gave had all expired when they came; check this "
        f"machine's clock, run the command again later, or {WAY_OUT}"
    )
