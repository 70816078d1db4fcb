"""Which files of a source a task asks for."""

from __future__ import annotations

import pytest

from sciriff.building.plan import TaskPlan, plan_tasks
from sciriff.sources import catalogue
from sciriff.tasks.binding import Binding

CHEMSUM = {f"train_{part}" for part in range(7)} | {"validation", "test"}


def files_of(splits: dict[str, dict[str, object]], source: str = "chemsum") -> set[str]:
    plan = plan_tasks(["scierc_ner"], None)["scierc_ner"]
    assert isinstance(plan, TaskPlan)
    binding = Binding.model_validate(
        {"source": source, "reader": "json_lines", "splits": splits, "formatter": {"name": "identity"}}
    )
    return set(TaskPlan(plan.name, plan.task_file, binding, plan.suite).files())


def test_a_pattern_stands_for_all_files_whose_keys_match() -> None:
    assert set(catalogue.source("chemsum").files) == CHEMSUM
    assert files_of({"train": {"path": "train_*"}, "test": {"path": "test"}}) == CHEMSUM - {"validation"}


def test_a_file_that_only_an_option_names_is_needed_too() -> None:
    splits = {"train": {"path": "train_0!a", "options": {"list": "test!ids.txt", "part": "other", "lead": 3}}}
    assert files_of(splits) == {"train_0", "test"}


def test_the_files_of_a_list_in_an_option_are_needed_too() -> None:
    splits = {"train": {"path": "train_0!a", "options": {"then": ["train_1!b", "train_0!c", "no such key"]}}}
    assert files_of(splits) == {"train_0", "train_1"}


@pytest.mark.parametrize("source", ["chemsum", "no_such_source"])
def test_an_unknown_key_is_asked_for_so_that_acquiring_names_it(source: str) -> None:
    assert files_of({"train": {"path": "trian"}}, source) == {"trian"}
