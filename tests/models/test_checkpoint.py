"""The small files of a checkpoint, from a folder and from a server that speaks the Hub's resolve API."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from weights_kit import CHATML, make_weights

from sciriff.errors import BlockedError, SciriffError, SourceError
from sciriff.models.checkpoint import open_checkpoint
from sciriff.models.registry import ModelSpec, find_model
from sciriff.settings import Settings

COMMIT = "1" * 40


def spec(weights: str, **fields: object) -> ModelSpec:
    return ModelSpec(name="ours", backend="vllm", weights=weights, **fields)  # type: ignore[arg-type]


def test_a_folder_says_how_it_wraps_counts_and_how_long_it_reads(tmp_path: Path) -> None:
    found = open_checkpoint(spec(str(make_weights(tmp_path, context=2048))), Settings(offline=True))
    assert (found.commit, found.context_tokens, found.chat_template) == (None, 2048, CHATML)
    assert found.special_tokens == {"bos_token": "<s>", "eos_token": "</s>"}
    assert found.tokenizer is not None
    assert found.counter is not None
    text = "one </s> two"
    assert found.counter.count(text) == len(found.tokenizer.encode(text, add_special_tokens=False).ids)


def test_the_entry_wins_over_the_file_and_a_text_part_counts(tmp_path: Path) -> None:
    folder = make_weights(tmp_path)
    assert open_checkpoint(spec(str(folder), context_tokens=1000), Settings()).context_tokens == 1000
    (folder / "config.json").write_text(json.dumps({"text_config": {"max_position_embeddings": 512}}))
    assert open_checkpoint(spec(str(folder)), Settings()).context_tokens == 512
    (folder / "config.json").write_text("{}")
    assert open_checkpoint(spec(str(folder)), Settings()).context_tokens is None


def test_templates_of_several_names_and_in_a_file_of_their_own(tmp_path: Path) -> None:
    several = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": CHATML}]
    folder = make_weights(tmp_path / "a", template=several)
    assert open_checkpoint(spec(str(folder)), Settings()).chat_template == CHATML
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert open_checkpoint(spec(str(folder)), Settings()).chat_template == "{{ messages[0].content }}"
    bare = make_weights(tmp_path / "b", template=None, tokenizer=False)
    found = open_checkpoint(spec(str(bare)), Settings())
    assert (found.chat_template, found.tokenizer, found.counter) == (None, None, None)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_file_is_named(name: str, content: str, tmp_path: Path) -> None:
    folder = make_weights(tmp_path)
    (folder / name).write_text(content)
    with pytest.raises(SourceError, match=name.replace(".", r"\.")):
        _ = open_checkpoint(spec(str(folder)), Settings()).tokenizer


# The Hub


class Hub(ThreadingHTTPServer):
    """Serves the files of ``lab/model`` at ``main``; ``lab/gated`` is gated, nothing else exists."""

    files: dict[str, bytes]
    asked: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        assert isinstance(self.server, Hub)
        self.server.asked.append(f"{self.command} {self.path}")
        owner_and_name, _, rest = self.path.lstrip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        if owner_and_name == "lab/gated":
            self.refuse(403, "GatedRepo")
        elif owner_and_name != "lab/model":
            self.refuse(401, "RepoNotFound")
        elif revision not in ("main", COMMIT):
            self.refuse(404, "RevisionNotFound")
        elif name not in self.server.files:
            self.refuse(404, "EntryNotFound")
        else:
            content = self.server.files[name]
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

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
    server = Hub(("127.0.0.1", 0), HubHandler)
    folder = make_weights(tmp_path / "served", context=777)
    server.files = {path.name: path.read_bytes() for path in folder.iterdir()}
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    close_session()


def test_files_of_a_repository_come_from_the_hub_once(hub: Hub) -> None:
    settings = Settings(hub_endpoint=hub.url)
    model = find_model("lab/model", settings)
    found = open_checkpoint(model, settings)
    assert (found.commit, found.context_tokens, found.chat_template) == (COMMIT, 777, CHATML)
    assert found.tokenizer is not None
    assert sum(line.startswith("GET") for line in hub.asked) == 3
    again = open_checkpoint(model, Settings(hub_endpoint=hub.url, offline=True))
    assert (again.commit, again.context_tokens) == (COMMIT, 777)
    assert sum(line.startswith("GET") for line in hub.asked) == 3


def test_offline_an_unknown_repository_has_nothing(hub: Hub) -> None:
    found = open_checkpoint(spec("lab/model"), Settings(hub_endpoint=hub.url, offline=True))
    assert (found.context_tokens, found.chat_template, found.tokenizer) == (None, None, None)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (spec("lab/gated"), BlockedError, r"lab/gated is gated: open .*/lab/gated, accept its terms .* HF_TOKEN"),
        (spec("lab/absent"), SourceError, r"there is no repository lab/absent on the Hub, or it is private"),
        (spec("lab/model", revision="v9"), SourceError, r"lab/model has no revision v9"),
    ],
)
def test_refusals_say_what_to_do(model: ModelSpec, error: type[SciriffError], message: str, hub: Hub) -> None:
    with pytest.raises(error, match=message):
        open_checkpoint(model, Settings(hub_endpoint=hub.url))


def test_a_hub_out_of_reach_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with pytest.raises(SourceError, match=r"lab/model: config.json cannot be had"):
        open_checkpoint(spec("lab/model"), Settings(hub_endpoint="http://127.0.0.1:9"))
