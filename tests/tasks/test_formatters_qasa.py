from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.budget import Budget
from sciriff.tasks.formatters.qasa import format_qasa
from sciriff.tasks.rendering import Fidelity
from sciriff.tasks.sentences import split_sentences

PARAGRAPHS = (
    "The Parser reads text. It was built in spring.",
    "Trees help parsers a lot. Nobody at all knows why today.",
)


def count_words(text: str) -> int:
    return len(text.split())


def record(**changes: Any) -> dict[str, Any]:
    return {
        "_key": "5",
        "paper_id": 3,
        "title": "On parsing",
        "arxiv_id": "1901.00001v2",
        "question": " What reads text?",
        "evidential_info": [{"context": text, "rationale": "why"} for text in PARAGRAPHS],
        "composition": "[The parser with trees]",
        **changes,
    }


def one(window: int = 100, reserve: int = 0, fidelity: Fidelity = "corrected", **changes: Any) -> dict[str, Any]:
    budget = Budget(window, count_words, Random(0))
    (variables,) = format_qasa(record(**changes), budget=budget, instruction_tokens=reserve, fidelity=fidelity)
    return variables


def context(window: int, **changes: Any) -> str:
    found: str = one(window, **changes)["context"]
    return found


def test_variables() -> None:
    assert one() == {
        **record(),
        "context": " ".join(PARAGRAPHS),
        "question": "What reads text?",
        "composition": "The parser with trees",
        "qix": "5",
        "_document_id": "1901.00001",
        "_document_text": "On parsing",
    }


def test_a_paper_that_is_not_on_arxiv_goes_by_its_title() -> None:
    variables = one(arxiv_id=None, s2orc_id=99)
    assert (variables["_document_id"], variables["_document_text"]) == (None, "On parsing")


def test_sentences_that_share_least_with_the_answer_go_first_and_of_those_the_longest() -> None:
    assert context(18) == "The Parser reads text. It was built in spring. Trees help parsers a lot."
    assert context(14) == "The Parser reads text. Trees help parsers a lot."


def test_sentences_that_bear_on_the_answer_are_not_removed() -> None:
    with pytest.raises(Dropped, match="what bears on the answer does not fit the window"):
        one(9)


def test_the_share_of_words_counts_without_stop_words() -> None:
    # of parser and trees each sentence has one: half, well above a fifth
    assert context(10) == "The Parser reads text. Trees help parsers a lot."
    answer = "It was the parser, and it was in text with a lot of trees"
    assert context(10, composition=answer) == "The Parser reads text. Trees help parsers a lot."


def test_case_counts_in_the_original_only() -> None:
    changes = {"composition": "a parser", "evidential_info": [{"context": PARAGRAPHS[0]}]}
    assert context(5, **changes) == "The Parser reads text."
    assert context(5, fidelity="original", **changes) == "The Parser reads text."
    with pytest.raises(Dropped, match="no sentence of the context fits the window"):
        one(4, fidelity="original", **changes)  # no sentence has "parser", so that both go
    with pytest.raises(Dropped, match="what bears on the answer does not fit the window"):
        one(4, **changes)


def test_stop_words_are_none_of_the_answer_whatever_their_case() -> None:
    changes = {"composition": "The It Trees", "evidential_info": [{"context": PARAGRAPHS[0]}]}
    for fidelity in ("corrected", "original"):
        with pytest.raises(Dropped, match="no sentence of the context fits the window"):
            one(3, fidelity=fidelity, **changes)  # type: ignore[arg-type]


def test_an_answer_of_stop_words_shares_nothing() -> None:
    assert context(6, composition="They were") == "The Parser reads text."


def test_tokens_for_the_instruction_are_set_aside_but_in_the_original() -> None:
    assert context(118, reserve=100) == context(18)
    assert context(118, reserve=100, fidelity="original") == " ".join(PARAGRAPHS)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("[Two words]", "Two words"),
        (" [ Two words ] ", "Two words"),
        ("[See [3] there]", "See [3] there"),
        ("[1] and [2]", "[1] and [2]"),
        ("[Two words", "[Two words"),
    ],
)
def test_brackets_around_the_whole_answer_come_off(answer: str, shown: str) -> None:
    assert one(composition=answer)["composition"] == shown
    assert one(fidelity="original", composition=answer)["composition"] == answer.strip()


def test_the_original_takes_brackets_off_where_the_context_is_cut() -> None:
    assert one(18, fidelity="original")["composition"] == "The parser with trees"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"evidential_info": []}, "blank text"),
        ({"evidential_info": [{"context": " "}]}, "blank text"),
        ({"composition": " "}, "blank answer"),
        ({"composition": "[]"}, "blank answer"),
    ],
)
def test_blank_texts_are_dropped(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Dropped, match=reason):
        one(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"evidential_info": None},
        {"evidential_info": [{"rationale": "why"}]},
        {"evidential_info": [{"context": None}]},
        {"question": None},
        {"composition": ["a"]},
    ],
)
def test_malformed_records_are_named(changes: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match="question 5: missing or malformed field"):
        one(**changes)


WORDS = st.sampled_from(["tree", "trees", "parser", "the", "Text", "x"])
SENTENCES = st.lists(WORDS, min_size=1, max_size=6).map(lambda words: " ".join(words).capitalize() + ".")


@given(st.lists(SENTENCES, min_size=1, max_size=8), st.integers(1, 30), st.integers(0, 5))
def test_what_is_kept_fits_is_in_order_and_has_all_that_bears_on_the_answer(
    sentences: list[str], window: int, reserve: int
) -> None:
    whole = " ".join(sentences)
    changes = {"evidential_info": [{"context": whole}], "composition": "Parser trees"}
    try:
        kept = context(window, reserve=reserve, **changes)
    except Dropped:
        assert count_words(whole) > window - reserve
        return
    assert kept == whole or count_words(kept) < window - reserve
    left = split_sentences(kept)
    rest = iter(split_sentences(whole))
    assert all(sentence in rest for sentence in left)
    for sentence in split_sentences(whole):
        if {"parser", "trees"} & set(re.findall(r"\w+", sentence.lower())):
            assert sentence in left
