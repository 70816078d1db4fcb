"""What a build carves out keeps documents whole; under fidelity ``original`` it splits as the original did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from build_kit import WINDOWS, lines, manifest, sample_settings

import sciriff

SPLITS = ("train", "validation", "test")
# carved out of one source split; validation carved out of train, since the source's own repeats it; three splits
TASKS = ("covid_deepset_qa", "discomat_te", "scierc_ner")

Documents = Mapping[str, set[str]]


@pytest.fixture(scope="module", params=["corrected", "original"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    report = sciriff.build(TASKS, fidelity=request.param, settings=sample_settings(folder / "store", folder))
    assert [outcome.state for outcome in report.outcomes] == ["built"] * len(TASKS)
    return request.param, folder / "store"


def documents(store: Path, window: int, task: str) -> Documents:
    return {split: {line["_document_id"] for line in lines(store, window, task, split)} for split in SPLITS}


def rows(store: Path, window: int, task: str) -> dict[str, int]:
    files: dict[str, Any] = manifest(store, window, task)["files"]
    return {split: files[f"{split}.jsonl"]["rows"] for split in SPLITS}


def windows(store: Path) -> Iterator[tuple[int, str]]:
    for window in WINDOWS:
        for task in TASKS:
            yield window, task


def test_parameters_say_how_it_was_split(built: tuple[str, Path]) -> None:
    fidelity, store = built
    split_by = {"corrected": "document", "original": "instance"}[fidelity]
    for window, task in windows(store):
        parameters = manifest(store, window, task)["parameters"]
        assert (parameters["fidelity"], parameters["split_by"]) == (fidelity, split_by)


def test_documents_are_in_one_split_unless_split_by_instance(built: tuple[str, Path]) -> None:
    fidelity, store = built
    for window, task in windows(store):
        found = documents(store, window, task)
        shared = found["train"] & (found["validation"] | found["test"])
        if fidelity == "corrected":
            assert not shared
            assert manifest(store, window, task)["shared"] == {}
            assert all(found.values())
    if fidelity == "original":  # several questions on each article: some article is on both sides
        found = documents(store, 16384, "covid_deepset_qa")
        assert found["train"] & found["test"]
        assert manifest(store, 16384, "covid_deepset_qa")["shared"]["train/test"]["documents"] > 0


def test_sizes_follow_the_rule(built: tuple[str, Path]) -> None:
    fidelity, store = built
    for window in WINDOWS:
        sizes = rows(store, window, "covid_deepset_qa")
        share = round(0.2 * sum(sizes.values()))
        room = 0 if fidelity == "original" else 2  # half the questions of an article
        assert abs(sizes["validation"] - share) <= room
        assert abs(sizes["test"] - share) <= room


def test_a_source_split_that_repeats_another_is_a_split_of_its_own_in_the_original_alone(
    built: tuple[str, Path],
) -> None:
    fidelity, store = built
    found = {split: [line["input"] for line in lines(store, 16384, "discomat_te", split)] for split in SPLITS}
    if fidelity == "original":
        assert sorted(found["train"]) == sorted(found["validation"])
    else:
        assert not set(found["train"]) & set(found["validation"])
