"""Matching the items of two lists one to one."""

from __future__ import annotations

from collections.abc import Sequence


def most_matches(partners: Sequence[Sequence[int]]) -> int:
    """Size of a maximum matching of a bipartite graph, by augmenting paths (Kuhn 1955).

    The answers have a handful of items, too few for the libraries that solve this at scale.

    Args:
        partners: for each item of the left side, the numbers of the items of the right side that it may be matched to.
    """
    left_of: dict[int, int] = {}
    right_of: dict[int, int] = {}
    for start in range(len(partners)):
        _augment(start, partners, left_of, right_of)
    return len(left_of)


def _augment(start: int, partners: Sequence[Sequence[int]], left_of: dict[int, int], right_of: dict[int, int]) -> None:
    """Match one more item of the left side, if the others can be rearranged so; depth first, without recursion."""
    reached_from: dict[int, int] = {}
    waiting = [start]
    while waiting:
        left = waiting.pop()
        for right in partners[left]:
            if right in reached_from:
                continue
            reached_from[right] = left
            if right not in left_of:
                _match_along(right, reached_from, left_of, right_of)
                return
            waiting.append(left_of[right])


def _match_along(end: int, reached_from: dict[int, int], left_of: dict[int, int], right_of: dict[int, int]) -> None:
    """Match the items along the path that ends at a free item of the right side."""
    right: int | None = end
    while right is not None:
        left = reached_from[right]
        before = right_of.get(left)
        left_of[right], right_of[left] = left, right
        right = before
