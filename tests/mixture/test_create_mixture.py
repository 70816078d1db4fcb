from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciriff.errors import SourceError, StoreError, UsageError
from sciriff.hashing import keyed_rank
from sciriff.mixture import MixtureOutcome, create_mixture
from sciriff.mixture.chat import fault
from sciriff.store import Store

ROWS = 8


def publish_train(store: Store, task: str, rows: int = ROWS, window: int = 4096) -> None:
    records = [
        {"input": f"question {row} of {task}", "output": f"réponse {row}", "_instance_id": f"{task}:train:{row}.0"}
        for row in reversed(range(rows))
    ]
    data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    folder = f"instructions/{window}/{task}"
    store.write_bytes(f"{folder}/train.jsonl", data)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": rows}
    store.write_manifest(folder, {"key": f"key of {task} with {rows} rows", "files": {"train.jsonl": entry}})


def chat(row: int, dataset: str = "flan_v2") -> dict[str, Any]:
    return {
        "dataset": dataset,
        "id": f"{dataset}_{row}",
        "messages": [{"role": "user", "content": f"ask {row}"}, {"role": "assistant", "content": f"tell {row}"}],
    }


TULU = [chat(row, "science.evidence_inference" if row % 5 == 0 else "flan_v2") for row in range(50)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "store"))
    for task in ("scicite_classification", "cdr_ner", "scierc_ner"):
        publish_train(store, task)
    return store


@pytest.fixture
def tulu_file(tmp_path: Path) -> Path:
    path = tmp_path / "tulu.parquet"
    pq.write_table(pa.Table.from_pylist(TULU), path, row_group_size=7)
    return path


def mix(store: Store, *tulu_files: Path, **options: Any) -> MixtureOutcome:
    defaults: dict[str, Any] = {
        "instances_per_task": 3,
        "tulu": "match" if tulu_files else "none",
        "include_eval_tasks": False,
        "window": 4096,
    }
    return create_mixture(store, **(defaults | options), tulu_files=tulu_files)


def records(store: Store, outcome: MixtureOutcome) -> list[dict[str, Any]]:
    return [json.loads(line) for line in store.read_bytes(outcome.path).splitlines()]


def test_science_records_are_the_first_of_each_training_task(store: Store) -> None:
    outcome = mix(store)
    assert outcome.path == "training_mix/tulu_none_science_3_eval_no.jsonl"
    assert outcome.tasks == {"cdr_ner": 3, "scicite_classification": 3}
    assert outcome.held_out == ("scierc_ner",)
    found = {record["id"]: record for record in records(store, outcome)}
    assert sorted(found) == [
        f"science.{task}.{row}.0" for task in ("cdr_ner", "scicite_classification") for row in (5, 6, 7)
    ]
    record = found["science.cdr_ner.7.0"]
    assert list(record) == ["dataset", "id", "messages"]
    assert record["dataset"] == "science.cdr_ner"
    assert record["messages"] == [
        {"role": "user", "content": "question 7 of cdr_ner"},
        {"role": "assistant", "content": "réponse 7"},
    ]


def test_file_names_of_all_and_none(store: Store, tulu_file: Path) -> None:
    everything = mix(store, tulu_file, instances_per_task=None, tulu="all", include_eval_tasks=True)
    assert everything.path == "training_mix/tulu_all_science_all_eval_yes.jsonl"
    assert everything.science == 3 * ROWS
    general = mix(store, tulu_file, instances_per_task=0, tulu="all")
    assert general.path == "training_mix/tulu_all_science_0_eval_no.jsonl"
    assert (general.science, general.tulu) == (0, 40)


def test_match_takes_as_many_general_records_and_no_science_among_them(store: Store, tulu_file: Path) -> None:
    outcome = mix(store, tulu_file)
    assert (outcome.science, outcome.tulu) == (6, 6)
    assert outcome.dropped == {"science": 10}
    parts = Counter(record["dataset"].split(".")[0] for record in records(store, outcome))
    assert parts == {"science": 6, "flan_v2": 6}
    general = [record for record in records(store, outcome) if record["dataset"] == "flan_v2"]
    assert all(record in TULU for record in general)


def test_match_choice_is_a_prefix_of_a_larger_choice_and_depends_on_the_seed(store: Store, tulu_file: Path) -> None:
    def chosen(per_task: int, seed: int = 76) -> set[str]:
        outcome = mix(store, tulu_file, instances_per_task=per_task, seed=seed)
        return {record["id"] for record in records(store, outcome) if record["dataset"] == "flan_v2"}

    assert chosen(2) < chosen(4) < chosen(8)
    assert chosen(4) != chosen(4, seed=77)


