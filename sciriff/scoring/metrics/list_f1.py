"""List F1: sets of normalised items, exact match, micro-averaged. Here the reading; sets are compared as everywhere."""

from __future__ import annotations

from typing import Any, NamedTuple

from sciriff.scoring.metrics.original_values import OriginalCrash, normalise
from sciriff.scoring.metrics.values import NotUnderstood, leaves, normalise_mention


class Items(NamedTuple):
    """A list that was read.

    Attributes:
        items: the different items, normalised.
        is_readable: whether they are what stood there. If not, the original puts one empty string in their place.
    """

    items: frozenset[str]
    is_readable: bool = True


def read_items(value: Any) -> Items:
    """Read a list. Nested lists are opened, other values count by their text, empty items do not count.

    Raises:
        NotUnderstood: if it is no list.
    """
    if not isinstance(value, list):
        raise NotUnderstood
    return Items(frozenset(filter(None, map(normalise_mention, leaves(value)))))


def read_items_original(value: Any) -> Items:
    """Read a list as the original does: a string gives its letters, an object its keys, one bad item voids them all."""
    try:
        return Items(frozenset(map(normalise, value)))
    except (TypeError, OriginalCrash):  # not iterable, or an item has no normal form
        return Items(frozenset([""]), is_readable=False)
