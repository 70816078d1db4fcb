"""``mirror.json`` describes what lies beside it, and the writing tool writes just that."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
from sample_files import SAMPLES, json_file

from sciriff.sources.catalogue import load_catalogue
from sciriff.tasks.binding import bound_tasks, load_binding


def test_mirror_tells_size_and_hash_of_every_file() -> None:
    entries = json_file("mirror.json")
    for url, entry in entries.items():
        content = (SAMPLES / entry["path"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["bytes"], entry["sha256"]), url
        assert entry["partial"] is True
        assert entry["note"] == "sample written for this project"
    data = {path.relative_to(SAMPLES).as_posix() for path in SAMPLES.glob("*/*") if path.parent.name != "tool"}
    assert data == {entry["path"] for entry in entries.values()}


def test_every_url_is_one_of_the_catalogue_and_none_is_missing() -> None:
    catalogue = load_catalogue()
    wanted = {load_binding(task).source for task in bound_tasks()} | {"tulu_v2_sft_mixture"}
    urls = {file.url for source in wanted for file in catalogue[source].files.values()}
    assert set(json_file("mirror.json")) == urls


def test_samples_stay_small() -> None:
    files = [path for path in SAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 6_000_000


def test_the_tool_writes_the_committed_bytes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "samples.tool", "--out", str(tmp_path)]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, cwd=SAMPLES.parent, env=environment, check=True)
    for entry in json_file("mirror.json").values():
        written, committed = tmp_path / entry["path"], SAMPLES / entry["path"]
        if committed.suffix == ".parquet":  # its footer names the version of pyarrow
            assert pq.read_table(written).equals(pq.read_table(committed)), entry["path"]
        else:
            assert written.read_bytes() == committed.read_bytes(), f"{entry['path']}: run python -m samples.tool"
