"""Rows of one document belong together, however they come to share it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sciriff.building.documents import document_of_rows


def test_rows_have_the_name_of_their_document() -> None:
    assert document_of_rows({0: {"pmid:2"}, 1: {"pmid:1"}, 5: {"pmid:2"}}) == {0: "pmid:2", 1: "pmid:1", 5: "pmid:2"}


def test_a_row_of_two_documents_joins_them() -> None:
    rows = {0: {"c", "d"}, 1: {"b"}, 2: {"d", "e"}, 3: {"e", "b"}, 4: {"x"}}
    assert document_of_rows(rows) == {0: "b", 1: "b", 2: "b", 3: "b", 4: "x"}


@given(st.dictionaries(st.integers(0, 30), st.sets(st.text("abcdefgh", min_size=1, max_size=2), min_size=1)))
def test_groups_are_the_connected_rows(rows: dict[int, set[str]]) -> None:
    groups = document_of_rows(rows)
    assert groups.keys() == rows.keys()
    assert groups == document_of_rows(dict(reversed(rows.items())))
    for row, name in groups.items():
        members = [other for other, group in groups.items() if group == name]
        named = set().union(*(rows[other] for other in members))
        assert name == min(named)
        outside = [other for other in rows if other not in members]
        assert all(rows[other].isdisjoint(named) for other in outside)
        assert connected(row, rows) == set(members)


def connected(row: int, rows: dict[int, set[str]]) -> set[int]:
    """Rows that can be reached from one by shared documents, the slow way."""
    reached = {row}
    while True:
        named = set().union(*(rows[other] for other in reached))
        wider = {other for other, names in rows.items() if not names.isdisjoint(named)}
        if wider == reached:
            return reached
        reached = wider
