from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciriff.errors import UsageError
from sciriff.scoring.outcome import Outcome, ParseStatus, Profile, Reason, Reply, SampleScore
from sciriff.scoring.tasks import EVAL_TASKS, SUMMARY_COLUMNS, eval_task
from sciriff.scoring.totals import total
from sciriff.tasks.evaluation_tasks import EVAL_TASKS as HELD_OUT

SCORED = [task for task in EVAL_TASKS if task.is_scored]
REFERENCES = {
    "biored_ner": '{"CellLine": [], "Chemical": ["aspirin"], "Disease": [], "Gene": ["BRCA1", "TP53"], '
    '"Species": ["mice"], "Variant": []}',
    "scierc_ner": '{"Task": ["parsing"], "Method": [], "Metric": ["F1"], "Material": [], "OtherScientificTerm": [], '
    '"Generic": []}',
    "discomat_te": '{"value": "4.40", "type": "Other"}\n{"value": "137", "type": "Other"}',
    "qasper_abstractive_qa": '{"answer": "Two batches", "evidence": ["They labelled two batches first."]}',
}


def _score(
    name: str, reply: Reply | str, reference: str | None = None, profile: Any = Profile.CORRECTED
) -> SampleScore:
    task = eval_task(name)
    assert task.score is not None
    reply = Reply(reply) if isinstance(reply, str) else reply
    return task.score(reply, REFERENCES[name] if reference is None else reference, task.answer, profile)


def _flat(name: str, scores: list[SampleScore], profile: Profile = Profile.CORRECTED) -> dict[str, Any]:
    task = eval_task(name)
    assert task.shaper is not None
    return dict(task.shaper(total(scores, task.metrics, profile)).flat)


def test_the_table_names_the_held_out_tasks() -> None:
    assert tuple(task.name for task in EVAL_TASKS) == HELD_OUT
    assert {column.task for column in SUMMARY_COLUMNS} == set(HELD_OUT)
    assert [task.name for task in SCORED] == sorted(REFERENCES)
    assert all((task.score is None) == (task.shaper is None) == (not task.metrics) for task in EVAL_TASKS)


def test_unknown_tasks_list_near_names() -> None:
    with pytest.raises(UsageError, match="scierc_ner"):
        eval_task("scierc_nr")


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_the_reference_scores_one_and_nothing_scores_zero(name: str) -> None:
    gold = _flat(name, [_score(name, REFERENCES[name])])
    assert gold == pytest.approx(dict.fromkeys(gold, 1.0))
    empty = _flat(name, [_score(name, "")])
    assert {value for key, value in empty.items() if key.startswith("all") or "_" not in key} <= {0.0, None}


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("biored_ner", '{"Gene": []}'),
        ("qasper_abstractive_qa", "null"),
        ("qasper_abstractive_qa", '{"answer": "A", "evidence": []}'),
    ],
)
def test_references_without_content_are_reached_by_themselves_only(name: str, reference: str) -> None:
    task = eval_task(name)
    gold = _flat(name, [_score(name, reference, reference)])
    empty = _flat(name, [_score(name, "", reference)])
    headline = {"biored_ner": "all_typed_f1", "qasper_abstractive_qa": "all_f1_answer_all"}[task.name]
    assert (gold[headline], empty[headline]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("name", "reply", "outcome", "reason"),
    [
        ("biored_ner", Reply("</s>"), Outcome.MODEL_FAILED, Reason.EMPTY),
        ("biored_ner", Reply("no idea"), Outcome.MODEL_FAILED, Reason.UNPARSEABLE),
        ("biored_ner", Reply('{"Gene": ["BR', "length"), Outcome.MODEL_FAILED, Reason.TRUNCATED),
        ("biored_ner", Reply("I cannot", "content_filter"), Outcome.MODEL_FAILED, Reason.REFUSED),
        ("biored_ner", Reply('["BRCA1"]'), Outcome.MODEL_FAILED, Reason.WRONG_SHAPE),
        ("biored_ner", Reply('{"entities": {"Gene": ["BRCA1"]}}'), Outcome.MODEL_FAILED, Reason.WRONG_SHAPE),
        ("biored_ner", Reply("null"), Outcome.MODEL_FAILED, Reason.WRONG_SHAPE),
        ("biored_ner", Reply("{}"), Outcome.SCORED, Reason.NONE),
        ("biored_ner", Reply(None), Outcome.SYSTEM_FAILED, Reason.NO_REPLY),
        ("discomat_te", Reply(" "), Outcome.MODEL_FAILED, Reason.EMPTY),
        ("discomat_te", Reply(None), Outcome.SYSTEM_FAILED, Reason.NO_REPLY),
        ("qasper_abstractive_qa", Reply('{"reply": "x"}'), Outcome.MODEL_FAILED, Reason.WRONG_SHAPE),
        ("qasper_abstractive_qa", Reply("null"), Outcome.SCORED, Reason.NONE),
        ("qasper_abstractive_qa", Reply('{"answer": 5}'), Outcome.SCORED, Reason.NONE),
    ],
)
def test_outcomes(name: str, reply: Reply, outcome: Outcome, reason: Reason) -> None:
    score = _score(name, reply)
    assert (score.outcome, score.reason) == (outcome, reason)


