"""The weights of a repository, from a server that speaks as much of the Hub's protocol as a download needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from weights_kit import make_weights

from sciriff.errors import BlockedError, SourceError
from sciriff.models.checkpoint import open_checkpoint
from sciriff.models.registry import ModelSpec
from sciriff.models.weights import Weights, fetch_weights, find_weights
from sciriff.settings import Settings

COMMIT = "2" * 40
SPEC = ModelSpec(name="model", backend="vllm", weights="lab/model")


class Hub(ThreadingHTTPServer):
    """Serves one repository, ``lab/model`` at ``COMMIT``; it can be gated."""

    files: dict[str, bytes]
    sent: list[str]
    is_gated = False


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.server
        assert isinstance(hub, Hub)
        path = self.path.partition("?")[0]
        name = path.rpartition(f"/{COMMIT}/")[2] if COMMIT in path else path.rpartition("/main/")[2]
        if path == f"/api/models/lab/model/tree/{COMMIT}" and not hub.is_gated:
            files = [{"type": "file", "path": name, "size": len(content), "oid": self.etag(content)}
                     for name, content in hub.files.items()]  # fmt: skip
            self.send(200, json.dumps(files).encode())
        elif hub.is_gated and "/api/" in path:
            self.send(403, b"", **{"X-Error-Code": "GatedRepo"})
        elif name in hub.files:
            if self.command == "GET":
                hub.sent.append(name)
            content = hub.files[name]
            self.send(200, content, **{"ETag": f'"{self.etag(content)}"', "X-Repo-Commit": COMMIT})
        else:
            self.send(404, b"", **{"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})

    def etag(self, content: bytes) -> str:
        return hashlib.sha1(content).hexdigest()

    def send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    from huggingface_hub import close_session, constants

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    close_session()
    server = Hub(("127.0.0.1", 0), Handler)
    server.files = {path.name: path.read_bytes() for path in make_weights(tmp_path / "served").iterdir()}
    server.sent = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    close_session()


@pytest.fixture
def settings(hub: Hub, tmp_path: Path) -> Settings:
    return Settings(hub_endpoint=f"http://127.0.0.1:{hub.server_address[1]}", cache=tmp_path / "cache")


def weights(settings: Settings) -> Weights:
    return find_weights(SPEC, open_checkpoint(SPEC, settings), settings)


def test_a_repository_is_its_commit_and_nothing_large_is_fetched_to_know_it(hub: Hub, settings: Settings) -> None:
    hub.files["model.safetensors"] = b"tensors"
    found = weights(settings)
    assert (found.described, found.name) == ({"repository": "lab/model", "commit": COMMIT}, "lab/model@222222222222")
    assert "model.safetensors" not in hub.sent


def test_what_an_engine_reads_is_fetched_and_nothing_else(hub: Hub, settings: Settings) -> None:
    shards = {f"model-0000{number}-of-00002.safetensors": b"tensors %d" % number for number in (1, 2)}
    index = json.dumps({"weight_map": dict(zip("ab", shards, strict=True))}).encode()
    copies = {
        "pytorch_model.bin": b"the same again",
        "original/consolidated.00.pth": b"and again",
        "README.md": b"card",
    }
    hub.files |= {**shards, **copies, "model.safetensors.index.json": index, "modeling_lab.py": b"raise SystemExit"}
    folder = fetch_weights(weights(settings), settings)
    assert {path.name for path in folder.rglob("*")} == {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "model.safetensors.index.json",
        *shards,
    }
    offline = settings.model_copy(update={"offline": True})
    sent = len(hub.sent)
    assert fetch_weights(weights(offline), offline) == folder
    assert len(hub.sent) == sent
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(SourceError, match="lab/model@222222222222"):
        fetch_weights(weights(offline), offline)
    assert fetch_weights(weights(settings), settings) == folder
    assert (folder / "model-00002-of-00002.safetensors").read_bytes() == b"tensors 2"


def test_weights_of_the_older_kind_are_taken_where_there_are_no_others(hub: Hub, settings: Settings) -> None:
    hub.files |= {"pytorch_model.bin": b"tensors", "training_args.bin": b"what training left"}
    folder = fetch_weights(weights(settings), settings)
    assert (folder / "pytorch_model.bin").read_bytes() == b"tensors"
    assert not (folder / "training_args.bin").exists()


def test_a_repository_without_weights_is_named(hub: Hub, settings: Settings) -> None:
    with pytest.raises(SourceError, match=r"lab/model@222222222222: there is no file \*\.safetensors or \*\.bin, or"):
        fetch_weights(weights(settings), settings)


@pytest.mark.usefixtures("hub")
def test_offline_with_only_the_small_files_at_hand(settings: Settings) -> None:
    open_checkpoint(SPEC, settings)
    offline = settings.model_copy(update={"offline": True})
    with pytest.raises(SourceError, match="in the Hub's cache, and SCIRIFF_OFFLINE forbids to fetch it"):
        fetch_weights(weights(offline), offline)


def test_a_gated_repository_says_what_to_do(hub: Hub, settings: Settings) -> None:
    known = weights(settings)
    hub.is_gated = True
    with pytest.raises(BlockedError, match=r"lab/model is gated: open .*/lab/model, accept its terms .* HF_TOKEN"):
        fetch_weights(known, settings)


def test_a_hub_that_is_gone(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    known = weights(settings)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the Hub's client tries again after ever longer waits
    away = settings.model_copy(update={"hub_endpoint": "http://127.0.0.1:9"})
    with pytest.raises(SourceError, match=r"lab/model@222222222222"):
        fetch_weights(known, away)
