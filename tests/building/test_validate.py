from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sciriff.building.facts import InstanceFacts
from sciriff.building.suites import columns, default_suite, standard_suite
from sciriff.building.validate import (
    FactColumns,
    ValidationResult,
    facts_table,
    publish_docs,
    result_path,
    validate_facts,
)
from sciriff.building.validate import validate as validate_task
from sciriff.errors import TaskFileError
from sciriff.resources import resource_dir
from sciriff.store import Store

SUITES = sorted(path.stem for path in resource_dir("expectations").glob("*.json"))
TASKS = sorted(path.stem for path in (resource_dir("templates") / "tasks").glob("*.yaml"))


def suite(task: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((resource_dir("expectations") / f"{task}.json").read_text(encoding="utf-8"))
    return content


def fact(task: str, number: int, **changes: Any) -> InstanceFacts:
    facts = InstanceFacts(f"{task}:train:{number}", 0, 3000, 900, 20, True, 0, 2, 0, "")
    return facts._replace(**changes)


def windows(*facts: InstanceFacts) -> dict[int, dict[str, list[Any]]]:
    """Instances as the build has them: the same ones in two windows."""
    instances = [SimpleNamespace(facts=each) for each in facts]
    return {window: {"train": instances[:1], "validation": [], "test": instances[1:]} for window in (4096, 8192)}


def good_facts(task: str) -> list[InstanceFacts]:
    return [fact(task, number) for number in range(6)] + [fact(task, 6, instance_id=f"{task}:test:3.1")]


def validate(task: str, *facts: InstanceFacts) -> ValidationResult:
    return validate_facts(task, suite(task), facts_table(windows(*facts)))


def test_every_task_file_has_a_suite_of_its_name() -> None:
    assert [task for task in TASKS if task not in SUITES] == []


@pytest.mark.parametrize("task", SUITES)
def test_suites_hold_all_standard_expectations_with_fixed_ids(task: str) -> None:
    content = suite(task)
    assert content["name"] == task
    standard = standard_suite(task, content["meta"]["sciriff"])
    assert [expectation["id"] for expectation in content["expectations"]] == [
        expectation["id"] for expectation in standard["expectations"]
    ]
    assert content["id"] == standard["id"]
    known = {"window", "split", "token_limit", *InstanceFacts._fields}
    assert all(set(columns(expectation["kwargs"])) <= known for expectation in content["expectations"])
    assert all(expectation["notes"] for expectation in content["expectations"])


def test_no_two_suites_share_an_id() -> None:
    ids = [expectation["id"] for task in SUITES for expectation in suite(task)["expectations"]]
    assert len(set(ids)) == len(ids)


def test_the_table_has_one_row_per_instance_and_window() -> None:
    table = facts_table(windows(*good_facts("cdr_ner")))
    assert {len(values) for values in table.values()} == {14}
    assert table["window"] == [4096] * 7 + [8192] * 7
    assert table["split"] == (["train"] + ["test"] * 6) * 2
    assert table["token_limit"] == [4076] * 7 + [8172] * 7
    assert table["instance_id"][6] == "cdr_ner:test:3.1"


@pytest.mark.parametrize("task", SUITES)
def test_good_facts_meet_every_suite(task: str) -> None:
    result = validate(task, *good_facts(task))
    assert result.success
    assert result.failures == ()


BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "wrong label": ({"unknown_labels": 2, "problem": "unknown label 'X'"}, ["unknown_labels 2", "unknown label 'X'"]),
    "wrong form": ({"output_conforms": False, "problem": "output: no"}, ["output_conforms False", "output: no"]),
    "not copied": ({"mentions_missing": 1, "problem": "not in the input: 'y'"}, ["mentions_missing", "'y'"]),
    "too long": ({"total_tokens": 4077}, ["token_limit 4076, total_tokens 4077"]),
    "blank output": ({"output_chars": 0}, ["output_chars 0"]),
    "short input": ({"input_chars": 4}, ["input_chars 4"]),
    "bad id": ({"instance_id": "other_task:train:1"}, ["instance_id", "other_task:train:1"]),
    "bad split in id": ({"instance_id": "cdr_ner:dev:1"}, ["cdr_ner:dev:1"]),
}


@pytest.mark.parametrize("case", BAD)
def test_each_kind_of_bad_fact_fails_and_is_named(case: str) -> None:
    changes, expected = BAD[case]
    result = validate("cdr_ner", *good_facts("cdr_ner"), fact("cdr_ner", 7, **changes))
    assert not result.success
    assert len(result.failures) == 1
    for part in [*expected, changes.get("instance_id", "cdr_ner:train:7"), "at window 4096"]:
        assert part in result.failures[0]
    count = 1 if case == "too long" else 2
    assert f"not so for {count} of 16" in result.failures[0]


@pytest.mark.parametrize("task", SUITES)
def test_every_suite_fails_on_bad_facts(task: str) -> None:
    bad = {"unknown_labels": 1, "output_conforms": False, "mentions_missing": 1, "output_chars": 0, "input_chars": 0}
    facts = [fact(task, number, total_tokens=9000, **bad) for number in range(7)] + [fact(task, 0)]
    result = validate(task, *facts)
    assert len(result.failures) == 7  # these six and the id that occurs twice


