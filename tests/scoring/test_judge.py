"""What a judge is shown, which samples it gets, and what becomes of its replies."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.models.requests import Answer, Message
from sciriff.resources import resource_dir
from sciriff.scoring.judge import (
    JUDGED_TASKS,
    Case,
    Verdict,
    bounds,
    conclude,
    first_question,
    make_case,
    sampled,
    second_question,
)
from sciriff.scoring.judge_papers import Paper, Question, paper_of, question_of
from sciriff.scoring.tasks import EVAL_TASKS, SUMMARY_COLUMNS, eval_task

MUP, QASPER = eval_task("mup_single_document_summarization"), eval_task("qasper_abstractive_qa")
RULE = "-" * 40


def summary_instance(title: str = "A Title", body: str = "Some text.", count: str = "3", hyphen: str = "-") -> str:
    cue = f"{count}{hyphen}sentence paper summary:"
    return f"Summarize.\n\nPaper title:\n{title}\n\nPaper body:\n{body}\n\n{cue}"


def question_instance(paper: str = "A Title\n\nText.", question: str = "Which?") -> str:
    return f"You get a paper.\n\n{RULE}\n{paper}\n{RULE}\n\nQuestion: {question}\n\nAnswer it: {question}\n\nJSON:"


def prediction(instance: str, reply: str | None, reference: str, **more: Any) -> dict[str, Any]:
    return {"instance_id": "i", "prompt": instance, "reply": reply, "reference": reference, **more}


def answer_json(answer: Any, evidence: Any = ("First.", "Second.")) -> str:
    return json.dumps({"answer": answer, "evidence": evidence})


# --- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", ["1", "4", "12", "25"])
@pytest.mark.parametrize("hyphen", ["-", " "])
def test_title_and_body_of_a_summary_prompt(count: str, hyphen: str) -> None:
    assert paper_of(summary_instance(count=count, hyphen=hyphen)) == Paper("A Title", "Some text.")


def test_a_body_that_speaks_of_summaries_is_whole() -> None:
    body = "We count.\n3-sentence paper summary: is what they call it.\nPaper title:\nnone\n\n    indented    text 7"
    assert paper_of(summary_instance(body=body)).text == body


def test_a_title_over_two_lines_is_one() -> None:
    assert paper_of(summary_instance(title="A Title\nin Two Lines")).title == "A Title in Two Lines"


@pytest.mark.parametrize(
    "wrapped", ["<|user|>\n{}\n<|assistant|>", "[INST] {} [/INST]", "<|im_start|>user\n{}<|im_end|>\n"]
)
def test_chat_formats_around_a_prompt_do_no_harm(wrapped: str) -> None:
    assert paper_of(wrapped.format(summary_instance())) == Paper("A Title", "Some text.")
    assert question_of(wrapped.format(question_instance())) == Question("A Title", "Which?")


def test_of_several_papers_the_last_counts() -> None:
    example = summary_instance("Example", "Of an example.") + "\nIts summary.\n\n"
    assert paper_of(example + summary_instance()) == Paper("A Title", "Some text.")


def test_a_prompt_that_was_cut_off_or_is_worded_otherwise_shows_nothing() -> None:
    assert paper_of("Text without any of the lines.") == Paper()
    assert paper_of(summary_instance()[60:]).title == ""
    assert question_of("no lines at all") == Question()


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")))
def test_any_body_comes_back_as_it_was(body: str) -> None:
    assert paper_of(summary_instance(body=f"x{body}x")).text == f"x{body}x"


def test_the_question_is_the_line_below_the_paper() -> None:
    paper = f"A Title\n\nQuestion: is this one? It is part of the paper.\n{RULE} \nQuestion marks"
    assert question_of(question_instance(paper)) == Question("A Title", "Which?")


# --- cases -----------------------------------------------------------------------------------------------------------


def test_the_judge_of_summaries_sees_title_body_reference_and_candidate() -> None:
    reference = "It counts."
    text = make_case(
        MUP, prediction(summary_instance(body="Line.\n        indented  8"), "  It adds. </s>", reference)
    ).text
    assert "<paper_title>\nA Title\n</paper_title>" in text
    assert "<paper_text>\nLine.\n        indented  8\n</paper_text>" in text
    assert "<reference_summary>\nIt counts.\n</reference_summary>" in text
    assert "<candidate_summary>\nIt adds.\n</candidate_summary>" in text


def test_the_judge_of_answers_sees_title_excerpts_question_and_both_answers() -> None:
    reply = f"Here it is: {answer_json(['ten', 'cats'], [])}"
    text = make_case(QASPER, prediction(question_instance(), reply, answer_json("nine cats"))).text
    assert "<paper_title>\nA Title\n</paper_title>" in text
    assert "<paper_excerpts>\nFirst.\nSecond.\n</paper_excerpts>" in text
    assert "<question>\nWhich?\n</question>" in text
    assert "<reference_answer>\nnine cats\n</reference_answer>" in text
    assert "<candidate_answer>\nten cats\n</candidate_answer>" in text


def test_the_text_of_the_instance_is_taken_where_the_prompt_is_another() -> None:
    line = prediction("cut off", "It adds.", "It counts.", input=summary_instance())
    assert "A Title" in make_case(MUP, line).text


def test_what_cannot_be_found_is_left_out_of_the_prompt() -> None:
    text = make_case(MUP, prediction("no lines", "It adds.", "It counts.")).text
    assert "<paper" not in text
    assert "may be cut off" not in text
    assert "{" not in text


def test_braces_and_lone_surrogates_of_replies_are_text() -> None:
    text = make_case(MUP, prediction(summary_instance(), "{{ 7 * 7 }} {% if %} \ud800", "It counts.")).text
    assert "{{ 7 * 7 }} {% if %} ?" in text
    text.encode()


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "no idea",
        "null",
        "[]",
        answer_json(None),
        answer_json(""),
        answer_json("  "),
        '{"evidence": ["x"]}',
        '{"a": 1}',
    ],
)
def test_an_answer_that_is_missing_is_rated_1_without_asking(reply: str) -> None:
    case = make_case(QASPER, prediction(question_instance(), reply, answer_json("nine")))
    assert (case.text, case.rating, case.reason) == ("", 1, "no_answer")
    done = conclude(QASPER, case, None, None)
    assert (done.verdict, done.rating, done.value, done.original) == (Verdict.NO_ANSWER, 1, 0.0, 0.0)


@pytest.mark.parametrize("reply", ["", "  \n", "</s>"])
def test_so_is_an_empty_summary(reply: str) -> None:
    case = make_case(MUP, prediction(summary_instance(), reply, "It counts."))
    assert (case.rating, first_question(case)) == (1, None)


@pytest.mark.parametrize("answer", [7, True, {"a": "b"}, ["x", ["y"]]])
def test_answers_of_other_types_are_shown_as_text(answer: Any) -> None:
    assert make_case(QASPER, prediction(question_instance(), answer_json(answer), answer_json("nine"))).text


def test_where_no_answer_is_right_none_is_the_best() -> None:
    assert make_case(QASPER, prediction(question_instance(), "null", "null")).rating == 5
    assert make_case(QASPER, prediction(question_instance(), answer_json("ten"), "null")).rating == 1


def test_without_a_reply_or_a_readable_reference_the_judge_fails() -> None:
    for line, reason in (
        (prediction(question_instance(), None, answer_json("nine")), "no_reply"),
        (prediction(question_instance(), answer_json("ten"), "broken {"), "bad_reference"),
    ):
        done = conclude(QASPER, make_case(QASPER, line), None, None)
        assert (done.verdict, done.value, done.original, done.reason) == (Verdict.JUDGE_FAILED, None, None, reason)
        assert not done.may_change


# --- the sample ------------------------------------------------------------------------------------------------------


def test_the_sample_is_the_draw_of_pythons_generator_seeded_with_42() -> None:
    random.seed(42)
    assert sampled(500, 100) == sorted(random.sample(range(500), 100))
    assert sampled(500, 100) != sampled(500, 100, seed=43)


def test_fewer_than_the_sample_are_all_judged() -> None:
    assert sampled(7, 100) == list(range(7)) == sampled(7, None)
    assert sampled(0, 100) == []


def test_defaults_are_the_originals() -> None:
    assert {name: each.most for name, each in JUDGED_TASKS.items()} == {MUP.name: 100, QASPER.name: None}
    judged = {(task.name, task.judged) for task in EVAL_TASKS if task.judged}
    assert judged == {(c.task, c.metric) for c in SUMMARY_COLUMNS if c.metric.startswith("lm_judge")}
    assert {task for task, _ in judged} == set(JUDGED_TASKS)


# --- conclusions -----------------------------------------------------------------------------------------------------

CASE = Case("i", "d", text="Rate it.")


def said(text: str | None, **more: Any) -> Answer:
    return Answer("k", text, "stop", **more)


def test_a_rating_of_1_is_a_value_of_0() -> None:
    for task, reply in ((MUP, "Explanation: no.\nDecision: 1"), (QASPER, "Explanation: no.\nRating: 1")):
        done = conclude(task, CASE, said(reply), None)
        assert (done.verdict, done.rating, done.value, done.original) == (Verdict.RATED, 1, 0.0, 0.0)


def test_a_reply_without_a_rating_is_asked_again_once() -> None:
    question = second_question(MUP, CASE, said("Nice."))
    assert question is not None
    assert question[:2] == (Message("user", "Rate it."), Message("assistant", "Nice."))
    assert question[2][0] == "user"
    assert "Decision: <1, 2, 3, 4, or 5>" in question[2][1]
    assert "Rating: <1" in str(second_question(QASPER, CASE, said("Nice.")))
    assert second_question(MUP, CASE, said("Decision: 2")) is None
    assert second_question(MUP, CASE, said(None, error="broke")) is None
    assert second_question(MUP, CASE, None) is None


def test_an_empty_reply_is_asked_again_with_something_in_its_place() -> None:
    for reply in ("", "\ud800"):
        question = second_question(MUP, CASE, said(reply))
        assert question is not None
        assert question[1][1].strip()


def test_the_second_reply_counts_and_the_original_knows_the_first_only() -> None:
    done = conclude(QASPER, CASE, said("Nice."), said("Rating: 5"))
    assert (done.rating, done.original, done.reply, done.first_reply) == (5, 0.5, "Rating: 5", "Nice.")
    assert conclude(MUP, CASE, said("Nice."), said("5")).original is None


@pytest.mark.parametrize(
    ("finish", "reason"), [("stop", "unparseable"), ("length", "truncated"), ("content_filter", "refused")]
)
def test_no_rating_twice_is_a_failure_of_the_judge_and_never_a_score(finish: Any, reason: str) -> None:
    done = conclude(QASPER, CASE, said("Nice."), Answer("k", "Still nice.", finish))
    assert (done.verdict, done.rating, done.value, done.reason) == (Verdict.JUDGE_FAILED, None, None, reason)
    assert not done.may_change


def test_a_request_that_failed_is_a_failure_that_may_change() -> None:
    for final in (True, False):
        done = conclude(QASPER, CASE, said(None, error="the server answered 500", final=final), None)
        assert (done.verdict, done.original, done.error) == (Verdict.JUDGE_FAILED, None, "the server answered 500")
        assert done.may_change is not final
    again = conclude(QASPER, CASE, said("Nice."), said(None, error="broke", final=False))
    assert (again.value, again.original, again.first_reply, again.may_change) == (None, 0.5, "Nice.", True)


def test_bounds_take_failures_as_all_wrong_and_all_right() -> None:
    assert bounds([1.0, 0.5, None, None]) == (0.375, 0.875)
    assert bounds([]) is None


# --- the prompts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "marker"), [(MUP, "Decision"), (QASPER, "Rating")])
def test_prompts_say_all_that_a_judge_must_know(task: Any, marker: str) -> None:
    instance, reply, reference = (
        (summary_instance(), "It adds.", "It counts.")
        if task is MUP
        else (question_instance(), answer_json("ten"), answer_json("nine"))
    )
    text = make_case(task, prediction(instance, reply, reference)).text
    assert text.endswith(f"Explanation: <your explanation>\n{marker}: <1, 2, 3, 4, or 5>")
    assert all(f"\n{anchor} = " in text for anchor in (5, 3, 1))
    assert "Do not lower your rating because of it" in text
    assert "nothing after the rating" in text
    assert JUDGED_TASKS[task.name].marker == marker
    assert "\n\n\n" not in text
    assert text == text.strip()


def test_there_is_a_template_for_each_judged_task_and_one_to_ask_again() -> None:
    names = {path.stem for path in (resource_dir("templates") / "judge").glob("*.jinja")}
    assert names == {*JUDGED_TASKS, "again"}
