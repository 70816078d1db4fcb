from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import only_error, outcomes, read, texts

from sciriff.errors import SourceError

QA: dict[str, Any] = {"id": 262, "question": " What? ", "answers": [{"text": "a virus. ", "answer_start": 3}]}


def article(*questions: Any, **change: Any) -> dict[str, Any]:
    return {"paragraphs": [{"context": "\nIt is a virus. \n", "document_id": 630, "qas": list(questions), **change}]}


def corpus(*articles: Any) -> dict[str, bytes]:
    return {"f": json.dumps({"version": "x", "data": articles}).encode()}


def test_one_stripped_record_for_each_question_in_file_order() -> None:
    files = corpus(article(QA, {**QA, "id": 263}), article(), article({**QA, "id": 1}, document_id=7))
    found = read("squad", files)
    assert found[0] == {
        "question_id": 262,
        "document_id": 630,
        "context": "It is a virus.",
        "question": "What?",
        "answers": [{"text": "a virus.", "answer_start": 3}],
    }
    assert [(record["question_id"], record["document_id"]) for record in found] == [(262, 630), (263, 630), (1, 7)]


def test_the_context_is_shared_by_rows() -> None:
    from reader_kit import MemoryView

    from sciriff.readers import squad
    from sciriff.readers.records import SplitSpec

    rows = list(squad.rows(MemoryView(corpus(article(QA, QA))), SplitSpec("f")))  # type: ignore[arg-type]
    assert rows[0].raw[1] is rows[1].raw[1]


@pytest.mark.parametrize(
    ("broken", "where", "reason"),
    [
        ("text", "f:article 2", "expected a JSON object, found a string"),
        ({}, "f:article 2", "field 'paragraphs' is missing"),
        ({"paragraphs": [5]}, "f:article 2, paragraph 1", "expected an object with context and qas"),
        (article(context=None), "f:article 2, paragraph 1", "field 'context': expected a string, found null"),
        (article(context=" "), "f:article 2, paragraph 1", "field 'context' is blank"),
        (article(qas={}), "f:article 2, paragraph 1", "field 'qas': expected a list, found an object"),
        (article(5), "f:article 2, paragraph 1, question 1", "expected an object"),
        (article({**QA, "question": ""}), "f:article 2, paragraph 1, question 262", "field 'question' is blank"),
        (article({**QA, "answers": [{}]}), "f:article 2, paragraph 1, question 262", "field 'text' is missing"),
        (article({**QA, "answers": ["x"]}), "f:article 2, paragraph 1, question 262", "expected a list of objects"),
        (article({**QA, "answers": None}), "f:article 2, paragraph 1, question 262", "field 'answers'"),
        (article({"question": "?"}), "f:article 2, paragraph 1, question 1", "field 'id' is missing"),
        (article({**QA, "question": "\ud800"}), "f:article 2", "half of a surrogate pair"),
    ],
)
def test_what_is_malformed_is_named_and_the_rest_goes_on(broken: Any, where: str, reason: str) -> None:
    files = corpus(article(QA), broken, article(QA))
    error = only_error("squad", files)
    assert error.where == where
    assert reason in error.reason
    assert len(outcomes("squad", files)) == 3


@pytest.mark.parametrize("content", [b'{"articles": []}', b"[]", b'{"data": [{"paragraphs": []}'])
def test_another_format_or_a_cut_file_is_an_error(content: bytes) -> None:
    with pytest.raises(SourceError, match=r"^f: "):
        outcomes("squad", {"f": content})


@given(st.lists(st.tuples(texts(), st.lists(st.tuples(texts(), texts()), max_size=3)), max_size=4))
def test_what_is_written_is_read_back(articles: list[tuple[str, list[tuple[str, str]]]]) -> None:
    written = [
        article(
            *({"id": n, "question": q, "answers": [{"text": a}]} for n, (q, a) in enumerate(questions)),
            context=f" {context}\n",
            document_id=at,
        )
        for at, (context, questions) in enumerate(articles)
    ]
    assert read("squad", corpus(*written)) == [
        {"question_id": n, "document_id": at, "context": context, "question": q, "answers": [{"text": a}]}
        for at, (context, questions) in enumerate(articles)
        for n, (q, a) in enumerate(questions)
    ]
