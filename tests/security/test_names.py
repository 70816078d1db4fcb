"""Names that would leave the store, be another name elsewhere, or pass for a name that is there already."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sciriff import api
from sciriff.errors import SciriffError, StoreError, TaskFileError, UsageError
from sciriff.models.predictions import keep_predictions, predictions_folder
from sciriff.models.registry import find_model, find_models, load_models
from sciriff.names import flaw, folded
from sciriff.settings import Settings
from sciriff.store import Store
from sciriff.tasks.taskfile import load_task, load_tasks
from tests.reporting.test_report import publish, settings_for

HOSTILE = [
    "..",
    ".",
    "../../x",
    "/etc/passwd",
    "a/../../b",
    "..\\..\\x",
    "C:\\x",
    "C:x",
    "a\0b",
    "a\nb",
    "a\x1b[31mb",
    "a\u202eb",
    "a\u200bb",
    ".hidden",
    "-rf",
    "~root",
    "name.",
    "name ",
    "x" * 300,
    "é" * 100,
    "e\u0301",
    "CON",
    "con.jsonl",
    "LPT1",
    "a*b",
    "a?b",
    "a|b",
    "",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_folder_is_named_so(name: str) -> None:
    assert flaw(name)
    with pytest.raises(UsageError, match="model name"):
        predictions_folder(name, "scierc_ner", 4096, "validation")


@pytest.mark.parametrize(
    "name", ["scitulu-7b", "GPT 4 (turbo)", "modèle", "模型", "m_2", "a.b", "x" * 120, "a@b=c,d+e"]
)
def test_names_that_people_give(name: str) -> None:
    assert flaw(name) == ""


@given(st.text())
def test_a_name_without_flaw_is_one_part_of_a_path(name: str) -> None:
    if flaw(name) == "":
        path = Path("/store", name)
        assert os.path.normpath(path) == str(path)
        assert path.parent == Path("/store")
        assert name.isprintable()


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "..", "a/..", "a\0b"])
def test_nothing_is_written_outside_of_the_store(name: str, tmp_path: Path) -> None:
    for url in (str(tmp_path / "inner" / "store"), "memory://inner/store"):
        store = Store(url)
        with pytest.raises(StoreError, match="leaves the store"):
            store.write_bytes(name, b"x")
        for act in (store.read_bytes, store.delete, store.exists):
            with pytest.raises(StoreError, match="leaves the store"):
                act(name)
    assert list(tmp_path.rglob("x")) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_a_model_entry_cannot_have_such_a_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump({name: {"backend": "openai", "api_model": "m"}}), encoding="utf-8")
    with pytest.raises(UsageError, match="entry"):
        load_models(Settings(models=path))


@pytest.mark.parametrize("name", ["openai:../../x", "openai:..", "openai:con", "openai:a\0b", f"openai:{'x' * 300}"])
def test_a_model_that_describes_itself_cannot_either(name: str) -> None:
    try:
        spec = find_model(name, Settings())
    except UsageError:
        return
    assert flaw(spec.name) == ""


@pytest.mark.parametrize("pair", [("openai:Model", "openai:model"), ("openai:a/m", "openai:b/m"), ("a/m", "b/M")])
def test_two_models_never_share_a_name(pair: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="would both be filed under"):
        find_models(pair, Settings())


def test_look_alikes_that_fold_are_one() -> None:
    assert folded("Model") == folded("model") == folded("ＭＯＤＥＬ")
    assert folded("straße") == folded("STRASSE")


def test_a_later_run_does_not_take_the_place_of_another_model(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    folder = predictions_folder("m", "scierc_ner", 4096, "validation")

    def keep(key: str, **about: str) -> None:
        keep_predictions(folder, key, [{"reply": key}], {"model": "m", "model_identity": key, **about}, store)

    keep("1", asked_of="a/m")
    keep("2", asked_of="a/m")
    with pytest.raises(UsageError, match=r"holds the predictions of a/m, and those of b/m"):
        keep("3", asked_of="b/m")
    with pytest.raises(UsageError, match=r"holds the predictions of m, and those of M"):
        keep_predictions(folder, "4", [], {"model": "M", "model_identity": "4"}, store)
    assert (store.read_manifest(folder) or {})["key"] == "2"


@pytest.mark.parametrize("stem", ["..", ".hidden", "-rf", "a\x1bb", "CON", "x" * 200, "a:b"])
def test_a_task_file_cannot_have_such_a_name(stem: str, tmp_path: Path) -> None:
    content = yaml.safe_load(Path("templates/tasks/scierc_ner.yaml").read_text(encoding="utf-8"))
    path = tmp_path / f"{stem}.yaml"
    path.write_text(yaml.safe_dump({**content, "name": stem}), encoding="utf-8")
    with pytest.raises(TaskFileError, match="cannot be that of a folder"):
        load_task(path)


def test_task_files_that_differ_in_case_only(tmp_path: Path) -> None:
    source = Path("templates/tasks/scierc_ner.yaml")
    for stem in ("scierc_ner", "SciERC_ner"):
        (tmp_path / f"{stem}.yaml").write_text(
            source.read_text(encoding="utf-8").replace("name: scierc_ner", f"name: {stem}", 1), encoding="utf-8"
        )
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this file system ignores case")
    tasks = load_tasks(tmp_path)
    assert sorted(isinstance(task, TaskFileError) for task in tasks.values()) == [False, True]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "scierc_ner\0", "SCIERC_NER", "..", ""])
def test_verbs_take_tasks_that_there_are_and_no_paths(name: str, tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    with pytest.raises(SciriffError):
        api.build([name], settings=settings)
    with pytest.raises(SciriffError):
        api.evaluate(["gold"], tasks=[name], settings=settings)


@pytest.fixture
def given_folder(tmp_path: Path) -> Path:
    """Predictions of a model ``honest`` and, around them, what a stranger might have put into the folder."""
    store = Store(str(tmp_path / "store"))
    publish(store, "scierc_ner", ['{"Task": ["t"]}'])
    folder = tmp_path / "given" / "honest" / "scierc_ner"
    folder.mkdir(parents=True)
    line = orjson.dumps({"prompt": "scierc_ner, question 0", "pred": "{}", "ref": '{"Task": ["t"]}'})
    (folder / "raw_predictions.jsonl").write_bytes(line + b"\n")
    return tmp_path / "given"


def test_a_given_folder_may_hold_anything(given_folder: Path, tmp_path: Path) -> None:
    """Pipes and devices that never end, links in circles and to nowhere, names of all kinds."""
    honest = given_folder / "honest" / "scierc_ner"
    for number, model in enumerate(["pipe", "device", "nowhere", "loop", "-rf", "a:b", "back\\slash", "x" * 200]):
        place = given_folder / model / "scierc_ner"
        place.mkdir(parents=True)
        file = place / "raw_predictions.jsonl"
        if number == 0:
            os.mkfifo(file)
        elif number < 4:
            file.symlink_to(["", "/dev/zero", tmp_path / "nothing", file][number])
        else:
            shutil.copy(honest / "raw_predictions.jsonl", file)
    (honest / "circle").symlink_to(given_folder)
    before = sorted(path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "store"))
    report = api.score(given_folder, settings=settings_for(tmp_path))
    assert {result.model for result in report.results} == {"honest"}
    assert {model for model, _ in report.failures} == {"-rf", "a:b", "back\\slash", "x" * 200}
    assert all("model name" in reason for reason in report.failures.values())
    after = sorted(
        path
        for path in tmp_path.rglob("*")
        if not any(path.is_relative_to(tmp_path / own) for own in ("store", "cache"))
    )
    assert after == before, "nothing was written beside the store and the cache"
