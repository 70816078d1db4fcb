"""Downloads: retried, resumed, verified while they stream, and renamed into place when complete."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciriff.errors import SourceError
from sciriff.sources.partfile import PartFile
from sciriff.sources.patience import (
    CONNECT_SECONDS,
    SILENCE_SECONDS,
    RetryPolicy,
    TryAgainError,
    named_network_errors,
    patiently,
    require_success,
)
from sciriff.sources.pointer import looks_like_pointer
from sciriff.sources.progress import NoProgress, Progress

if TYPE_CHECKING:
    import httpx

_CHUNK = 1 << 20
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_HTML = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?(<\?xml[^>]*>\s*)?<(!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_DATA_MAGIC = (b"PK", b"\x1f\x8b", b"PAR1", b"{", b"[")


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A finished download: SHA-256, size in bytes, and the commit the server named."""

    sha256: str
    bytes: int
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class _Transfer:
    """One address, and what is asked of it.

    Attributes:
        url: where to ask.
        name: the address, as messages and the part file call it.
        headers: sent with each request.
        sha256: what the file must be, if known.
        size: bytes it must have, if known.
    """

    url: str
    name: str
    headers: Mapping[str, str]
    sha256: str | None
    size: int | None
    progress: Progress
    policy: RetryPolicy


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    headers: Mapping[str, str] | None = None,
    name: str | None = None,
    progress: Progress | None = None,
    policy: RetryPolicy | None = None,
) -> Downloaded:
    """Bring a file to ``target``.

    A cut-off download goes on where it stopped (``target`` + ``.part``), also in a later process.

    Args:
        url: ``http(s)://`` or any other address that fsspec opens, e.g. ``file://``.
        target: where the finished file goes; it appears there only when it is complete and verified.
        sha256: what it must be, if known.
        size: bytes it must have, if known.
        headers: for http addresses: sent with each request. ``Authorization`` goes to no other host than the first.
        name: what messages call the address, and by what the rest of a cut-off download is known again; default
            the address itself. For signed addresses, which are secret and change.
        progress: told how far it is.
        policy: how patient to be.

    Raises:
        TransientError: if the server is out of reach (then an UnreachableError), down or busy, in spite of patience.
        RefusedError: if the server refuses.
        SourceError: if it is not the right file; names the address, what was expected and what was found.
    """
    part = PartFile(target)
    transfer = _Transfer(
        url, name or url, headers or {}, sha256, size, progress or NoProgress(), policy or RetryPolicy()
    )
    with _named_disk_errors(transfer.name, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        downloaded = _bring(transfer, part)
        part.finish()
    transfer.progress.finished()
    return downloaded


def _bring(transfer: _Transfer, part: PartFile) -> Downloaded:
    """Fill and check the part file; one that was resumed and came out wrong is tried once more from its first byte."""
    resumed = bool(part.size())
    revision, content_type = _fill(transfer, part)
    try:
        return Downloaded(*_verify(transfer, part, content_type), revision)
    except SourceError:
        if not resumed:
            raise
    revision, content_type = _fill(transfer, part)
    return Downloaded(*_verify(transfer, part, content_type), revision)


def _fill(transfer: _Transfer, part: PartFile) -> tuple[str | None, str]:
    """Fill the part file; returns the commit and the content type that the server named."""
    if transfer.url.startswith(("http://", "https://")):
        return _fill_by_http(transfer, part)
    _copy(transfer, part)
    return None, ""


def _copy(transfer: _Transfer, part: PartFile) -> None:
    import fsspec

    part.discard()
    try:
        with fsspec.open(transfer.url, "rb") as stream:
            transfer.progress.started(transfer.name, getattr(stream, "size", None))
            _save(part, iter(lambda: stream.read(_CHUNK), b""), transfer.progress)
    except FileNotFoundError as error:
        raise SourceError(f"{transfer.name}: there is no such file; check the address") from error


def _fill_by_http(transfer: _Transfer, part: PartFile) -> tuple[str | None, str]:
    import httpx

    timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    headers = {"User-Agent": "sciriff", **transfer.headers}
    with httpx.Client(timeout=timeout, follow_redirects=True, headers=headers) as client:
        return patiently(
            lambda: _attempt(client, transfer, part),
            transfer.name,
            transfer.policy,
            received=part.size,
            advice="run the command again to go on where it stopped, or use a mirror (SCIRIFF_MIRROR)",
        )


def _attempt(client: httpx.Client, transfer: _Transfer, part: PartFile) -> tuple[str | None, str]:
    import httpx

    # "identity": the bytes as stored; an archive must not be unpacked under way
    resume = part.resume_headers(transfer.name, hash_known=transfer.sha256 is not None)
    offset = part.size() if resume else 0
    with (
        named_network_errors(transfer.name, httpx),
        client.stream("GET", transfer.url, headers={"Accept-Encoding": "identity", **resume}) as response,
    ):
        if response.status_code == 416 and offset:
            if response.headers.get("Content-Range", "").strip() == f"bytes */{offset}":
                return _revision(response), ""  # the part is already the whole
            part.discard()
            raise TryAgainError("the server refused to go on at the end of the partial file")
        require_success(response.status_code, response.reason_phrase, response.headers, transfer.name, transfer.policy)
        if not (response.status_code == 206 and _range_start(response) == offset and offset):
            if response.status_code == 206:
                part.discard()
                raise TryAgainError(f"the server sent bytes from {_range_start(response)}, not from {offset}")
            offset = 0
            part.begin(transfer.name, response.headers)
        length = response.headers.get("Content-Length", "")
        total = offset + int(length) if length.isdigit() else None
        transfer.progress.started(transfer.name, total)
        transfer.progress.advanced(offset)
        _check_room(transfer.name, part, total)
        _save(part, response.iter_raw(), transfer.progress)
        if total is not None and part.size() != total:
            raise TryAgainError(f"the body ended after {part.size():,} of {total:,} bytes")
        return _revision(response), response.headers.get("Content-Type", "")


def _save(part: PartFile, chunks: Iterator[bytes], progress: Progress) -> None:
    with part.append() as out:
        for chunk in chunks:
            out.write(chunk)
            progress.advanced(len(chunk))


def _range_start(response: httpx.Response) -> int | None:
    match = re.match(r"\s*bytes\s+(\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _revision(response: httpx.Response) -> str | None:
    """The commit that the Hugging Face Hub names, on the answer itself or on the redirect before it."""
    for answer in (response, *response.history):
        if commit := answer.headers.get("X-Repo-Commit"):
            return str(commit)
    return None


def _check_room(url: str, part: PartFile, total: int | None) -> None:
    free = shutil.disk_usage(part.path.parent).free
    needed = 0 if total is None else total - part.size()
    if needed > free:
        raise _no_room(url, part.path.parent, f"{needed:,} more bytes are needed, {free:,} are free")


def _no_room(url: str, folder: Path, reason: Any) -> SourceError:
    return SourceError(
        f"{url}: the disk of {folder} is full ({reason}); free space or set SCIRIFF_CACHE to another disk"
    )


@contextmanager
def _named_disk_errors(url: str, target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise _no_room(url, target.parent, error) from error
        raise SourceError(
            f"{url}: {target} cannot be written: {error}; check the folder's permissions or set SCIRIFF_CACHE"
        ) from error


def _verify(transfer: _Transfer, part: PartFile, content_type: str) -> tuple[str, int]:
    """Check what arrived; a wrong file is thrown away, so that it is not gone on with."""
    sha256, size = transfer.sha256, transfer.size
    problem = _wrong_kind(part.head(), content_type)
    found, length = part.sha256(), part.size()
    if problem is None and ((size is not None and length != size) or (sha256 is not None and found != sha256)):
        expected = [f"sha256 {sha256}"] if sha256 is not None else []
        expected += [f"{size:,} bytes"] if size is not None else []
        problem = (
            f"expected {', '.join(expected)}, found sha256 {found}, {length:,} bytes; if the source has published a "
            "new file and you want it, accept it with --update-lock (update_lock=True); if sources.lock was changed by "
            "mistake, restore it; otherwise use a mirror"
        )
    if problem is not None:
        part.discard()
        raise SourceError(f"{transfer.name}: {problem}")
    return found, length


def _wrong_kind(head: bytes, content_type: str) -> str | None:
    """What is wrong with a body that is not data at all."""
    advice = "open the address in a browser to see what the server wants, or use a mirror (SCIRIFF_MIRROR)"
    if is_page(head, content_type):
        return f"expected a data file, found an HTML page (Content-Type {content_type or 'not stated'}); {advice}"
    if looks_like_pointer(head):
        return (
            f"expected a data file, found a Git LFS pointer to it; give its catalogue entry the kind lfs; or {advice}"
        )
    if not head:
        return f"expected a data file, found an empty body; {advice}"
    return None


def is_page(head: bytes, content_type: str) -> bool:
    """Whether a body is a page for people (login, consent, error), by its first bytes and its stated type."""
    is_html_type = content_type.split(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")
    return bool(_HTML.match(head)) or (is_html_type and not head.startswith(_DATA_MAGIC))
