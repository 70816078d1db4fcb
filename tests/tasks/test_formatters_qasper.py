from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.budget import Budget
from sciriff.tasks.formatters.qasper import QuestionType, format_qasper
from sciriff.tasks.rendering import Fidelity

SECTIONS = (
    ("Intro", ["We parse text.", "", "It is hard."]),
    (None, ["We use trees."]),
    ("Empty", [""]),
    ("Results", ["Accuracy is high."]),
)
CAPTIONS = ("Figure 1: a tree.", "Table 1: accuracy.")


def count_words(text: str) -> int:
    return len(text.split())


def answer(
    free: str = "",
    spans: tuple[str, ...] = (),
    evidence: tuple[str, ...] = (),
    highlighted: tuple[str, ...] = (),
    **flags: Any,
) -> dict[str, Any]:
    return {
        "answer": {
            "unanswerable": False,
            "extractive_spans": list(spans),
            "yes_no": None,
            "free_form_answer": free,
            "evidence": list(evidence),
            "highlighted_evidence": list(highlighted),
            **flags,
        }
    }


def paper(*questions: list[dict[str, Any]], captions: tuple[str, ...] | None = CAPTIONS) -> dict[str, Any]:
    record: dict[str, Any] = {
        "_key": "1900.1",
        "title": "On trees",
        "abstract": "We look at trees.",
        "full_text": [{"section_name": name, "paragraphs": list(paragraphs)} for name, paragraphs in SECTIONS],
        "qas": [{"question": f"Question {n}?", "answers": answers} for n, answers in enumerate(questions)],
    }
    if captions is not None:
        record["figures_and_tables"] = [{"file": "x.png", "caption": caption} for caption in captions]
    return record


