from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.scoring.metrics.original_values import OriginalCrash
from sciriff.scoring.metrics.statistics import precision_recall_f1
from sciriff.scoring.metrics.tuple_f1 import (
    Findings,
    TupleParts,
    read_findings,
    read_findings_original,
    read_reference_original,
    tuple_parts,
)
from sciriff.scoring.metrics.values import NotUnderstood
from sciriff.scoring.rules import CORRECTED, ORIGINAL, Rule

UP, DOWN, SAME = "significantly increased", "significantly decreased", "no significant difference"
ASPIRIN = ["aspirin 100 mg", "placebo", "headache", DOWN, "Mean headache was lower (p<0.05)."]
WEIGHT = ["aspirin 100 mg", "placebo", "weight", SAME, "No change in weight."]


def _corrected(prediction: Any, reference: Any) -> TupleParts:
    return tuple_parts(read_findings(prediction), read_findings(reference), CORRECTED)


def _original(prediction: Any, reference: Any) -> TupleParts:
    return tuple_parts(read_findings_original(prediction), read_reference_original(reference), ORIGINAL)


def _correct(parts: TupleParts) -> tuple[int, int, int]:
    return parts.tuple_exact.correct, parts.tuple_substring.correct, parts.tuple_overlap.correct


def test_vector() -> None:
    prediction = [
        ["aspirin", "placebo", "headache", DOWN, "headache was lower"],
        ["Aspirin 100 mg", "placebo", "weight loss", SAME, "weight did not change"],
        ["x"],
    ]
    original = _original(prediction, [ASPIRIN, WEIGHT])
    assert [precision_recall_f1(counts).f1 for counts in original[:3]] == [0, 0.5, 1.0]
    assert original.tuples_good == (2, 3)
    assert original.tuples_wrong_length == (1, 3)
    corrected = _corrected(prediction, [ASPIRIN, WEIGHT])
    assert corrected[:3] == ((0, 3, 2), (1, 3, 2), (2, 3, 2))  # the malformed entry is a wrong prediction


def test_a_null_comparator_can_be_right() -> None:
    findings = [["i", None, "o", UP, "e"]]
    assert _correct(_original(findings, findings)) == (1, 0, 0)
    assert _correct(_corrected(findings, findings)) == (1, 1, 1)
    assert _correct(_corrected([["i", "", "o", UP, "e"]], findings)) == (1, 1, 1)
    assert _correct(_corrected([["i", "placebo", "o", UP, "e"]], findings)) == (0, 0, 0)
    assert _correct(_corrected(findings, [["i", "placebo", "o", UP, "e"]])) == (0, 0, 0)


@pytest.mark.parametrize(
    ("effect", "other", "matches"),
    [
        (UP, DOWN, False),
        (UP, SAME, False),
        ("increased", UP, True),
        ("A significant increase", UP, True),
        ("not significantly increased", UP, False),
        ("No difference", SAME, True),
        ("not significant", SAME, True),
        ("significantly", UP, False),
        ("better", "better", True),
        ("increased, then decreased", UP, False),
        ("", UP, False),
    ],
)
def test_effects_match_if_they_say_the_same(effect: str, other: str, matches: bool) -> None:
    one, two = ([["i", "c", "o", text, "e"]] for text in (effect, other))
    assert _correct(_corrected(one, two))[1:] == (matches, matches)


def test_the_original_takes_opposite_effects_for_the_same() -> None:
    assert _correct(_original([["i", "c", "o", UP, "e"]], [["i", "c", "o", DOWN, "e"]])) == (0, 0, 1)


def test_single_letters_do_not_contain_everything() -> None:
    assert _correct(_original([["a"] * 5], [ASPIRIN])) == (0, 1, 0)
    assert _correct(_corrected([["a", "a", "a", DOWN, "a"]], [ASPIRIN])) == (0, 0, 0)
    assert _correct(_corrected([["aspirin", "placebo", "the headache", DOWN, "headache was lower"]], [ASPIRIN]))[1] == 1


def test_items_of_articles_and_punctuation_match_themselves() -> None:
    findings = [["A", "-", "+", UP, "the"]]
    assert _correct(_original(findings, findings)) == (1, 1, 0)
    assert _correct(_corrected(findings, findings)) == (1, 1, 1)
    assert _correct(_corrected(findings, [["the", "+", "+", UP, "A"]])) == (0, 0, 0)


def test_the_order_of_tuples_does_not_matter() -> None:
    in_both, in_first = ["ab", "c", "o", UP, "e"], ["cd", "c", "o", UP, "e"]
    reference = [["ab cd", "c", "o", UP, "e"], ["x ab", "c", "o", UP, "e"]]
    assert _correct(_original([in_both, in_first], reference))[1] == 1  # takes away what the other could have had
    assert _correct(_original([in_first, in_both], reference))[1] == 2
    assert _correct(_corrected([in_both, in_first], reference))[1] == 2
    assert _correct(_corrected([in_first, in_both], reference))[1] == 2


def test_what_is_given_twice_counts_once() -> None:
    twice = [ASPIRIN, ASPIRIN]
    assert _original(twice, twice)[:3] == ((1, 2, 2), (1, 2, 2), (1, 2, 2))
    assert _corrected(twice, twice)[:3] == ((1, 1, 1), (1, 1, 1), (1, 1, 1))


