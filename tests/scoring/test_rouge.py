"""ROUGE against the package that defines it, and golden values."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from sciriff.scoring.metrics.rouge import Rouge, rouge

_DEFINITION = RougeScorer(list(Rouge._fields), use_stemmer=False)
_WORDS = st.sampled_from(["a ", "b ", "c", "c ", "d1 ", "É", "K ", "1,5 ", "\n", "A ", "-", " \n\n"])
_TEXTS = st.lists(_WORDS, max_size=30).map("".join) | st.text(max_size=40)


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        ("the cat is on the mat", "the cat sat on the mat", (5 / 6, 0.6, 5 / 6, 5 / 6)),
        ("d e f\na b c", "a b c\nd e f", (1, 0.8, 0.5, 1)),
        ("run dog", "Running dogs", (0, 0, 0, 0)),
        ("", "a b", (0, 0, 0, 0)),
        ("a b", "", (0, 0, 0, 0)),
    ],
)
def test_golden_values(prediction: str, reference: str, expected: tuple[float, ...]) -> None:
    assert rouge(prediction, reference) == pytest.approx(expected)
    assert rouge(prediction, reference, short_texts=False) == pytest.approx(expected)


@settings(max_examples=400, deadline=None)
@given(_TEXTS, _TEXTS)
def test_equals_rouge_score(prediction: str, reference: str) -> None:
    expected = _DEFINITION.score(reference, prediction)
    found = rouge(prediction, reference, short_texts=False)
    assert found._asdict() == pytest.approx({name: expected[name].fmeasure for name in Rouge._fields}, abs=1e-12)


@given(_TEXTS)
def test_a_text_is_its_own_summary(text: str) -> None:
    assert rouge(text, text) == pytest.approx((1, 1, 1, 1))


@pytest.mark.parametrize(
    ("prediction", "reference", "corrected", "original"),
    [
        ("yes", "Yes.", (1, 1, 1, 1), (1, 0, 1, 1)),
        ("yes", "no", (0, 0, 0, 0), (0, 0, 0, 0)),
        ("yes", "yes indeed", (2 / 3, 0, 2 / 3, 2 / 3), (2 / 3, 0, 2 / 3, 2 / 3)),
        ("Ναί ", "ναί", (1, 1, 1, 1), (0, 0, 0, 0)),
        ("ναί", "όχι", (0, 0, 0, 0), (0, 0, 0, 0)),
        ("", "", (1, 1, 1, 1), (0, 0, 0, 0)),
    ],
)
def test_short_texts(
    prediction: str, reference: str, corrected: tuple[float, ...], original: tuple[float, ...]
) -> None:
    assert rouge(prediction, reference) == pytest.approx(corrected)
    assert rouge(prediction, reference, short_texts=False) == pytest.approx(original)