def run(
    record: dict[str, Any],
    question_type: QuestionType = "abstractive",
    window: int = 1000,
    seed: int = 0,
    reserve: int = 0,
    fidelity: Fidelity = "corrected",
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Kept instances and the reasons of those left out."""
    kept = []
    budget = Budget(window, count_words, Random(seed))
    try:
        for variables in format_qasper(
            record, budget=budget, question_type=question_type, instruction_tokens=reserve, fidelity=fidelity
        ):
            kept.append(variables)
    except Dropped as drop:
        return kept, drop.reasons
    return kept, ()


def test_variables_and_layout_of_a_paper_that_fits() -> None:
    kept, dropped = run(paper([answer("Trees.", evidence=("We use trees.",))]))
    assert dropped == ()
    assert kept == [
        {
            "paper": "On trees\n\nWe look at trees.\n\nIntro\nWe parse text.\nIt is hard.\n\n"
            "(section without a title)\nWe use trees.\n\nResults\nAccuracy is high.\n\n"
            "Figure 1: a tree.\n\nTable 1: accuracy.",
            "question": "Question 0?",
            "answer": "Trees.",
            "evidence": ["We use trees."],
            "unanswerable": False,
            "_suffix": 0,
            "_document_id": "1900.1",
        }
    ]


def test_release_without_captions_is_read() -> None:
    kept, _ = run(paper([answer("Trees.", evidence=("We use trees.",))], captions=None))
    assert kept[0]["paper"].endswith("Accuracy is high.")


def test_a_full_window_leaves_only_title_abstract_and_evidence() -> None:
    kept, _ = run(paper([answer("High.", evidence=("Accuracy is high.", "Table 1: accuracy."))]), window=10)
    assert kept[0]["paper"] == "On trees\n\nWe look at trees.\n\nResults\nAccuracy is high.\n\nTable 1: accuracy."


def test_first_answer_of_the_wanted_kind_counts() -> None:
    answers = [
        answer(yes_no=True, evidence=("We use trees.",)),
        answer(spans=("trees",), evidence=("We use trees.",)),
        answer("First.", evidence=("We use trees.",)),
        answer("Second.", spans=("x",), evidence=("We use trees.",)),
    ]
    assert [variables["answer"] for variables in run(paper(answers))[0]] == ["First."]
    assert [variables["answer"] for variables in run(paper(answers), "extractive")[0]] == [["trees"]]
    assert run(paper(answers[2:]), "extractive") == ([], ("no extractive answer",))


def test_questions_left_out_have_reasons_and_do_not_count_in_the_suffix() -> None:
    good = answer("Trees.", evidence=("We use trees.", "FLOAT SELECTED: Table 1"))
    record = paper(
        [answer(unanswerable=True)],
        [good],
        [answer("x", evidence=("We use trees.",), highlighted=("see INLINEFORM0",))],
        [answer("x", evidence=("FLOAT SELECTED: Table 1", " "))],
        [answer("x", evidence=("We use trees.", "Not in it."))],
        [good],
    )
    kept, dropped = run(record)
    assert [(variables["question"], variables["_suffix"]) for variables in kept] == [
        ("Question 1?", 0),
        ("Question 5?", 1),
    ]
    assert kept[0]["evidence"] == ["We use trees."]
    assert dropped == (
        "no abstractive answer",
        "evidence with a formula placeholder",
        "no textual evidence",
        "evidence not found in the paper",
    )


def test_spans_beside_the_evidence_are_in_the_paper_but_in_the_original() -> None:
    answers = [answer(spans=("trees", "parse", "high", "Figure 1"), evidence=("We use trees.",))]
    (variables,), dropped = run(paper(answers), "extractive", window=10)
    assert dropped == ()
    assert variables["answer"] == ["trees", "parse", "high", "Figure 1"]
    for span in variables["answer"]:
        assert span in variables["paper"]
    assert "Table 1" not in variables["paper"]
    (variables,), _ = run(paper(answers), "extractive", window=10, fidelity="original")
    assert variables["paper"] == "On trees\n\nWe look at trees.\n\n(section without a title)\nWe use trees."


def test_spans_are_found_across_white_space_and_in_the_head() -> None:
    answers = [answer(spans=("text. It", "look at"), evidence=("We use trees.",))]
    assert run(paper(answers), "extractive")[1] == ()


def test_spans_that_the_paper_lacks_drop_the_question_but_keep_the_numbers_of_the_others() -> None:
    lost = [answer(spans=("shrubs",), evidence=("We use trees.",))]
    found = [answer(spans=("trees",), evidence=("We use trees.",))]
    kept, dropped = run(paper(lost, found), "extractive")
    assert [variables["_suffix"] for variables in kept] == [1]
    assert dropped == ("answer not found in the paper",)
    kept, dropped = run(paper(lost, found), "extractive", fidelity="original")
    assert [variables["_suffix"] for variables in kept] == [0, 1]
    assert dropped == ()


@pytest.mark.parametrize("field", ["title", "abstract", "full_text", "qas"])
def test_missing_field_names_the_paper(field: str) -> None:
    record = paper([answer("Trees.", evidence=("We use trees.",))])
    del record[field]
    with pytest.raises(RecordError, match=rf"paper 1900\.1: .*{field}"):
        run(record)


@settings(max_examples=50)
@given(st.integers(9, 45), st.integers(0, 9), st.integers(0, 5))
def test_documents_fit_keep_the_evidence_and_the_papers_order(window: int, seed: int, reserve: int) -> None:
    question = [answer("Trees.", evidence=("We use trees.",))]
    whole = run(paper(question, question))[0][0]["paper"].split("\n\n")
    kept, _ = run(paper(question, question), window=window + 14, seed=seed, reserve=reserve)
    assert [variables["_suffix"] for variables in kept] == [0, 1]  # the same in every window
    for variables in kept:
        blocks = variables["paper"].split("\n\n")
        assert count_words(variables["paper"]) + reserve <= window + 14
        assert blocks == [block for block in whole if block in blocks]
        assert any("We use trees." in block for block in blocks)


def test_which_other_sections_are_taken_is_chance_of_the_record() -> None:
    record = paper([answer("Trees.", evidence=("We use trees.",))])
    papers = {run(record, window=20, seed=seed)[0][0]["paper"] for seed in range(20)}
    assert len(papers) > 1
    assert run(record, window=20, seed=3) == run(record, window=20, seed=3)
