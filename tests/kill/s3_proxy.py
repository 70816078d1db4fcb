"""A proxy before a server of the S3 protocol that tells each request that changes something, and may cut it off."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from kill.fork_server import stage_of

Moment = Literal["before", "middle", "after"]
"""Before a request reaches the server, when half of its body did, or when it is done and the answer is not back yet."""

_CHANGING = ("PUT", "POST", "DELETE")


@dataclass
class Seen:
    """What passes the proxy.

    Attributes:
        url: where it listens.
        tell: called with the stage of a request that changes something, and how far it is; True: it is cut off.
        changes: method and path of each request that was passed on.
    """

    url: str = ""
    tell: Callable[[str, Moment], bool] = lambda stage, how: False
    changes: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def s3_proxy(upstream: str) -> Iterator[Seen]:
    """Run a proxy before ``http://HOST:PORT``."""
    host, _, port = upstream.removeprefix("http://").partition(":")
    seen = Seen()
    listener = socket.create_server(("127.0.0.1", 0))
    seen.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=_serve, args=(client, (host, int(port)), seen), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield seen
    finally:
        listener.close()


def _serve(client: socket.socket, upstream: tuple[str, int], seen: Seen) -> None:
    """Pass on the requests of one connection, one after the other."""
    with (
        suppress(OSError, EOFError),
        client,
        client.makefile("rb") as asked,
        socket.create_connection(upstream) as server,
    ):
        answers = server.makefile("rb")
        while True:
            head = _head(asked)
            method, path, _ = head[0].decode("latin-1").split(" ", 2)
            changing = method in _CHANGING and not (method == "POST" and "delete" not in path and "uploads" not in path)
            stage = stage_of(path.partition("?")[0], "") if changing else ""
            if changing and seen.tell(stage, "before"):
                return
            if _field(head, b"expect"):
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                head = [line for line in head if not line.lower().startswith(b"expect:")]
            length = int(_field(head, b"content-length") or 0)
            chunked = _field(head, b"transfer-encoding") == b"chunked"
            body = _chunked(asked) if chunked else asked.read(length)
            server.sendall(b"\r\n".join([*head, b"", b""]) + body[: len(body) // 2])
            if changing and body and seen.tell(stage, "middle"):
                return
            server.sendall(body[len(body) // 2 :])
            answer = _head(answers)
            rest = b""
            if method != "HEAD" and answer[0].split(b" ")[1] not in (b"204", b"304"):
                if _field(answer, b"transfer-encoding") == b"chunked":
                    rest = _chunked(answers)
                else:
                    rest = answers.read(int(_field(answer, b"content-length") or 0))
            if changing:
                seen.changes.append((method, path))
                if seen.tell(stage, "after"):
                    return
            client.sendall(b"\r\n".join([*answer, b"", b""]) + rest)


def _head(stream: object) -> list[bytes]:
    lines: list[bytes] = []
    while (line := stream.readline()) not in (b"\r\n", b""):  # type: ignore[attr-defined]
        lines.append(line.rstrip(b"\r\n"))
    if not lines:
        raise EOFError
    return lines


def _field(head: list[bytes], name: bytes) -> bytes:
    return next((line.partition(b":")[2].strip().lower() for line in head if line.lower().startswith(name + b":")), b"")


def _chunked(stream: object) -> bytes:
    """A chunked body as it stands."""
    data = b""
    while True:
        line = stream.readline()  # type: ignore[attr-defined]
        size = int(line.split(b";")[0], 16)
        data += line + stream.read(size + 2)  # type: ignore[attr-defined]
        if not size:
            return data
