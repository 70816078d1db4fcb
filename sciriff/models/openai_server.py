"""A server that speaks the OpenAI protocol: its address, its key, and what its failures mean."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from sciriff.errors import BlockedError, ModelError, SciriffError, UsageError
from sciriff.models.openai_replies import ServerError, without_secrets
from sciriff.redaction import remember
from sciriff.sources.patience import seconds_asked

OPENAI = "https://api.openai.com/v1"

_MAY_PASS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524, 529})
_BUSY = frozenset({429, 502, 503, 504, 529})
_NO_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})


@dataclass(frozen=True)
class Server:
    """Where requests go.

    Attributes:
        url: base URL, e.g. ``https://api.openai.com/v1``; no trailing slash, no password.
        key: sent as a bearer token; empty for servers that want none. Never printed.
        key_variable: the environment variable that holds it, for messages.
    """

    url: str
    key: str = field(default="", repr=False)
    key_variable: str = "OPENAI_API_KEY"

    @property
    def is_local(self) -> bool:
        """Whether it runs on this machine, so that asking it needs no network."""
        host = urlsplit(self.url).hostname or ""
        return host in ("localhost", "::1") or host.startswith("127.")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request is tried for.

    Attributes:
        tries: failures of a request before it is given up; being told to wait is none.
        waits: times that a request may be told to wait.
        connect_tries: failures of a request to connect, before there was any answer at all, that end the whole work.
        given_up: requests given up in a row that end the whole work.
        refused: requests refused, before there was any reply at all, that end the whole work.
        first_wait: upper bound of the first random wait, in seconds; doubles with each failure.
        longest_wait: upper bound of any such wait, in seconds.
        longest_retry_after: longest wait, in seconds, that a server may ask for.
        connect_seconds: time for a connection.
        reply_seconds: time from sending a request to the last byte of its reply.
        last_seconds: time that requests under way get once the whole work has failed: they may be paid for.
    """

    tries: int = 8
    waits: int = 100
    connect_tries: int = 5
    given_up: int = 10
    refused: int = 20
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_retry_after: float = 600.0
    connect_seconds: float = 15.0
    reply_seconds: float = 600.0
    last_seconds: float = 30.0

    def backoff(self, failures: int) -> float:
        """A random wait, in seconds, after so many failures in a row."""
        longest = min(self.longest_wait, self.first_wait * 2 ** (failures - 1))
        return random.uniform(longest / 2, longest)


def find_server(base_url: str | None, key_variable: str) -> Server:
    """The server to ask, with its key from the environment or the file ``.env``.

    Args:
        base_url: its address; None for ``OPENAI_BASE_URL``, else OpenAI's own.
        key_variable: environment variable with the key.

    Raises:
        UsageError: if the address is none.
    """
    url = _normalised(base_url or _variable("OPENAI_BASE_URL") or OPENAI)
    key = _variable(key_variable)
    remember(key)  # its variable can have any name
    return Server(url, key, key_variable)


def require_access(server: Server, *, offline: bool, option: str = "--base-url") -> None:
    """Make sure, before the first request, that the server may be asked.

    Args:
        server: who is going to be asked.
        offline: whether the network is forbidden; a server on this machine can be asked all the same.
        option: what names another server, for messages.

    Raises:
        UsageError: if asking it needs the network, which is forbidden.
        BlockedError: if OpenAI's own server would be asked without a key.
    """
    if offline and not server.is_local:
        raise UsageError(
            f"{server.url} needs the network, which SCIRIFF_OFFLINE forbids; unset it, or ask a local server"
        )
    if not server.key and server.url == OPENAI:
        raise BlockedError(
            f"{server.url} wants a key: set {server.key_variable} in the environment or in .env, or name another "
            f"server ({option})"
        )


def _variable(name: str) -> str:
    from dotenv import dotenv_values

    return (os.environ.get(name) or dotenv_values(".env").get(name) or "").strip()


def _normalised(url: str) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"base URL {url!r} is not of the form http(s)://host[:port][/path]")
    if parts.username or parts.password:
        raise UsageError("a base URL must not hold a user or password; put the key into the environment")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit((parts.scheme, host + port, parts.path.rstrip("/"), "", ""))


@dataclass(frozen=True, slots=True)
class Failure:
    """A try that brought no reply.

    Attributes:
        reason: what happened, without secrets.
        may_pass: whether the same request may go through later.
        fatal: set if no other request would fare better.
        wait: seconds that the server asks to wait; None if it does not.
        load: what it says of the server: ``busy``: has too much to do; ``failing``; empty: nothing.
        lost: whether the server may have done the work (and billed it) all the same.
        reached: whether there was a connection at all.
        filtered: whether a filter of the server's, and so in effect the model, refuses the prompt.
    """

    reason: str
    may_pass: bool = False
    fatal: SciriffError | None = None
    wait: float | None = None
    load: Literal["busy", "failing", ""] = ""
    lost: bool = False
    reached: bool = True
    filtered: bool = False


def refusal(status: int, headers: Mapping[str, str], said: ServerError, server: Server, *, answered: bool) -> Failure:
    """Tell what a status from 300 on means.

    Args:
        status: HTTP status.
        headers: of the response.
        said: what its body says.
        server: who answered.
        answered: whether the server has answered any request yet: one that has refuses a single request, not all.
    """
    words = without_secrets(said.message, server.key) or said.code
    reason = f"the server answered {status}{f': {words}' if words else ''}"
    if status == 401 or (status == 403 and not answered):
        advice = f"check the key in {server.key_variable}" if server.key else f"set a key in {server.key_variable}"
        return Failure(reason, fatal=BlockedError(f"{server.url}: {reason}; {advice}"))
    if said.code in _NO_MONEY:
        advice = "add credit or raise the limit, then run the same command again"
        return Failure(reason, fatal=BlockedError(f"{server.url}: {reason}; {advice}"))
    if said.code == "model_not_found" or (status == 404 and not answered):
        return Failure(reason, fatal=ModelError(f"{server.url}: {reason}; check the model's name and the base URL"))
    if status < 400:
        return Failure(reason, fatal=ModelError(f"{server.url} redirects; give the address that it leads to"))
    if said.code == "content_filter":
        return Failure(reason, filtered=True)
    load: Literal["busy", "failing", ""] = "busy" if status in _BUSY else "failing" if status >= 500 else ""
    return Failure(reason, may_pass=status in _MAY_PASS, wait=_wait(headers), load=load)


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds the server asks to wait: OpenAI's ``retry-after-ms``, else ``Retry-After``, fractions allowed."""
    for name, unit in (("retry-after-ms", 0.001), ("Retry-After", 1.0)):
        with suppress(ValueError):
            return max(0.0, float(headers.get(name, "")) * unit)
    return seconds_asked(headers)
