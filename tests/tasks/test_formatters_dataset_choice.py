from __future__ import annotations

import re
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.dataset_choice import format_one_right, format_several_right
from sciriff.tasks.rendering import Fidelity

RIGHT = ["Tree Bank", "Bird Calls, Dawn", "Maps"]
WRONG = ["Slides", "Roads", "Lungs", "Crops", "Ships", "Songs"]
DESCRIPTION = "{} is large.\nIt is free. It grows."


def record(right: list[str] = RIGHT, wrong: list[str] = WRONG, **changes: Any) -> dict[str, Any]:
    found = {
        "query": "A parser for birds.",
        "keyphrase_query": "parsing birds",
        "positive_cands": right,
        "negative_cands": wrong,
        "abstracts": [{"dkey": name, "dval": DESCRIPTION.format(name)} for name in dict.fromkeys([*right, *wrong])],
    }
    return {name: value for name, value in {**found, **changes}.items() if value is not None}


def question(right: str = "Tree Bank", wrong: list[str] = WRONG, **changes: Any) -> dict[str, Any]:
    return {**record([right], wrong, positive_cands=None), "answer": right, "year": 2021, **changes}


def several(seed: int = 0, fidelity: Fidelity = "corrected", **changes: Any) -> dict[str, Any]:
    (variables,) = format_several_right(record(**changes), random=Random(seed), fidelity=fidelity)
    return variables


def single(seed: int = 0, fidelity: Fidelity = "corrected", **changes: Any) -> dict[str, Any]:
    (variables,) = format_one_right(question(**changes), random=Random(seed), fidelity=fidelity)
    return variables


def options(variables: dict[str, Any]) -> list[str]:
    return [re.fullmatch(r"[A-G]: (.*)", option)[1] for option in variables["options"].split("  ")]  # type: ignore[index]


def test_one_right_answer() -> None:
    variables = single()
    names = options(variables)
    assert len(names) == 4
    assert names.count("Tree Bank") == 1
    assert set(names) - {"Tree Bank"} < set(WRONG)
    assert variables == {
        **question(),
        "options": "  ".join(f"{letter}: {name}" for letter, name in zip("ABCD", names, strict=True)),
        "context": "\n".join(f"{name}: {name} is large. It is free." for name in names),
        "abstracts": {name: DESCRIPTION.format(name) for name in ["Tree Bank", *WRONG]},
        "_document_text": "A parser for birds.",
    }


def test_a_year_that_is_not_known_is_none() -> None:
    unknown = question()
    del unknown["year"]
    (variables,) = format_one_right(unknown, random=Random(0))
    assert variables["year"] is None


def test_several_right_answers_stand_in_the_order_of_the_options() -> None:
    variables = several()
    names = options(variables)
    assert variables["answer_names"] == [name for name in names if name in RIGHT]
    assert variables["answer"] == ", ".join(variables["answer_names"])
    assert variables["context"].splitlines() == [f"{name}: {name} is large. It is free." for name in names]


@given(st.integers(0, 10_000))
def test_numbers_of_options_and_answers(seed: int) -> None:
    variables = several(seed)
    assert 5 <= len(options(variables)) <= 7
    assert 2 <= len(variables["answer_names"]) <= 3
    assert len(set(options(variables))) == len(options(variables))
    many = [f"Set {number}" for number in range(12)]
    assert 2 <= len(several(seed, right=many)["answer_names"]) <= 5
    few = several(seed, wrong=["Roads"])
    assert set(options(few)) - {"Roads"} == set(few["answer_names"])


def test_chance_decides_number_choice_and_order() -> None:
    drawn = [several(seed) for seed in range(60)]
    assert {len(options(variables)) for variables in drawn} == {5, 6, 7}
    assert {len(variables["answer_names"]) for variables in drawn} == {2, 3}
    assert set(Counter(options(variables)[0] for variables in drawn)) >= {*RIGHT, *WRONG}
    assert {options(single(seed)).index("Tree Bank") for seed in range(40)} == {0, 1, 2, 3}
    assert several(3) == several(3)
    assert single(3) == single(3)


def test_the_record_is_left_as_it_was() -> None:
    before = record()
    list(format_several_right(before, random=Random(1)))
    assert before == record()


def test_names_with_a_comma_fall_apart_in_the_original_only() -> None:
    seed = next(seed for seed in range(99) if "Bird Calls, Dawn" in several(seed)["answer_names"])
    assert several(seed)["answer"] == several(seed, "original")["answer"]
    assert "Bird Calls, Dawn" in several(seed)["answer_names"]
    assert {"Bird Calls", "Dawn"} < set(several(seed, "original")["answer_names"])


def test_names_that_are_repeated_or_on_both_sides_count_once_and_as_right() -> None:
    changes = {"right": ["Maps", "Maps", "Trees"], "wrong": ["Roads", "Roads", "Maps"]}
    for seed in range(20):
        assert sorted(options(several(seed, **changes))) == ["Maps", "Roads", "Trees"]
        assert sorted(options(several(seed, "original", **changes))) != ["Maps", "Roads", "Trees"]
    answer = question(wrong=["Tree Bank", "Roads", "Ships", "Songs"])
    for seed in range(20):
        (variables,) = format_one_right(answer, random=Random(seed))
        assert options(variables).count("Tree Bank") == 1


def test_too_few_candidates_are_dropped() -> None:
    for right in ([], ["Maps"], ["Maps", "Maps"]):
        with pytest.raises(Dropped, match="fewer than two right data sets"):
            several(right=right)
    for wrong in (["Roads", "Ships"], ["Roads", "Ships", "Roads"]):
        with pytest.raises(Dropped, match="fewer than three wrong data sets"):
            single(wrong=wrong)


@pytest.mark.parametrize("query", ["", " \n"])
def test_blank_texts_are_dropped(query: str) -> None:
    with pytest.raises(Dropped, match="blank query"):
        several(query=query)
    with pytest.raises(Dropped, match="blank answer"):
        single(right=" ", wrong=WRONG)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"query": None}, "question 'None': field 'query': expected a string, found NoneType"),
        ({"keyphrase_query": 5}, "field 'keyphrase_query': expected a string, found int"),
        ({"positive_cands": "Maps"}, "field 'positive_cands': expected a list of names"),
        ({"negative_cands": ["Maps", " "]}, "field 'negative_cands': expected a list of names"),
        ({"abstracts": {"Maps": "text"}}, "field 'abstracts': expected a list of {dkey, dval}"),
        ({"abstracts": [{"dkey": "Maps"}]}, "field 'abstracts': expected a list of {dkey, dval}"),
        ({"abstracts": [{"dkey": "Maps", "dval": None}]}, "field 'abstracts': expected every dval to be a string"),
        ({"abstracts": []}, "field 'abstracts': no description of "),
    ],
)
def test_malformed_records_are_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        several(**changes)
    assert reason in str(caught.value)
    assert caught.value.where.startswith("question '")


def test_an_answer_that_is_no_name_is_malformed() -> None:
    with pytest.raises(RecordError, match="field 'answer': expected a string, found list"):
        list(format_one_right(question(answer=["Tree Bank"]), random=Random(0)))


def test_a_description_may_be_blank() -> None:
    abstracts = [{"dkey": name, "dval": ""} for name in [*RIGHT, *WRONG]]
    variables = several(abstracts=abstracts)
    assert variables["context"].splitlines() == [f"{name}:" for name in options(variables)]
