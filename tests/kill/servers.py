"""What commands under test talk to: primary sources, and a model with a judge. They tell how far they are asked."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from models.openai_server import Body, FakeServer, at_random, content_of

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
_HUB = "huggingface.co"
_COMMIT = "0" * 40
_CHUNK = 4096

JUDGE = "judge"
"""What the judge is called."""


@dataclass
class Sources:
    """The bundled samples as if they were the primary files, at ``/<host>/<path>``.

    Attributes:
        base: address of the server.
        on_chunk: called before each chunk of a body; True: whoever asked is no more.
        served: path -> how often a body was sent to its end.
    """

    base: str = ""
    on_chunk: Callable[[], bool] = lambda: False
    served: Counter[str] = field(default_factory=Counter)

    def settings(self) -> dict[str, str]:
        """Variables that send requests here."""
        urls = json.loads((SAMPLES / "mirror.json").read_text("utf-8"))
        origins = {f"{split.scheme}://{split.netloc}": split.netloc for split in map(urlsplit, urls)}
        return {
            "SCIRIFF_ENDPOINTS": ",".join(
                f"{origin}={self.base}/{host}" for origin, host in sorted(origins.items()) if host != _HUB
            ),
            "SCIRIFF_HUB_ENDPOINT": f"{self.base}/{_HUB}",
        }


@contextmanager
def sources() -> Iterator[Sources]:
    """Run the server."""
    files = {
        f"/{urlsplit(url).netloc}{urlsplit(url).path}": SAMPLES / entry["path"]
        for url, entry in json.loads((SAMPLES / "mirror.json").read_text("utf-8")).items()
    }
    state = Sources()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.partition("?")[0].replace(f"/resolve/{_COMMIT}/", "/resolve/main/")
            if path not in files:
                self.send_error(404)
                return
            content = files[path].read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            asked = self.headers.get("Range") if self.headers.get("If-Range", etag) == etag else None
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            if asked and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("ETag", etag)
            if path.startswith(f"/{_HUB}/"):
                self.send_header("X-Repo-Commit", _COMMIT)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if with_body:
                for place in range(start, len(content), _CHUNK):
                    if state.on_chunk():
                        self.close_connection = True
                        return
                    self.wfile.write(content[place : place + _CHUNK])
                state.served[path] += 1

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # the client was killed

    httpd = Server(("127.0.0.1", 0), Handler)
    state.base = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        httpd.shutdown()
        httpd.server_close()


class Model(FakeServer):
    """A model and a judge behind one address, busy or broken now and then; ``on_request`` is called with each."""

    def __init__(self) -> None:
        super().__init__(reply=_reply, seconds=0.02)
        self.on_request: Callable[[str], bool] = lambda stage: False
        faults = at_random({"429": 0.05, "500": 0.05}, most=2)

        def told(body: Body, before: int) -> str | None:
            self.on_request("judge" if body["model"] == JUDGE else "predict")
            return faults(body, before)

        self.fault = told


def _reply(body: Body) -> str:
    """Of the judge a rating, of the model something that is now and then right; by the content of the request alone."""
    number = int(hashlib.sha256(content_of(body).encode()).hexdigest(), 16)
    if body["model"] == JUDGE:
        return f"Explanation: so it is.\nDecision: {number % 5 + 1}"
    return json.dumps({"Task": [f"item {number % 7}"], "Method": []})