_BY_NAME = dict(zip(("intervention", "comparator", "outcome", "effect", "evidence"), ASPIRIN, strict=True))


@pytest.mark.parametrize(
    ("value", "tuples", "wrong"),
    [
        ([], 0, 0),
        (ASPIRIN, 1, 0),
        ([[ASPIRIN, WEIGHT]], 2, 0),
        ([[[ASPIRIN]], WEIGHT], 2, 0),
        (["x", ASPIRIN], 1, 1),
        ([_BY_NAME, WEIGHT], 2, 0),
        ([dict(reversed(_BY_NAME.items()))], 1, 0),
        ([{name: item for name, item in _BY_NAME.items() if name != "comparator"}], 1, 0),
        ([dict(zip("abcde", ASPIRIN, strict=True))], 1, 0),
        ([ASPIRIN, {"finding": "x"}], 1, 1),
        ([ASPIRIN, WEIGHT[:4], [*WEIGHT, "x"]], 1, 2),
        ([["i", ["c", 2], {"o": 1}, UP, 5.0]], 1, 0),
    ],
)
def test_reading(value: Any, tuples: int, wrong: int) -> None:
    findings = read_findings(value)
    assert (len(findings.tuples), findings.wrong_predictions) == (tuples, wrong)


@pytest.mark.parametrize("value", [None, 7, "", "x", {"findings": [ASPIRIN]}, [[]], ["x"], [WEIGHT[:4]], ["a | b | c"]])
def test_not_understood(value: Any) -> None:
    with pytest.raises(NotUnderstood):
        read_findings(value)


@pytest.mark.parametrize(
    ("value", "findings"),
    [
        (None, Findings()),
        (7, Findings()),
        (True, Findings()),
        ([], Findings()),
        ("x", Findings(not_list=1)),
        (["x"], Findings(wrong_length=1)),
        (["x", ASPIRIN], Findings(wrong_length=1)),
        ([[ASPIRIN, WEIGHT]], Findings(wrong_length=1)),
        ([[], "x", {}], Findings(wrong_length=1, not_list=2)),
        ([[[1], "c", "o", UP, "e"], [{}, "c", "o", UP, "e"]], Findings(bad=2)),
    ],
)
def test_reading_of_the_original(value: Any, findings: Findings) -> None:
    assert read_findings_original(value) == findings


@pytest.mark.parametrize("value", ["", {}, {"a": 1}])
def test_what_crashes_the_original(value: Any) -> None:
    with pytest.raises(OriginalCrash):
        read_findings_original(value)


_ITEM = st.sampled_from(["", "a", "the a", "b c", "b", "c b d", "A-1", "x"])
_FINDING = st.tuples(_ITEM, _ITEM, _ITEM, st.sampled_from([UP, DOWN, SAME]), _ITEM).map(list)
_FINDINGS = st.lists(_FINDING, max_size=5)


@given(_FINDINGS, _FINDINGS, st.randoms())
def test_permutations_score_the_same(prediction: list[Any], reference: list[Any], chance: Any) -> None:
    before = _corrected(prediction, reference)
    chance.shuffle(prediction)
    chance.shuffle(reference)
    assert _corrected(prediction, reference) == before


@given(_FINDINGS)
def test_a_list_of_findings_matches_itself(findings: list[Any]) -> None:
    parts = _corrected(findings, findings)
    distinct = len({tuple(item.strip().lower() for item in finding) for finding in findings})
    assert parts[:3] == ((distinct,) * 3,) * 3


@given(_FINDINGS, _FINDINGS)
def test_exact_matches_are_substring_and_overlap_matches(prediction: list[Any], reference: list[Any]) -> None:
    exact, substring, overlap = _correct(_corrected(prediction, reference))
    assert exact <= min(substring, overlap)
    assert max(substring, overlap) <= min(len(prediction), len(reference))


@given(_FINDINGS, _FINDINGS)
def test_sides_may_be_exchanged(prediction: list[Any], reference: list[Any]) -> None:
    assert _correct(_corrected(prediction, reference)) == _correct(_corrected(reference, prediction))


@pytest.mark.parametrize(
    ("rule", "prediction", "reference"),
    [
        (Rule.DISTINCT, [ASPIRIN, ASPIRIN], [ASPIRIN]),
        (Rule.EFFECTS, [["i", "c", "o", UP, "e"]], [["i", "c", "o", DOWN, "e"]]),
        (Rule.NULL_ITEMS, [["i", None, "o", UP, "e"]], [["i", None, "o", UP, "e"]]),
        (Rule.WHOLE_WORDS, [["s", "c", "o", UP, "e"]], [["is", "c", "o", UP, "e"]]),
        (
            Rule.ONE_TO_ONE,
            [["ab", "c", "o", UP, "e"], ["cd", "c", "o", UP, "e"]],
            [["ab cd", "c", "o", UP, "e"], ["ab", "c", "o", UP, "e"]],
        ),
    ],
)
def test_each_rule_makes_a_difference_of_its_own(rule: Rule, prediction: Any, reference: Any) -> None:
    read = read_findings(prediction), read_findings(reference)
    assert tuple_parts(*read, CORRECTED) != tuple_parts(*read, CORRECTED - {rule})
