"""Finished work is not done again, and whatever decides a task's bytes rebuilds that task and no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from build_kit import (
    CHECKOUT,
    BuildServer,
    change_source,
    copy_of_package,
    copy_of_samples,
    repacked,
    sample_settings,
    tree,
)

import sciriff
from sciriff.building.options import BuildOptions
from sciriff.building.pool import stop_workers
from sciriff.store import Store

TASKS = ("scicite_classification", "scierc_ner", "scierc_re")


@dataclass
class Built:
    """A store that is up to date at the beginning of each test, and what an undisturbed build makes of it."""

    root: Path
    store: Path
    hashes: dict[str, str]

    def build(self, **options: Any) -> dict[str, tuple[str, str]]:
        """Build, and return state and reason of every task."""
        options = {"settings": sample_settings(self.store, self.root), **options}
        report = sciriff.build(TASKS, **options)
        return {outcome.task: (outcome.state, outcome.reason_to_build) for outcome in report.outcomes}

    def rebuilt(self, **options: Any) -> dict[str, str]:
        """Build, and return the reasons of those that were built; the others must be cached."""
        outcomes = self.build(**options)
        assert {state for state, _ in outcomes.values()} <= {"built", "cached"}
        return {task: reason for task, (state, reason) in outcomes.items() if state == "built"}


@pytest.fixture(scope="module")
def first_build(tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("cache")
    built = Built(root, root / "store", {})
    assert built.rebuilt() == dict.fromkeys(TASKS, "no artifacts")
    built.hashes = tree(built.store)
    return built


@pytest.fixture
def built(first_build: Built) -> Built:
    if tree(first_build.store) != first_build.hashes:  # a test failed half-way
        first_build.rebuilt(force=True)
        assert tree(first_build.store) == first_build.hashes
    return first_build


def stamps(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


WORK = (
    "sciriff.building.task.SplitRows",
    "sciriff.building.task.load_reader",
    "sciriff.building.task.make_instances",
    "sciriff.building.task.validate",
    "sciriff.building.tokens.TokenCounter.count_within",
    "sciriff.building.combine._write_window",
    "sciriff.building.validate.build_data_docs",
    "sciriff.sources.archives.ArchiveView.open",
    "sciriff.sources.fetch.fetch",
    "sciriff.store.Store.workspace",
    "sciriff.store.Store.write_manifest",
    "sciriff.tasks.rendering.CompiledTemplate.render",
)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_run_reads_renders_counts_validates_and_writes_nothing(
    workers: int, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("work that was done before")

    for name in WORK:
        monkeypatch.setattr(name, refuse)
    before = stamps(built.store)
    settings = sample_settings(built.store, built.root, workers=workers)
    assert built.build(settings=settings) == dict.fromkeys(TASKS, ("cached", ""))
    assert stamps(built.store) == before
    assert tree(built.store) == built.hashes


def test_the_refusals_of_that_test_do_refuse(built: Built, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each function named there is one that a first run calls (but for the download: this run is offline)."""
    called = set()

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def note(*arguments: Any, **options: Any) -> Any:
            called.add(name)
            return function(*arguments, **options)

        return note

    with monkeypatch.context() as patch:
        for name in WORK:
            patch.setattr(name, noting(name, resolve_name(name)))
        settings = sample_settings(tmp_path / "store", tmp_path)
        assert built.rebuilt(settings=settings) == dict.fromkeys(TASKS, "no artifacts")
    assert set(WORK) - called == {"sciriff.sources.fetch.fetch"}


