from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sciriff.results.intervals import exact
from sciriff.results.paired import (
    detectable_difference,
    holm,
    lower_sided,
    null_differences,
    swap_patterns,
    swapped_sums,
    two_sided,
)
from sciriff.results.values import Array, Value, f1_values, mean_values

from .test_intervals import entities, points


def null(first: Array, second: Array, value: Value, draws: int = 2_000, purpose: str = "task") -> Array:
    patterns = swap_patterns([f"document {number}" for number in range(len(first))], purpose, draws)
    return null_differences(first, second, swapped_sums(first, patterns), swapped_sums(second, patterns), value)


def observed(first: Array, second: Array, value: Value) -> float:
    return float(value(first.sum(axis=0)) - value(second.sum(axis=0)))


def test_swaps_are_fair_and_of_each_document_alone() -> None:
    patterns = swap_patterns(["a", "b", "c"], "task", 4_000)
    assert patterns.shape == (3, 4_000)
    assert patterns.mean(axis=1) == pytest.approx([0.5] * 3, abs=0.03)
    assert np.corrcoef(patterns)[np.triu_indices(3, 1)] == pytest.approx([0, 0, 0], abs=0.05)
    assert (swap_patterns(["c", "a"], "task", 4_000) == patterns[[2, 0]]).all()
    assert not (swap_patterns(["a"], "other task", 4_000) == patterns[0]).all()


def test_swapping_is_what_it_says() -> None:
    random = np.random.default_rng(1)
    first, second = entities(random, 8), entities(random, 8)
    patterns = swap_patterns([str(number) for number in range(8)], "task", 16)
    by_hand = []
    for draw in range(16):
        is_swapped = patterns[:, draw, np.newaxis].astype(bool)
        one, other = np.where(is_swapped, second, first), np.where(is_swapped, first, second)
        by_hand.append(observed(one, other, f1_values))
    found = null_differences(first, second, swapped_sums(first, patterns), swapped_sums(second, patterns), f1_values)
    assert found == pytest.approx(by_hand)


def test_p_values_are_those_of_all_swaps_there_are() -> None:
    random = np.random.default_rng(2)
    first, second = entities(random, 7, 0.8), entities(random, 7, 0.5)
    all_patterns = np.array(list(product([0, 1], repeat=7)), dtype=np.uint8).T
    every = null_differences(
        first, second, swapped_sums(first, all_patterns), swapped_sums(second, all_patterns), f1_values
    )
    seen = observed(first, second, f1_values)
    share = float(np.mean(np.abs(every) >= abs(seen) - 1e-12))
    assert two_sided(seen, null(first, second, f1_values, 16_000)) == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("kind", ["entities", "rare points"])
def test_p_values_are_uniform_where_the_models_do_not_differ(kind: str) -> None:
    random = np.random.default_rng(3)

    def model(difficulty: Array) -> Array:
        if kind == "entities":
            expected = np.full(len(difficulty), 10)
            correct = random.binomial(expected, difficulty)
            return np.stack([correct, correct + random.poisson(3, len(difficulty)), expected], axis=1).astype(float)
        return points(difficulty * random.random(len(difficulty)))

    value = f1_values if kind == "entities" else mean_values
    two, one = [], []
    for _ in range(500):
        difficulty = random.beta(2, 2, 30)
        first, second = exact(model(difficulty)), exact(model(difficulty))
        seen, without = observed(first, second, value), null(first, second, value, 400)
        two.append(two_sided(seen, without))
        one.append(lower_sided(seen, without))
    for p_values in (two, one):
        assert stats.kstest(p_values, "uniform").pvalue > 0.01
        assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.025)


@given(st.integers(0, 2**32), st.integers(1, 20))
def test_turning_the_models_round_changes_the_sign_only(seed: int, documents: int) -> None:
    random = np.random.default_rng(seed)
    first, second = entities(random, documents), entities(random, documents)
    forth, back = null(first, second, f1_values, 64), null(second, first, f1_values, 64)
    assert forth == pytest.approx(-back, abs=1e-15)
    seen = observed(first, second, f1_values)
    assert two_sided(seen, forth) == two_sided(-seen, back)
    assert lower_sided(seen, forth) + lower_sided(-seen, back) >= 1


def test_a_model_does_not_differ_from_itself() -> None:
    first = entities(np.random.default_rng(4), 10)
    assert two_sided(0.0, null(first, first, f1_values)) == 1.0


def test_a_clear_difference_is_found_and_its_direction_told() -> None:
    random = np.random.default_rng(5)
    better, worse = entities(random, 60, 0.9), entities(random, 60, 0.4)
    seen, without = observed(worse, better, f1_values), null(worse, better, f1_values, 8_000)
    assert two_sided(seen, without) < 0.001
    assert lower_sided(seen, without) < 0.001
    assert lower_sided(-seen, null(better, worse, f1_values, 8_000)) > 0.99


def test_holm_by_the_book() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_lies_between_no_correction_and_bonferronis(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for place, p_value in enumerate(p_values):
        assert p_value <= corrected[place] <= min(1.0, len(p_values) * p_value) + 1e-12
        for other, other_p in enumerate(p_values):
            assert p_value > other_p or corrected[place] <= corrected[other]


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=8), st.integers(0, 7), st.floats(0.1, 1))
def test_a_smaller_p_value_makes_no_corrected_one_larger(p_values: list[float], place: int, factor: float) -> None:
    smaller = list(p_values)
    smaller[place % len(p_values)] *= factor
    assert all(new <= old + 1e-12 for new, old in zip(holm(smaller), holm(p_values), strict=True))


def test_the_detectable_difference_is_found_as_often_as_it_says() -> None:
    random = np.random.default_rng(6)
    documents, spread = 60, 0.2
    shift = detectable_difference(spread * 2**0.5 / documents**0.5)
    found = []
    for _ in range(300):
        first = exact(points(random.normal(0.5 + shift, spread, documents)))
        second = exact(points(random.normal(0.5, spread, documents)))
        seen = observed(first, second, mean_values)
        found.append(two_sided(seen, null(first, second, mean_values, 400)) <= 0.05)
    assert np.mean(found) == pytest.approx(0.8, abs=0.06)


def test_the_detectable_difference_by_the_book() -> None:
    assert detectable_difference(1.0) == pytest.approx(2.8016, abs=1e-4)
    assert detectable_difference(0.02, alpha=0.05 / 11, power=0.9) == pytest.approx(0.02 * (2.8376 + 1.2816), abs=1e-4)