def test_a_reference_that_is_not_json_is_our_failure() -> None:
    score = _score("biored_ner", "{}", "not json")
    assert (score.outcome, score.reason, score.vectors) == (Outcome.SYSTEM_FAILED, Reason.BAD_REFERENCE, {})


def test_a_malformed_reply_stays_in_the_denominator() -> None:
    right = _score("biored_ner", REFERENCES["biored_ner"])
    flat = _flat("biored_ner", [right, _score("biored_ner", "[7]")])
    assert (flat["all_typed_p"], flat["all_typed_r"]) == (1.0, 0.5)
    assert (flat["valid_json_typed_r"], flat["json_parsed"]) == (1.0, 0.5)
    answers = [
        _score("qasper_abstractive_qa", REFERENCES["qasper_abstractive_qa"]),
        _score("qasper_abstractive_qa", "x"),
    ]
    assert _flat("qasper_abstractive_qa", answers)["all_f1_answer_all"] == 0.5


def test_system_failures_are_counted_and_in_no_denominator() -> None:
    task = eval_task("biored_ner")
    totals = total(
        [_score("biored_ner", REFERENCES["biored_ner"]), _score("biored_ner", Reply(None))],
        task.metrics,
        Profile.CORRECTED,
    )
    assert totals.outcomes == {Outcome.SCORED: 1, Outcome.SYSTEM_FAILED: 1}
    assert totals.statuses == {ParseStatus.VALID_JSON: 1}
    assert task.shaper is not None
    assert task.shaper(totals).summary == {"f1": 1.0}


def test_profiles_differ_where_the_original_is_wrong() -> None:
    reply = REFERENCES["biored_ner"].replace('["aspirin"]', '"aspirin"')
    original = _score("biored_ner", reply, profile=Profile.ORIGINAL).vectors["entity_typed"]
    corrected = _score("biored_ner", reply).vectors["entity_typed"]
    assert original == (3, 3 + len(set("aspirin")), 4)
    assert corrected == (4, 4, 4)


_LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
_NAME = st.sampled_from(["Gene", "gene ", "Task", "answer", "evidence", "x", ""])
_VALUE = st.recursive(
    _LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAME, inner, max_size=3), max_leaves=8
)
_REPLIES = st.one_of(
    _VALUE.map(json.dumps),
    st.tuples(st.text(max_size=8), _VALUE.map(json.dumps), st.text(max_size=8)).map("".join),
    st.tuples(_VALUE.map(json.dumps), st.integers(0, 40)).map(lambda cut: cut[0][: cut[1]]),
    st.text(alphabet='{}[]"\\,:01eE-nulNa \n\ud83d\x00', max_size=40),
    st.text(alphabet=st.characters(codec=None), max_size=30),
    st.tuples(st.sampled_from(["[", '{"a":', "[[1,", '{"Gene":[']), st.integers(90, 3000)).map(lambda x: x[0] * x[1]),
)


@pytest.mark.parametrize("name", sorted(REFERENCES))
@settings(max_examples=200, deadline=None)
@given(text=_REPLIES, profile=st.sampled_from(Profile), as_reference=st.booleans())
def test_no_text_raises_out_of_a_scorer(name: str, text: str, profile: Profile, as_reference: bool) -> None:
    reference = text if as_reference else REFERENCES[name]
    score = _score(name, text, reference, profile)
    assert score.outcome in Outcome
    metrics = {} if score.outcome is Outcome.SYSTEM_FAILED else {metric for metric, _ in eval_task(name).metrics}
    assert set(score.vectors) == set(metrics)
    flat = _flat(name, [score], profile)
    assert all(value is None or -1e-9 <= value <= 1 + 1e-9 for value in flat.values())
    failed = score.outcome is Outcome.MODEL_FAILED and name != "discomat_te"
    if failed and profile is Profile.CORRECTED:
        assert set(eval_task(name).shaper(total([score], eval_task(name).metrics, profile)).summary.values()) == {0.0}  # type: ignore[misc]


@pytest.mark.parametrize("name", ["biored_ner", "scierc_ner"])
def test_what_is_said_of_no_parsed_reply_is_null_not_perfect(name: str) -> None:
    flat = _flat(name, [_score(name, ""), _score(name, "I cannot tell.")])
    assert {key: flat[key] for key in flat if key.startswith("valid_json_")} == {
        f"valid_json_{kind}_{part}": None for kind in ("typed", "untyped") for part in ("p", "r", "f1")
    }
    assert flat["all_typed_f1"] == 0.0
