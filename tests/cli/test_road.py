"""The whole road by the command, on the bundled samples, offline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sciriff.cli import main
from sciriff.resources import resource_dir

TASKS = "discomat_te,scierc_re"


def command(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A store with two built tasks, one of them held out for evaluation; templates are a copy that a test may edit."""
    folder = tmp_path_factory.mktemp("road")
    shutil.copytree(resource_dir("templates") / "tasks", folder / "templates")
    settings = {
        "STORE": folder / "store",
        "CACHE": folder / "cache",
        "LOCK": folder / "sources.lock",
        "TEMPLATES_DIR": folder / "templates",
        "OFFLINE": 1,
        "SAMPLES": "always",
        "WORKERS": 1,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(f"SCIRIFF_{name}", str(value))
        result = command("build", "--tasks", TASKS, "--windows", "4096,8192")
        assert result.exit_code == 0, result.output
        assert "2 built" in result.stdout
        yield folder / "store"


def test_second_build_finds_everything_done(store: Path) -> None:
    result = command("build", "--tasks", TASKS, "--windows", "4096,8192")
    assert result.exit_code == 0
    assert "2 already done" in result.stdout
    assert result.stdout.count("(already done)") == 2


def test_tasks_show_mix_evaluate_and_sql(store: Path) -> None:
    listed = {line.split()[0]: line for line in command("tasks").stdout.splitlines() if line.strip()}
    assert "built" in listed["scierc_re"]
    assert "4096 8192" in listed["scierc_re"]
    assert "not built" in listed["cdr_ner"]

    shown = command("show", "scierc_re", "--n", "1", "--split", "test", "--json")
    first = (store / "instructions/4096/scierc_re/test.jsonl").read_text().splitlines()[0]
    assert json.loads(shown.stdout) == json.loads(first)

    mixed = command("mix", "--instances-per-task", "3", "--tulu", "match")
    assert "held out for evaluation: discomat_te" in mixed.stdout
    assert len((store / "training_mix/tulu_match_science_3_eval_no.jsonl").read_text().splitlines()) == 6
    assert "already done" in command("mix", "--instances-per-task", "3", "--tulu", "match").stdout

    evaluated = command("evaluate", "--model", "gold,empty", "--tasks", "discomat_te")
    assert evaluated.exit_code == 0, evaluated.output
    assert "bleu 100.00" in evaluated.stdout
    rows = [json.loads(line) for line in command("leaderboard", "--json").stdout.splitlines()]
    assert {row["model"]: row["discomat_bleu"] for row in rows} == {"gold": 100.0, "empty": 0.0}


def test_edited_template_makes_its_task_stale_and_show_renders_the_new_wording(store: Path) -> None:
    task_file = store.parent / "templates/scierc_re.yaml"
    before = task_file.read_text()
    task_file.write_text(before.replace("Return", "Kindly return"))
    try:
        listed = {line.split()[0]: line for line in command("tasks").stdout.splitlines() if line.strip()}
        assert "stale" in listed["scierc_re"]
        assert "stale" not in listed["discomat_te"]
        shown = command("show", "scierc_re", "--n", "1")
        assert shown.exit_code == 0, shown.output
        assert "Kindly return" in shown.stdout
    finally:
        task_file.write_text(before)
