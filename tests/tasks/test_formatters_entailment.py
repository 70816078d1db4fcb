from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped
from sciriff.tasks.formatters.entailment import format_entailment
from sciriff.tasks.rendering import Fidelity

VERDICTS = ("SUPPORT", "CONTRADICT", "NEI")
ABSTRACT = ["Masks help.", "We counted “particles”.", "", "Cloth is worse."]


def record(**changes: Any) -> dict[str, Any]:
    return {
        "claim_id": 3,
        "claim": "Masks work.",
        "abstract_id": 7,
        "title": "On masks",
        "abstract": ABSTRACT,
        "verdict": "SUPPORT",
        "evidence": [1, 0],
        **changes,
    }


def one(fidelity: Fidelity = "corrected", verdicts: tuple[str, ...] = VERDICTS, **changes: Any) -> dict[str, Any]:
    (variables,) = format_entailment(record(**changes), verdicts=verdicts, fidelity=fidelity)
    return variables


def outputs(fidelity: Fidelity = "corrected", **changes: Any) -> tuple[Any, Any]:
    variables = one(fidelity, **changes)
    return json.loads(variables["output_json_with_sentences"]), json.loads(variables["output_json_with_ids"])


def test_variables() -> None:
    assert one() == {
        **record(),
        "abstract_with_newlines": "Masks help.\nWe counted “particles”.\n\nCloth is worse.",
        "abstract_with_ids": "[0] Masks help. [1] We counted “particles”. [2]  [3] Cloth is worse.",
        "output_json_with_sentences": (
            '{"verdict": "SUPPORT", "evidence": ["Masks help.", "We counted “particles”."]}'
        ),
        "output_json_with_ids": '{"verdict": "SUPPORT", "evidence": [0, 1]}',
        "_document_id": "7",
    }


def test_the_original_writes_ascii_and_numbers_as_annotated() -> None:
    variables = one("original", evidence=[1, 0, 1, 9])
    assert variables["output_json_with_sentences"] == (
        '{"verdict": "SUPPORT", "evidence": ["Masks help.", "We counted \\u201cparticles\\u201d."]}'
    )
    assert variables["output_json_with_ids"] == '{"verdict": "SUPPORT", "evidence": [1, 0, 1, 9]}'


def test_repeated_blank_and_missing_sentences_are_no_evidence() -> None:
    assert outputs(evidence=[3, 0, 3, 2, 4, -1]) == (
        {"verdict": "SUPPORT", "evidence": ["Masks help.", "Cloth is worse."]},
        {"verdict": "SUPPORT", "evidence": [0, 3]},
    )


@pytest.mark.parametrize("fidelity", ["corrected", "original"])
def test_not_enough_information_has_no_evidence(fidelity: Fidelity) -> None:
    empty = {"verdict": "NEI", "evidence": []}
    assert outputs(fidelity, verdict="NEI", evidence=[]) == (empty, empty)


def test_a_verdict_without_evidence_is_dropped_but_in_the_original() -> None:
    for evidence in ([], [9], [2]):
        with pytest.raises(Dropped, match="verdict without evidence in the abstract"):
            one(verdict="CONTRADICT", evidence=evidence)
        assert outputs("original", verdict="CONTRADICT", evidence=evidence)[0] == {
            "verdict": "CONTRADICT",
            "evidence": [],
        }


@pytest.mark.parametrize("fidelity", ["corrected", "original"])
def test_a_verdict_that_the_task_does_not_know_is_dropped(fidelity: Fidelity) -> None:
    with pytest.raises(Dropped, match="verdict NEI"):
        one(fidelity, ("SUPPORT", "CONTRADICT"), verdict="NEI", evidence=[])
    with pytest.raises(Dropped, match="verdict REFUTED"):
        one(fidelity, verdict="REFUTED")


@pytest.mark.parametrize("changes", [{"claim": " "}, {"abstract": []}, {"abstract": ["", ""]}])
def test_blank_texts_are_dropped(changes: dict[str, Any]) -> None:
    with pytest.raises(Dropped, match="blank text"):
        one(**changes)


@given(st.lists(st.sampled_from(["One.", "Two.", "Drei ≥ 3.", ""]), min_size=1), st.lists(st.integers(-2, 12)))
def test_both_outputs_name_the_same_sentences_in_the_order_of_the_abstract(
    abstract: list[str], evidence: list[int]
) -> None:
    try:
        with_sentences, with_ids = outputs(abstract=abstract, evidence=evidence)
    except Dropped:
        return
    assert with_sentences["evidence"] == [abstract[number] for number in with_ids["evidence"]]
    assert with_ids["evidence"] == sorted(set(with_ids["evidence"]))
    assert set(with_ids["evidence"]) <= set(evidence)
    assert all(with_sentences["evidence"])
