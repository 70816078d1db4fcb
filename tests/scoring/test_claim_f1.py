from __future__ import annotations

from typing import Any

import pytest

from sciriff.scoring.metrics.claim_f1 import ClaimParts, claim_parts, read_claim, read_claim_original
from sciriff.scoring.metrics.original_values import OriginalCrash
from sciriff.scoring.metrics.statistics import MatchCounts, add, precision_recall_f1
from sciriff.scoring.metrics.values import NotUnderstood

SENTENCE = "The cat sat."
SUPPORT = {"verdict": "SUPPORT", "evidence": [SENTENCE]}
NEI = {"verdict": "NEI", "evidence": []}


def _parts(prediction: Any, reference: Any) -> ClaimParts:
    return claim_parts(read_claim(prediction), read_claim(reference))


def _parts_original(prediction: Any, reference: Any) -> ClaimParts:
    return claim_parts(read_claim_original(prediction), read_claim_original(reference))


@pytest.mark.parametrize("parts", [_parts, _parts_original])
def test_vector(parts: Any) -> None:
    pairs = [
        ({"verdict": "SUPPORT", "evidence": ["The cat sat.", "Extra."]}, SUPPORT | {"evidence": ["the cat sat. "]}),
        ({"verdict": "SUPPORT", "evidence": []}, NEI),
        (NEI, {"verdict": "CONTRADICT", "evidence": ["Dogs bark."]}),
    ]
    found = [parts(*pair) for pair in pairs]
    label, sentences, tokens = (
        precision_recall_f1(add([getattr(each, name) for each in found], MatchCounts()))
        for name in ("label", "evidence_sentences", "evidence_tokens")
    )
    assert (label.f1, sentences.f1) == (0.5, 0.5)
    assert tokens == (pytest.approx(2 / 3), 0.5, pytest.approx(4 / 7))


@pytest.mark.parametrize(
    ("prediction", "reference", "corrected", "original"),
    [
        ({"verdict": " support"}, SUPPORT, (1, 1, 1), (0, 1, 1)),
        ({"Verdict": "SUPPORT"}, SUPPORT, (1, 1, 1), (0, 0, 1)),
        ({"verdict": ["SUPPORT"]}, SUPPORT, (1, 1, 1), (0, 1, 1)),
        ({"verdict": "SUPPORTS it"}, SUPPORT, (0, 1, 1), (0, 1, 1)),
        ({"verdict": True}, SUPPORT, (0, 1, 1), (0, 1, 1)),
        ({"verdict": None}, SUPPORT, (0, 0, 1), (0, 0, 1)),
        ({"verdict": None}, NEI, (0, 1, 0), (0, 0, 0)),
        ({"evidence": []}, NEI, (0, 1, 0), (0, 0, 0)),
        ({"verdict": "nei"}, NEI, (0, 0, 0), (0, 1, 0)),
    ],
)
def test_labels(prediction: Any, reference: Any, corrected: tuple[int, ...], original: tuple[int, ...]) -> None:
    assert _parts({"evidence": [], **prediction}, reference).label == corrected
    assert _parts_original(prediction, reference).label == original


@pytest.mark.parametrize(
    ("evidence", "sentences", "tokens"),
    [
        (SENTENCE, (1, 1, 1), (2, 2, 2)),
        ([[SENTENCE], " the CAT sat."], (1, 1, 1), (2, 2, 2)),
        ([0, 2], (0, 2, 1), (0, 2, 2)),
        ([None, SENTENCE], (1, 1, 1), (2, 2, 2)),
        ({"1": SENTENCE}, (0, 1, 1), (2, 3, 2)),
        (None, (0, 0, 1), (0, 0, 2)),
        (["", " "], (0, 0, 1), (0, 0, 2)),
    ],
)
def test_evidence_of_odd_types(evidence: Any, sentences: tuple[int, ...], tokens: tuple[int, ...]) -> None:
    parts = _parts({"verdict": "SUPPORT", "evidence": evidence}, SUPPORT)
    assert (parts.evidence_sentences, parts.evidence_tokens) == (sentences, tokens)


def test_the_original_reads_a_sentence_as_letters_and_counts_tokens_of_repeated_ones() -> None:
    assert _parts_original({"verdict": "SUPPORT", "evidence": "a b"}, SUPPORT).evidence_sentences == (0, 3, 1)
    twice = {"verdict": "SUPPORT", "evidence": [SENTENCE, SENTENCE.upper()]}
    assert _parts_original(twice, SUPPORT).evidence_tokens == (2, 4, 2)
    assert _parts(twice, SUPPORT).evidence_tokens == (2, 2, 2)


@pytest.mark.parametrize("value", [["SUPPORT"], 7, None, {}, {"label": "SUPPORT"}])
def test_what_says_nothing_is_not_understood(value: Any) -> None:
    with pytest.raises(NotUnderstood):
        read_claim(value)


def test_the_original_passes_over_what_is_no_object_together_with_its_reference() -> None:
    parts = _parts_original(["SUPPORT"], SUPPORT)
    assert (parts.label, parts.evidence_tokens, parts.not_object) == ((0, 0, 0), (0, 0, 0), (1, 1))


@pytest.mark.parametrize("evidence", [[0], 0, True, [None], [{"s": "x"}]])
def test_evidence_that_crashes_the_original(evidence: Any) -> None:
    with pytest.raises(OriginalCrash):
        read_claim_original({"verdict": "SUPPORT", "evidence": evidence})
