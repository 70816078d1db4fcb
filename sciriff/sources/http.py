"""Downloads: retried, resumed, verified while they stream, and renamed into place when complete."""

from __future__ import annotations

import errno
import re
import shutil
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciriff.errors import SourceError
from sciriff.sources.partfile import PartFile
from sciriff.sources.progress import NoProgress, Progress

if TYPE_CHECKING:
    import httpx
    import tenacity

_CHUNK = 1 << 20
_CONNECT_SECONDS = 15.0
_SILENCE_SECONDS = 60.0
_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_HTML = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?(<\?xml[^>]*>\s*)?<(!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_DATA_MAGIC = (b"PK", b"\x1f\x8b", b"PAR1", b"{", b"[")


class UnreachableError(SourceError):
    """No connection to the server: no network, unknown host, refused, or a proxy that will not pass."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a download is.

    Attributes:
        attempts: failures in a row, without a single new byte, before an address is given up.
        connect_attempts: the same for failures to connect at all.
        first_wait: upper bound of the first random wait in seconds; doubles with each attempt.
        longest_wait: upper bound of any such wait in seconds.
        longest_retry_after: longest wait in seconds that a server may ask for.
        sleep: how to wait.
    """

    attempts: int = 5
    connect_attempts: int = 2
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_retry_after: float = 300.0
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A finished download: the address that gave it, SHA-256, size in bytes, and the commit the server named."""

    url: str
    sha256: str
    bytes: int
    revision: str | None


class _TryAgainError(Exception):
    """This attempt failed in a way that may pass."""

    def __init__(self, reason: str, *, retry_after: float | None = None, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.unreachable = unreachable


def download(
    urls: Sequence[str],
    target: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
    policy: RetryPolicy | None = None,
) -> Downloaded:
    """Bring a file to ``target`` from the first address that gives the right one.

    A cut-off download goes on where it stopped (``target`` + ``.part``), also in a later process.

    Args:
        urls: addresses in order of preference; ``http(s)://`` or any other that fsspec opens, e.g. ``file://``.
        target: where the finished file goes; it appears there only when it is complete and verified.
        sha256: what it must be, if known.
        size: bytes it must have, if known.
        progress: told how far it is.
        policy: how patient to be.

    Raises:
        UnreachableError: if no address can be connected to.
        SourceError: if no address gives the right file; names each address, what was expected and what was found.
    """
    part = PartFile(target)
    failures: list[SourceError] = []
    for url in urls:
        try:
            with _named_disk_errors(url, target):
                target.parent.mkdir(parents=True, exist_ok=True)
                revision, found, length = _bring(
                    url, part, sha256, size, progress or NoProgress(), policy or RetryPolicy()
                )
                part.finish()
        except SourceError as error:
            failures.append(error)
            continue
        if progress is not None:
            progress.finished()
        return Downloaded(url, found, length, revision)
    message = "; ".join(str(failure) for failure in failures)
    if failures and all(isinstance(failure, UnreachableError) for failure in failures):
        raise UnreachableError(message) from failures[0]
    raise SourceError(message or f"no address is given for {target.name}") from (failures[0] if failures else None)


def _bring(
    url: str, part: PartFile, sha256: str | None, size: int | None, progress: Progress, policy: RetryPolicy
) -> tuple[str | None, str, int]:
    """Fill and check the part file; one that was resumed and came out wrong is tried once more from its first byte."""
    resumed = bool(part.size())
    revision, content_type = _transfer(url, part, sha256, progress, policy)
    try:
        return revision, *_verify(url, part, content_type, sha256, size)
    except SourceError:
        if not resumed:
            raise
    revision, content_type = _transfer(url, part, sha256, progress, policy)
    return revision, *_verify(url, part, content_type, sha256, size)


def _transfer(
    url: str, part: PartFile, sha256: str | None, progress: Progress, policy: RetryPolicy
) -> tuple[str | None, str]:
    """Fill the part file; returns the commit and the content type that the server named."""
    if url.startswith(("http://", "https://")):
        return _transfer_http(url, part, sha256, progress, policy)
    _copy(url, part, progress)
    return None, ""


def _copy(url: str, part: PartFile, progress: Progress) -> None:
    import fsspec

    part.discard()
    try:
        with fsspec.open(url, "rb") as stream:
            progress.started(url, getattr(stream, "size", None))
            _save(part, iter(lambda: stream.read(_CHUNK), b""), progress)
    except FileNotFoundError as error:
        raise SourceError(f"{url}: there is no such file; check the address") from error


def _transfer_http(
    url: str, part: PartFile, sha256: str | None, progress: Progress, policy: RetryPolicy
) -> tuple[str | None, str]:
    import httpx
    import tenacity

    patience = _Patience(policy, part)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_TryAgainError),
        stop=patience.exhausted,
        wait=patience.wait,
        sleep=policy.sleep,
        reraise=True,
    )
    timeout = httpx.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS)
    try:
        with httpx.Client(timeout=timeout, follow_redirects=True, headers={"User-Agent": "sciriff"}) as client:
            return retrying(_attempt, client, url, part, sha256, progress, policy)
    except _TryAgainError as error:
        if error.unreachable:
            raise UnreachableError(
                f"{url}: cannot be reached ({error}); check the network and proxy settings, or use a mirror "
                "(SCIRIFF_MIRROR)"
            ) from error
        raise SourceError(
            f"{url}: given up after {patience.failures} failures in a row, the last: {error}; run the command again to "
            "go on where it stopped, or use a mirror (SCIRIFF_MIRROR)"
        ) from error


class _Patience:
    """Counts failures that brought no new byte: a large file over a bad line is not given up while it grows."""

    _MOST_ATTEMPTS = 200

    def __init__(self, policy: RetryPolicy, part: PartFile) -> None:
        import tenacity

        self._policy = policy
        self._part = part
        self._reached = part.size()
        self._backoff = tenacity.wait_random_exponential(multiplier=policy.first_wait, max=policy.longest_wait)
        self.failures = 0

    def exhausted(self, state: tenacity.RetryCallState) -> bool:
        size = self._part.size()
        self.failures = 1 if size > self._reached else self.failures + 1
        self._reached = max(size, self._reached)
        error = _failure(state)
        limit = self._policy.connect_attempts if error.unreachable else self._policy.attempts
        return self.failures >= limit or state.attempt_number >= self._MOST_ATTEMPTS

    def wait(self, state: tenacity.RetryCallState) -> float:
        asked = _failure(state).retry_after
        return asked if asked is not None else self._backoff(state)


def _failure(state: tenacity.RetryCallState) -> _TryAgainError:
    error = state.outcome.exception() if state.outcome is not None else None
    if not isinstance(error, _TryAgainError):
        raise TypeError(f"retried after {error!r}")  # a defect: only _TryAgainError is retried
    return error


def _attempt(
    client: httpx.Client, url: str, part: PartFile, sha256: str | None, progress: Progress, policy: RetryPolicy
) -> tuple[str | None, str]:
    import httpx

    # "identity": the bytes as stored; an archive must not be unpacked under way
    headers = {"Accept-Encoding": "identity", **part.resume_headers(url, hash_known=sha256 is not None)}
    offset = part.size() if "Range" in headers else 0
    try:
        with client.stream("GET", url, headers=headers) as response:
            if response.status_code == 416 and offset:
                if response.headers.get("Content-Range", "").strip() == f"bytes */{offset}":
                    return _revision(response), ""  # the part is already the whole
                part.discard()
                raise _TryAgainError("the server refused to go on at the end of the partial file")
            _check_status(response, url, policy)
            if not (response.status_code == 206 and _range_start(response) == offset and offset):
                if response.status_code == 206:
                    part.discard()
                    raise _TryAgainError(f"the server sent bytes from {_range_start(response)}, not from {offset}")
                offset = 0
                part.begin(url, response.headers)
            length = response.headers.get("Content-Length", "")
            total = offset + int(length) if length.isdigit() else None
            progress.started(url, total)
            progress.advanced(offset)
            _check_room(url, part, total)
            _save(part, response.iter_raw(), progress)
            if total is not None and part.size() != total:
                raise _TryAgainError(f"the body ended after {part.size():,} of {total:,} bytes")
            return _revision(response), response.headers.get("Content-Type", "")
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        if _is_certificate_error(error):
            raise SourceError(
                f"{url}: the server's certificate is not trusted ({error}); set SSL_CERT_FILE to your authority's "
                "certificates"
            ) from error
        raise _TryAgainError(f"{type(error).__name__}: {error}", unreachable=True) from error
    except httpx.TransportError as error:
        if isinstance(error, httpx.UnsupportedProtocol):
            raise SourceError(f"{url}: {error}; check the address") from error
        raise _TryAgainError(f"{type(error).__name__}: {error} (after {part.size():,} bytes)") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SourceError(f"{url}: {type(error).__name__}: {error}; check the address") from error


def _save(part: PartFile, chunks: Iterator[bytes], progress: Progress) -> None:
    with part.append() as out:
        for chunk in chunks:
            out.write(chunk)
            progress.advanced(len(chunk))


def _check_status(response: httpx.Response, url: str, policy: RetryPolicy) -> None:
    status = response.status_code
    if status < 400:
        return
    said = f"the server answered {status} {response.reason_phrase}".rstrip()
    if status not in _RETRIED_STATUS:
        raise SourceError(
            f"{url}: expected the file, {said}; it may have moved: look for it on the source's homepage, and put it "
            "into a mirror (SCIRIFF_MIRROR)"
        )
    asked = _retry_after(response.headers.get("Retry-After", ""))
    if asked is not None and asked > policy.longest_retry_after:
        raise SourceError(f"{url}: {said} and asks to come back in {asked:.0f} s; run the command again then")
    raise _TryAgainError(said, retry_after=asked)


def _retry_after(value: str) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3: a number of seconds or a date)."""
    if value.strip().isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _range_start(response: httpx.Response) -> int | None:
    match = re.match(r"\s*bytes\s+(\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _revision(response: httpx.Response) -> str | None:
    """The commit that the Hugging Face Hub names, on the answer itself or on the redirect before it."""
    for answer in (response, *response.history):
        if commit := answer.headers.get("X-Repo-Commit"):
            return str(commit)
    return None


def _is_certificate_error(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


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


def _verify(url: str, part: PartFile, content_type: str, sha256: str | None, size: int | None) -> tuple[str, int]:
    """Check what arrived; a wrong file is thrown away, so that it is not gone on with."""
    problem = _wrong_kind(part.head(), content_type)
    found, length = part.sha256(), part.size()
    if problem is None and ((size is not None and length != size) or (sha256 is not None and found != sha256)):
        expected = [f"sha256 {sha256}"] if sha256 is not None else []
        expected += [f"{size:,} bytes"] if size is not None else []
        problem = (
            f"expected {', '.join(expected)}, found sha256 {found}, {length:,} bytes; if the source has published a "
            "new file and you want it, accept it with --update-lock (update_lock=True), otherwise use a mirror"
        )
    if problem is not None:
        part.discard()
        raise SourceError(f"{url}: {problem}")
    return found, length


def _wrong_kind(head: bytes, content_type: str) -> str | None:
    """What is wrong with a body that is not data at all."""
    advice = "open the address in a browser to see what the server wants, or use a mirror (SCIRIFF_MIRROR)"
    is_html_type = content_type.split(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")
    if _HTML.match(head) or (is_html_type and not head.startswith(_DATA_MAGIC)):
        return f"expected a data file, found an HTML page (Content-Type {content_type or 'not stated'}); {advice}"
    if head.startswith(_LFS_POINTER):
        return f"expected a data file, found a Git LFS pointer to it; {advice}"
    if not head:
        return f"expected a data file, found an empty body; {advice}"
    return None
