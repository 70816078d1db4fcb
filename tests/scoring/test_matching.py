from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sciriff.scoring.metrics.matching import most_matches

_GRAPHS = st.lists(st.lists(st.integers(0, 5), max_size=6, unique=True), max_size=6)


def _by_trying(partners: list[list[int]], used: frozenset[int] = frozenset()) -> int:
    if not partners:
        return 0
    first, *others = partners
    return max(
        [_by_trying(others, used)] + [1 + _by_trying(others, used | {right}) for right in first if right not in used]
    )


@given(_GRAPHS)
def test_no_other_matching_is_larger(partners: list[list[int]]) -> None:
    assert most_matches(partners) == _by_trying(partners)


@given(_GRAPHS, st.randoms())
def test_the_order_does_not_matter(partners: list[list[int]], chance: object) -> None:
    before = most_matches(partners)
    chance.shuffle(partners)  # type: ignore[attr-defined]
    for places in partners:
        chance.shuffle(places)  # type: ignore[attr-defined]
    assert most_matches(partners) == before


def test_a_long_chain_of_rearrangements() -> None:
    length = 5000
    assert most_matches([[place, place + 1] for place in range(length)] + [[0]]) == length + 1
