"""The manual gate as a user meets it: what is said, exit statuses, and that only what waited is built later."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from by_hand_kit import OTHER, TASKS, ZIPS, drop, left_alone, mirror_of
from click.testing import Result

from sciriff.building.pool import stop_workers

Build = Any

ALL = ",".join((*TASKS, OTHER))


@pytest.fixture
def lab(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The command in an empty folder, with a mirror that has all but BioASQ."""
    mirror_of(tmp_path / "mirror", "scicite")
    for name, value in (("MIRROR", tmp_path / "mirror"), ("OFFLINE", 1), ("CACHE", tmp_path / "cache"), ("WORKERS", 1)):
        monkeypatch.setenv(f"SCIRIFF_{name}", str(value))
    yield run
    stop_workers()


def build(run: Any, *arguments: str, tasks: str = ALL) -> Result:
    result: Result = run("build", "--windows", "4096", "--tasks", tasks, *arguments)
    return result


def states(result: Result) -> dict[str, str]:
    rows = [re.split(r" {2,}", line) for line in result.stdout.splitlines()]
    return {row[0]: row[1] for row in rows if row[0] in (*TASKS, OTHER) and len(row) > 1}


def all_tasks(state: str, other: str) -> dict[str, str]:
    return {**dict.fromkeys(TASKS, state), OTHER: other}


def test_from_blocked_to_built(lab: Any, tmp_path: Path) -> None:
    blocked = build(lab)
    assert blocked.exit_code == 3
    assert states(blocked) == all_tasks("BLOCKED", "built")
    (told,) = re.findall(r"^BLOCKED: .*(?:\n  .*)*", blocked.stdout, re.MULTILINE)
    assert told.startswith(f"BLOCKED: {', '.join(TASKS)}: BioASQ Task 11b")
    for part in (
        *ZIPS,
        "http://participants-area.bioasq.org/datasets/",
        "SCIRIFF_MIRROR",
        "run the same command again",
    ):
        assert part in told
    for folder in (tmp_path / "manual" / "bioasq", tmp_path / "artifacts" / "manual" / "bioasq"):
        assert f"    - {folder}\n" in told
    assert "next         everything else is built; do what BLOCKED above says" in blocked.stdout

    listed = lab("tasks")
    assert listed.exit_code == 0
    rows = [line.split() for line in listed.stdout.splitlines()]
    assert [row[0] for row in rows if "blocked" in row] == list(TASKS)
    assert listed.stdout.count("Get BioASQ-training11b.zip and Task11BGoldenEnriched.zip from") == 1
    fetched = lab("fetch", "--tasks", ALL)
    assert fetched.exit_code == 3
    assert "BLOCKED: bioasq: BioASQ Task 11b" in fetched.stdout

    drop(tmp_path / "manual", ZIPS[0])
    (tmp_path / "manual" / ZIPS[1]).write_bytes(b"<!doctype html><title>BioASQ: log in</title>")
    wrong = build(lab)
    assert wrong.exit_code == 3
    assert states(wrong) == all_tasks("BLOCKED", "already done")
    assert f"Found, but not the right file: {tmp_path / 'manual' / ZIPS[1]} is a web page" in wrong.stdout
    assert "Get Task11BGoldenEnriched.zip from" in wrong.stdout

    drop(tmp_path / "manual", ZIPS[1])
    before = left_alone(tmp_path / "manual")
    done = build(lab)
    assert done.exit_code == 0, done.output
    assert states(done) == all_tasks("built", "already done")
    assert "5 tasks" in re.findall(r"^combined .*", done.stdout, re.MULTILINE)[0]
    assert "sample written" not in done.stdout
    assert states(build(lab)) == all_tasks("already done", "already done")
    assert left_alone(tmp_path / "manual") == before


def test_what_was_built_stays_done_when_the_files_are_gone(lab: Any, tmp_path: Path) -> None:
    drop(tmp_path / "manual" / "bioasq")
    assert build(lab, tasks="bioasq_list_qa").exit_code == 0
    for name in ZIPS:
        (tmp_path / "manual" / "bioasq" / name).unlink()
    again = build(lab, tasks="bioasq_list_qa")
    assert again.exit_code == 0
    assert states(again) == {"bioasq_list_qa": "already done"}
    for change in (("--seed", "5"), ("--force",)):
        blocked = build(lab, *change, tasks="bioasq_list_qa")
        assert blocked.exit_code == 3
        assert states(blocked) == {"bioasq_list_qa": "BLOCKED"}
    (tmp_path / "artifacts/instructions/4096/bioasq_list_qa/train.jsonl").write_bytes(b"")
    assert build(lab, tasks="bioasq_list_qa").exit_code == 3


def test_a_blocked_task_is_no_excuse_for_a_failed_one(lab: Any, tmp_path: Path) -> None:
    (tmp_path / "mirror" / "scicite" / "scicite.tar.gz").write_bytes(b"")
    result = build(lab)
    assert result.exit_code == 1
    assert states(result) == all_tasks("BLOCKED", "FAILED")
    assert "everything else is built" not in result.stdout


def test_files_in_the_store_serve_show_and_build(lab: Any, tmp_path: Path) -> None:
    shown = lab("show", "bioasq_list_qa", "--store", "store", "--n", "1")
    assert shown.exit_code == 3
    assert str(tmp_path / "store" / "manual" / "bioasq") in shown.stderr
    drop(tmp_path / "store" / "manual" / "bioasq")
    shown = lab("show", "bioasq_list_qa", "--store", "store", "--n", "1")
    assert shown.exit_code == 0, shown.stderr
    assert "JSON array of answers:" in shown.stdout
    built = build(lab, "--store", "store", tasks="bioasq_list_qa")
    assert states(built) == {"bioasq_list_qa": "built"}
    assert "sample written" not in built.stdout


def test_samples_stand_in_where_nothing_is_real(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCIRIFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SCIRIFF_WORKERS", "1")
    result = build(run, "--offline")
    assert result.exit_code == 0, result.output
    assert states(result) == all_tasks("built", "built")
    assert f"note: sample written for this project: {', '.join((*TASKS, OTHER))}" in result.stdout
    stop_workers()
