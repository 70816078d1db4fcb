"""The card and croissant.json of a combined dataset: complete, and accepted by those who read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from build_kit import sample_settings

from sciriff import api
from sciriff.sources.catalogue import source

TASKS = ["biored_ner", "scicite_classification", "scierc_ner"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("described")
    assert api.build(TASKS, windows=[4096, 8192], settings=sample_settings(root / "store", root)).exit_code == 0
    return root / "store/instructions_hf"


@pytest.fixture(scope="module")
def card(dataset: Path) -> str:
    return (dataset / "README.md").read_text(encoding="utf-8")


def head(card: str) -> dict[str, Any]:
    found = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def test_the_hub_accepts_the_head_of_the_card(dataset: Path) -> None:
    from huggingface_hub import DatasetCard

    data = DatasetCard.load(dataset / "README.md").data
    assert data.license == "other"
    assert data.license_name == "several"
    assert [config["config_name"] for config in data["configs"]] == ["4096", "8192"]
    assert data.size_categories == ["n<1K"]


def test_the_configurations_name_the_files(card: str, dataset: Path) -> None:
    configs = head(card)["configs"]
    assert [config.get("default", False) for config in configs] == [True, False]
    paths = [file["path"] for config in configs for file in config["data_files"]]
    assert len(paths) == 6
    assert all((dataset / path).is_file() for path in paths)


def test_the_task_families_become_categories_of_the_hub(card: str) -> None:
    assert head(card)["task_categories"] == ["text-classification", "text-generation", "token-classification"]


def test_every_task_has_its_source_its_licence_and_its_rows(card: str) -> None:
    for task, source_id in zip(TASKS, ("biored", "scicite", "scierc"), strict=True):
        row = next(line for line in card.splitlines() if line.startswith(f"| {task} |"))
        entry = source(source_id)
        assert f"({entry.homepage})" in row
        assert entry.licence.id in row
        assert ("not to be passed on" in row) == (not entry.licence.redistributable)
        assert f"- **{source_id}**: {entry.citation}" in card


def test_samples_are_not_passed_off_as_the_data(card: str) -> None:
    assert "**Not the whole data:** built from miniature samples or partial sources: biored_ner" in card


def test_the_validator_accepts_croissant_json_and_reads_the_records_through_it(dataset: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    read = mlcroissant.Dataset(jsonld=dataset / "croissant.json")
    assert not read.metadata.issues.errors
    assert {record_set.uuid for record_set in read.metadata.record_sets} == {
        f"{window}-{split}" for window in (4096, 8192) for split in ("train", "validation", "test")
    }
    records = list(read.records("4096-test"))
    lines = (dataset / "4096/test.jsonl").read_text(encoding="utf-8").splitlines()
    ids = [record["4096-test/_instance_id"].decode() for record in records]
    assert ids == [json.loads(line)["_instance_id"] for line in lines]


def test_croissant_names_licences_and_hashes(dataset: Path) -> None:
    described = json.loads((dataset / "croissant.json").read_bytes())
    assert source("biored").citation in described["citeAs"]
    assert len(described["isBasedOn"]) == len(TASKS)
    manifest = json.loads((dataset / "4096/manifest.json").read_bytes())
    hashes = {file["contentUrl"]: file["sha256"] for file in described["distribution"]}
    assert hashes["4096/train.parquet"] == manifest["files"]["train.parquet"]["sha256"]
