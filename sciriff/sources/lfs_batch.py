"""The batch API of Git LFS: asking a server where an object can be downloaded.

Defined by https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md; the transfer adapter is ``basic``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, Field, ValidationError

from sciriff.errors import BlockedError, SciriffError, SourceError
from sciriff.sources.addresses import GITHUB
from sciriff.sources.endpoints import routed
from sciriff.sources.errand import Errand
from sciriff.sources.exchange import Answer, ask, message_of
from sciriff.sources.failures import RefusedError
from sciriff.sources.patience import RetryPolicy, TryAgainError, patiently
from sciriff.sources.pointer import Pointer

WAY_OUT = (
    "clone the repository on a machine where git lfs gets it and name the clone in SCIRIFF_CLONES, or put the file "
    "into a mirror (SCIRIFF_MIRROR)"
)
"""What a user can do whom the server does not serve."""

_JSON = "application/vnd.git-lfs+json"
_LIMIT = 1 << 20
_EXPLAINED = frozenset({401, 403, 404, 406, 410, 413, 422, 501, 507, 509})
"""Statuses of a whole answer that trying again does not change, and that come with a message."""

_PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Codes of an object's error that may pass."""

_MEANING: Mapping[int, str] = {
    404: "does not have it",
    410: "no longer has it: its owner removed it",
    422: "finds the question for it invalid",
}


class Link(BaseModel):
    """Where and how to download an object.

    Attributes:
        href: address for a GET, signed as a rule.
        header: headers to send with it.
        expires_in: seconds from the answer until the link no longer works; wins over ``expires_at``.
        expires_at: moment until which it works.
    """

    href: str
    header: dict[str, str] = Field(default_factory=dict)
    expires_in: float | None = None
    expires_at: datetime | None = None

    def has_expired(self, now: datetime) -> bool:
        """Whether a link that has just come no longer works."""
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
    actions: dict[str, Link] = Field(default_factory=dict)
    error: _ObjectError | None = None


class _Batch(BaseModel):
    transfer: str | None = None
    objects: list[_Object]


def ask_for_link(errand: Errand, repository: str, wanted: Pointer, name: str) -> Link:
    """Ask the Git LFS server of a GitHub repository for an object.

    Args:
        errand: settings and patience.
        repository: ``owner/name``.
        wanted: the object.
        name: the file's address, as messages call it.

    Raises:
        RefusedError: if the server does not have the object.
        BlockedError: if it wants credentials.
        TransientError: if it is out of reach, down or busy, in spite of patience.
        SourceError: if it does not serve the repository, if its quota is spent, or if its answer makes no sense.
    """
    server = f"{name}: Git LFS of {repository}"
    api = routed(f"{GITHUB}/{repository}.git/info/lfs/objects/batch", errand.settings)

    def attempt() -> _Object:
        found = _ask(api, server, wanted, errand.policy)
        if found.error is not None and found.error.code in _PASSING:
            raise TryAgainError(f"it cannot give object {wanted.oid} now ({_said(found.error)})")
        return found

    found = patiently(attempt, server, errand.policy or RetryPolicy(), advice=f"try again later, or {WAY_OUT}")
    if found.error is not None:
        raise _object_refusal(found.error, wanted, server)
    link = found.actions.get("download")
    if link is None:
        raise _senseless(server, f"it gives no download link for {wanted.oid}")
    scheme = urlsplit(link.href).scheme
    if scheme != "https" and not (scheme == "http" and api.startswith("http://")):
        raise _senseless(server, f"its download link has the scheme {scheme!r}, not https")
    return link


def _ask(api: str, server: str, wanted: Pointer, policy: RetryPolicy | None) -> _Object:
    question = {
        "operation": "download",
        "transfers": ["basic"],
        "objects": [{"oid": wanted.oid, "size": wanted.size}],
        "hash_algo": "sha256",
    }
    headers = {"Accept": _JSON, "Content-Type": _JSON}
    answer = ask(api, server, limit=_LIMIT, json=question, headers=headers, wanted=_EXPLAINED, policy=policy)
    if answer.status in _EXPLAINED:
        raise _refusal(answer, server)
    return _object(answer, wanted, server)


def _object(answer: Answer, wanted: Pointer, server: str) -> _Object:
    """What the answer says of the object."""
    try:
        batch = _Batch.model_validate(orjson.loads(answer.body))
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise _senseless(server, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}") from error
    if batch.transfer not in (None, "basic"):
        raise _senseless(server, f"it wants the transfer {batch.transfer!r}, basic was offered")
    found = next((each for each in batch.objects if each.oid == wanted.oid), None)
    if found is None:
        raise _senseless(server, f"it does not speak of the object {wanted.oid}")
    if found.size not in (None, wanted.size) and found.error is None:
        raise _senseless(server, f"its object {wanted.oid} has {found.size:,} bytes, expected {wanted.size:,}")
    return found


def _senseless(server: str, how: str) -> SourceError:
    return SourceError(f"{server}: the answer cannot be used: {how}; {WAY_OUT}")


def _refusal(answer: Answer, server: str) -> SciriffError:
    """What it means that the whole question is refused."""
    said = " ".join(filter(None, [str(answer.status), _phrase(answer.status), message_of(answer.body)]))
    if answer.status == 509 or "quota" in said.lower():
        return SourceError(f"{server}: its download quota is spent ({said}); {WAY_OUT}")
    if answer.status in (401, 403):
        return BlockedError(
            f"{server} wants credentials ({said}): the repository is private or no longer there; {WAY_OUT}"
        )
    if answer.status == 404:
        return SourceError(f"{server}: there is no such repository, or it has no Git LFS ({said}); {WAY_OUT}")
    return SourceError(f"{server} refuses the question ({said}); {WAY_OUT}")


def _object_refusal(error: _ObjectError, wanted: Pointer, server: str) -> SciriffError:
    """What the server says of one object; its codes are HTTP statuses."""
    if "quota" in error.message.lower():
        return SourceError(f"{server}: its download quota is spent ({_said(error)}); {WAY_OUT}")
    meaning = _MEANING.get(error.code, "does not give it")
    which = f"object {wanted.oid}, {wanted.size:,} bytes"
    return RefusedError(f"{server} {meaning}: {which} ({_said(error)}); {WAY_OUT}", error.code)


def _said(error: _ObjectError) -> str:
    return f"{error.code} {' '.join(error.message.split())}".strip()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
