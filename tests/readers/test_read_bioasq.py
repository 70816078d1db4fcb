from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import only_error, outcomes, passed_over, read, texts

from sciriff.errors import SourceError, TaskFileError
from sciriff.readers.bioasq import COPY, exact_answers, ideal_answers, joined_snippets
from sciriff.readers.records import PassedOver


def question(kind: str, number: int = 0, **change: Any) -> dict[str, Any]:
    found = {
        "id": f"q{number}",
        "type": kind,
        "body": f"Which gene is number {number}?",
        "snippets": [{"text": f"Gene {number}.", "document": "http://x", "offsetInBeginSection": 0}],
        "ideal_answer": [f"It is {number}."],
        "exact_answer": [[f"gene {number}"]],
    }
    return {name: value for name, value in (found | change).items() if value is not ...}


def corpus(*questions: Any) -> dict[str, bytes]:
    return {"f": json.dumps({"questions": questions}).encode()}


def test_a_question_keeps_its_fields() -> None:
    asked = question("list", concepts=["http://c"])
    assert read("bioasq", corpus(asked), type="list") == [{**asked, "other_answer": None}]


def test_questions_are_taken_by_type_in_file_order() -> None:
    files = corpus(*(question(kind, number) for number, kind in enumerate(("yesno", "list", "yesno", "factoid"))))
    assert [found["id"] for found in read("bioasq", files, type="yesno")] == ["q0", "q2"]
    assert [found["id"] for found in read("bioasq", files, type="factoid")] == ["q3"]
    assert read("bioasq", files, type="summary") == []


def test_batches_are_read_in_the_order_of_their_names() -> None:
    batches = {f"11B{n}_golden": corpus(question("list", n))["f"] for n in (3, 1, 4, 2)}
    found = read("bioasq", batches | {"readme": b"not JSON"}, "*_golden", type="list")
    assert [record["id"] for record in found] == ["q1", "q2", "q3", "q4"]


@given(
    st.lists(
        st.tuples(st.sampled_from(("factoid", "list", "summary", "yesno")), texts(), st.lists(texts(), max_size=3)),
        max_size=8,
    )
)
def test_any_text_comes_back(asked: list[tuple[str, str, list[str]]]) -> None:
    questions = [
        question(kind, number, body=body, snippets=[{"text": text} for text in snippets])
        for number, (kind, body, snippets) in enumerate(asked)
    ]
    for kind in ("factoid", "list", "summary", "yesno"):
        found = read("bioasq", corpus(*questions), type=kind)
        wanted = [question for question in questions if question["type"] == kind]
        assert [{**record, "other_answer": None} for record in found] == [
            {**question, "other_answer": None} for question in wanted
        ]


def test_summaries_that_repeat_the_snippets_are_passed_over_and_take_no_number() -> None:
    copy = question("summary", 1, snippets=[{"text": "All is\nsaid. "}], ideal_answer=["Short.", "ALL IS SAID."])
    unsaid = question("summary", 3, snippets=[{"text": ""}], ideal_answer=[""])
    files = corpus(question("summary", 0), copy, question("summary", 2), unsaid)
    assert [found["id"] for found in read("bioasq", files, type="summary")] == ["q0", "q2", "q3"]
    assert passed_over("bioasq", files, type="summary") == [PassedOver(COPY, "f:questions[1]")]
    assert len(read("bioasq", corpus({**copy, "type": "list"}), type="list")) == 1


def test_the_other_answer_is_that_of_the_next_question_that_begins_alike() -> None:
    bodies = ["Which gene is A?", "What is B?", "which  gene is C?", "Where is D?", "Which gene is E?"]
    files = corpus(*(question("factoid", number, body=body) for number, body in enumerate(bodies)))
    others = [found["other_answer"] for found in read("bioasq", files, type="factoid")]
    assert others == [[["gene 2"]], [["gene 2"]], [["gene 4"]], [["gene 4"]], [["gene 0"]]]


