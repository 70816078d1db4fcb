"""A window keeps the lowest ranks that fit, however the rows were met."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sciriff.building.instances import ANY_WINDOW, CHAT_MARKUP_TOKENS, Batch, Instance
from sciriff.building.sampling import BEYOND_CAP, MALFORMED, TOO_LONG, SplitSample
from sciriff.hashing import keyed_rank

WINDOWS = (100, 200, 400)
rank = keyed_rank(3, "task", "train", "sample")


def instance(row: int, tokens: int, order: int = 0, window: int = ANY_WINDOW) -> Instance:
    return Instance(row, order, window, tokens, "spool", 0, 0, b"", "", "", None)  # type: ignore[arg-type]


def examine(lengths: list[int | None], cap: int | None, shuffled: list[int]) -> SplitSample:
    """Run the rounds of a split whose rows have these token counts (None: malformed), batches in a given disorder."""
    sample = SplitSample(len(lengths), rank, WINDOWS, cap)
    while rows := sample.next_round():
        limit = max(sample.asked) - CHAT_MARKUP_TOKENS
        for row in sorted(rows, key=lambda row: shuffled[row]):
            batch, length = Batch(), lengths[row]
            if length is None:
                batch.malformed.append((row, f"row {row}"))
            elif length > limit:
                batch.too_long.append((row, ANY_WINDOW))
            else:
                batch.instances.append(instance(row, length))
            sample.add(batch)
    return sample


@given(
    st.lists(st.one_of(st.none(), st.integers(1, 500)), max_size=300),
    st.one_of(st.none(), st.integers(1, 100)),
    st.data(),
)
def test_selection_is_the_lowest_ranks_that_fit(
    lengths: list[int | None], cap: int | None, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(range(len(lengths))))
    sample = examine(lengths, cap, shuffled)
    for window in WINDOWS:
        by_rank = sorted(range(len(lengths)), key=lambda row: (rank(row), row))
        fitting = [
            row for row in by_rank if (length := lengths[row]) is not None and length <= window - CHAT_MARKUP_TOKENS
        ]
        selection = sample.select(window)
        assert [found.row for found in selection.instances] == fitting[:cap]
        assert len(selection.instances) + sum(selection.dropped.values()) == len(lengths)


def test_every_row_left_out_is_counted_by_reason() -> None:
    sample = examine([50, 500, None, 300], None, [0, 1, 2, 3])
    assert sample.select(100).dropped == {TOO_LONG: 2, MALFORMED: 1}
    assert sample.select(400).dropped == {TOO_LONG: 1, MALFORMED: 1}
    assert sample.malformed == ["row 2"]


def test_rows_beyond_the_cap_are_not_examined() -> None:
    sample = SplitSample(10_000, rank, WINDOWS, 100)
    assert len(sample.next_round()) == 100


def test_several_instances_of_a_row_stay_in_order_and_count_one_by_one() -> None:
    sample = SplitSample(2, rank, WINDOWS, 3)
    rows = sample.next_round()
    sample.add(Batch(instances=[instance(row, 10, order) for row in rows for order in (1, 0)]))
    selection = sample.select(100)
    assert [(found.row, found.order) for found in selection.instances] == [(rows[0], 0), (rows[0], 1), (rows[1], 0)]
    assert selection.dropped == {BEYOND_CAP: 1}


def test_an_instance_fitted_to_a_window_belongs_to_it_alone() -> None:
    sample = SplitSample(1, rank, WINDOWS, None)
    sample.next_round()
    sample.add(Batch(instances=[instance(0, 90, window=200)]))
    assert [len(sample.select(window).instances) for window in WINDOWS] == [0, 1, 0]
