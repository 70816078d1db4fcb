from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.results.existing.layout import Data, Format, Layout, arrange
from sciriff.tasks.evaluation_tasks import EVAL_TASKS

from .harness import DATE

DEFAULT = Data(4096, "validation")
SAMPLES = f"samples_scierc_ner_{DATE}.jsonl"


def found(paths: list[str], root: str = "/data/predictions") -> Layout:
    return arrange(paths, PurePosixPath(root), DEFAULT)


def named(layout: Layout) -> list[tuple[str, str, str]]:
    return [(file.model, file.task, file.path) for file in layout.files]


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (f"scitulu-7b/scierc_ner/allenai__scitulu-7b/{SAMPLES}", "scitulu-7b"),
        (f"scitulu-7b/scierc_ner/{SAMPLES}", "scitulu-7b"),
        (f"scitulu-7b/science_adapt/__weka__models__x/{SAMPLES}", "scitulu-7b"),
        (f"by_model/scitulu-7b/science_adapt/x__y/{SAMPLES}", "scitulu-7b"),
        (f"allenai__scitulu-7b/{SAMPLES}", "scitulu-7b"),
        (f"ours/allenai__scitulu-7b/{SAMPLES}", "ours"),
        (f"ours/{SAMPLES}", "ours"),
        (SAMPLES, "predictions"),
        ("ours/scierc_ner.jsonl", "ours"),
        ("scierc_ner.jsonl", "predictions"),
        ("ours/scierc_ner/raw_predictions.jsonl", "ours"),
        ("ours/scierc_ner/pretrained__a__b,dtype__float16_scierc_ner.jsonl", "ours"),
        ("model__gpt-4o/scierc_ner/gpt-4o/model__gpt-4o_scierc_ner.jsonl", "model__gpt-4o"),
        (f"model__gpt-4o/scierc_ner/model__gpt-4o/{SAMPLES}", "model__gpt-4o"),
        ("ours/scierc_ner/4096-validation/predictions.jsonl", "ours"),
    ],
)
def test_a_file_is_of_the_model_that_its_folders_name(path: str, model: str) -> None:
    assert named(found([path])) == [(model, "scierc_ner", path)]


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("/data/by_model/scitulu-7b", f"scierc_ner/allenai__scitulu-7b/{SAMPLES}"),
        ("/data/by_model/scitulu-7b/scierc_ner", f"allenai__scitulu-7b/{SAMPLES}"),
        ("/data/by_model/scitulu-7b/scierc_ner", SAMPLES),
        ("/data/by_model/scitulu-7b/scierc_ner/models__x", SAMPLES),
        ("/data/allenai__scitulu-7b", SAMPLES),
        ("/data/scitulu-7b/scierc_ner/4096-validation", "predictions.jsonl"),
    ],
)
def test_any_folder_on_the_way_may_be_given(root: str, path: str) -> None:
    assert named(found([path], root)) == [("scitulu-7b", "scierc_ner", path)]


def test_all_tasks_of_a_group_are_of_the_model_around_it() -> None:
    paths = [f"m/science_adapt/a__m/samples_{task}_{DATE}.jsonl" for task in EVAL_TASKS]
    beside = [f"m/science_adapt/a__m/results_{DATE}.json", f"other/biored_ner/x/samples_biored_ner_{DATE}.jsonl"]
    layout = found([*paths, *beside])
    assert [(file.model, file.task) for file in layout.files] == [
        *(("m", task) for task in EVAL_TASKS),
        ("other", "biored_ner"),
    ]
    assert (layout.superseded, layout.unknown) == ({}, ())


def test_two_ids_with_one_last_part_keep_their_whole_names() -> None:
    paths = [f"{folder}/{SAMPLES}" for folder in ("a__m", "b__m", "c__n")]
    assert [file.model for file in found(paths).files] == ["a__m", "b__m", "n"]


def test_of_several_runs_the_newest_counts_and_the_others_are_named() -> None:
    dates = ["2024-09-20T12-34-56.789012", "2024-09-20T12-34-57", "2023-12-31T23-59-59.999999"]
    first, newest, old = (f"m/scierc_ner/a__m/samples_scierc_ner_{date}.jsonl" for date in dates)
    undated = "m/scierc_ner.jsonl"
    layout = found([first, newest, old, undated])
    assert named(layout) == [("m", "scierc_ner", newest)]
    assert layout.superseded == {old: newest, first: newest, undated: newest}


def test_names_that_speak_of_no_task_are_told_and_stray_files_do_no_harm() -> None:
    strange = ["m/mmlu.jsonl", f"m/samples_scierc_{DATE}.jsonl", "m/pretrained__x_arc_easy.jsonl"]
    silent = [
        "m/scierc_ner/eleuther.jsonl",
        "m/results.json",
        "m/notes.txt",
        "m/scierc_ner/lm_judge.json",
        "2024-batch_tasks.jsonl",
        "manifest.json",
    ]
    layout = found([*strange, *silent])
    assert layout.files == ()
    assert set(layout.unknown) == set(strange)


def test_artifacts_of_several_windows_stand_side_by_side() -> None:
    paths = [f"m/scierc_ner/{part}/predictions.jsonl" for part in ("4096-validation", "8192-test")]
    assert [(file.data, file.format) for file in found(paths).files] == [
        (DEFAULT, Format.ARTIFACT),
        (Data(8192, "test"), Format.ARTIFACT),
    ]


def test_metric_files_of_this_pipeline_are_no_predictions() -> None:
    own = ["m/scierc_ner/raw_predictions.jsonl", "m/scierc_ner/manifest.json"]
    assert found(own).files == found(own).unknown == ()
    assert named(found(own[:1])) == [("m", "scierc_ner", own[0])]


def test_ledgers_are_told_apart_from_other_files() -> None:
    part = "018f00000000-0123456789ab"
    paths = [f"0123456789abcdef/{part}.jsonl", f"fedcba9876543210/{part}/000000000000-w.jsonl"]
    layout = found(paths)
    assert layout.ledgers == {path.partition("/")[0]: (path,) for path in paths}
    assert layout.files == layout.unknown == ()
    assert found([f"{part}.jsonl"], "/store/results/ledger/0123456789abcdef").ledgers == {".": (f"{part}.jsonl",)}


names = st.sampled_from(
    ["m", "a__m", "scierc_ner", "science_adapt", "biored_ner", "4096-test", "0123456789abcdef", SAMPLES]
    + ["018f00000000-0123456789ab.jsonl", "scierc_ner.jsonl", "predictions.jsonl", "raw_predictions.jsonl", "x.jsonl"]
    + ["manifest.json", "results_x.json", "pretrained__q_biored_ner.jsonl", "samples_.jsonl", "_.jsonl", "é |.json"]
)
paths = st.lists(st.lists(names, min_size=1, max_size=5).map("/".join), unique=True)


@given(paths, names)
def test_every_file_of_lines_is_accounted_for_once(paths: list[str], root: str) -> None:
    layout = found(paths, f"/data/{root}")
    ledgers = [path for files in layout.ledgers.values() for path in files]
    told = [*(file.path for file in layout.files), *layout.superseded, *ledgers, *layout.unknown]
    assert len(told) == len(set(told))
    silent = set(paths) - set(told)
    assert all(path.endswith("raw_predictions.jsonl") or not path.endswith(".jsonl") for path in silent)
    assert set(layout.superseded.values()) <= {file.path for file in layout.files}
    places = [(file.model, file.task, file.data) for file in layout.files]
    assert len(places) == len(set(places))
    assert all(file.task in EVAL_TASKS and file.model and "/" not in file.model for file in layout.files)
