from __future__ import annotations

from typing import Any

import pytest

from sciriff.scoring.metrics.list_f1 import Items, read_items, read_items_original
from sciriff.scoring.metrics.statistics import MatchCounts, add, precision_recall_f1, set_counts
from sciriff.scoring.metrics.values import NotUnderstood


def test_vector() -> None:
    pairs = [(["Uses", "background"], ["Background", "Extends"]), ([], ["Uses"])]
    for read in (read_items, read_items_original):
        counts = [set_counts(read(prediction).items, read(reference).items) for prediction, reference in pairs]
        assert precision_recall_f1(add(counts, MatchCounts())) == (0.5, pytest.approx(1 / 3), pytest.approx(0.4))


@pytest.mark.parametrize(
    ("value", "items", "original"),
    [
        ([" Uses", "USES"], {"uses"}, {"uses"}),
        ([["Uses"], [["x", 1]]], {"uses", "x", "1"}, None),
        ([["A", "B"]], {"a", "b"}, {"A B"}),
        ([5, 5.0, 2.345, True, None], {"5", "2.345", "true"}, {"5", "5.0", "2.35", "True", ""}),
        ([{"a": "x"}, "y"], {'{"a": "x"}', "y"}, None),
        ([], set(), set()),
    ],
)
def test_items(value: Any, items: set[str], original: set[str] | None) -> None:
    assert read_items(value) == Items(frozenset(items))
    read = read_items_original(value)
    assert read == (Items(frozenset([""]), is_readable=False) if original is None else Items(frozenset(original)))


@pytest.mark.parametrize(
    ("value", "original"),
    [
        ("Uses", Items(frozenset("uses"))),
        ({"Uses": 1}, Items(frozenset(["uses"]))),
        (7, Items(frozenset([""]), is_readable=False)),
        (True, Items(frozenset([""]), is_readable=False)),
    ],
)
def test_what_is_no_list_is_not_understood(value: Any, original: Items) -> None:
    with pytest.raises(NotUnderstood):
        read_items(value)
    assert read_items_original(value) == original
