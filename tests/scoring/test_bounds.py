from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciriff.scoring.bounds import bounds
from sciriff.scoring.outcome import Outcome, Profile, Reply, SampleScores
from sciriff.scoring.samples import prepare, score
from sciriff.scoring.shapes import Flat
from sciriff.scoring.tasks import EVAL_TASKS, EvalTask, eval_task
from sciriff.scoring.totals import Totals, merged, total

BIORED = eval_task("biored_ner")
GENES = '{"Gene": ["TP53", "BRCA1"]}'
HALF = '{"Gene": ["TP53", "x"]}'


def _totals(task: EvalTask, pairs: list[tuple[str | None, str]], profile: Profile = Profile.CORRECTED) -> Totals:
    scores: list[SampleScores] = [score(task, Reply(reply), prepare(task, reference)) for reply, reference in pairs]
    return total([each[profile] for each in scores], task.metrics, profile)


def _without_judge(summary: Flat) -> Flat:
    return {key: value for key, value in summary.items() if "judge" not in key}


def test_bounds_of_counts() -> None:
    low, high = bounds(BIORED, _totals(BIORED, [(HALF, GENES), (None, GENES)]), [GENES])
    assert low["f1"] == pytest.approx(2 / 6)  # 1 right of 2 predicted and 4 expected
    assert high["f1"] == pytest.approx(6 / 8)  # 3 right of 4 predicted and 4 expected


def test_bounds_of_means() -> None:
    task = eval_task("qasper_abstractive_qa")
    reference = json.dumps({"answer": "two batches", "evidence": ["one"]})
    totals = _totals(task, [(json.dumps({"answer": "two batches", "evidence": []}), reference), (None, reference)])
    low, high = bounds(task, totals, [reference])
    assert (low["f1_answer"], high["f1_answer"]) == (0.5, 1.0)
    assert (low["f1_evidence"], high["f1_evidence"]) == (0.0, 0.5)


@pytest.mark.parametrize("profile", Profile)
def test_without_system_failures_there_is_nothing_to_bound(profile: Profile) -> None:
    totals = _totals(BIORED, [(HALF, GENES)], profile)
    summary = BIORED.shaper(totals).summary
    assert bounds(BIORED, totals, []) == (summary, summary)


def test_a_run_without_any_reply_may_be_anything() -> None:
    for task in EVAL_TASKS:
        reference = '{"answer": "x", "evidence": ["y"], "verdict": "SUPPORT", "Gene": ["z"], "Task": ["z"]}'
        if task.answer and task.answer.container == "list":
            reference = '[["i", null, "o", "significantly increased", "e"]]'
        totals = _totals(task, [(None, reference)])
        assert set(_without_judge(task.shaper(totals).summary).values()) == {None}
        low, high = bounds(task, totals, [reference])
        assert (set(_without_judge(low).values()), set(_without_judge(high).values())) == ({0.0}, {1.0})


def test_references_that_cannot_be_read_bound_nothing() -> None:
    totals = _totals(BIORED, [(HALF, GENES)])
    summary = BIORED.shaper(totals).summary
    assert bounds(BIORED, totals, ["not json"]) == (summary, summary)


_REPLY = st.sampled_from([None, "", GENES, HALF, "{}", '{"Gene": []}', "[7]"])
_REFERENCE = st.sampled_from([GENES, HALF, "{}"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(_REPLY, _REFERENCE), min_size=1, max_size=6), st.data())
def test_the_value_lies_within_if_the_missing_replies_are_right_or_not_understood(
    pairs: list[Any], data: st.DataObject
) -> None:
    missing = [reference for reply, reference in pairs if reply is None]
    low, high = (each["f1"] for each in bounds(BIORED, _totals(BIORED, pairs), missing))
    filled = [
        (data.draw(st.sampled_from(["", reference])) if reply is None else reply, reference)
        for reply, reference in pairs
    ]
    value = BIORED.shaper(_totals(BIORED, filled)).summary["f1"]
    assert low is not None
    assert high is not None
    assert value is not None
    assert low - 1e-12 <= value <= high + 1e-12


def test_totals_are_merged_by_adding() -> None:
    pairs = [(HALF, GENES), ("x", GENES), (GENES, GENES), (None, GENES)]
    parts = merged(_totals(BIORED, pairs[:2]), _totals(BIORED, pairs[2:]))
    whole = _totals(BIORED, pairs)
    assert (parts.vectors, parts.statuses, parts.misfits) == (whole.vectors, whole.statuses, whole.misfits)
    assert parts.outcomes == {Outcome.SCORED: 2, Outcome.MODEL_FAILED: 1, Outcome.SYSTEM_FAILED: 1}
