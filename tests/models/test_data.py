"""Instances that were not built here: published ones by way of a mirror, and files and folders of one's own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sciriff.errors import SourceError, StoreError, UsageError
from sciriff.models.data import SOURCE, load_data, require_data
from sciriff.models.instances import InstanceSet, NotBuiltError
from sciriff.settings import Settings
from sciriff.sources.catalogue import source
from sciriff.store import Store

TASKS = ("biored_ner", "cdr_ner", "evidence_inference", "mup_single_document_summarization")


def rows(number: int, split: str = "validation") -> list[dict[str, Any]]:
    """As the published rows are: of all tasks, sorted by id as text, ids of other source splits among them."""
    metadata = {"domains": ["biomedicine"], "task_family": "ie"}
    made = [
        {
            "input": f"in {split} {task} {n}",
            "output": f"out {n}",
            "metadata": metadata,
            "_instance_id": f"{task}:{'train' if n % 3 else split}:{n}",
        }
        for task in TASKS
        for n in range(number)
    ]
    return sorted(made, key=lambda row: str(row["_instance_id"]))


def write_parquet(path: Path, records: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(records), path)
    return path


def write_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def mirror(folder: Path, files: dict[str, list[dict[str, Any]]], **entry: Any) -> Settings:
    """Settings that see a mirror of some published files, by their keys in the catalogue, and nothing else."""
    listed = {}
    for key, records in files.items():
        path = write_parquet(folder / "mirror" / f"{key}.parquet", records)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        listed[source(SOURCE).files[key].url] = {"path": path.name, "sha256": digest, **entry}
    (folder / "mirror" / "mirror.json").write_text(json.dumps(listed))
    return Settings(
        mirror=str(folder / "mirror"), cache=folder / "cache", lock=folder / "lock", offline=True, samples="never"
    )


def load(data: str, settings: Settings, task: str = "biored_ner", **choices: Any) -> InstanceSet:
    where = {"window": 4096, "split": "validation", **choices}
    return load_data(data, task, store=Store("memory://nothing"), settings=settings, **where)


def test_published_instances_come_from_a_mirror_in_their_order(tmp_path: Path) -> None:
    settings = mirror(tmp_path, {"4096-validation-0": rows(12), "4096-test-0": rows(4, "test")})
    loaded = load("published", settings)
    expected = [row for row in rows(12) if row["_instance_id"].startswith("biored_ner:")]
    assert [each["_instance_id"] for each in loaded.instances] == [row["_instance_id"] for row in expected]
    assert loaded.instances[0] == {key: expected[0][key] for key in ("_instance_id", "input", "output")}
    assert (loaded.data, loaded.path) == ("published", "published:4096/validation")
    assert (loaded.build_key, loaded.note) == ("", "published by the authors")
    assert loaded.pool == loaded.instances
    assert len(load("published", settings, split="test").instances) == 4


def test_a_sample_is_that_of_the_ids_alone(tmp_path: Path) -> None:
    settings = mirror(tmp_path, {"4096-validation-0": rows(30)})
    sample, everything = load("published", settings, limit=5), load("published", settings)
    assert len(sample.instances) == 5
    assert sample.pool == everything.instances
    assert sample.sha256 == everything.sha256
    path = write_lines(tmp_path / "same.jsonl", rows(30))
    assert load(str(path), settings, limit=5).instances == sample.instances


def test_windows_in_several_parts_are_read_in_order(tmp_path: Path) -> None:
    everything = rows(8, "train")
    settings = mirror(tmp_path, {"8192-train-0": everything[:11], "8192-train-1": everything[11:]})
    loaded = load("published", settings, window=8192, split="train")
    expected = [row["_instance_id"] for row in everything if row["_instance_id"].startswith("biored_ner:")]
    assert [each["_instance_id"] for each in loaded.instances] == expected


def test_what_the_published_data_lacks_is_told(tmp_path: Path) -> None:
    settings = mirror(tmp_path, {"4096-validation-0": rows(3)})
    with pytest.raises(UsageError, match=r"window 16384 and split validation; it has windows 4096, 8192"):
        load("published", settings, window=16384)
    with pytest.raises(NotBuiltError, match=r"published:4096/validation has no instances of scierc_ner"):
        load("published", settings, task="scierc_ner")
    with pytest.raises(
        SourceError, match=r"SciRIFF/resolve/main/4096/test-00000-of-00001.parquet: source not available"
    ):
        load("published", settings, split="test")


def test_what_cannot_be_had_is_met_before_any_task(tmp_path: Path) -> None:
    settings = mirror(tmp_path, {"4096-validation-0": rows(3)})
    for data, split in (("built", "test"), ("published", "validation"), (str(tmp_path), "test")):
        require_data(data, 4096, split, settings)
    with pytest.raises(SourceError, match="source not available"):
        require_data("published", 4096, "test", settings)
    with pytest.raises(UsageError, match="there is no such file or folder"):
        require_data(str(tmp_path / "absent"), 4096, "test", settings)


def test_an_incomplete_mirror_is_noted(tmp_path: Path) -> None:
    settings = mirror(tmp_path, {"4096-validation-0": rows(3)}, partial=True)
    assert load("published", settings).note == "published by the authors, partial source"


@pytest.mark.parametrize("write", [write_lines, write_parquet])
@pytest.mark.parametrize("name", ["validation", "biored_ner/validation", "biored_ner"])
def test_folders_are_searched_for_the_split(name: str, write: Any, tmp_path: Path) -> None:
    suffix = ".jsonl" if write is write_lines else ".parquet"
    write(tmp_path / "data" / f"{name}{suffix}", rows(5))
    loaded = load(str(tmp_path / "data"), Settings())
    assert len(loaded.instances) == 5
    assert (loaded.data, loaded.note) == (str(tmp_path / "data"), "data of data")
    with pytest.raises(NotBuiltError, match=r"neither test.jsonl, cdr_ner/test.jsonl nor cdr_ner.jsonl"):
        load(str(tmp_path / "data"), Settings(), task="cdr_ner", split="test")


def test_a_document_is_kept_where_the_data_names_it(tmp_path: Path) -> None:
    record = {"_instance_id": "biored_ner:test:1", "input": "a", "output": "b", "_document_id": "pmid:1", "more": 3}
    loaded = load(str(write_lines(tmp_path / "x.jsonl", [record])), Settings())
    del record["more"]
    assert loaded.instances == (record,)


def test_an_id_that_occurs_again_gets_a_number(tmp_path: Path) -> None:
    record = {"_instance_id": "biored_ner:test:1", "input": "a", "output": "b"}
    loaded = load(str(write_lines(tmp_path / "x.jsonl", [record, {**record, "input": "c"}, record])), Settings())
    ids = [each["_instance_id"] for each in loaded.instances]
    assert ids == ["biored_ner:test:1", "biored_ner:test:1#2", "biored_ner:test:1#3"]


def test_a_changed_file_is_read_again_and_has_another_hash(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.jsonl", rows(2))
    first = load(str(path), Settings())
    write_lines(path, rows(3))
    second = load(str(path), Settings())
    assert (len(first.instances), len(second.instances)) == (2, 3)
    assert first.sha256 != second.sha256


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"_instance_id": "biored_ner:t:1", "input": "a", "output": "b"}\n{"input": 3}\n', r"bad:2: no text under"),
        (b"\n[1\n", r"bad:2: not JSON .*each instance needs input, output and _instance_id"),
        (b"PAR1 and no more", r"bad is not whole Parquet"),
        (b"\xff\xfe", r"bad:1: not JSON"),
    ],
)
def test_a_file_that_is_not_of_the_shape_names_the_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=message):
        load(str(path), Settings())


def test_parquet_without_the_columns_names_the_row(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", [{"_instance_id": "biored_ner:t:1", "input": "a"}])
    with pytest.raises(StoreError, match=r"x.parquet, row 1: no text under output"):
        load(str(path), Settings())


def test_a_path_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"data publishd: there is no such file or folder; give built, published or"):
        load("publishd", Settings())


def test_a_folder_at_a_url_is_copied_once_and_anew_when_it_changes(tmp_path: Path) -> None:
    import fsspec

    there = fsspec.filesystem("memory")
    url = f"memory://{tmp_path.name}/data"

    def put(name: str, number: int) -> None:
        there.pipe_file(f"/{tmp_path.name}/data/{name}", write_lines(tmp_path / "x.jsonl", rows(number)).read_bytes())

    put("biored_ner/validation.jsonl", 3)
    there.pipe_file(f"/{tmp_path.name}/data/notes.txt", b"not data")
    settings = Settings(offline=True, cache=tmp_path / "cache")
    store = Store(str(tmp_path / "store"))

    def load() -> InstanceSet:
        require_data(url, 4096, "validation", settings)
        return load_data(url, "biored_ner", 4096, "validation", store=store, settings=settings)

    first = load()
    assert (len(first.instances), first.data) == (3, url)
    assert first.path == f"{url}/biored_ner/validation.jsonl"
    copies = sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert [path.name for path in copies] == ["validation.jsonl"]
    written = copies[0].stat().st_mtime_ns
    load()
    assert copies[0].stat().st_mtime_ns == written
    put("biored_ner/validation.jsonl", 5)
    assert len(load().instances) == 5


def test_a_file_at_a_url_and_one_that_is_not_there(tmp_path: Path) -> None:
    settings = Settings(offline=True, cache=tmp_path / "cache")
    store = Store(str(tmp_path / "store"))
    file = write_parquet(tmp_path / "some" / "mine.parquet", rows(2))
    found = load_data(file.as_uri(), "biored_ner", 4096, "test", store=store, settings=settings)
    assert (len(found.instances), found.path, found.note) == (2, file.as_uri(), "data of mine.parquet")
    for url in (f"memory://{tmp_path.name}/nowhere", (tmp_path / "nothing.jsonl").as_uri()):
        with pytest.raises(UsageError, match=f"data {url}: there is no such file or folder"):
            require_data(url, 4096, "validation", settings)
