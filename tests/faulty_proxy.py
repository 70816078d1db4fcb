"""A proxy between a client and an HTTP server that breaks what a test asks it to break, and counts what goes by.

``with faulty_proxy("http://127.0.0.1:PORT") as proxy:`` gives a :class:`Proxy`; clients ask ``proxy.url``. Requests are
passed on byte for byte (signatures stay right), each over a connection of its own to the server, so that the server may
be killed and started again. What becomes of a request is said by rules::

    proxy.fail(Answer(503, "SlowDown"), times=3)                       # the next three requests, whatever they are
    proxy.fail(Reset(), method="PUT", containing="train.jsonl")        # one upload of that file
    proxy.rule = lambda request: Delay(0.5) if request.number % 2 else None  # anything else

Rules of ``fail`` are tried in the order in which they were given, then ``rule``.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_CHUNK = 1 << 16
_PATIENCE = 60.0
"""Seconds that the proxy waits for either side."""


@dataclass(frozen=True)
class Answer:
    """The proxy answers itself, with an error of the S3 protocol (and ``headers``); the server is not asked."""

    status: int = 503
    code: str = "SlowDown"
    message: str = "Please reduce your request rate."
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Reset:
    """The connection is reset once ``after`` bytes of the request's body came in and were passed on to the server."""

    after: int = 0


@dataclass(frozen=True)
class CutReply:
    """The server does its work; of the body of its answer ``after`` bytes reach the client, then the connection ends.

    With ``after`` below 0 not even the head arrives: what the client does not know was done.
    """

    after: int = 0


@dataclass(frozen=True)
class Delay:
    """The request is passed on after some seconds."""

    seconds: float


@dataclass(frozen=True)
class Silence:
    """Nothing is answered, and nothing passed on, for some seconds; then the connection ends."""

    seconds: float = 30.0


@dataclass(frozen=True)
class Call:
    """Something is done before the request is passed on, or once ``after`` bytes of its body were, if it has any."""

    do: Callable[[], object]
    after: int = 0


Fault = Answer | Reset | CutReply | Delay | Silence | Call


@dataclass
class Request:
    """One request that reached the proxy.

    Attributes:
        number: how many came before it.
        method: ``GET``, ``PUT``, …
        path: its path, unquoted, without the query.
        query: its query as it came.
        headers: names in lower case.
        size: bytes of its body.
        at: ``time.monotonic()`` when its head was read.
        fault: what was done to it.
        status: status of the answer that went to the client; 0 if none did.
    """

    number: int
    method: str
    path: str
    query: str
    headers: dict[str, str]
    size: int
    at: float
    fault: Fault | None = None
    status: int = 0


@dataclass
class _Rule:
    fault: Fault
    times: int
    fits: Callable[[Request], bool]


