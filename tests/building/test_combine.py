from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sciriff.building.combine import combine
from sciriff.building.overlaps import TrainingOverlaps
from sciriff.errors import StoreError
from sciriff.store import Store

METADATA = {
    "contributor": "tests",
    "domains": ["biomedicine", "chemistry"],
    "input_context": "paragraph",
    "output_context": "json",
    "source_type": "single_source",
    "split": "train",
    "task": "ie.named_entity_recognition",
    "template_metadata": {"use_for_eval": False},
}


def instance(task: str, split: str, row: int | str, text: str = "Näive – text") -> dict[str, Any]:
    return {
        "input": text,
        "output": f'{{"row": "{row}"}}',
        "metadata": METADATA | {"split": split},
        "_instance_id": f"{task}:{split}:{row}",
        "_template_id": 0,
        "_input_toks": 5,
        "_output_toks": 3,
    }


def publish(store: Store, window: int, task: str, splits: dict[str, list[dict[str, Any]]]) -> None:
    files = {}
    for split, records in splits.items():
        data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
        store.write_bytes(f"instructions/{window}/{task}/{split}.jsonl", data)
        files[f"{split}.jsonl"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": len(records)}
    key = hashlib.sha256(repr(files).encode()).hexdigest()
    store.write_manifest(f"instructions/{window}/{task}", {"key": key, "files": files})


def publish_rows(store: Store, window: int, task: str, rows: int) -> None:
    order = [(7 * place) % rows for place in range(rows)] if rows % 7 else list(range(rows))
    splits = {
        split: [instance(task, split, row) for row in order[:count]]
        for split, count in {"train": rows, "validation": 2, "test": 1}.items()
    }
    publish(store, window, task, splits)


def lines(store: Store, path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.read_bytes(path).splitlines()]


def every_file(store: Store) -> dict[str, str]:
    names = store.files("instructions_hf")
    return {name: hashlib.sha256(store.read_bytes(f"instructions_hf/{name}")).hexdigest() for name in names}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def test_record_shape_and_key_order(store: Store) -> None:
    publish_rows(store, 4096, "cdr_ner", 3)
    combine(store, windows=[4096], tasks=["cdr_ner"])
    record = lines(store, "instructions_hf/4096/train.jsonl")[0]
    assert list(record) == ["input", "output", "metadata", "_instance_id"]
    assert record["metadata"] == {
        "domains": ["biomedicine", "chemistry"],
        "input_context": "paragraph",
        "output_context": "json",
        "source_type": "single_source",
        "task_family": "ie.named_entity_recognition",
    }
    assert list(record["metadata"]) == ["domains", "input_context", "output_context", "source_type", "task_family"]
    assert "Näive – text".encode() in store.read_bytes("instructions_hf/4096/train.jsonl")


def test_sorted_by_id_as_text_across_tasks(store: Store) -> None:
    # ':' sorts after digits and before '_': the three names fall into an order that differs from that of the bare names
    for task in ("scierc", "scierc2", "scierc_ner"):
        publish_rows(store, 4096, task, 12)
    combine(store, windows=[4096], tasks=["scierc_ner", "scierc", "scierc2"])
    ids = [record["_instance_id"] for record in lines(store, "instructions_hf/4096/train.jsonl")]
    assert ids == sorted(ids)
    assert len(ids) == 36
    assert ids.index("scierc:train:10") < ids.index("scierc:train:2")


def test_equal_ids_keep_their_order(store: Store) -> None:
    twice = [instance("qa", "train", 1, "first"), instance("qa", "train", 0), instance("qa", "train", 1, "second")]
    publish(store, 4096, "qa", {"train": twice, "validation": [], "test": []})
    combine(store, windows=[4096], tasks=["qa"])
    assert [r["input"] for r in lines(store, "instructions_hf/4096/train.jsonl")] == ["Näive – text", "first", "second"]


def test_parquet_holds_the_same_rows_and_no_foreign_metadata(store: Store, tmp_path: Path) -> None:
    publish_rows(store, 4096, "cdr_ner", 9)
    combine(store, windows=[4096], tasks=["cdr_ner"])
    file = pq.ParquetFile(tmp_path / "store/instructions_hf/4096/train.parquet")
    assert file.read().to_pylist() == lines(store, "instructions_hf/4096/train.jsonl")
    assert file.schema_arrow.metadata is None
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_row_groups_are_bounded(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciriff.building.combine._BATCH_ROWS", 4)
    publish_rows(store, 4096, "cdr_ner", 10)
    combine(store, windows=[4096], tasks=["cdr_ner"])
    file = pq.ParquetFile(tmp_path / "store/instructions_hf/4096/train.parquet")
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [4, 4, 2]


def named(task: str, split: str, row: int, document: str, text: str) -> dict[str, Any]:
    return instance(task, split, row) | {"_document_id": document, "_text_id": text}


def publish_overlapping(store: Store) -> None:
    """The training instances 0 and 1 of ``mix_qa`` meet a test instance of its own and one of a held-out task."""
    ours = [named("mix_qa", "train", row, f"pmid:{row}", f"text {row}") for row in range(3)]
    test = [named("mix_qa", "test", 0, "pmid:0", "another part of it")]
    theirs = [named("scierc_ner", "test", 7, "scierc:x", "text 1")]
    publish(store, 4096, "mix_qa", {"train": ours, "validation": [], "test": test})
    publish(store, 4096, "scierc_ner", {"train": [], "validation": [], "test": theirs})


def test_instances_that_meet_another_split_are_named_and_counted(store: Store, tmp_path: Path) -> None:
    publish_overlapping(store)
    (window,) = combine(store, windows=[4096], tasks=["mix_qa", "scierc_ner"]).windows
    assert window.overlaps == TrainingOverlaps(texts=1, documents=1, held_out_texts=1, held_out_documents=0)
    table = pq.ParquetFile(tmp_path / "store/instructions_hf/4096/overlaps.parquet").read()
    assert table.schema.metadata is None
    ours = {"task": "mix_qa", "split": "train"}
    assert table.to_pylist() == [
        {
            "task": "mix_qa",
            "split": "test",
            "_instance_id": "mix_qa:test:0",
            "_document_id": "pmid:0",
            "other_task": "mix_qa",
            "other_split": "train",
            "same_text": 0,
            "same_document": 1,
            "other_instance_id": "mix_qa:train:0",
        },
        ours
        | {
            "_instance_id": "mix_qa:train:0",
            "_document_id": "pmid:0",
            "other_task": "mix_qa",
            "other_split": "test",
            "same_text": 0,
            "same_document": 1,
            "other_instance_id": "mix_qa:test:0",
        },
        ours
        | {
            "_instance_id": "mix_qa:train:1",
            "_document_id": "pmid:1",
            "other_task": "scierc_ner",
            "other_split": "test",
            "same_text": 1,
            "same_document": 0,
            "other_instance_id": "scierc_ner:test:7",
        },
    ]
    manifest = store.read_manifest("instructions_hf/4096") or {}
    assert manifest["files"]["overlaps.parquet"]["rows"] == 3
    assert (
        ours | {"other_task": "scierc_ner", "other_split": "test", "same_text": 1, "same_document": 0}
        in manifest["overlaps"]["places"]
    )


def test_overlaps_are_known_of_what_was_combined_before(store: Store) -> None:
    publish_overlapping(store)
    first, second = (combine(store, windows=[4096], tasks=["mix_qa", "scierc_ner"]).windows[0] for _ in range(2))
    assert second.state == "cached"
    assert second.overlaps == first.overlaps != TrainingOverlaps()


def test_records_without_ids_overlap_with_nothing(store: Store, tmp_path: Path) -> None:
    publish_rows(store, 4096, "cdr_ner", 5)
    assert combine(store, windows=[4096], tasks=["cdr_ner"]).windows[0].overlaps == TrainingOverlaps()
    assert pq.ParquetFile(tmp_path / "store/instructions_hf/4096/overlaps.parquet").read().num_rows == 0


def test_second_run_writes_nothing_and_a_damaged_file_is_written_again(store: Store) -> None:
    publish_rows(store, 4096, "cdr_ner", 5)
    first = combine(store, windows=[4096], tasks=["cdr_ner"]).windows[0]
    before = every_file(store)
    second = combine(store, windows=[4096], tasks=["cdr_ner"]).windows[0]
    assert (first.state, second.state) == ("combined", "cached")
    assert second.rows == first.rows == {"train": 5, "validation": 2, "test": 1}
    store.write_bytes("instructions_hf/4096/test.parquet", b"cut off")
    assert combine(store, windows=[4096], tasks=["cdr_ner"]).windows[0].state == "combined"
    assert every_file(store) == before


def test_bytes_do_not_depend_on_store_or_order_of_tasks(store: Store) -> None:
    memory = Store("memory://combine-bytes")
    for target in (store, memory):
        for task in ("b_ner", "a_qa"):
            publish_rows(target, 4096, task, 11)
    combine(store, windows=[4096], tasks=["b_ner", "a_qa"])
    combine(memory, windows=[4096], tasks=["a_qa", "b_ner", "a_qa"])
    assert every_file(store) == every_file(memory)


def test_rebuilt_task_is_combined_anew(store: Store) -> None:
    publish_rows(store, 4096, "cdr_ner", 5)
    first = combine(store, windows=[4096], tasks=["cdr_ner"]).windows[0]
    publish_rows(store, 4096, "cdr_ner", 6)
    second = combine(store, windows=[4096], tasks=["cdr_ner"]).windows[0]
    assert second.state == "combined"
    assert second.key != first.key
    assert second.rows["train"] == 6


def test_unbuilt_and_damaged_tasks_are_left_out_and_named(store: Store) -> None:
    publish_rows(store, 4096, "good_ner", 3)
    publish_rows(store, 4096, "bad_ner", 3)
    store.write_bytes("instructions/4096/bad_ner/test.jsonl", b"{}\n")
    store.write_bytes("instructions/4096/half_ner/train.jsonl", b"{}\n")  # killed before its manifest
    window = combine(store, windows=[4096], tasks=["good_ner", "bad_ner", "half_ner"]).windows[0]
    assert window.tasks == ("good_ner",)
    assert "test.jsonl" in window.skipped["bad_ner"]
    assert window.skipped["half_ner"] == "not built at this window"
    assert combine(store, windows=[4096], tasks=["good_ner", "bad_ner"]).windows[0].state == "cached"


def test_nothing_built_writes_nothing(store: Store) -> None:
    outcome = combine(store, windows=[4096], tasks=["cdr_ner"])
    assert outcome.windows[0].state == "empty"
    assert store.files("instructions_hf") == []


def test_record_of_another_task_is_an_error_that_names_file_and_line(store: Store) -> None:
    foreign = [instance("cdr_ner", "train", 0), instance("other", "train", 0)]
    publish(store, 4096, "cdr_ner", {"train": foreign, "validation": [], "test": []})
    with pytest.raises(StoreError, match=r"train\.jsonl:2: _instance_id 'other:train:0'"):
        combine(store, windows=[4096], tasks=["cdr_ner"])
    assert store.read_manifest("instructions_hf/4096") is None


def test_datasets_reads_the_folder_and_its_files(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    for window in (4096, 16384):
        publish_rows(store, window, "cdr_ner", window // 1024)
        publish(store, window, "qa", {"train": [instance("qa", "train", 0)], "validation": [], "test": []})
    combine(store, windows=[4096, 16384], tasks=["cdr_ner", "qa"])
    folder = tmp_path / "store/instructions_hf"
    cache = str(tmp_path / "cache")

    by_config = load_dataset(str(folder), "16384", cache_dir=cache)
    assert {split: len(rows) for split, rows in by_config.items()} == {"train": 17, "validation": 2, "test": 1}
    assert by_config["train"].column_names == ["input", "output", "metadata", "_instance_id"]
    json_rows = load_dataset("json", data_files=str(folder / "16384/train.jsonl"), cache_dir=cache)["train"]
    assert json_rows.to_list() == by_config["train"].to_list()
    parquet_rows = load_dataset("parquet", data_files=str(folder / "4096/train.parquet"), cache_dir=cache)["train"]
    assert len(parquet_rows) == 5


def test_card_grows_with_the_windows_in_the_store(store: Store) -> None:
    for window in (4096, 8192):
        publish_rows(store, window, "cdr_ner", 3)
        combine(store, windows=[window], tasks=["cdr_ner"])
    card = store.read_bytes("instructions_hf/README.md").decode()
    assert card.count("config_name") == 2
    assert "| 8192 | 3 | 2 | 1 |" in card
