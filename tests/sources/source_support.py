"""What the tests of sources share: a scripted loopback server, recorders, small sources and mirrors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import orjson

from sciriff.settings import Settings
from sciriff.sources.catalogue import Source

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class LoopbackServer:
    """A real HTTP server whose paths answer from a script, one step a request; the last step repeats.

    Scripts and requests are named by path, those of other methods than GET by ``METHOD path``; names of headers are
    recorded ``In-Title-Case``.
    """

    url: str
    scripts: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    posted: list[bytes] = field(default_factory=list)

    def serve(self, path: str, *answers: Answer) -> str:
        self.scripts[path] = list(answers)
        return self.url + path


def status(code: int, **headers: str) -> Answer:
    """An answer without a body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def body(content: bytes, *, content_type: str = "application/octet-stream", code: int = 200, **headers: str) -> Answer:
    """The whole content, whatever range is asked for."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(content)

    return answer


def cut(content: bytes, at: int, **headers: str) -> Answer:
    """Promise the whole content, send its first bytes and hang up."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content[:at])
        handler.wfile.flush()
        handler.close_connection = True

    return answer


def ranged(content: bytes, etag: str, *, stop_at: int | None = None) -> Answer:
    """Honour Range and If-Range as RFC 9110 has it; hang up at byte ``stop_at``."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if handler.headers.get("If-Range", etag) != etag:
            start = 0
        if start >= len(content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.send_header("ETag", etag)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        handler.wfile.write(content[start:stop_at])
        handler.wfile.flush()
        handler.close_connection = stop_at is not None

    return answer


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class RecordedSleep:
    waits: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)


@dataclass
class RecordedProgress:
    events: list[tuple[str, object]] = field(default_factory=list)

    def started(self, url: str, total_bytes: int | None) -> None:
        self.events.append(("started", total_bytes))

    def advanced(self, byte_count: int) -> None:
        self.events.append(("advanced", byte_count))

    def finished(self) -> None:
        self.events.append(("finished", None))


def make_source(files: dict[str, object], *, kind: str = "http") -> Source:
    return Source.model_validate(
        {
            "id": "toy",
            "title": "Toy corpus",
            "homepage": "http://toy.example/",
            "licence": {"id": "CC0-1.0", "url": None, "redistributable": True},
            "citation": "A. Nobody: Toy.",
            "kind": kind,
            "files": files,
        }
    )


def make_settings(tmp_path: Path, **fields: Any) -> Settings:
    """Settings with cache and lock in a folder, whatever the environment says."""
    return Settings(_env_file=None, cache=tmp_path / "cache", lock=tmp_path / "sources.lock", **fields)


def make_mirror(folder: Path, files: dict[str, tuple[bytes, dict[str, object]]]) -> Path:
    """A mirror folder; each URL maps to (content, further keys of its entry)."""
    folder.mkdir(parents=True, exist_ok=True)
    index = {}
    for number, (url, (content, extra)) in enumerate(files.items()):
        (folder / f"file-{number}").write_bytes(content)
        index[url] = {"path": f"file-{number}", "sha256": sha256(content), "bytes": len(content), **extra}
    (folder / "mirror.json").write_bytes(orjson.dumps(index))
    return folder


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
