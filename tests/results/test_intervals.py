from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sciriff.results.intervals import (
    Interval,
    Resampled,
    average,
    difference,
    exact,
    interval,
    resampled,
    resampled_sums,
    weights,
)
from sciriff.results.values import Array, Value, bleu_values, f1_values, mean_values


def bootstrap(statistics: Array, value: Value, purpose: str = "task", draws: int = 10_000) -> Resampled:
    made_exact = exact(statistics)
    return resampled(made_exact, resampled_sums(made_exact, purpose, draws), value, purpose)


def interval_of(statistics: Array, value: Value, draws: int = 10_000, purpose: str = "task") -> Interval:
    found = interval(bootstrap(statistics, value, purpose, draws))
    assert found is not None
    return found


def points(values: Array) -> Array:
    return np.stack([values, np.ones(len(values))], axis=1)


def entities(random: np.random.Generator, documents: int, recall: float = 0.7) -> Array:
    """Counts of documents whose difficulty differs."""
    expected = 1 + random.poisson(random.gamma(2, 4, documents))
    chance = random.beta(4 * recall, 4 * (1 - recall), documents)
    correct = random.binomial(expected, chance)
    predicted = correct + random.poisson(expected * (1 - chance))
    return np.stack([correct, predicted, expected], axis=1).astype(float)


def texts(random: np.random.Generator, documents: int) -> Array:
    """BLEU counts of replies that differ in length and likeness."""
    length = np.maximum(8, random.lognormal(4, 0.7, documents)).astype(int)
    expected = np.maximum(8, length * random.lognormal(0.05, 0.3, documents)).astype(int)
    likeness = random.beta(4, 4, documents)
    ngrams = [length - order for order in range(4)]
    found = [random.binomial(ngrams[order], likeness ** (1 + 0.8 * order)) for order in range(4)]
    return np.stack([*found, *ngrams, length, expected], axis=1).astype(float)


def test_each_draw_draws_as_many_documents_as_there_are() -> None:
    drawn = np.concatenate(list(weights(700, "task", 1_000)))
    assert drawn.shape == (1_000, 700)
    assert (drawn.sum(axis=1) == 700).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(700), abs=0.2)
    assert drawn.var() == pytest.approx(1 - 1 / 700, abs=0.02)


def test_draws_are_the_same_every_time_and_others_for_another_purpose() -> None:
    one, again, other = (np.concatenate(list(weights(50, purpose, 100))) for purpose in ("a", "a", "b"))
    assert (one == again).all()
    assert not (one == other).all(axis=1).any()


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50), st.randoms())
def test_exact_statistics_add_up_in_any_order(values: list[float], random: np.random.Random) -> None:
    kept = exact(np.array(values))
    shuffled = kept.tolist()
    random.shuffle(shuffled)
    assert sum(shuffled) == kept.sum() == kept[::-1].sum()
    assert kept == pytest.approx(np.array(values), abs=1e-9)


def test_means_have_the_intervals_that_scipy_gives() -> None:
    random = np.random.default_rng(3)
    for values in (random.beta(1, 3, 400), random.random(400), (random.random(400) < 0.1).astype(float)):
        theirs = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="BCa", rng=random)
        ours = interval_of(points(values), mean_values)
        width = ours.high - ours.low
        assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.04 * width)
        assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.04 * width)
        assert ours.standard_error == pytest.approx(theirs.standard_error, rel=0.03)


def test_few_documents_get_the_width_of_students_t() -> None:
    values = np.random.default_rng(4).normal(0.5, 0.1, 9)
    ours = interval_of(points(values), mean_values)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.06)


@pytest.mark.parametrize(
    ("make", "value", "documents", "least"),
    [(entities, f1_values, 20, 0.89), (entities, f1_values, 80, 0.92), (texts, bleu_values, 80, 0.90)],
    ids=["20 documents with entities", "80 documents with entities", "80 texts"],
)
def test_intervals_hold_the_true_value_as_often_as_they_say(
    make: Callable[[np.random.Generator, int], Array], value: Value, documents: int, least: float
) -> None:
    random = np.random.default_rng(11)
    truth = value(make(random, 300_000).sum(axis=0))
    times = 400
    held = [interval_of(make(random, documents), value, 1_000) for _ in range(times)]
    assert least <= sum(each.low <= truth <= each.high for each in held) / times <= 0.98


def test_samples_of_one_document_do_not_count_twice() -> None:
    statistics = entities(np.random.default_rng(5), 60)
    assert interval_of(3 * statistics, f1_values)[:2] == pytest.approx(interval_of(statistics, f1_values)[:2])


def test_documents_without_statistics_change_little_and_are_not_counted() -> None:
    statistics = entities(np.random.default_rng(6), 200)
    padded = np.concatenate([statistics, np.zeros((200, 3))])
    alone, beside = bootstrap(statistics, f1_values), bootstrap(padded, f1_values)
    assert beside.documents == alone.documents == {"task": 200}
    assert np.std(beside.draws) == pytest.approx(np.std(alone.draws), rel=0.05)


def test_where_all_documents_agree_the_interval_has_no_width() -> None:
    assert interval_of(np.ones((5, 3)), f1_values) == Interval(1.0, 1.0, 0.0)
    assert interval_of(np.tile([0.0, 0, 4], (5, 1)), f1_values) == Interval(0.0, 0.0, 0.0)


def test_there_is_no_interval_of_one_document_or_of_nothing() -> None:
    assert interval(bootstrap(np.ones((1, 3)), f1_values)) is None
    assert interval(bootstrap(np.array([[3.0, 4, 5], [0, 0, 0]]), f1_values)) is None
    assert interval(bootstrap(np.zeros((6, 2)), mean_values)) is None


@given(st.integers(0, 2**32), st.integers(2, 12))
def test_intervals_are_within_the_draws_and_in_order(seed: int, documents: int) -> None:
    part = bootstrap(entities(np.random.default_rng(seed), documents), f1_values, draws=200)
    found = interval(part)
    assert found is not None
    assert part.draws.min() <= found.low <= found.high <= part.draws.max()


def test_the_error_of_an_average_is_that_of_independent_tasks() -> None:
    random = np.random.default_rng(7)
    one, other = (bootstrap(entities(random, 100), f1_values, task) for task in ("one", "other"))
    both = interval(average([one, other]))
    assert both is not None
    assert average([one, other]).value == pytest.approx((one.value + other.value) / 2)
    assert both.standard_error == pytest.approx(np.hypot(np.std(one.draws), np.std(other.draws)) / 2, rel=0.03)
    assert both.low < (one.value + other.value) / 2 < both.high


def test_columns_of_one_task_are_drawn_together() -> None:
    part = bootstrap(entities(np.random.default_rng(8), 40), f1_values)
    twice = average([part, part])
    assert interval(twice) == pytest.approx(interval(part))
    assert twice.documents == {"task": 40}


def test_differences_turn_round_with_the_models() -> None:
    random = np.random.default_rng(9)
    first, second = (bootstrap(entities(random, 50, recall), f1_values) for recall in (0.7, 0.5))
    forth, back = interval(difference(first, second)), interval(difference(second, first))
    assert forth is not None
    assert back is not None
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low), abs=1e-9)
    assert interval(difference(first, first)) == Interval(0.0, 0.0, 0.0)


def test_pairing_shortens_the_interval_of_a_difference() -> None:
    random = np.random.default_rng(10)
    values = random.random(100)
    first, second = bootstrap(points(values), mean_values), bootstrap(points(values * 0.95), mean_values)
    paired = interval(difference(first, second))
    assert paired is not None
    assert paired.standard_error < np.std(first.draws) / 5
