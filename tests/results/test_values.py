from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.results.values import value_of_sums
from sciriff.scoring.metrics.bleu import bleu
from sciriff.scoring.metrics.statistics import BleuCounts, MatchCounts, MeanParts, mean, precision_recall_f1
from sciriff.scoring.outcome import Profile

counts = st.integers(0, 40)
matches = st.lists(
    st.builds(lambda right, wrong, missed: MatchCounts(right, right + wrong, right + missed), counts, counts, counts),
    min_size=1,
    max_size=4,
)
means = st.lists(st.builds(MeanParts, st.floats(0, 9), st.integers(0, 9)), min_size=1, max_size=4)
bleus = st.lists(st.builds(BleuCounts, *([counts] * 10)), min_size=1, max_size=4)


def array(vectors: list[Any]) -> np.ndarray:
    return np.array(vectors, dtype=float)


@pytest.mark.parametrize(("profile", "nothing"), [(Profile.CORRECTED, 1.0), (Profile.ORIGINAL, 0.0)])
@given(vectors=matches)
def test_f1_is_that_of_single_sums(profile: Profile, nothing: float, vectors: list[MatchCounts]) -> None:
    expected = [precision_recall_f1(vector, nothing=nothing).f1 for vector in vectors]
    assert value_of_sums("counts", profile)(array(vectors)) == pytest.approx(expected, abs=1e-12)


@given(vectors=means)
def test_means_are_those_of_single_sums(vectors: list[MeanParts]) -> None:
    expected = [math.nan if (value := mean(vector)) is None else value for vector in vectors]
    assert value_of_sums("mean", Profile.CORRECTED)(array(vectors)) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("profile", Profile)
@given(vectors=bleus)
def test_bleu_is_that_of_single_sums(profile: Profile, vectors: list[BleuCounts]) -> None:
    sensible = [_sensible(vector) for vector in vectors]
    expected = [bleu(vector, short_replies=profile is Profile.CORRECTED) for vector in sensible]
    assert value_of_sums("bleu", profile)(array(sensible)) == pytest.approx(expected, abs=1e-12)


def _sensible(vector: BleuCounts) -> BleuCounts:
    """No more matches than n-grams, and n-grams only where there are tokens."""
    ngrams = [min(vector.ngrams[0], number) if vector.length else 0 for number in vector.ngrams]
    found = [min(pair) for pair in zip(vector.matches, ngrams, strict=True)]
    length = max(vector.length, 1) if ngrams[0] else 0
    return BleuCounts(*found, *ngrams, length, vector.expected_length)


def test_axes_before_the_last_are_kept() -> None:
    sums = np.ones((3, 5, 2, 10))
    assert value_of_sums("bleu", Profile.CORRECTED)(sums).shape == (3, 5, 2)
