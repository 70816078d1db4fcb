"""One try of one request: send it, and say what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from sciriff.errors import ModelError
from sciriff.models.lines import dump_line
from sciriff.models.openai_replies import MalformedReplyError, read_error, read_reply, without_secrets
from sciriff.models.openai_requests import Dialect, body, endpoint
from sciriff.models.openai_server import Failure, Server, refusal
from sciriff.models.requests import Answer, Request

if TYPE_CHECKING:
    import aiohttp


@asynccontextmanager
async def open_session(
    server: Server, connect_seconds: float, reply_seconds: float
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client.

    Args:
        server: who is asked.
        connect_seconds: time for a connection.
        reply_seconds: time from sending a request to the last byte of its reply.
    """
    import aiohttp

    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=reply_seconds, connect=connect_seconds, sock_connect=connect_seconds),
        headers=server.headers,
        connector=aiohttp.TCPConnector(limit=0),
        proxy=_proxy(server),
    ) as session:
        yield session


def _proxy(server: Server) -> str | None:
    """The proxy that the environment names for a server; aiohttp would look for it at every request, in a thread."""
    parts = urlsplit(server.url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


async def send(
    session: aiohttp.ClientSession, server: Server, dialect: Dialect, request: Request, *, answered: bool
) -> Answer | Failure:
    """Send a request once.

    Args:
        session: from :func:`open_session`.
        server: who is asked.
        dialect: what it wants to be told.
        request: what is asked.
        answered: whether the server has answered any request yet.
    """
    said = await call(session, server, "POST", endpoint(request), dump_line(body(request, dialect)), answered=answered)
    if isinstance(said, Failure):
        return said
    try:
        return read_reply(said, request.key, request.sampling)
    except MalformedReplyError as error:
        return Failure(str(error), may_pass=True, lost=True)


async def call(
    session: aiohttp.ClientSession, server: Server, method: str, path: str, data: Any = None, *, answered: bool = True
) -> bytes | Failure:
    """Call the server once.

    Args:
        session: from :func:`open_session`.
        server: who is called.
        method: HTTP method.
        path: path from ``/v1``, with its query.
        data: body; bytes are JSON.
        answered: whether the server has answered any request yet.

    Returns:
        The body of the response, or what went wrong.
    """
    import aiohttp

    headers = {"Content-Type": "application/json"} if isinstance(data, bytes) else None
    try:
        async with session.request(
            method, server.address(path), data=data, headers=headers, allow_redirects=False
        ) as response:
            said = await response.read()
            if response.status >= 300:
                return refusal(response.status, response.headers, read_error(said), server, answered=answered)
            return said
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
        message = f"{server.url}: no trusted connection ({error}); set SSL_CERT_FILE to your authority's certificates"
        return Failure(message, fatal=ModelError(message))
    except aiohttp.InvalidURL as error:
        return Failure(str(error), fatal=ModelError(f"{server.url}: {error}; check the base URL"))
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        return Failure(_spelt(error, server), may_pass=True, reached=False)
    except TimeoutError:
        return Failure(f"no reply within {session.timeout.total:g} s", may_pass=True, load="busy", lost=True)
    except (aiohttp.ClientError, OSError) as error:
        return Failure(_spelt(error, server), may_pass=True, lost=True)


def _spelt(error: BaseException, server: Server) -> str:
    return without_secrets(f"{type(error).__name__}: {error}", server.key)