def test_a_cached_outcome_tells_what_a_built_one_told(built: Built) -> None:
    settings = sample_settings(built.store, built.root)
    cached = sciriff.build(TASKS, settings=settings)
    again = sciriff.build(TASKS, settings=settings, force=True)
    for one, other in zip(cached.outcomes, again.outcomes, strict=True):
        assert (one.state, other.state) == ("cached", "built")
        for field in ("rows", "tokens", "dropped", "notes", "key"):
            assert getattr(one, field) == getattr(other, field)
    assert tree(built.store) == built.hashes


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "deleted file": (
        lambda task: (task / "train.jsonl").unlink(),
        "damaged artifacts: train.jsonl at window 8192",
    ),
    "cut file": (
        lambda task: (task / "test.jsonl").write_bytes((task / "test.jsonl").read_bytes()[:-40]),
        "damaged artifacts: test.jsonl at window 8192",
    ),
    "flipped bit": (
        lambda task: (task / "test.jsonl").write_bytes(b"!" + (task / "test.jsonl").read_bytes()[1:]),
        "damaged artifacts: test.jsonl at window 8192",
    ),
    "deleted manifest": (lambda task: (task / "manifest.json").unlink(), "unfinished artifacts"),
    "half a manifest": (
        lambda task: (task / "manifest.json").write_bytes((task / "manifest.json").read_bytes()[:100]),
        "damaged manifest",
    ),
    "deleted folder": (shutil.rmtree, "no artifacts"),
    "another key": (
        lambda task: Store(str(task)).write_manifest(
            ".", {**(Store(str(task)).read_manifest(".") or {}), "key": "0" * 64}
        ),
        "inputs, parameters, templates or code changed",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_artifacts_are_built_again_and_others_left_alone(case: str, built: Built) -> None:
    damage, reason = DAMAGE[case]
    damage(built.store / "instructions" / "8192" / "scierc_ner")
    before = stamps(built.store)
    assert built.rebuilt() == {"scierc_ner": reason}
    assert tree(built.store) == built.hashes
    untouched = {path: stamp for path, stamp in before.items() if "scierc_re" in path or "scicite" in path}
    assert untouched.items() <= stamps(built.store).items()


@pytest.mark.parametrize(
    "name", ["instructions_hf/4096/train.parquet", "instructions_hf/4096/manifest.json", "instructions_hf/README.md"]
)
@pytest.mark.parametrize("damage", ["delete", "change"])
def test_a_damaged_combined_dataset_is_written_again(name: str, damage: str, built: Built) -> None:
    path = built.store / name
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[1:])
    assert built.rebuilt() == {}
    assert tree(built.store) == built.hashes


@pytest.mark.parametrize("name", ["validation/index.html", "validation/manifest.json"])
def test_damaged_data_docs_are_made_again(name: str, built: Built) -> None:
    (built.store / name).write_bytes(b"{")
    assert built.rebuilt() == {}
    assert tree(built.store) == built.hashes


def test_force_builds_everything_to_the_same_bytes(built: Built) -> None:
    before = stamps(built.store)
    assert built.rebuilt(force=True) == dict.fromkeys(TASKS, "forced")
    assert tree(built.store) == built.hashes
    path = str(built.store / "instructions/4096/scierc_ner/train.jsonl")
    assert stamps(built.store)[path] != before[path]


def test_a_store_that_moved_and_other_workers_are_no_reason_to_build(built: Built, tmp_path: Path) -> None:
    shutil.copytree(built.store, tmp_path / "moved")
    settings = sample_settings(f"file://{tmp_path}/moved", tmp_path, workers=2)
    assert built.rebuilt(settings=settings) == {}
    assert tree(tmp_path / "moved") == built.hashes


