from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.budget import Budget
from sciriff.tasks.formatters.covid_qa import format_covid_qa

ARTICLE = "One came. Two left\n\nearly. Three stayed on. Four slept."


def count_words(text: str) -> int:
    return len(text.split())


def record(answer: str, context: str = ARTICLE) -> dict[str, Any]:
    return {
        "question_id": 9,
        "document_id": 630,
        "context": context,
        "question": "Who?",
        "answers": [{"text": answer, "answer_start": -1}],
    }


def article_of(record: dict[str, Any], window: int, seed: int = 0, instruction_tokens: int = 0) -> str:
    budget = Budget(window, count_words, Random(seed))
    (variables,) = format_covid_qa(record, budget=budget, instruction_tokens=instruction_tokens)
    article: str = variables["article"]
    return article


def test_variables() -> None:
    budget = Budget(100, count_words, Random(0))
    assert list(format_covid_qa(record("Two left"), budget=budget, instruction_tokens=10)) == [
        {"article": ARTICLE, "question": "Who?", "answer": "Two left", "_document_id": "630"}
    ]


def test_the_core_is_the_covering_sentence_uncut() -> None:
    assert article_of(record("stayed on"), window=0) == "Three stayed on."


def test_an_answer_over_a_sentence_border_keeps_its_own_whitespace() -> None:
    assert article_of(record("left\n\nearly. Three"), window=0) == "Two left\n\nearly. Three stayed on."


def test_the_sentence_before_the_core_comes_first() -> None:
    assert article_of(record("Three"), window=6) == "Two left\n\nearly. Three stayed on."


def test_an_answer_at_the_start_grows_to_the_right() -> None:
    assert article_of(record("One"), window=5) == "One came. Two left\n\nearly."


def test_later_copies_of_the_answer_stay() -> None:
    context = "It was flu. Many had flu. It was flu."
    assert article_of(record("flu", context), window=50) == context


def test_the_instruction_reserve_is_kept_free() -> None:
    assert article_of(record("Three"), window=106, instruction_tokens=101) == "Three stayed on."


def test_answer_parts_are_joined_and_must_occur() -> None:
    parts = {**record(""), "answers": [{"text": "stayed"}, {"text": "on."}]}
    assert article_of(parts, window=0) == "Three stayed on."
    with pytest.raises(RecordError, match="question 9: answer 'Five' does not occur"):
        article_of(record("Five"), window=9)
    with pytest.raises(Dropped, match="blank answer"):
        article_of(record(" "), window=9)


sentences = st.lists(st.integers(1, 6).map(lambda n: " ".join(["word"] * n) + "."), min_size=2, max_size=12)


@given(sentences, st.data())
def test_the_article_holds_the_answer_fits_the_window_and_is_a_run_of_the_context(
    found: list[str], data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, len(found) - 1))
    found = [*found[:position], "Here is the answer.", *found[position:]]
    context, seed = " ".join(found), data.draw(st.integers(0, 99))
    window = data.draw(st.integers(4, 60))
    article = article_of(record("the answer", context), window, seed)
    assert "the answer" in article
    assert article in context
    assert count_words(article) <= window
    assert article in article_of(record("the answer", context), window + 7, seed)  # equal draws: windows nest
    assert article == context or count_words(article) + max(map(count_words, found)) > window  # no room is wasted


def original(record: dict[str, Any], window: int, seed: int = 0) -> str:
    budget = Budget(window, count_words, Random(seed))
    (variables,) = format_covid_qa(record, budget=budget, instruction_tokens=0, fidelity="original")
    article: str = variables["article"]
    return article


def test_the_original_cuts_the_answer_out_of_its_sentence() -> None:
    assert original(record("stayed"), window=50) == "One came. Two left\n\nearly. Three stayed on. Four slept."
    assert original(record("on"), window=50) == "One came. Two left\n\nearly. Three stayed on . Four slept."


def test_the_original_has_nothing_but_an_answer_with_which_the_article_begins() -> None:
    assert original(record("One"), window=50) == "One"


def test_the_original_takes_the_sentence_before_the_answer_whether_it_fits_or_not() -> None:
    context = "All the five came. Three stayed on. Four."
    assert original(record("on", context), window=3) == "Three stayed on"
    assert original(record("Three", context), window=3) == "All the five came. Three"


def test_the_original_leaves_later_copies_of_the_answer_out() -> None:
    assert original(record("flu", "It was flu. Many had flu. It was flu."), window=50) == (
        "It was flu . Many had  . It was  ."
    )


@given(sentences, st.data())
def test_articles_of_the_original_hold_the_answer_and_fill_the_window(found: list[str], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(found) - 1))
    found = [*found[:position], "Here is the answer now.", *found[position:]]
    context, seed = " ".join(found), data.draw(st.integers(0, 99))
    window = data.draw(st.integers(12, 60))
    article = original(record("the answer", context), window, seed)
    assert "the answer" in article
    assert article in context
    assert count_words(article) <= window
    assert article == context or count_words(article) + max(map(count_words, found)) > window
