"""The proxy that other tests rely on does what it says."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from faulty_proxy import Answer, Call, CutReply, Delay, Proxy, Reset, Silence, faulty_proxy

BODY = bytes(range(256)) * 1000


class Echo(BaseHTTPRequestHandler):
    """Answers with the body of the request."""

    protocol_version = "HTTP/1.1"
    got: list[int] = []  # noqa: RUF012 - cleared by the fixture

    def do_PUT(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.got.append(len(body))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_PUT()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    Echo.got.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    with faulty_proxy(f"http://127.0.0.1:{server.server_port}") as proxy:
        yield proxy
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[http.client.HTTPConnection]:
    split = urlsplit(proxy.url)
    connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=30)
    yield connection
    connection.close()


def put(client: http.client.HTTPConnection, path: str = "/a", body: bytes = BODY) -> tuple[int, bytes]:
    client.request("PUT", path, body)
    response = client.getresponse()
    return response.status, response.read()


def test_what_is_passed_on_stays_as_it_is(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    assert put(client, "/a%20b?x=1") == (200, BODY)
    assert put(client, "/c", b"") == (200, b"")  # over the same connection
    client.request("PUT", "/chunked", iter([b"one", b"two"]), encode_chunked=True)
    assert client.getresponse().read() == b"onetwo"
    client.request("PUT", "/expected", b"body", {"Expect": "100-continue"})
    assert client.getresponse().read() == b"body"
    assert [(request.method, request.path, request.query, request.size) for request in proxy.seen()] == [
        ("PUT", "/a b", "x=1", len(BODY)),
        ("PUT", "/c", "", 0),
        ("PUT", "/chunked", "", 0),
        ("PUT", "/expected", "", 4),
    ]
    assert {request.status for request in proxy.requests} == {200}


def test_it_answers_in_place_of_the_server(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    proxy.fail(Answer(503, "SlowDown", headers=(("Retry-After", "1"),)), times=2, method="PUT", containing="train")
    assert put(client, "/other")[0] == 200
    status, body = put(client, "/train")
    assert status == 503
    assert b"<Code>SlowDown</Code>" in body
    assert put(client, "/train")[0] == 503
    assert put(client, "/train") == (200, BODY)
    assert proxy.broken == 2
    assert len(Echo.got) == 2


@pytest.mark.parametrize("fault", [Reset(), Reset(after=70_000), CutReply(-1), Silence(0.05)])
def test_it_ends_connections(
    fault: Reset | CutReply | Silence, proxy: Proxy, client: http.client.HTTPConnection
) -> None:
    proxy.fail(fault, skip=1)
    assert put(client)[0] == 200
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        put(client)
    client.close()
    assert put(client) == (200, BODY)
    assert Echo.got == [len(BODY)] * (3 if isinstance(fault, CutReply) else 2)


def test_it_cuts_answers(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    proxy.fail(CutReply(1000))
    with pytest.raises(http.client.IncompleteRead) as info:
        put(client)
    assert info.value.partial == BODY[:1000]


def test_it_does_what_it_is_told_in_the_middle_of_a_request(proxy: Proxy, client: http.client.HTTPConnection) -> None:
    called: list[int] = []
    proxy.fail(Call(lambda: called.append(len(Echo.got)), after=100_000))
    proxy.rule = lambda request: Delay(0.01)
    assert put(client) == (200, BODY)
    assert called == [0]
    assert put(client) == (200, BODY)
    proxy.heal()
    assert put(client) == (200, BODY)
    assert [request.fault is not None for request in proxy.requests] == [True, True, False]
