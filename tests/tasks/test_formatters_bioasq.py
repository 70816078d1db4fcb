"""The four formatters of BioASQ: rules of the task catalogue, in both fidelities."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.bioasq import (
    format_bioasq_factoid,
    format_bioasq_list,
    format_bioasq_summary,
    format_bioasq_yesno,
)
from sciriff.tasks.rendering import Fidelity

FIDELITIES: tuple[Fidelity, ...] = ("corrected", "original")


def question(exact: Any = None, ideal: Any = None, *snippets: str, **change: Any) -> dict[str, Any]:
    return {
        "id": "q1",
        "type": "any",
        "body": "Which gene?",
        "snippets": [{"text": text} for text in snippets or ("First.", " Second\nline. ")],
        "ideal_answer": ideal,
        "exact_answer": exact,
        "other_answer": None,
        **change,
    }


def factoid(record: dict[str, Any], fidelity: Fidelity = "corrected", seed: int = 0) -> dict[str, Any]:
    (variables,) = format_bioasq_factoid(record, random=Random(seed), fidelity=fidelity)
    return variables


def listed(record: dict[str, Any], fidelity: Fidelity = "corrected") -> dict[str, Any]:
    (variables,) = format_bioasq_list(record, fidelity=fidelity)
    return variables


def summary(record: dict[str, Any], fidelity: Fidelity = "corrected") -> str:
    (variables,) = format_bioasq_summary(record, fidelity=fidelity)
    answer: str = variables["answer"]
    return answer


def yesno(record: dict[str, Any], fidelity: Fidelity = "corrected", seed: int = 0) -> dict[str, Any]:
    (variables,) = format_bioasq_yesno(record, random=Random(seed), fidelity=fidelity)
    return variables


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_snippets_stand_a_line_each(fidelity: Fidelity) -> None:
    for variables in (
        factoid(question(["x"]), fidelity),
        listed(question(["x"]), fidelity),
        next(format_bioasq_summary(question(ideal=["x"]), fidelity=fidelity)),
        yesno(question("yes"), fidelity),
    ):
        assert variables["snippets"] == "First.\nSecond line."
        assert (variables["question"], variables["_document_id"]) == ("Which gene?", "q1")


@pytest.mark.parametrize(
    ("exact", "correct"),
    [
        (["ab", "abc", "abd"], "abc"),
        ([["ab", "abc"], ["abcd"]], "abcd"),
        ([["ab"], "abc"], "abc"),
        (["  ", "a"], "a"),
    ],
)
def test_the_longest_accepted_answer_is_the_answer(exact: Any, correct: str) -> None:
    assert factoid(question(exact))["correct_ans"] == correct
    assert factoid(question(exact), "original")["correct_ans"] == correct


def test_a_bare_string_is_one_answer_and_was_a_list_of_letters() -> None:
    assert factoid(question("TP53"))["correct_ans"] == "TP53"
    assert factoid(question("TP53"), "original")["correct_ans"] == "T"


def test_a_student_is_right_or_wrong_and_told_so() -> None:
    record = question([["p53", "tumour protein 53."]], other_answer=[["BRCA1", "RNF53"]])
    seen: Counter[str] = Counter()
    for seed in range(400):
        variables = factoid(record, seed=seed)
        assert variables == factoid(record, seed=seed)
        seen[variables["student_ans"]] += 1
        if variables["student_ans"] in ("p53", "tumour protein 53."):
            assert variables["student_eval"] == "The answer is correct."
        else:
            assert variables["student_eval"] == ("The answer is incorrect. The correct answer is tumour protein 53.")
    assert set(seen) == {"p53", "tumour protein 53.", "BRCA1", "RNF53"}
    assert all(60 < count < 140 for count in seen.values())


def test_without_another_question_the_student_is_right() -> None:
    for other in (None, [], [[" "]]):
        assert {factoid(question(["a"], other_answer=other), seed=seed)["student_ans"] for seed in range(20)} == {"a"}


def test_the_first_name_of_each_thing_is_listed() -> None:
    variables = listed(question([["aspirin", "ASA"], ["ibuprofen"]]))
    assert (variables["answers"], variables["correct_ans"]) == (["aspirin", "ibuprofen"], "aspirin, ibuprofen")


def test_a_name_with_a_comma_stays_whole_and_fell_apart() -> None:
    record = question([["NADH dehydrogenase, mitochondrial"], ["complex I"]])
    corrected, original = listed(record), listed(record, "original")
    assert corrected["answers"] == ["NADH dehydrogenase, mitochondrial", "complex I"]
    assert original["answers"] == ["NADH dehydrogenase", "mitochondrial", "complex I"]
    assert corrected["correct_ans"] == original["correct_ans"] == "NADH dehydrogenase, mitochondrial, complex I"


def test_a_flat_list_is_read_as_it_stands_and_gave_first_letters() -> None:
    record = question(["aspirin", "ibuprofen"])
    assert listed(record)["answers"] == ["aspirin", "ibuprofen"]
    assert listed(record, "original")["answers"] == ["a", "i"]
    assert listed(question("aspirin"))["answers"] == ["aspirin"]
    assert listed(question([["", "aspirin"], [], ["x"]]))["answers"] == ["aspirin", "x"]


@given(st.lists(st.lists(st.text(min_size=1, max_size=6), max_size=3), min_size=1, max_size=5))
def test_lists_are_never_empty_nor_hold_blanks(exact: list[list[str]]) -> None:
    try:
        answers = listed(question(exact))["answers"]
    except Dropped:
        assert not any(name.strip() for thing in exact for name in thing)
    else:
        assert answers
        assert all(answer.strip() for answer in answers)


def test_the_longest_ideal_answer_is_the_summary() -> None:
    assert summary(question(None, ["Short.", "Rather longer.", "Rather bigger."])) == "Rather longer."
    assert summary(question(None, "A bare string.")) == "A bare string."
    assert summary(question(None, "A bare string."), "original") == "A"


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_an_answer_copied_from_the_snippets_gives_way_to_the_shortest(fidelity: Fidelity) -> None:
    text = "The drug inhibits the enzyme in the liver of the rat"
    copied = question(None, [f"{text} indeed", "It does.", "It does so."], text)
    assert summary(copied, fidelity) == "It does."
    assert summary(question(None, [f"{text} indeed"], text), fidelity) == f"{text} indeed"


@pytest.mark.parametrize(("shared", "answer"), [(16, "longest"), (17, "shortest")])
def test_copied_means_above_eighty_percent(shared: int, answer: str) -> None:
    """Of two texts of 20 letters that share 16 the likeness is 80 percent, by insertions and deletions."""
    longest = "a" * shared + "b" * (20 - shared)
    record = question(None, [longest, "z"], "a" * shared + "c" * (20 - shared))
    assert summary(record) == (longest if answer == "longest" else "z")


@pytest.mark.parametrize("spelled", ["yes", "Yes", "Yes.", " YES. ", ["Yes."]])
def test_yes_is_spelled_one_way_and_was_as_in_the_source(spelled: Any) -> None:
    assert yesno(question(spelled))["binary_ans"] == "yes"
    assert yesno(question(spelled), "original")["binary_ans"] == (spelled[0] if isinstance(spelled, list) else spelled)


def test_long_answers_are_joined() -> None:
    assert yesno(question("no", ["One.", "Two."]))["long_ans"] == "One. Two."


@pytest.mark.parametrize("answer", ["yes", "No."])
def test_a_students_yes_or_no_is_judged(answer: str) -> None:
    seen = Counter(
        (variables["student_binary_ans"], variables["student_binary_eval"])
        for seed in range(200)
        for variables in [yesno(question(answer), seed=seed)]
    )
    right = answer.lower().removesuffix(".")
    assert set(seen) == {(right, "yes"), ({"yes": "no", "no": "yes"}[right], "no")}
    assert all(60 < count < 140 for count in seen.values())


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_any_other_answer_than_yes_or_no_is_malformed(fidelity: Fidelity) -> None:
    with pytest.raises(RecordError, match="question q1: exact_answer is 'maybe'; expected yes or no"):
        yesno(question("maybe"), fidelity)


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_what_lacks_something_is_dropped_by_name(fidelity: Fidelity) -> None:
    nothing: tuple[Any, ...] = (None, [], "", [[]], [[" "]])
    for empty in nothing:
        for form in (factoid, listed, yesno):
            with pytest.raises(Dropped, match="no exact answer"):
                form(question(empty), fidelity)
    for ideal in (None, [], "", [" "]):
        with pytest.raises(Dropped, match="no ideal answer"):
            summary(question(None, ideal), fidelity)
    absent = question(["a"], ["b"], snippets=None)
    for form in (factoid, listed, summary):
        with pytest.raises(Dropped, match="no snippets"):
            form(absent, fidelity)
    with pytest.raises(Dropped, match="no snippets"):
        yesno(question("yes", snippets=None), fidelity)


@pytest.mark.parametrize("snippets", [[], [{"text": " \n"}]])
def test_blank_snippets_are_none_and_stayed(snippets: list[Any]) -> None:
    with pytest.raises(Dropped, match="no snippets"):
        factoid(question(["a"], snippets=snippets))
    assert factoid(question(["a"], snippets=snippets), "original")["snippets"] == ""
