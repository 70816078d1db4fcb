"""Golden values: the test vectors of the behaviour catalogue, and cases worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from sciriff.scoring.metrics.bleu import bleu, bleu_counts
from sciriff.scoring.metrics.entity_f1 import EntityCounts, entities, entities_original, entity_counts, entity_f1
from sciriff.scoring.metrics.original_values import OriginalCrash
from sciriff.scoring.metrics.qasper import (
    NOTHING_RIGHT,
    SCORES,
    SHARES,
    qasper_parts,
    read_answer,
    read_answer_original,
)
from sciriff.scoring.metrics.statistics import BleuCounts, MatchCounts, MeanParts, add, mean, precision_recall_f1
from sciriff.scoring.metrics.token_f1 import token_f1
from sciriff.scoring.metrics.values import NotUnderstood, as_text

TYPES = ("CellLine", "Chemical", "Disease", "Gene", "Species", "Variant")


def test_entity_f1_vector() -> None:
    prediction = {"Gene": ["BRCA1", "brca1 "], "Disease": ["cancer"]}
    reference = {"Gene": ["BRCA1"], "Chemical": ["cancer"]}
    expected = EntityCounts(MatchCounts(1, 2, 2), MatchCounts(2, 2, 2))
    assert entity_counts(entities_original(prediction), entities_original(reference)) == expected
    counts = entity_counts(entities(prediction, TYPES), entities(reference, TYPES))
    assert counts == expected
    assert entity_f1(counts) == ((0.5, 0.5, 0.5), (1, 1, 1))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"Gene": "BRCA1"}, {("Gene", "brca1")}),
        ({"gene": ["BRCA1"]}, {("Gene", "brca1")}),
        ({"Gene": [], "Protein": ["BRCA1"]}, {("Protein", "brca1")}),
        ({}, set()),
        ({"Gene": None, "Disease": 3}, {("Disease", "3")}),
        ({"Gene": [["BRCA1"], [[" TP53"]], None, ""]}, {("Gene", "brca1"), ("Gene", "tp53")}),
        ({"Gene": [5, 5.0, 1.25, True]}, {("Gene", "5"), ("Gene", "1.25"), ("Gene", "true")}),
        ({"Gene": [{"text": "BRCA1"}]}, {("Gene", '{"text": "brca1"}')}),
    ],
)
def test_entities_of_odd_answers(answer: dict[str, Any], found: set[tuple[str, str]]) -> None:
    assert entities(answer, TYPES) == found


@pytest.mark.parametrize("answer", [[], 7, "x", None, {"Protein": ["BRCA1"]}, {"entities": {"Gene": ["BRCA1"]}}])
def test_answers_that_name_no_type_are_not_understood(answer: Any) -> None:
    with pytest.raises(NotUnderstood):
        entities(answer, TYPES)


@pytest.mark.parametrize("answer", [[], 7, "x", None, {"Gene": None}, {"Gene": 3}, {"Gene": [{"text": "BRCA1"}]}])
def test_original_entities_crash(answer: Any) -> None:
    with pytest.raises(OriginalCrash):
        entities_original(answer)


def test_nothing_to_find() -> None:
    assert precision_recall_f1(MatchCounts()) == (1, 1, 1)
    assert precision_recall_f1(MatchCounts(), nothing=0.0) == (0, 0, 0)
    assert precision_recall_f1(MatchCounts(0, 1, 0)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("the cat is on the mat today", "the cat sat on the mat today")], 0.488923),
        ([("the cat is on the mat today", "the cat sat on the mat today"), ("a b c d e", "a b c d e f g")], 0.585673),
        (
            [
                (
                    '{"value": "137", "type": "Other"}',
                    '{"value": "137", "type": "Other"}\n{"value": "24.3", "type": "Other"}',
                )
            ],
            0.367879,
        ),
        ([("", "a b c d")], 0),
        ([("a b c d", "")], 0),
        ([("e f g h", "a b c d")], 0),
    ],
)
def test_bleu_vectors(pairs: list[tuple[str, str]], expected: float) -> None:
    total = add((bleu_counts(*pair) for pair in pairs), BleuCounts())
    assert bleu(total, short_replies=False) == pytest.approx(expected, abs=5e-7)
    assert bleu(total) == pytest.approx(expected, abs=5e-7)


def test_bleu_of_nothing_against_nothing() -> None:
    assert bleu(bleu_counts("", "")) == 1
    assert bleu(bleu_counts("", ""), short_replies=False) == 0


def test_bleu_of_short_right_answers() -> None:
    counts = bleu_counts("no entities", "no entities")
    assert bleu(counts) == pytest.approx(1)
    assert bleu(counts, short_replies=False) == 0


_WORDS = st.lists(st.sampled_from(["a", "b", "c", "d.", "1,5", "e"]), min_size=1, max_size=12).map(" ".join)


@given(st.lists(st.tuples(_WORDS, _WORDS), min_size=1, max_size=5))
def test_bleu_equals_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    total = add((bleu_counts(*pair) for pair in pairs), BleuCounts())
    reference = BLEU(smooth_method="none", tokenize="13a")
    expected = reference.corpus_score([pair[0] for pair in pairs], [[pair[1] for pair in pairs]]).score / 100
    assert bleu(total, short_replies=False) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("prediction", "reference", "value"),
    [("BERT and the RoBERTa.", "BERT, RoBERTa", 0.8), ("A", "A", 1.0), ("", "x", 0.0), ("x y", "z", 0.0)],
)
def test_token_f1(prediction: str, reference: str, value: float) -> None:
    assert token_f1(prediction, reference) == pytest.approx(value)


def test_original_token_f1_of_articles() -> None:
    assert token_f1("A", "A", both_empty=0.0) == 0


def test_qasper_parts() -> None:
    reference = read_answer({"answer": "yes", "evidence": ["one two", "three"]})
    parts = qasper_parts(read_answer({"answer": True, "EVIDENCE ": "one two"}), reference)
    assert mean(parts["answer_f1"]) == mean(parts["rougeL"]) == 0
    assert mean(parts["evidence_f1"]) == pytest.approx(0.8)
    assert mean(parts["answer_is_text"]) == 0
    missing = qasper_parts(read_answer({"evidence": [["one", 2], None]}), reference)
    assert missing["answer_f1"] == missing["rouge1"] == MeanParts(0.0, 1)
    assert missing["answer_f1_parsed"] == missing["rouge1_parsed"] == MeanParts(0.0, 0)
    assert mean(missing["evidence_f1"]) == pytest.approx(0.4)
    assert set(parts) == set(SCORES) | set(SHARES) == set(NOTHING_RIGHT)


def test_rouge_of_an_answer_of_one_word() -> None:
    yes = read_answer({"answer": "Yes", "evidence": []})
    assert [mean(qasper_parts(yes, yes)[name]) for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")] == [1, 1, 1, 1]
    assert mean(qasper_parts(yes, yes, both_empty=False)["rouge2"]) == 0


def test_qasper_answers_that_are_null_on_both_sides_match() -> None:
    nothing = read_answer({"answer": None, "evidence": None})
    assert mean(qasper_parts(nothing, nothing)["answer_f1"]) == mean(qasper_parts(nothing, nothing)["rouge2"]) == 1
    assert mean(qasper_parts(nothing, nothing, both_empty=False)["answer_f1"]) == 0
    assert mean(NOTHING_RIGHT["answer_f1"]) == mean(NOTHING_RIGHT["rougeL"]) == 0


@pytest.mark.parametrize("answer", [{"answer": 5}, {"answer": True}, {"evidence": [1]}, {"evidence": 4}])
def test_original_qasper_crashes(answer: Any) -> None:
    with pytest.raises(OriginalCrash):
        read_answer_original(answer)


def test_original_reads_a_string_of_evidence_as_letters() -> None:
    assert read_answer_original({"answer": ["a", ["b", 2]], "evidence": "ab"})[:2] == ("a b 2", "a b")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=8))
def test_every_value_has_a_text(value: Any) -> None:
    assert isinstance(as_text(value), str)


@given(st.lists(st.tuples(*[st.integers(0, 9)] * 3).map(lambda row: MatchCounts(*row))), st.integers(0, 5))
def test_sums_do_not_depend_on_how_samples_are_split(rows: list[MatchCounts], cut: int) -> None:
    zero = MatchCounts()
    assert add(rows, zero) == add([add(rows[:cut], zero), add(rows[cut:], zero)], zero)


def test_mean_of_nothing_is_none() -> None:
    assert mean(MeanParts()) is None
    assert math.isclose(mean(MeanParts(1.5, 2)) or 0, 0.75)
