"""Files that a GitHub repository keeps in Git LFS: from the pointer in the repository to the object itself.

Protocol: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md with the transfer adapter ``basic``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, Field, ValidationError

from sciriff.errors import BlockedError, SciriffError, SourceError, TransientError
from sciriff.sources.addresses import GITHUB, LfsFile, lfs_file
from sciriff.sources.endpoints import routed
from sciriff.sources.errand import Errand, shown
from sciriff.sources.exchange import Answer, ask
from sciriff.sources.failures import RefusedError
from sciriff.sources.http import Downloaded
from sciriff.sources.pointer import LIMIT, Pointer, looks_like_pointer, parse_pointer

_JSON = "application/vnd.git-lfs+json"
_BATCH_LIMIT = 1 << 20
_LINKS = 3
"""How many download links are asked for: they expire."""

_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_EXPLAINED = frozenset({401, 403, 404, 406, 410, 413, 422, 501, 507, 509})
_WAY_OUT = (
    "clone the repository on a machine where git lfs gets it and name the clone in SCIRIFF_CLONES, or put the file "
    "into a mirror (SCIRIFF_MIRROR)"
)


class _Action(BaseModel):
    href: str
    header: dict[str, str] = Field(default_factory=dict)
    expires_in: float | None = None
    expires_at: datetime | None = None

    def has_expired(self, now: datetime) -> bool:
        """Whether the link no longer works; ``expires_in`` counts from the answer and wins over ``expires_at``."""
        if self.expires_in is not None:
            return self.expires_in <= 0
        if self.expires_at is None:
            return False
        moment = self.expires_at if self.expires_at.tzinfo else self.expires_at.replace(tzinfo=UTC)
        return moment <= now + timedelta(seconds=1)


class _ObjectError(BaseModel):
    code: int
    message: str = ""


class _Object(BaseModel):
    oid: str
    size: int | None = None
    actions: dict[str, _Action] = Field(default_factory=dict)
    error: _ObjectError | None = None


class _Batch(BaseModel):
    transfer: str | None = None
    objects: list[_Object]


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
                f"beginning {seen.body[:24]!r}), and no hash is known to tell whether it is the file; {_WAY_OUT}"
            )
        return errand.bring(url)
    try:
        named = parse_pointer(seen.body)
    except ValueError as error:
        raise SourceError(f"{name}: the Git LFS pointer is malformed: {error}; {_WAY_OUT}") from error
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
        f"accept the new file with --update-lock (update_lock=True), or {_WAY_OUT}"
    )


def _fetch_object(errand: Errand, address: LfsFile, wanted: Pointer, named: Pointer, name: str) -> Downloaded:
    """Download an object by the server's link; a link that has expired is asked for anew."""
    refused: RefusedError | None = None
    for _ in range(_LINKS):
        try:
            link = _link(errand, address, wanted, name)
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
        f"machine's clock, run the command again later, or {_WAY_OUT}"
    )


def _link(errand: Errand, address: LfsFile, wanted: Pointer, name: str) -> _Action:
    """Where to download an object, by the batch API.

    Raises:
        RefusedError: if there is no such object.
        SourceError, BlockedError: as :func:`fetch_from_lfs`.
    """
    api = routed(f"{GITHUB}/{address.repository}.git/info/lfs/objects/batch", errand.settings)
    question = {
        "operation": "download",
        "transfers": ["basic"],
        "objects": [{"oid": wanted.oid, "size": wanted.size}],
        "hash_algo": "sha256",
    }
    answer = ask(
        api,
        f"{name}: Git LFS of {address.repository}",
        limit=_BATCH_LIMIT,
        json=question,
        headers={"Accept": _JSON, "Content-Type": _JSON},
        wanted=_EXPLAINED,
        policy=errand.policy,
    )
    if answer.status in _EXPLAINED:
        raise _refusal(answer, address, name)
    found = _object(answer, wanted, name)
    if found.error is not None:
        raise _object_refusal(found.error, wanted, address, name)
    link = found.actions.get("download")
    if link is None:
        raise _senseless(name, f"it gives no download link for {wanted.oid}")
    scheme = urlsplit(link.href).scheme
    if scheme != "https" and not (scheme == "http" and api.startswith("http://")):
        raise _senseless(name, f"its download link has the scheme {scheme!r}, not https")
    return link


def _object(answer: Answer, wanted: Pointer, name: str) -> _Object:
    try:
        batch = _Batch.model_validate(orjson.loads(answer.body))
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise _senseless(name, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}") from error
    if batch.transfer not in (None, "basic"):
        raise _senseless(name, f"it wants the transfer {batch.transfer!r}, basic was offered")
    found = next((each for each in batch.objects if each.oid == wanted.oid), None)
    if found is None:
        raise _senseless(name, f"it does not speak of the object {wanted.oid}")
    if found.size not in (None, wanted.size) and found.error is None:
        raise _senseless(name, f"its object {wanted.oid} has {found.size:,} bytes, expected {wanted.size:,}")
    return found


def _senseless(name: str, how: str) -> SourceError:
    return SourceError(f"{name}: the answer of the Git LFS server cannot be used: {how}; {_WAY_OUT}")


def _refusal(answer: Answer, address: LfsFile, name: str) -> SciriffError:
    """What it means that the whole question is refused."""
    message = _message(answer.body)
    said = f"{answer.status} {_phrase(answer.status)}" + (f": {message}" if message else "")
    if answer.status == 509 or "quota" in message.lower():
        return SourceError(f"{name}: the Git LFS quota of {address.repository} is spent ({said}); {_WAY_OUT}")
    if answer.status in (401, 403):
        return BlockedError(
            f"{name}: Git LFS of {address.repository} wants credentials ({said}): the repository is private or no "
            f"longer there; {_WAY_OUT}"
        )
    if answer.status == 404:
        return SourceError(f"{name}: there is no Git LFS for a repository {address.repository} ({said}); {_WAY_OUT}")
    return SourceError(f"{name}: Git LFS of {address.repository} refuses the question ({said}); {_WAY_OUT}")


_MEANING: Mapping[int, str] = {
    404: "does not have it",
    410: "no longer has it: its owner removed it",
    422: "finds the question for it invalid",
}


def _object_refusal(error: _ObjectError, wanted: Pointer, address: LfsFile, name: str) -> SciriffError:
    """What the server says of one object; codes are HTTP statuses."""
    said = f"{error.code} {error.message}".strip()
    server = f"{name}: Git LFS of {address.repository}"
    if "quota" in error.message.lower():
        return SourceError(f"{server}: the quota is spent ({said}); {_WAY_OUT}")
    if error.code in _PASSING:
        return TransientError(
            f"{server} cannot give the object {wanted.oid} now ({said}); try again later, or {_WAY_OUT}"
        )
    meaning = _MEANING.get(error.code, "does not give it")
    return RefusedError(
        f"{server} {meaning}: object {wanted.oid}, {wanted.size:,} bytes ({said}); {_WAY_OUT}", error.code
    )


def _message(body: bytes) -> str:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    return " ".join(str(said.get("message", "")).split()) if isinstance(said, dict) else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
