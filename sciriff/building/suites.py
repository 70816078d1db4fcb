"""Expectation suites: the expectations every task must meet, and the suite files of ``expectations/``.

A suite file is a Great Expectations suite over the facts table (one row per instance and window, see
:mod:`sciriff.building.validate`), with what the outputs promise under ``meta.sciriff``. Ids are derived from names, so
that equal suites are equal files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

OUTPUT_OF_CONTEXT: Mapping[str, str] = {"json": "json", "jsonlines": "jsonlines"}
"""Output formats that a task's ``output_context`` promises by itself; all others are text until a suite says more."""

MIN_INPUT_CHARS = 5


def standard_suite(task: str, promise: Mapping[str, Any], mentions_present: float = 1.0) -> dict[str, Any]:
    """The suite of a task whose outputs keep a promise.

    Args:
        task: task name.
        promise: what goes under ``meta.sciriff``, see :class:`sciriff.building.facts.CheckSpec`; at least ``output``.
        mentions_present: least share of instances whose mentions must all occur in the input.
    """
    instance_id = rf"^{task}:(?:train|validation|test):[0-9]+(?:\.[0-9A-Za-z_-]+)?$"
    share = {} if mentions_present == 1.0 else {"mostly": mentions_present}
    expectations: list[tuple[str, dict[str, Any], str]] = [
        ("expect_table_row_count_to_be_between", {"min_value": 1}, "the task has instances"),
        (
            "expect_column_values_to_match_regex",
            {"column": "instance_id", "regex": instance_id},
            "instance ids are well formed",
        ),
        (
            "expect_compound_columns_to_be_unique",
            {"column_list": ["window", "instance_id", "template_id"]},
            "within a window, no instance id occurs twice with the same template",
        ),
        (
            "expect_column_values_to_be_in_set",
            {"column": "split", "value_set": ["train", "validation", "test"]},
            "splits are train, validation and test",
        ),
        (
            "expect_column_values_to_be_between",
            {"column": "input_chars", "min_value": MIN_INPUT_CHARS},
            f"inputs have at least {MIN_INPUT_CHARS} characters",
        ),
        ("expect_column_values_to_be_between", {"column": "output_chars", "min_value": 1}, "outputs are not empty"),
        (
            "expect_column_pair_values_a_to_be_greater_than_b",
            {"column_A": "token_limit", "column_B": "total_tokens", "or_equal": True},
            "input and output fit the window, less what is kept free for chat markup",
        ),
        (
            "expect_column_values_to_be_in_set",
            {"column": "output_conforms", "value_set": [True]},
            "outputs have the promised form",
        ),
        (
            "expect_column_values_to_be_between",
            {"column": "unknown_labels", "max_value": 0},
            "outputs use the task's labels only",
        ),
        (
            "expect_column_values_to_be_between",
            {"column": "mentions_missing", "max_value": 0, **share},
            "strings said to be copied from the input occur in it",
        ),
    ]
    return {
        "name": task,
        "id": _id(task),
        "expectations": [
            {"id": _id(task, kind, *map(str, columns(kwargs))), "type": kind, "kwargs": kwargs, "notes": notes}
            for kind, kwargs, notes in expectations
        ],
        "meta": {"sciriff": dict(promise)},
    }


def default_suite(task: str, output_context: str) -> dict[str, Any]:
    """The suite of a task that has no suite file: what its ``output_context`` promises."""
    return standard_suite(task, {"output": OUTPUT_OF_CONTEXT.get(output_context, "text")})


def columns(kwargs: Mapping[str, Any]) -> list[str]:
    """The columns of the facts table that an expectation looks at."""
    if "column_list" in kwargs:
        return list(kwargs["column_list"])
    return [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]


def _id(*names: str) -> str:
    return str(uuid5(NAMESPACE_URL, "/".join(("sciriff", "expectations", *names))))
