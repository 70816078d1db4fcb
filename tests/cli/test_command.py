from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from sciriff import api
from sciriff.building.build import BuildReport
from sciriff.building.combine import CombinedWindow, CombineOutcome
from sciriff.building.outcome import TaskOutcome
from sciriff.building.overlaps import TrainingOverlaps
from sciriff.cli import VERBS
from sciriff.errors import BlockedError, SourceError, UsageError

from .conftest import Run

ROWS = {4096: {"train": 1500, "validation": 20, "test": 3}}


def report(*outcomes: TaskOutcome) -> BuildReport:
    window = CombinedWindow(
        4096,
        "combined",
        "instructions_hf/4096",
        ("cdr_ner",),
        {"old_ner": "test.jsonl missing"},
        ROWS[4096],
        "k",
        TrainingOverlaps(5, 9, 1, 2),
    )
    combined = CombineOutcome((window,), "instructions_hf/README.md")
    return BuildReport(
        outcomes=outcomes,
        combined=combined,
        store_path="/some/store",
        docs_path="docs/index.html",
        tokenizers=("a tokenizer",),
        seconds=12.5,
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """Replace the build by one that notes how it is called."""
    noted: list[tuple[Any, dict[str, Any]]] = []

    def build(tasks: Any = None, **options: Any) -> BuildReport:
        noted.append((tasks, options))
        return report(TaskOutcome("cdr_ner", "built", rows=ROWS, dropped={"too long": 7}, seconds=1.25))

    monkeypatch.setattr(api, "build", build)
    return noted


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=os.environ | variables,
        check=False,
    )