def test_fewer_general_than_science_records_takes_them_all(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text("".join(json.dumps(chat(row)) + "\n" for row in range(4)))
    assert mix(store, path).tulu == 4


def test_formats_and_file_boundaries_do_not_change_the_bytes(store: Store, tulu_file: Path, tmp_path: Path) -> None:
    text = [json.dumps(record) + "\n" for record in TULU]
    first, second = tmp_path / "a.jsonl", tmp_path / "cached-download"
    first.write_text("".join(text[:21]))
    second.write_bytes(gzip.compress("\n".join(text[21:]).encode()))
    from_parquet = store.read_bytes(mix(store, tulu_file).path)
    from_json = mix(store, first, second)
    assert from_json.state == "written"
    assert store.read_bytes(from_json.path) == from_parquet


def test_parts_are_mixed_through_each_other(store: Store, tulu_file: Path) -> None:
    outcome = mix(store, tulu_file, instances_per_task=8)
    science = [place for place, record in enumerate(records(store, outcome)) if record["dataset"] != "flan_v2"]
    assert len(science) == 16
    assert science != list(range(16))
    assert 0 < sum(place < 16 for place in science) < 16


def test_order_in_which_tasks_were_written_does_not_matter(store: Store, tulu_file: Path) -> None:
    memory = Store("memory://mixture-bytes")
    for task in ("scierc_ner", "cdr_ner", "scicite_classification"):
        publish_train(memory, task)
    here, there = mix(store, tulu_file), mix(memory, tulu_file)
    assert here == there
    assert store.read_bytes(here.path) == memory.read_bytes(there.path)


def test_second_run_is_cached_and_damage_or_change_is_not(store: Store, tulu_file: Path) -> None:
    first = mix(store, tulu_file)
    before = store.read_bytes(first.path)
    second = mix(store, tulu_file)
    assert (first.state, second.state) == ("written", "cached")
    assert (second.tasks, second.tulu, second.dropped) == (first.tasks, first.tulu, first.dropped)
    store.write_bytes(first.path, before[:-10])
    assert mix(store, tulu_file).state == "written"
    assert store.read_bytes(first.path) == before
    publish_train(store, "cdr_ner", rows=9)
    third = mix(store, tulu_file)
    assert third.state == "written"
    assert third.key != first.key


def test_several_mixtures_share_the_folder(store: Store, tulu_file: Path) -> None:
    mix(store)
    mix(store, tulu_file)
    assert store.files("training_mix") == [
        "tulu_match_science_3_eval_no.jsonl",
        "tulu_match_science_3_eval_no.manifest.json",
        "tulu_none_science_3_eval_no.jsonl",
        "tulu_none_science_3_eval_no.manifest.json",
    ]
    assert mix(store).state == "cached"


def test_malformed_general_records_are_counted_by_reason(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "tulu.jsonl"
    lines = [json.dumps(chat(row)) for row in range(6)]
    lines[1] = '{"dataset": "flan_v2", "messages": ['
    lines[2] = json.dumps({"dataset": "flan_v2", "id": "x", "messages": []})
    lines[3] = json.dumps(chat(3) | {"messages": [{"role": "user", "content": " "}]})
    path.write_text("\n".join(lines))
    outcome = mix(store, path)
    assert outcome.tulu == 3
    assert outcome.dropped == {"a message has no text": 1, "no messages": 1, "not JSON": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><title>404</title>", "neither Parquet nor JSON lines"),
        (b"PAR1 and nothing more", "is not whole Parquet"),
        (b"\x1f\x8b\x08 cut", "cannot be read"),
        (b"", "no usable record"),
    ],
)
def test_unreadable_general_files_are_errors_that_name_them(
    store: Store, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "tulu.download"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        mix(store, path)
    assert str(path) in str(caught.value)
    assert store.files("training_mix") == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"instances_per_task": -1}, "0 or more"),
        ({"instances_per_task": 0}, "empty mixture"),
        ({"tulu": "match"}, "needs the Tulu files"),
        ({"window": 8192}, "no task is built at window 8192"),
    ],
)
def test_impossible_requests_say_what_to_do(store: Store, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mix(store, **options)


def test_store_with_evaluation_tasks_only_names_them(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    publish_train(store, "scierc_ner")
    with pytest.raises(UsageError, match="other than the evaluation tasks scierc_ner"):
        mix(store)


def test_changed_task_file_is_refused(store: Store) -> None:
    store.write_bytes("instructions/4096/cdr_ner/train.jsonl", b"{}\n")
    with pytest.raises(StoreError, match=r"train\.jsonl of cdr_ner"):
        mix(store)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner),
)


@given(record=json_values | st.fixed_dictionaries({"messages": json_values}))
def test_fault_judges_any_json_and_passes_only_what_a_trainer_can_use(record: Any) -> None:
    if fault(record) is None:
        assert all(isinstance(m["content"], str) and m["content"].strip() for m in record["messages"])
        assert any(message["role"] == "assistant" for message in record["messages"])


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 40), limit=st.integers(1, 20), seed=st.integers(0, 3))
def test_match_takes_exactly_the_lowest_ranks(
    rows: int, limit: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("ranks")
    store = Store(str(folder / "store"))
    publish_train(store, "cdr_ner", rows=limit)
    path = folder / "tulu.jsonl"
    path.write_text("".join(json.dumps(chat(row)) + "\n" for row in range(rows)))
    outcome = mix(store, path, instances_per_task=None, seed=seed)
    rank = keyed_rank(seed, "mixture", "tulu")
    lowest = sorted(range(rows), key=lambda row: (rank(row), row))[:limit]
    found = [record["id"] for record in records(store, outcome) if record["dataset"] == "flan_v2"]
    assert sorted(found) == sorted(f"flan_v2_{row}" for row in lowest)