@dataclass
class Proxy:
    """See the module.

    Attributes:
        upstream: address of the server; may be changed at any time.
        url: address of the proxy.
        requests: all that came so far, in the order of their arrival.
        rule: asked about every request that no rule of :meth:`fail` fits.
    """

    upstream: str
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    rule: Callable[[Request], Fault | None] = lambda request: None
    _rules: list[_Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(
        self,
        fault: Fault,
        *,
        times: int = 1,
        method: str = "",
        containing: str = "",
        skip: int = 0,
    ) -> None:
        """Break the next requests that fit.

        Args:
            fault: how.
            times: how many.
            method: only those of this method.
            containing: only those with this text in ``path?query``.
            skip: how many that fit go by unbroken first.
        """
        to_skip = [skip]

        def fits(request: Request) -> bool:
            if (method and request.method != method) or containing not in f"{request.path}?{request.query}":
                return False
            to_skip[0] -= 1
            return to_skip[0] < 0

        with self._lock:
            self._rules.append(_Rule(fault, times, fits))

    def heal(self) -> None:
        """Break nothing from now on."""
        with self._lock:
            self._rules.clear()
        self.rule = lambda request: None

    def forget(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self.requests.clear()

    def seen(self, method: str = "", containing: str = "") -> list[Request]:
        """The requests so far of a method, with a text in ``path?query``."""
        with self._lock:
            return [
                request
                for request in self.requests
                if (not method or request.method == method) and containing in f"{request.path}?{request.query}"
            ]

    def count(self, method: str = "", containing: str = "") -> int:
        """How many requests :meth:`seen` gives."""
        return len(self.seen(method, containing))

    @property
    def broken(self) -> int:
        """How many requests met a fault."""
        with self._lock:
            return sum(request.fault is not None for request in self.requests)

    def _judge(self, request: Request) -> Fault | None:
        with self._lock:
            request.number = len(self.requests)
            self.requests.append(request)
            for rule in self._rules:
                if rule.times > 0 and rule.fits(request):
                    rule.times -= 1
                    request.fault = rule.fault
                    return rule.fault
        request.fault = self.rule(request)
        return request.fault


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[Proxy]:
    """Run a proxy in front of a server, on a free port of the loopback."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    proxy = Proxy(upstream, f"http://127.0.0.1:{listener.getsockname()[1]}")
    stopping = threading.Event()
    clients: set[socket.socket] = set()

    def accept() -> None:
        while not stopping.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            clients.add(client)
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    def serve(client: socket.socket) -> None:
        try:
            with client, suppress(OSError, _Ended):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.settimeout(_PATIENCE)
                while _exchange(proxy, client, stopping):
                    pass
        finally:
            clients.discard(client)

    threading.Thread(target=accept, daemon=True, name="faulty-proxy").start()
    try:
        yield proxy
    finally:
        stopping.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for client in list(clients):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)


class _Ended(Exception):  # noqa: N818 - how a connection ends
    """One side has closed its connection."""


def _exchange(proxy: Proxy, client: socket.socket, stopping: threading.Event) -> bool:
    """Pass one request on and its answer back; whether another may follow on the connection."""
    head, rest = _read_head(client)
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    split = urlsplit(target)
    size = int(headers.get("content-length", "0"))
    request = Request(0, method, unquote(split.path), split.query, headers, size, time.monotonic())
    fault = proxy._judge(request)
    if isinstance(fault, Reset) and not fault.after:
        return _reset(client)
    if isinstance(fault, Silence):
        stopping.wait(fault.seconds)
        return False
    if isinstance(fault, Delay):
        stopping.wait(fault.seconds)
    if headers.get("expect", "").lower() == "100-continue":
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if isinstance(fault, Answer):
        for _ in _body(client, rest, headers):
            pass
        return _answer(client, request, fault)
    stop = fault.after if isinstance(fault, Reset | Call) else None
    if isinstance(fault, Call) and not fault.after:
        fault.do()
        stop = None
    kept = [line for line in lines if line.partition(":")[0].strip().lower() not in ("expect", "connection")]
    server = urlsplit(proxy.upstream)
    try:
        upstream = socket.create_connection((server.hostname or "", server.port or 80), timeout=_PATIENCE)
    except OSError:
        return _reset(client)
    with upstream:
        try:
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            upstream.sendall("\r\n".join([first, *kept, "Connection: close", "", ""]).encode("latin-1"))
            passed = 0
            for chunk in _body(client, rest, headers):
                part = chunk if stop is None else chunk[: max(0, stop - passed)]
                upstream.sendall(part)
                passed += len(part)
                if stop is not None and passed >= stop:
                    if isinstance(fault, Reset):
                        _reset(upstream)
                        return _reset(client)
                    if isinstance(fault, Call):
                        fault.do()
                    stop = None
                    upstream.sendall(chunk[len(part) :])
            return _pass_answer(upstream, client, request, fault)
        except (_Ended, OSError):
            return _reset(client)


def _pass_answer(upstream: socket.socket, client: socket.socket, request: Request, fault: Fault | None) -> bool:
    head, rest = _read_head(upstream)
    while head.split(b" ", 2)[1] == b"100":
        head, rest = _read_head(upstream, rest)
    first, *lines = head.decode("latin-1").split("\r\n")
    kept = [line for line in lines if line.partition(":")[0].strip().lower() != "connection"]
    names = {line.partition(":")[0].strip().lower() for line in kept}
    status = int(first.split(" ", 2)[1])
    is_delimited = (
        bool(names & {"content-length", "transfer-encoding"}) or request.method == "HEAD" or status in (204, 304)
    )
    left = fault.after if isinstance(fault, CutReply) else None
    if left is not None and left < 0:
        return _reset(client)
    request.status = status
    client.sendall(
        "\r\n".join([first, *kept, *([] if is_delimited else ["Connection: close"]), "", ""]).encode("latin-1")
    )
    while True:
        if left is not None:
            rest = rest[:left]
            left -= len(rest)
        client.sendall(rest)
        if left == 0:
            return False
        if not (rest := upstream.recv(_CHUNK)):
            return is_delimited


def _answer(client: socket.socket, request: Request, fault: Answer) -> bool:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{fault.code}</Code><Message>{fault.message}</Message></Error>"
    ).encode()
    request.status = fault.status
    lines = [f"HTTP/1.1 {fault.status} {fault.code}", "Content-Type: application/xml", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in fault.headers]
    client.sendall("\r\n".join([*lines, "", ""]).encode() + (b"" if request.method == "HEAD" else body))
    return True


def _reset(connection: socket.socket) -> bool:
    """End a connection by a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    return False


def _read_head(connection: socket.socket, start: bytes = b"") -> tuple[bytes, bytes]:
    """A head without its last line break and the empty line, and what was read behind it."""
    while b"\r\n\r\n" not in start:
        if not (chunk := connection.recv(_CHUNK)):
            raise _Ended
        start += chunk
    head, _, rest = start.partition(b"\r\n\r\n")
    return head, rest


def _body(client: socket.socket, rest: bytes, headers: dict[str, str]) -> Iterator[bytes]:
    """The body of a request, as it stands on the wire."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        yield from _chunks(client, rest)
        return
    left = int(headers.get("content-length", "0"))
    while left:
        if not rest and not (rest := client.recv(min(_CHUNK, left))):
            raise _Ended
        yield rest[:left]
        left -= len(rest[:left])
        rest = b""


def _chunks(client: socket.socket, rest: bytes) -> Iterator[bytes]:
    while True:
        while b"\r\n" not in rest:
            rest += client.recv(_CHUNK) or _raise_ended()
        line, _, rest = rest.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        end = size + 2 if size else 0
        while len(rest) < end or (not size and b"\r\n" not in rest):
            rest += client.recv(_CHUNK) or _raise_ended()
        if not size:  # trailers, up to an empty line
            trailer = b"\r\n" + rest
            while not trailer.endswith(b"\r\n\r\n"):
                trailer += client.recv(_CHUNK) or _raise_ended()
            yield line + trailer
            return
        yield line + b"\r\n" + rest[:end]
        rest = rest[end:]


def _raise_ended() -> bytes:
    raise _Ended
