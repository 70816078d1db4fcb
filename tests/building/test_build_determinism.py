"""Same inputs, same bytes: whatever the workers, the hash seed, the store, the order, the time zone, the locale."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from build_kit import SEED, WINDOWS, BuildServer, Told, lines, manifest, sample_settings, tree

import sciriff

# One carved out of a single source split and fitted to the window, one whose validation repeats train, and two formats.
SMALL_WINDOWS = (128, 135, 150, 1000, 1200)
TASKS = ("anat_em_ner", "covid_deepset_qa", "discomat_te", "scierc_ner")


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildServer]:
    """Another hash seed, a locale that is not UTF-8, and a clock that is already in tomorrow."""
    environment = {
        "PYTHONHASHSEED": "4242",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "TZ": "Pacific/Kiritimati",
        "LANG": "C",
    }
    with BuildServer(tmp_path_factory.mktemp("other"), environment) as running:
        yield running


@pytest.fixture(scope="module")
def reference(server: BuildServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    store = tmp_path_factory.mktemp("reference") / "store"
    told = server.build(store, TASKS)
    assert set(told.states.values()) == {"built"}
    return store, told


def test_the_reference_is_complete_and_clean(reference: tuple[Path, Told]) -> None:
    store, told = reference
    assert tree(store) == told.hashes  # nothing hidden, nothing empty
    for task in TASKS:
        for window in WINDOWS:
            assert all(lines(store, window, task, split) for split in ("train", "validation", "test"))
    assert "validation/index.html" in told.hashes
    assert {f"instructions_hf/{window}/train.parquet" for window in WINDOWS} < told.hashes.keys()


def test_nothing_tells_where_or_when_it_was_built(reference: tuple[Path, Told]) -> None:
    store, _ = reference
    for path in store.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert str(store).encode() not in content, path
            assert str(Path.home()).encode() not in content, path


def test_two_workers_another_hash_seed_locale_and_time_zone(
    reference: tuple[Path, Told], other_server: BuildServer, tmp_path: Path
) -> None:
    told = other_server.build(f"file://{tmp_path}/store", TASKS[::-1], workers=2)
    assert told.hashes == reference[1].hashes
    assert tree(tmp_path / "store") == reference[1].hashes


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_store_in_memory(workers: int, reference: tuple[Path, Told], other_server: BuildServer) -> None:
    told = other_server.build("memory://run/deep", TASKS, workers=workers, windows=[16384, 4096, 8192, 4096])
    assert told.hashes == reference[1].hashes


def test_one_task_after_another(reference: tuple[Path, Told], tmp_path: Path) -> None:
    settings = sample_settings(tmp_path / "store", tmp_path)
    for task in ("scierc_ner", "discomat_te", "anat_em_ner", "covid_deepset_qa"):
        report = sciriff.build([task], settings=settings, combining=False)
        assert report.combined is None
        assert [outcome.state for outcome in report.outcomes] == ["built"]
    sciriff.combine(settings=settings)
    assert tree(tmp_path / "store") == reference[1].hashes


def test_building_again_by_force_changes_no_byte(reference: tuple[Path, Told], server: BuildServer) -> None:
    store, first = reference
    told = server.build(store, ["discomat_te", "scierc_ner"], force=True)
    assert told.reasons == {"discomat_te": "forced", "scierc_ner": "forced"}
    assert told.hashes == first.hashes
    assert tree(store) == first.hashes


def test_another_seed_is_another_sample(reference: tuple[Path, Told], tmp_path: Path) -> None:
    settings = sample_settings(tmp_path / "store", tmp_path)
    sciriff.build(["discomat_te"], seed=SEED + 1, settings=settings)
    ids = [
        [line["_instance_id"] for line in lines(store, 4096, "discomat_te", "train")]
        for store in (reference[0], tmp_path / "store")
    ]
    assert len(ids[0]) == len(ids[1])
    assert set(ids[0]) != set(ids[1])


def by_id(store: Path, window: int, task: str) -> dict[str, dict[str, Any]]:
    """The instances of a window by id, each with the final split it is in."""
    return {
        line["_instance_id"]: {**line, "final": split}
        for split in ("train", "validation", "test")
        for line in lines(store, window, task, split)
    }


@pytest.fixture(scope="module")
def capped(tmp_path_factory: pytest.TempPathFactory) -> dict[int | None, Path]:
    """Builds of windows so small that not everything fits, by cap."""
    root = tmp_path_factory.mktemp("capped")
    for cap in (None, 12, 5):
        settings = sample_settings(root / str(cap), root)
        sciriff.build(list(TASKS), windows=SMALL_WINDOWS, n_instances=cap, settings=settings, combining=False)
    return {cap: root / str(cap) for cap in (None, 12, 5)}


@pytest.mark.parametrize("task", ["anat_em_ner", "covid_deepset_qa", "scierc_ner"])
def test_smaller_caps_keep_a_part_of_what_larger_ones_keep(task: str, capped: dict[int | None, Path]) -> None:
    for window in SMALL_WINDOWS:
        everything, twelve, five = (by_id(capped[cap], window, task) for cap in (None, 12, 5))
        for smaller, larger in ((five, twelve), (twelve, everything)):
            assert smaller.keys() <= larger.keys()
            assert all(smaller[name]["input"] == larger[name]["input"] for name in smaller)
    assert len(five) < len(twelve) < len(everything)  # at the largest window


def test_a_split_that_repeats_another_is_left_out_of_small_samples_too(capped: dict[int | None, Path]) -> None:
    for cap, store in capped.items():
        sources = {name.split(":")[1] for name in by_id(store, 1200, "discomat_te")}
        assert sources == {"train", "test"}, cap


@pytest.mark.parametrize("cap", [None, 12, 5])
@pytest.mark.parametrize("task", ["covid_deepset_qa", "discomat_te"])
def test_what_is_held_out_at_one_window_is_training_data_at_none(
    task: str, cap: int | None, capped: dict[int | None, Path]
) -> None:
    windows = [by_id(capped[cap], window, task) for window in SMALL_WINDOWS]
    assert len({frozenset(found) for found in windows}) > 1  # windows do differ
    compared = 0
    for one, other in combinations(windows, 2):
        for name in one.keys() & other.keys():
            assert one[name]["final"] == other[name]["final"], name
            compared += one[name]["final"] != "train"
    assert compared > 0


def test_rows_beyond_the_cap_are_counted(capped: dict[int | None, Path]) -> None:
    for cap, store in capped.items():
        for window in SMALL_WINDOWS:
            found = manifest(store, window, "discomat_te")
            for split, size in found["source_rows"].items():
                ids = by_id(store, window, "discomat_te")
                kept = sum(name.split(":")[1] == split for name in ids)
                if split == "validation":  # it repeats train
                    continue
                assert kept + sum(found["dropped"][split].values()) == size
                assert cap is None or kept <= cap


@pytest.mark.slow
def test_all_tasks_on_an_object_store(
    server: BuildServer, other_server: BuildServer, tmp_path: Path, s3_environment: dict[str, str]
) -> None:
    """The whole set, with two workers and a real server of the S3 protocol."""
    from sciriff.building.plan import plan_tasks

    tasks = list(plan_tasks(None, None))
    told = server.build(tmp_path / "store", tasks)
    assert set(told.states.values()) == {"built"}
    url = f"s3://bucket/{uuid.uuid4().hex}"
    remote = other_server.build(url, tasks, workers=2, environment=s3_environment)
    assert remote.hashes == told.hashes
    again = other_server.build(url, tasks, workers=1, environment=s3_environment)
    assert set(again.states.values()) == {"cached"}
    assert again.hashes == told.hashes