def test_an_id_may_return_in_another_window_but_not_in_the_same() -> None:
    result = validate("cdr_ner", *good_facts("cdr_ner"), fact("cdr_ner", 0))
    assert [failure.split("(")[0] for failure in result.failures] == [
        "expected that within a window, no instance id occurs twice with the same template "
    ]
    assert "cdr_ner:train:0 at window 8192" in result.failures[0]
    assert validate("cdr_ner", *good_facts("cdr_ner"), fact("cdr_ner", 0, template_id=1)).success


def test_a_wrong_final_split_fails() -> None:
    table = facts_table(windows(*good_facts("cdr_ner")))
    table["split"][3] = "dev"
    result = validate_facts("cdr_ner", suite("cdr_ner"), table)
    assert len(result.failures) == 1
    assert "not so for 1 of 14" in result.failures[0]


def test_a_task_without_instances_fails() -> None:
    result = validate("cdr_ner")
    assert not result.success
    assert result.failures[0].startswith("expected that the task has instances")
    assert "found 0" in result.failures[0]


def test_a_share_of_exceptions_can_be_allowed() -> None:
    lenient = standard_suite("cdr_ner", {"output": "json"}, mentions_present=0.8)
    facts = [fact("cdr_ner", number, mentions_missing=int(number == 0)) for number in range(10)]
    assert validate_facts("cdr_ner", lenient, facts_table(windows(*facts))).success
    facts = [fact("cdr_ner", number, mentions_missing=int(number < 3)) for number in range(10)]
    assert not validate_facts("cdr_ner", lenient, facts_table(windows(*facts))).success


def test_a_task_without_suite_file_is_held_to_its_output_context() -> None:
    assert default_suite("my_task", "json")["meta"]["sciriff"]["output"] == "json"
    assert default_suite("my_task", "paragraph")["meta"]["sciriff"]["output"] == "text"
    table = facts_table(windows(fact("my_task", 1, output_conforms=False)))
    assert len(validate_facts("my_task", default_suite("my_task", "jsonlines"), table).failures) == 1


def edited(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    content = suite("cdr_ner")
    change(content["expectations"][1])
    return content


@pytest.mark.parametrize(
    "broken",
    [
        edited(lambda expectation: expectation.update(type="expect_the_unexpected")),
        edited(lambda expectation: expectation["kwargs"].update(colum="x")),
        edited(lambda expectation: expectation.update(kwarg={})),
        edited(lambda expectation: expectation.pop("type")),
    ],
)
def test_a_suite_that_the_library_refuses_is_named(broken: dict[str, Any]) -> None:
    with pytest.raises(TaskFileError, match=r"expectation suite of cdr_ner: .*instance ids are well formed"):
        validate_facts("cdr_ner", broken, facts_table(windows(*good_facts("cdr_ner"))))


def test_an_expectation_on_a_column_that_is_not_there_fails_with_the_reason() -> None:
    broken = edited(lambda expectation: expectation["kwargs"].update(column="instance"))
    result = validate_facts("cdr_ner", broken, facts_table(windows(*good_facts("cdr_ner"))))
    assert len(result.failures) == 1
    assert "could not be checked" in result.failures[0]
    assert "instance" in result.failures[0]


def publish(root: Path, *tasks: str, bad: bool = False) -> tuple[str, dict[str, bytes]]:
    """Validate tasks as a build does, publish, and return the start page and every file."""
    store = Store(str(root))
    for task in tasks:
        facts = [*good_facts(task), fact(task, 8, mentions_missing=int(bad))]
        result = validate_task(task, suite(task), windows(*facts))
        store.write_bytes(result_path(task), result.serialised())
    start = publish_docs(store)
    return start, {name: store.read_bytes(name) for name in store.files("")}


def test_published_results_are_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    start, first = publish(tmp_path / "a", "cdr_ner", "scierc_re", bad=True)
    _, second = publish(tmp_path / "b", "scierc_re", "cdr_ner", bad=True)
    assert first == second
    assert start in first
    assert any("cdr_ner" in name and name.endswith(".html") for name in first)
    assert b"cdr_ner:train:8" in first[result_path("cdr_ner")]


def test_pages_tell_nobody_that_they_are_read_and_hold_no_time(tmp_path: Path) -> None:
    start, files = publish(tmp_path, "cdr_ner", bad=True)
    pages = {name: content.decode() for name, content in files.items() if name.endswith(".html")}
    assert len(pages) == 2
    for page in pages.values():
        assert "great-expectations-web-assets" not in page
        assert "dataContextId" not in page
        assert "2000" not in page.split("<body>")[1].replace("2000px", "")
        assert str(tmp_path) not in page
    assert "static/images/logo-long.png" in pages[start]


def test_pages_of_earlier_builds_stay(tmp_path: Path) -> None:
    publish(tmp_path, "cdr_ner")
    start, files = publish(tmp_path, "scierc_re")
    assert b"cdr_ner" in files[start]
    assert b"scierc_re" in files[start]
    assert publish(tmp_path) == (start, files)  # nothing validated, nothing touched


def test_nothing_validated_ever_has_no_start_page(tmp_path: Path) -> None:
    assert publish(tmp_path) == ("", {})


def test_the_table_is_plain_columns() -> None:
    table: FactColumns = facts_table({})
    assert list(table) == ["window", "split", "token_limit", *InstanceFacts._fields]
