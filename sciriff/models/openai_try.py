"""One try of one request: send it, and say what came of it.

The ``openai`` library speaks; it is told to try once, since only we know what may be asked twice. It gets its bytes
through aiohttp, which costs half the processor time of its own client, and its generic calls are used, because bodies
are what we hash, store and read (:mod:`sciriff.models.openai_requests`, :mod:`sciriff.models.openai_replies`):
``benchmarks/asking.py`` measures what that comes to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sciriff.errors import ModelError
from sciriff.models.lines import dump_line
from sciriff.models.openai_replies import MalformedReplyError, read_error, read_reply, without_secrets
from sciriff.models.openai_requests import Dialect, body, endpoint
from sciriff.models.openai_server import Failure, Server, refusal
from sciriff.models.requests import Answer, Request

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_MOST_CONNECTIONS = 100_000
"""No bound: how much is under way at once is decided by whoever asks."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An input file of batches, on its way.

    Attributes:
        lines: its content.
        name: its name.
    """

    lines: bytes
    name: str


@dataclass(frozen=True, slots=True)
class Client:
    """An open client of one server.

    Attributes:
        library: what speaks.
        server: who is asked.
        reply_seconds: time from sending a request to the last byte of its reply.
        headers: what every request carries; a server without a key gets no authorisation at all.
    """

    library: AsyncOpenAI
    server: Server
    reply_seconds: float
    headers: Mapping[str, Any]


@asynccontextmanager
async def open_client(server: Server, connect_seconds: float, reply_seconds: float) -> AsyncIterator[Client]:
    """Open a client.

    Args:
        server: who is asked.
        connect_seconds: time for a connection.
        reply_seconds: time from sending a request to the last byte of its reply.
    """
    import httpx2
    from openai import AsyncOpenAI, DefaultAioHttpClient, Omit

    http = DefaultAioHttpClient(
        limits=httpx2.Limits(max_connections=_MOST_CONNECTIONS),
        timeout=httpx2.Timeout(reply_seconds, connect=connect_seconds, pool=None),
        follow_redirects=False,
    )
    headers = {"User-Agent": "sciriff", **({} if server.key else {"Authorization": Omit()})}
    async with AsyncOpenAI(
        api_key=server.key or "none", base_url=server.url, max_retries=0, http_client=http
    ) as library:
        yield Client(library, server, reply_seconds, headers)


async def send(client: Client, dialect: Dialect, request: Request, *, answered: bool) -> Answer | Failure:
    """Send a request once.

    Args:
        client: from :func:`open_client`.
        dialect: what the server wants to be told.
        request: what is asked.
        answered: whether the server has answered any request yet.
    """
    said = await call(client, "POST", endpoint(request), dump_line(body(request, dialect)), answered=answered)
    if isinstance(said, Failure):
        return said
    try:
        return read_reply(said, request.key, request.sampling)
    except MalformedReplyError as error:
        return Failure(str(error), may_pass=True, lost=True)


async def call(
    client: Client, method: str, path: str, data: bytes | Upload | None = None, *, answered: bool = True
) -> bytes | Failure:
    """Call the server once.

    Args:
        client: from :func:`open_client`.
        method: HTTP method, ``GET`` or ``POST``.
        path: path from ``/v1``, which stands for the base URL, with its query.
        data: body; bytes are JSON.
        answered: whether the server has answered any request yet.

    Returns:
        The body of the response, or what went wrong.
    """
    from openai import APIConnectionError, APIStatusError

    try:
        async with asyncio.timeout(client.reply_seconds):
            return await _call(client, method, path.removeprefix("/v1"), data)
    except APIStatusError as error:
        response = error.response
        said = read_error(response.content)
        return refusal(response.status_code, response.headers, said, client.server, answered=answered)
    except (APIConnectionError, OSError) as error:
        return _failure(_of_transport(error), client)


async def _call(client: Client, method: str, path: str, data: bytes | Upload | None) -> bytes:
    import httpx2

    if method == "GET":
        response = await client.library.get(path, cast_to=httpx2.Response, options={"headers": client.headers})
    elif isinstance(data, Upload):
        response = await client.library.post(
            path,
            cast_to=httpx2.Response,
            body={"purpose": "batch"},
            files={"file": (data.name, data.lines, "application/jsonl")},
            options={"headers": {**client.headers, "Content-Type": "multipart/form-data"}},
        )
    else:
        headers = {**client.headers, "Content-Type": "application/json"}
        response = await client.library.post(path, cast_to=httpx2.Response, content=data, options={"headers": headers})
    return response.content


def _of_transport(error: BaseException) -> BaseException:
    """What the layers of the library wrapped: they call also a connection that was lost one that was not made."""
    import aiohttp

    while error.__cause__ is not None and not isinstance(error, aiohttp.ClientError):
        error = error.__cause__
    return error


def _failure(error: BaseException, client: Client) -> Failure:
    """What it means that a request found no answer."""
    import aiohttp

    server = client.server
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        message = f"{server.url}: no trusted connection ({error}); set SSL_CERT_FILE to your authority's certificates"
        return Failure(message, fatal=ModelError(message))
    if isinstance(error, aiohttp.InvalidURL):
        return Failure(str(error), fatal=ModelError(f"{server.url}: {error}; check the base URL"))
    spelt = without_secrets(f"{type(error).__name__}: {error}", server.key)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Failure(spelt, may_pass=True, reached=False)
    if isinstance(error, TimeoutError):
        return Failure(f"no reply within {client.reply_seconds:g} s", may_pass=True, load="busy", lost=True)
    return Failure(spelt, may_pass=True, lost=True)