def test_help_lists_every_verb_and_imports_none_of_the_library() -> None:
    found = python(
        """
        import sys
        from sciriff.cli import main
        try:
            main(["--help"])
        finally:
            heavy = "pydantic pyarrow datasets duckdb jinja2 yaml rich fsspec prefect sciriff.api"
            print("HEAVY", sorted(set(heavy.split()) & set(sys.modules)))
        """
    )
    assert found.returncode == 0
    assert "HEAVY []" in found.stdout
    assert all(f"\n  {verb} " in found.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_help_page_that_imports_no_heavy_library(verb: str, run: Run) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert f"sciriff {verb}" in result.stdout
    found = python(
        f"""
        import sys
        import sciriff.cli.{verb}
        print(sorted({{"pydantic", "pyarrow", "duckdb", "rich", "sciriff.api"}} & set(sys.modules)))
        """
    )
    assert found.stdout == "[]\n"


def test_build_hands_over_its_options(run: Run, calls: list[Any], tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    options = {
        "--tasks": "cdr_ner,scierc_re",
        "--windows": "4096,8192",
        "--n-instances": "all",
        "--template-ids": "0,2",
        "--seed": "5",
        "--tokenizer": "tok.json",
        "--workers": "3",
        "--store": "memory://x",
        "--mirror": "m",
        "--templates-dir": str(folder),
    }
    result = run("build", *chain(*options.items()), "--force", "--offline", "--update-lock")
    assert result.exit_code == 0, result.output
    ((tasks, given),) = calls
    assert tasks == ("cdr_ner", "scierc_re")
    assert given["windows"] == (4096, 8192)
    assert given["n_instances"] is None
    assert given["template_ids"] == (0, 2)
    assert given["seed"] == 5
    assert given["force"]
    assert given["update_lock"]
    settings = given["settings"]
    assert (settings.tokenizer, settings.workers, settings.store) == ("tok.json", 3, "memory://x")
    assert (settings.offline, settings.mirror, settings.templates_dir) == (True, "m", folder)


def test_build_defaults_come_from_the_environment(run: Run, calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIRIFF_STORE", "elsewhere")
    monkeypatch.setenv("SCIRIFF_OFFLINE", "1")
    assert run("build").exit_code == 0
    ((tasks, options),) = calls
    assert tasks is None
    assert options["n_instances"] == 2500
    assert options["windows"] == (4096, 8192, 16384)
    assert options["settings"].store == "elsewhere"
    assert options["settings"].offline
    run("build", "--store", "here")
    assert calls[1][1]["settings"].store == "here"


def test_build_prints_rows_tokenizer_places_and_next_steps(run: Run, calls: list[Any]) -> None:
    text = run("build").stdout
    assert "cdr_ner  built  1,500/20/3" in text
    assert "7 too long" in text
    assert "tokenizer    a tokenizer" in text
    assert "artifacts    /some/store" in text
    assert "checks       /some/store/docs/index.html" in text
    assert "old_ner: test.jsonl missing" in text
    assert "sciriff evaluate" in text


def test_a_note_that_many_tasks_share_is_told_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = [
        TaskOutcome(task, "built", rows=ROWS, notes=(f"https://host/{task}.zip: bundled sample", f"{task} is small"))
        for task in ("a_ner", "b_ner")
    ]
    monkeypatch.setattr(api, "build", lambda *_, **__: report(*outcomes))
    notes = [line for line in run("build").stdout.splitlines() if line.startswith("note")]
    assert notes == ["note: a_ner is small", "note: b_ner is small", "note: bundled sample: a_ner, b_ner"]


@pytest.mark.parametrize(
    ("states", "code"),
    [(["built", "cached"], 0), (["built", "blocked"], 3), (["blocked", "failed"], 1)],
)
def test_exit_code_of_a_build_is_its_worst_outcome(
    states: list[Any], code: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = [TaskOutcome(f"task{number}", state, f"reason {number}") for number, state in enumerate(states)]
    monkeypatch.setattr(api, "build", lambda *_, **__: report(*outcomes))
    result = run("build")
    assert result.exit_code == code
    for outcome in outcomes:
        assert (f"{outcome.task}: {outcome.message}" in result.stdout) == (not outcome.done)


@pytest.mark.parametrize(("error", "code"), [(UsageError("no such task"), 1), (BlockedError("sign the licence"), 3)])
def test_errors_are_one_message_without_a_traceback(
    error: Exception, code: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(api, "build", build)
    result = run("build")
    assert result.exit_code == code
    assert result.stderr == f"error: {error}\n"
    monkeypatch.setenv("SCIRIFF_DEBUG", "1")
    assert "Traceback" in run("build").stderr


def test_interrupt_says_that_the_work_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "build", build)
    result = run("build")
    assert result.exit_code == 130
    assert "the same command goes on from there" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["biuld"], "Did you mean build?"),
        (["build", "--windows", "4k"], "is not a list of numbers"),
        (["build", "--n-instances", "many"], "neither a whole number nor 'all'"),
        (["build", "--tasks", ","], "the list is empty"),
        (["mix", "--instances-per-task", "10"], "Missing option '--tulu'"),
        (["mix", "--tulu", "none"], "Missing option '--instances-per-task'"),
    ],
)
def test_wrong_command_lines_exit_2_and_say_why(arguments: list[str], message: str, run: Run) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_impossible_setting_names_its_variable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIRIFF_WORKERS", "many")
    result = run("build")
    assert result.exit_code == 1
    assert "SCIRIFF_WORKERS" in result.stderr
    assert "'many'" in result.stderr


def test_unknown_task_gets_near_names(run: Run) -> None:
    result = run("build", "--tasks", "scierc_nre", "--offline")
    assert result.exit_code == 1
    assert "'scierc_nre'" in result.stderr
    assert "scierc_ner" in result.stderr


def test_fetch_exits_1_for_a_failed_source_and_names_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {"cdr": SourceError("wrong hash"), "chia": BlockedError("get it by hand")}
    monkeypatch.setattr(api, "fetch", lambda *_, **__: sources)
    result = run("fetch", "--tasks", "cdr_ner")
    assert result.exit_code == 1
    assert "cdr: wrong hash" in result.stdout
    del sources["cdr"]
    assert run("fetch").exit_code == 3


def test_combine_of_an_empty_store_says_to_build_first(run: Run) -> None:
    result = run("combine", "--store", "empty")
    assert result.exit_code == 1
    assert "sciriff build" in result.stdout


def test_mix_of_an_empty_store_says_to_build_first(run: Run) -> None:
    result = run("mix", "--instances-per-task", "5", "--tulu", "none", "--store", "empty")
    assert result.exit_code == 1
    assert "run `sciriff build` first" in result.stderr
    assert not Path("empty/training_mix").exists()


def test_build_says_how_many_training_instances_meet_evaluation(run: Run, calls: list[Any]) -> None:
    told = "training instances that meet an evaluation split: 5 by text, 9 by document (of a held-out task: 1, 2)"
    assert f"overlaps     instructions_hf/4096: {told}\n" in run("build").stdout


@pytest.mark.parametrize(
    ("arguments", "fidelity", "split_by"),
    [
        ([], "corrected", None),
        (["--fidelity", "original"], "original", None),
        (["--split-by", "instance"], "corrected", "instance"),
        (["--fidelity", "original", "--split-by", "document"], "original", "document"),
    ],
)
def test_build_hands_on_fidelity_and_what_splits_keep_together(
    run: Run, calls: list[Any], arguments: list[str], fidelity: str, split_by: str | None
) -> None:
    assert run("build", *arguments).exit_code == 0
    assert (calls[0][1]["fidelity"], calls[0][1]["split_by"]) == (fidelity, split_by)


@pytest.mark.parametrize("verb", [["build"], ["evaluate", "--model", "gold"], ["score", "."]])
def test_a_cluster_is_of_some_kind(run: Run, verb: list[str]) -> None:
    done = run(*verb, "--cluster", "tcp://host:8786")
    assert done.exit_code == 1
    assert "--cluster tcp://host:8786: say which kind it is as well, --runner dask or --runner ray" in done.output