def test_the_other_answer_shares_nothing_with_the_right_one() -> None:
    files = corpus(
        question("factoid", 0, exact_answer=[["TP53", "p53"]]),
        question("factoid", 1, exact_answer="P53 "),
        question("factoid", 2, exact_answer=...),
        question("factoid", 3, exact_answer=["BRCA1"]),
    )
    others = [found["other_answer"] for found in read("bioasq", files, type="factoid")]
    assert others == [["BRCA1"], ["BRCA1"], None, [["TP53", "p53"]]]
    assert [found["other_answer"] for found in read("bioasq", corpus(question("factoid")), type="factoid")] == [None]


@pytest.mark.parametrize(
    ("answer", "strings"),
    [
        ("yes", ["yes"]),
        (["a", "b"], ["a", "b"]),
        ([["a", "b"], ["c"]], ["a", "b", "c"]),
        ([["a"], "b"], ["a", "b"]),
        (None, []),
        ([], []),
    ],
)
def test_exact_answers_of_all_shapes(answer: Any, strings: list[str]) -> None:
    assert exact_answers(answer) == strings


def test_ideal_answers_and_snippets_of_all_shapes() -> None:
    assert ideal_answers({"ideal_answer": "One."}) == ["One."]
    assert ideal_answers({"ideal_answer": ["One.", "Two."]}) == ["One.", "Two."]
    assert ideal_answers({"ideal_answer": None}) == ideal_answers({}) == []
    assert joined_snippets({"snippets": [{"text": " a\nb "}, {"text": "c"}]}) == "a b\nc"
    assert joined_snippets({"snippets": []}) == ""
    assert joined_snippets({}) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"body": ...}, "field 'body' is missing"),
        ({"id": 7}, "field 'id': expected a string, found a number"),
        ({"snippets": ["text"]}, "field 'snippets': expected a list of objects with a string 'text'"),
        ({"snippets": [{"document": "x"}]}, "field 'snippets': expected a list of objects with a string 'text'"),
        ({"ideal_answer": [1]}, "field 'ideal_answer': expected a string or a list of strings"),
        ({"exact_answer": [[["a"]]]}, "field 'exact_answer': expected a string, a list of strings or a list of such"),
        ({"exact_answer": {"a": 1}}, "field 'exact_answer': expected a string, a list of strings or a list of such"),
    ],
)
def test_a_malformed_question_is_named_by_its_own_task_alone(change: dict[str, Any], reason: str) -> None:
    files = corpus(question("list", 0), question("yesno", 1, **change), question("yesno", 2))
    error = only_error("bioasq", files, type="yesno")
    assert error.where == "f:questions[1]"
    assert reason in error.reason
    assert len(read("bioasq", files, type="list")) == 1


@pytest.mark.parametrize("broken", ["text", question("essay"), question("list", type=...), question("list", type=[1])])
def test_a_question_of_no_known_type_is_named_by_every_task(broken: Any) -> None:
    for kind in ("factoid", "list", "summary", "yesno"):
        error = only_error("bioasq", corpus(question(kind, 0), broken), type=kind)
        assert error.where == "f:questions[1]"


@pytest.mark.parametrize("content", [b"", b"[]", b"<html>Log in</html>", b'{"data": []}', b'{"questions": 7}'])
def test_a_file_of_another_kind_is_named(content: bytes) -> None:
    with pytest.raises(SourceError, match=r"f: .*the file is damaged or of another format"):
        outcomes("bioasq", {"f": content}, type="list")


@given(st.floats(0, 1, exclude_max=True))
def test_a_cut_file_is_named(share: float) -> None:
    content = corpus(*(question("factoid", number) for number in range(5)))["f"]
    with pytest.raises(SourceError, match="f: "):
        outcomes("bioasq", {"f": content[: int(len(content) * share)]}, type="factoid")


@pytest.mark.parametrize("options", [{}, {"type": "essay"}, {"type": None}])
def test_the_type_is_checked(options: dict[str, Any]) -> None:
    with pytest.raises(TaskFileError, match="needs type factoid, list, summary, yesno"):
        outcomes("bioasq", corpus(), **options)
