"""Standardised splits have the catalogue's sizes, and windows never disagree about what is held out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.building.splitting import SPLITS, Member, assign_splits, plan_carving
from sciriff.errors import UsageError
from sciriff.hashing import keyed_rank

rank = keyed_rank(1, "task", "carve")


def sizes(assigned: dict[Member, str]) -> tuple[int, ...]:
    return tuple(sum(split == final for final in assigned.values()) for split in SPLITS)


def test_three_splits_stay_as_they_are() -> None:
    kept = {4096: {"train": [0, 1], "validation": [0], "test": [0, 1, 2]}}
    assert assign_splits(kept, rank)[4096] == {
        Member(split, row): split for split, rows in kept[4096].items() for row in rows
    }


@pytest.mark.parametrize(
    ("train", "other", "expected"),
    [
        (714, 303, (571, 143, 303)),
        (1362, 272, (1090, 272, 272)),
        (432, 262, (346, 86, 262)),
        (450, 100, (360, 90, 100)),
    ],
)
@pytest.mark.parametrize("name", ["test", "validation"])
def test_two_splits_carve_validation_out_of_train(train: int, other: int, expected: tuple[int, ...], name: str) -> None:
    kept = {4096: {"train": range(train), name: range(other)}}
    assert sizes(assign_splits(kept, rank)[4096]) == expected


@pytest.mark.parametrize(
    ("rows", "expected"), [(2000, (1200, 400, 400)), (95, (57, 19, 19)), (2, (2, 0, 0)), (0, (0, 0, 0))]
)
def test_one_split_carves_both(rows: int, expected: tuple[int, ...]) -> None:
    assert sizes(assign_splits({4096: {"test": range(rows)}}, rank).get(4096, {})) == expected


def test_two_splits_without_train_are_refused() -> None:
    with pytest.raises(UsageError, match="train is missing"):
        plan_carving(["validation", "test"])


@st.composite
def growing_windows(draw: st.DrawFn) -> tuple[int, dict[int, set[int]]]:
    """Rows that fit each of three windows (larger windows fit more), and a cap, as sampling hands them over."""
    lengths = draw(st.lists(st.integers(1, 4), max_size=200))
    cap = draw(st.integers(1, 120))
    fitting = {window: [row for row, length in enumerate(lengths) if length <= window] for window in (1, 2, 3)}
    return cap, {window: set(rows[:cap]) for window, rows in fitting.items()}


@given(growing_windows(), st.integers(0, 40), st.booleans())
def test_windows_agree_and_sizes_are_exact(case: tuple[int, dict[int, set[int]]], held: int, single: bool) -> None:
    _, rows = case
    others = {} if single else {"test": range(held)}
    kept = {window: {"train": sorted(found), **others} for window, found in rows.items()}
    assigned = assign_splits(kept, rank)
    for window, final in assigned.items():
        share = round(0.2 * len(rows[window]))
        train, validation, test = sizes(final)
        if single:
            # two shares of three rows do not fit beside a decision taken at two rows: then one is smaller by one
            assert share - 1 <= validation <= share
            assert share - 1 <= test <= share
        else:
            assert validation == min(held, share)
            assert test == held
        assert train + validation + test == len(final)
    for smaller, larger in ((1, 2), (1, 3), (2, 3)):
        for member, split in assigned[smaller].items():
            assert assigned[larger].get(member, split) == split
