from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff import api
from sciriff.building.facts import compile_checks
from sciriff.building.suites import standard_suite
from sciriff.dataset.statistics import LabelCount, describe, quantiles
from sciriff.dataset.summary import totals
from sciriff.errors import UsageError
from sciriff.settings import Settings

TASKS = ["scierc_ner", "scicite_classification"]


def instance(output: str, tokens: tuple[int, int] = (10, 2), document: str = "pmid:1") -> dict[str, Any]:
    return {"output": output, "_input_toks": tokens[0], "_output_toks": tokens[1], "_document_id": document}


@given(st.lists(st.integers(0, 1000), min_size=1))
def test_quantiles_are_numbers_of_the_sample_in_order(values: list[int]) -> None:
    found = quantiles(values)
    assert found is not None
    *ordered, total = found
    assert ordered == sorted(ordered)
    assert set(ordered) <= set(values)
    assert (found.min, found.max, total) == (min(values), max(values), sum(values))
    assert sum(value <= found.p50 for value in values) >= len(values) / 2
    assert sum(value < found.p95 for value in values) < 0.95 * len(values)


def test_quantiles_of_known_numbers() -> None:
    assert quantiles(list(range(1, 101))) == (1, 5, 25, 50, 75, 95, 100, 5050)
    assert quantiles([]) is None


def test_mentions_of_a_type_are_counted_and_absent_types_stay_visible() -> None:
    promise = {"output": "json", "shape": "entities", "labels": ["Drug", "Gene", "Species"]}
    outputs = [{"Drug": ["a", "b"], "Gene": [], "Species": []}, {"Drug": ["c"], "Gene": ["g"], "Species": []}]
    found = describe(
        "t", 4096, "train", [instance(json.dumps(o)) for o in outputs], compile_checks(standard_suite("t", promise))
    )
    assert list(found.labels) == ["Drug", "Gene", "Species"]
    assert found.labels["Drug"] == LabelCount(instances=2, occurrences=3)
    assert found.labels["Gene"] == LabelCount(instances=1, occurrences=1)
    assert found.labels["Species"] == LabelCount(instances=0, occurrences=0)


@pytest.mark.parametrize(
    ("promise", "output", "labels"),
    [
        ({"output": "label", "labels": ["YES", "NO"]}, "YES", {"YES": 1}),
        ({"output": "json", "shape": "list"}, '["Uses", "Extends"]', {"Uses": 1, "Extends": 1}),
        ({"output": "json", "shape": "relations"}, '[["a", "b", "USED-FOR"], ["c", "d", "USED-FOR"]]', {"USED-FOR": 2}),
        ({"output": "jsonlines", "shape": "cells"}, '{"type": "Other", "value": "1"}', {"Other": 1}),
        ({"output": "text"}, "A summary.", {}),
        ({"output": "json", "shape": "relations"}, "not JSON", {}),
    ],
)
def test_labels_of_every_form(promise: dict[str, Any], output: str, labels: dict[str, int]) -> None:
    checks = compile_checks(standard_suite("t", promise))
    found = describe("t", 4096, "train", [instance(output)], checks).labels
    assert {label: count.occurrences for label, count in found.items()} == labels


def test_instances_of_one_document_are_one_document() -> None:
    checks = compile_checks(standard_suite("t", {"output": "text"}))
    found = describe("t", 4096, "train", [instance("x"), instance("y"), instance("z", document="pmid:2")], checks)
    assert (found.instances, found.documents) == (3, 2)
    assert describe("t", 4096, "test", [], checks).input_tokens is None


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    root = tmp_path_factory.mktemp("statistics")
    settings = Settings(
        _env_file=None, store=str(root / "store"), cache=root / "cache", offline=True, samples="always", workers=1
    )
    assert api.build(TASKS, windows=[4096, 8192], settings=settings).exit_code == 0
    return settings


def test_the_tables_agree_with_the_files(built: Settings) -> None:
    summary = api.stats(settings=built)
    folder = Path(built.store) / summary.folder
    rows = pq.read_table(folder / "splits.parquet").to_pylist()
    assert {(row["task"], row["window"], row["split"]) for row in rows} == {
        (task, window, split) for task in TASKS for window in (4096, 8192) for split in ("train", "validation", "test")
    }
    for row in rows:
        path = Path(built.store) / f"instructions/{row['window']}/{row['task']}/{row['split']}.jsonl"
        tokens = [json.loads(line)["_input_toks"] for line in path.read_text("utf-8").splitlines()]
        assert row["instances"] == len(tokens)
        assert (row["input_tokens_min"], row["input_tokens_max"]) == (min(tokens), max(tokens))
        assert row["input_tokens_total"] == sum(tokens)
    labels = pq.read_table(folder / "labels.parquet").to_pylist()
    cited = [row for row in labels if row["task"] == "scicite_classification" and row["window"] == 8192]
    assert {row["label"] for row in cited} == {"Method", "Background", "Result"}
    assert sum(row["instances"] for row in cited) == sum(
        row["instances"] for row in rows if row["task"] == "scicite_classification" and row["window"] == 8192
    )
    assert totals(summary.splits)[4096, "train"][0] == sum(
        row["instances"] for row in rows if (row["window"], row["split"]) == (4096, "train")
    )


def test_the_same_data_gives_the_same_bytes(built: Settings) -> None:
    folder = Path(built.store) / api.stats(settings=built).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    api.stats(settings=built)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_is_not_built_is_named(built: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cdr_ner: not built .* run `sciriff build` first"):
        api.stats(["cdr_ner"], settings=built)
    with pytest.raises(UsageError, match="no task is built"):
        api.stats(settings=built.model_copy(update={"store": str(tmp_path)}))
