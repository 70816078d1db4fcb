"""``sciriff push`` against a server that speaks the Hub's HTTP API, in a process of its own as a user runs it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from hub_server import TOKEN, Hub, running_hub

from sciriff import api
from sciriff.settings import Settings

FREE, RESTRICTED = "biored_ner", "scierc_ner"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("push")
    settings = Settings(
        _env_file=None, store=str(root / "store"), cache=root / "cache", offline=True, samples="always", workers=1
    )
    assert api.build([FREE, RESTRICTED], windows=[4096, 8192], settings=settings).exit_code == 0
    return settings.store


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


def push(hub: Hub, store: str, *arguments: str, token: str | None = TOKEN) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SCIRIFF_", "HF_"))}
    environment = {**kept, "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(Path(store) / ".hf")}
    if token is not None:
        environment["HF_TOKEN"] = token
    command = [sys.executable, "-m", "sciriff.cli", "push", "lab/sciriff", "--store", store, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def tasks_in(content: bytes) -> set[str]:
    ids = pq.read_table(io.BytesIO(content), columns=["_instance_id"])["_instance_id"].to_pylist()
    return {name.partition(":")[0] for name in ids}


def test_what_may_be_passed_on_goes_up_in_one_commit_and_the_rest_is_named(hub: Hub, store: str) -> None:
    done = push(hub, store, "--include-samples", "--private")
    assert done.returncode == 0, done.stderr
    files = hub.files["lab/sciriff"]
    assert len(hub.commits) == 1
    assert hub.private["lab/sciriff"]
    for window in (4096, 8192):
        for split in ("train", "validation", "test"):
            assert tasks_in(files[f"{window}/{split}.parquet"]) == {FREE}
    card = files["README.md"].decode()
    assert [config["config_name"] for config in yaml.safe_load(card.split("---\n")[1])["configs"]] == ["4096", "8192"]
    assert RESTRICTED not in card
    assert b'"cr:RecordSet"' in files["croissant.json"]
    assert f"left out: {RESTRICTED}: licence none-stated does not allow copies to be passed on" in done.stdout
    assert "uploaded 1 task at windows 4096, 8192" in done.stdout
    assert TOKEN not in done.stdout + done.stderr


def test_told_otherwise_it_uploads_restricted_tasks_too_and_deletes_what_is_gone(hub: Hub, store: str) -> None:
    hub.files["lab/sciriff"] = {"2048/train.parquet": b"of an earlier upload", "notes.md": b"the owner's own"}
    done = push(hub, store, "--include-samples", "--include-restricted")
    assert done.returncode == 0, done.stderr
    files = hub.files["lab/sciriff"]
    assert tasks_in(files["4096/train.parquet"]) == {FREE, RESTRICTED}
    assert "2048/train.parquet" not in files
    assert files["notes.md"] == b"the owner's own"


def test_bundled_samples_are_not_uploaded_by_mistake(hub: Hub, store: str) -> None:
    done = push(hub, store)
    assert done.returncode == 1
    assert "nothing to upload" in done.stderr
    assert "--include-samples" in done.stderr
    assert hub.files == {}


@pytest.mark.parametrize("token", ["hf_wrong", None])
def test_a_wrong_token_blocks_and_says_what_to_do(hub: Hub, store: str, token: str | None) -> None:
    done = push(hub, store, "--include-samples", token=token)
    assert done.returncode == 3, done.stderr
    assert "set HF_TOKEN to a token that may write there" in done.stderr
    assert "hf_wrong" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_refused_commit_leaves_the_repository_as_it_was(hub: Hub, store: str) -> None:
    hub.files["lab/sciriff"] = {"notes.md": b"the owner's own"}
    hub.refuse["/commit/"] = 422
    done = push(hub, store, "--include-samples")
    assert done.returncode == 1
    assert "refused the upload to dataset lab/sciriff (status 422)" in done.stderr
    assert hub.files["lab/sciriff"] == {"notes.md": b"the owner's own"}