def test_only_what_is_asked_for_is_looked_at(built: Built) -> None:
    (built.store / "instructions/4096/scicite_classification/train.jsonl").unlink()
    settings = sample_settings(built.store, built.root)
    report = sciriff.build(["scierc_ner"], settings=settings, combining=False)
    assert [(outcome.task, outcome.state) for outcome in report.outcomes] == [("scierc_ner", "cached")]
    assert built.rebuilt() == {
        "scicite_classification": "damaged artifacts: train.jsonl at window 4096",
    }
    assert tree(built.store) == built.hashes


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"windows": (4096,)}, {}),
        ({"n_instances": 2499}, {}),
        ({"template_ids": (0, 1)}, {}),
        ({"seed": 77}, {}),
        ({"fidelity": "original", "split_by": "document"}, {}),
        ({"split_by": "instance"}, {}),
        ({}, {"tokenizer": "other.json"}),
    ],
)
def test_every_parameter_is_part_of_the_key(
    options: dict[str, Any], changes: dict[str, Any], built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (CHECKOUT / "samples" / "tokenizer.json").read_text("utf-8")
    Path("other.json").write_text(text + "\n", "utf-8")

    def keys(options: dict[str, Any], changes: dict[str, Any]) -> dict[str, str]:
        from sciriff.building.build import Build
        from sciriff.building.progress import Silent

        settings = sample_settings(built.store, tmp_path).model_copy(update=changes)
        build = Build(TASKS, BuildOptions.checked(**options), settings, Silent())
        for source in (*build.fetched, *build.by_hand):
            build.acquire(source)
        return {task: build.key(task) for task in build.tasks}

    plain, changed = keys({}, {}), keys(options, changes)
    assert len({*plain.values(), *changed.values()}) == 6
    assert keys({}, {"workers": 2, "store": str(tmp_path / "elsewhere")}) == plain


def test_a_source_that_changed_rebuilds_its_tasks(tmp_path: Path) -> None:
    mirror = copy_of_samples(tmp_path / "mirror")
    settings = sample_settings(tmp_path / "store", tmp_path, mirror=str(mirror), samples="never")
    built = Built(tmp_path, tmp_path / "store", {})
    assert built.rebuilt(settings=settings) == dict.fromkeys(TASKS, "no artifacts")
    path = "scierc/sciERC_processed.tar.gz"
    content = (mirror / path).read_bytes()
    change_source(
        mirror,
        path,
        repacked(content, "processed_data/json/dev.json", lambda text: text[: text.index(b"\n") + 1]),
    )
    reason = "inputs, parameters, templates or code changed"
    assert built.rebuilt(settings=settings) == {"scierc_ner": reason, "scierc_re": reason}
    assert built.rebuilt(settings=settings) == {}
    # The same documents packed in another way are another file; what they say is the same.
    before = tree(tmp_path / "store")
    change_source(mirror, "scicite/scicite.tar.gz", repacked_anew(mirror / "scicite/scicite.tar.gz"))
    assert built.rebuilt(settings=settings) == {"scicite_classification": reason}
    after = tree(tmp_path / "store")
    data = [name for name in before if name.endswith((".jsonl", ".parquet"))]
    assert {name: after[name] for name in data} == {name: before[name] for name in data}


def repacked_anew(archive: Path) -> bytes:
    return repacked(archive.read_bytes(), "scicite/train.jsonl", lambda text: text)


# Edits of code and wording, each in a fresh process of a copy of the package.

EDITED_TASKS = ("biored_ner", "cdr_ner", "scicite_classification", "scierc_ner", "scierc_re")


@dataclass
class Workbench:
    package: Path
    server: BuildServer
    store: Path

    def rebuilt(self) -> set[str]:
        told = self.server.build(self.store, EDITED_TASKS, windows=[4096], combining=False)
        assert set(told.states.values()) <= {"built", "cached"}, told.messages
        rebuilt = {task for task, state in told.states.items() if state == "built"}
        reasons = {told.reasons[task] for task in rebuilt}
        assert reasons <= {"no artifacts", "inputs, parameters, templates or code changed"}
        return rebuilt


@pytest.fixture(scope="module")
def workbench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    root = tmp_path_factory.mktemp("workbench")
    package = copy_of_package(root / "copy")
    with BuildServer(root / "server", {}, package) as server:
        bench = Workbench(package, server, root / "store")
        assert bench.rebuilt() == set(EDITED_TASKS)
        assert bench.rebuilt() == set()
        yield bench


SCIERC = {"scierc_ner", "scierc_re"}
ENTITIES = {"biored_ner", "cdr_ner"}
ALL = set(EDITED_TASKS)


def python_comment(text: str) -> str:
    return f"{text}\n# edited\n"


EDITS: dict[str, tuple[str, Callable[[str], str], set[str]]] = {
    "wording": (
        "templates/tasks/scierc_ner.yaml",
        lambda text: text.replace("Return the JSON object only", "Return nothing but the JSON object", 1),
        {"scierc_ner"},
    ),
    "wording of another template": (
        "templates/tasks/scicite_classification.yaml",
        lambda text: text.replace("Possible intents:", "The intents:", 1),
        {"scicite_classification"},
    ),
    "comment in a task file": ("templates/tasks/scierc_ner.yaml", lambda text: f"{text}\n# edited\n", set()),
    "metadata": (
        "templates/tasks/cdr_ner.yaml",
        lambda text: text.replace("source_type: single_source", "source_type: multiple_source", 1),
        {"cdr_ner"},
    ),
    "expectations": (
        "expectations/scicite_classification.json",
        lambda text: text.replace('"min_value": 5', '"min_value": 6', 1),
        {"scicite_classification"},
    ),
    "binding": (
        "sciriff/tasks/bindings/cdr_ner.yaml",
        lambda text: text.replace("Disease: Disease}", "Disease: Disease, Symptom: Disease}", 1),
        {"cdr_ner"},
    ),
    "formatter": ("sciriff/tasks/formatters/dygie.py", python_comment, SCIERC),
    "formatter of others": ("sciriff/tasks/formatters/entities.py", python_comment, ENTITIES),
    "helper of a formatter": ("sciriff/tasks/formatters/detokenise.py", python_comment, SCIERC),
    "reader": ("sciriff/readers/bioc.py", python_comment, {"cdr_ner"}),
    "reader that another reader imports": (
        "sciriff/readers/json_lines.py",
        python_comment,
        SCIERC | {"scicite_classification"},
    ),
    "helper of readers": ("sciriff/readers/json_text.py", python_comment, SCIERC | {"scicite_classification"}),
    "helper of all readers": ("sciriff/readers/text.py", python_comment, ALL),
    "engine": ("sciriff/building/sampling.py", python_comment, ALL),
    "helper of the engine": ("sciriff/tasks/rendering.py", python_comment, ALL),
    "formatter of no task here": ("sciriff/tasks/formatters/qasper.py", python_comment, set()),
    "reader of no task here": ("sciriff/readers/squad.py", python_comment, set()),
    "command line": ("sciriff/cli/build.py", python_comment, set()),
    "scoring": ("sciriff/scoring/parsing.py", python_comment, set()),
}


OF_A_KIND_WITH_OTHERS = (
    "wording of another template",
    "formatter of others",
    "helper of the engine",
    "reader of no task here",
    "scoring",
)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.slow) if case in OF_A_KIND_WITH_OTHERS else case for case in EDITS],
)
def test_an_edit_rebuilds_exactly_the_tasks_that_depend_on_it(case: str, workbench: Workbench) -> None:
    name, edit, expected = EDITS[case]
    path = workbench.package / name
    text = path.read_text("utf-8")
    assert edit(text) != text
    path.write_text(edit(text), "utf-8")
    assert workbench.rebuilt() == expected


def test_what_a_formatter_does_shows_in_the_next_build(workbench: Workbench) -> None:
    path = workbench.package / "sciriff/tasks/formatters/scicite.py"
    text = path.read_text("utf-8")
    path.write_text(f"{text}\n_plain = format_scicite\n\n\n{SHOUTING}", "utf-8")
    assert workbench.rebuilt() == {"scicite_classification"}
    inputs = (workbench.store / "instructions/4096/scicite_classification/train.jsonl").read_text("utf-8")
    assert "EXCERPT IN CAPITALS" in inputs
    path.write_text(text, "utf-8")
    assert workbench.rebuilt() == {"scicite_classification"}
    inputs = (workbench.store / "instructions/4096/scicite_classification/train.jsonl").read_text("utf-8")
    assert "EXCERPT IN CAPITALS" not in inputs


SHOUTING = """
def format_scicite(record, **arguments):
    for variables in _plain(record, **arguments):
        yield {**variables, "string": "EXCERPT IN CAPITALS " + variables["string"].upper()}
"""


@pytest.fixture(autouse=True, scope="module")
def _no_workers_left() -> Iterator[None]:
    yield
    stop_workers()
