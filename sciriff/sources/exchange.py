"""Small questions to a server: for a pointer, a page, an answer of an API. :mod:`sciriff.sources.http` brings files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sciriff.sources.patience import (
    CONNECT_SECONDS,
    SILENCE_SECONDS,
    RetryPolicy,
    named_network_errors,
    patiently,
    require_success,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said.

    Attributes:
        url: the address that answered, after redirects.
        status: HTTP status.
        content_type: as stated; empty if it was not.
        body: the first bytes of the body.
        whole: whether these are all of its bytes.
    """

    url: str
    status: int
    content_type: str
    body: bytes
    whole: bool


def ask(
    url: str,
    name: str,
    *,
    limit: int,
    json: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    wanted: Collection[int] = (),
    policy: RetryPolicy | None = None,
) -> Answer:
    """Ask, with the same patience as a download, and read at most ``limit`` bytes of the answer.

    Args:
        url: ``http(s)://`` address.
        name: the address, as messages call it.
        limit: bytes of the body that are read; the rest is not transferred.
        json: what to POST; without it the question is a GET.
        headers: sent with the request.
        wanted: error statuses that the caller understands, in place of an error.
        policy: how patient to be.

    Raises:
        TransientError: if the server is out of reach (then an UnreachableError), down or busy, in spite of patience.
        RefusedError: if the server refuses.
    """
    import httpx

    policy = policy or RetryPolicy()
    method = "GET" if json is None else "POST"
    timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    sent = {"User-Agent": "sciriff", **(headers or {})}

    def attempt() -> Answer:
        with (
            named_network_errors(name, httpx),
            httpx.Client(timeout=timeout, follow_redirects=True, headers=sent) as client,
            client.stream(method, url, json=json) as response,
        ):
            body, whole = _first_bytes(response, limit)
            if response.status_code not in wanted:
                message = message_of(body)
                said = f"{response.reason_phrase} {f'({message})' if message else ''}".strip()
                require_success(response.status_code, said, response.headers, name, policy)
            content_type = response.headers.get("Content-Type", "")
            return Answer(str(response.url), response.status_code, content_type, body, whole)

    return patiently(attempt, name, policy)


def _first_bytes(response: Any, limit: int) -> tuple[bytes, bool]:
    found = bytearray()
    for chunk in response.iter_bytes():
        found += chunk
        if len(found) > limit:
            return bytes(found[:limit]), False
    return bytes(found), True


def message_of(body: bytes) -> str:
    """The ``message`` of a JSON answer, on one line; empty if there is none."""
    import orjson

    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    message = said.get("message") if isinstance(said, dict) else None
    return " ".join(message.split()) if isinstance(message, str) else ""
