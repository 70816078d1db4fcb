from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from source_support import LoopbackServer, RecordedSleep, status

from sciriff.sources.patience import RetryPolicy


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """A scripted server on the loopback interface."""
    with loopback(monkeypatch) as state:
        yield state


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    """A second such server: another origin, as that of a CDN or an object store."""
    with loopback(monkeypatch) as state:
        yield state


@contextmanager
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer_by_script(self.path)

        def do_HEAD(self) -> None:
            self.answer_by_script(f"HEAD {self.path}")

        def do_POST(self) -> None:
            state.posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer_by_script(f"POST {self.path}")

        def answer_by_script(self, name: str) -> None:
            state.requests.append((name, {field.title(): value for field, value in self.headers.items()}))
            script = state.scripts.get(name, [status(404)])
            answer = script.pop(0) if len(script) > 1 else script[0]
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(sys.exc_info()[1], ConnectionError):  # the client hung up: it had seen enough
                super().handle_error(request, client_address)

    httpd = Server(("127.0.0.1", 0), Handler)
    state = LoopbackServer(f"http://127.0.0.1:{httpd.server_port}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield state
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def sleep() -> RecordedSleep:
    return RecordedSleep()


@pytest.fixture
def policy(sleep: RecordedSleep) -> RetryPolicy:
    return RetryPolicy(sleep=sleep)
