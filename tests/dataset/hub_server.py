"""A stand-in for the Hugging Face Hub that takes uploads: repositories, preupload, Git LFS, commits, downloads."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_stand_in_token"
_LARGE = 2_000
"""Files of at least so many bytes go through Git LFS."""


@dataclass
class Hub:
    """What the server holds.

    Attributes:
        url: its address.
        files: repository -> path -> content, after the last commit.
        commits: the messages of all commits.
        private: repository -> whether it was made private.
        refuse: path part -> status: requests to such paths are refused.
    """

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    private: dict[str, bool] = field(default_factory=dict)
    refuse: dict[str, int] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Run the server on a free port of the loopback interface."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, content: Any, status: int = 200) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status >= 400:
            self.send_header("X-Error-Message", "refused by the stand-in")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _refused(self) -> bool:
        for part, status in self.hub.refuse.items():
            if part in self.path:
                self._answer({"error": "refused by the stand-in"}, status)
                return True
        if self.path.startswith("/api/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer({"error": "Invalid credentials"}, 401)
            return True
        return False

    def do_POST(self) -> None:
        body = self._body()
        if self._refused():
            return
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.hub.files.setdefault(name, {})
            self.hub.private.setdefault(name, asked.get("visibility") == "private" or bool(asked.get("private")))
            self._answer({"url": f"{self.hub.url}/datasets/{name}", "name": name})
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif re.search(r"/preupload/", self.path):
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["size"] >= _LARGE else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for file in json.loads(body)["files"]
            ]
            self._answer({"files": modes})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {
                    "oid": entry["oid"],
                    "size": entry["size"],
                    "actions": {"upload": {"href": f"{self.hub.url}/objects/{entry['oid']}"}},
                }
                for entry in json.loads(body)["objects"]
            ]
            self._answer({"transfer": "basic", "objects": objects})
        elif found := re.fullmatch(r"/api/datasets/(.+)/commit/(\w+)", self.path):
            self._commit(found[1], body)
        else:
            self._answer({"error": f"unknown {self.path}"}, 404)

    def _commit(self, repository: str, body: bytes) -> None:
        files = dict(self.hub.files[repository])
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            match entry["key"]:
                case "header":
                    self.hub.commits.append(value["summary"])
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.hub.objects[value["oid"]]
                case "deletedFile":
                    del files[value["path"]]
        self.hub.files[repository] = files
        oid = hashlib.sha1(repr(sorted(files)).encode()).hexdigest()
        self._answer({"commitUrl": f"{self.hub.url}/datasets/{repository}/commit/{oid}", "commitOid": oid})

    def do_PUT(self) -> None:
        body = self._body()
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.objects[oid] = body
        self._answer(b"")

    def do_GET(self) -> None:
        if self._refused():
            return
        found = re.match(r"/api/datasets/([^/]+/[^/]+)(/.*)?$", self.path)
        if found and found[1] in self.hub.files:
            names = sorted(self.hub.files[found[1]])
            if "/tree/" in self.path:
                entries = [
                    {"type": "file", "path": name, "size": len(self.hub.files[found[1]][name]), "oid": "0" * 40}
                    for name in names
                ]
                self._answer(entries)
            else:
                self._answer({"id": found[1], "sha": "0" * 40, "siblings": [{"rfilename": name} for name in names]})
        else:
            self._answer({"error": f"unknown {self.path}"}, 404)
