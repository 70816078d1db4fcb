"""Making train, validation and test out of the splits that a source has.

The rules are the original's (task catalogue, split standardisation); sizes count instances:

- three splits: unchanged;
- train and one other: the other becomes test; validation is carved out of train,
  ``min(len(test), round(0.2 * len(train)))``;
- one split: test and validation are carved out of it, ``round(0.2 * n)`` each.

What is carved are *units* that are never cut: rows, or all rows of a document (:data:`SplitBy`). Units are drawn in the
order of their keyed rank, and one is passed over if the split would be nearer to its size without it. With rows of one
instance each that gives the exact sizes.

Two things differ from the original on purpose. What is carved is decided by keyed rank, not by a generator's state. And
windows agree: a unit that is held out at one window is never training data at another. Windows are taken in ascending
order and a decision, once made, stands. Counts of rows only grow with the window, so that sizes stay exact; a document
may have more instances at a larger window, and there its split is as near to its size as those decisions leave room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from sciriff.errors import UsageError

SPLITS: Final = ("train", "validation", "test")
_CARVED_SHARE: Final = 0.2

SplitBy = Literal["document", "instance"]
"""What carving keeps together: all kept rows of a document, or only the instances of one row."""

Unit = int | str
"""A row index (by instance) or a document id (by document)."""


class Member(NamedTuple):
    """What splitting needs to know of a unit: its source split and its name there."""

    split: str
    unit: Unit


@dataclass(frozen=True, slots=True)
class Carving:
    """How final splits come out of source splits.

    Attributes:
        renamed: source split -> final split, for the units that are not carved out.
        carved: final splits to be carved out of ``donor``, in the order in which they draw.
        donor: the source split that gives, or None.
    """

    renamed: Mapping[str, str]
    carved: tuple[str, ...] = ()
    donor: str | None = None


def plan_carving(available: Sequence[str]) -> Carving:
    """Decide how the splits of a source become train, validation and test.

    Raises:
        UsageError: if there are two splits and neither is train, or none at all.
    """
    present = [split for split in SPLITS if split in available]
    if len(present) == 3:
        return Carving({split: split for split in present})
    if len(present) == 2:
        if "train" not in present:
            raise UsageError(
                f"source splits {present} cannot be made into train, validation and test: train is missing"
            )
        return Carving({"train": "train", present[1]: "test"}, ("validation",), "train")
    if len(present) == 1:
        return Carving({present[0]: "train"}, ("test", "validation"), present[0])
    raise UsageError("the source has no split named train, validation or test")


def assign_splits(
    kept: Mapping[int, Mapping[str, Mapping[Unit, int]]],
    rank: Callable[[Unit], int],
    *,
    standardise: bool = True,
) -> dict[int, dict[Member, str]]:
    """Assign the kept units of every window to final splits.

    Args:
        kept: window -> source split -> unit -> its instances kept there; every split that the source has, also where
            none is kept.
        rank: keyed rank of a unit of the donor split; the lowest are carved out first. Tasks whose units have the same
            names and ranks draw them in the same order, and so differ only in the units around the end of what is
            carved, if their sizes differ.
        standardise: False leaves splits as the source has them.

    Returns:
        window -> member -> final split.
    """
    available = sorted({split for splits in kept.values() for split in splits})
    carving = plan_carving(available) if standardise else Carving({split: split for split in available})
    decided: dict[Unit, str] = {}
    assigned: dict[int, dict[Member, str]] = {}
    for window in sorted(kept):
        splits = kept[window]
        final = {
            Member(split, unit): carving.renamed[split]
            for split, units in splits.items()
            if split != carving.donor
            for unit in units
        }
        if carving.donor is not None:
            units = splits.get(carving.donor, {})
            _carve(units, carving, len_of_others=_instances(splits, carving.donor), rank=rank, decided=decided)
            final |= {Member(carving.donor, unit): decided[unit] for unit in units}
        assigned[window] = final
    return assigned


def _instances(splits: Mapping[str, Mapping[Unit, int]], donor: str) -> int:
    """Instances of all splits but the donor."""
    return sum(sum(units.values()) for split, units in splits.items() if split != donor)


def _carve(
    units: Mapping[Unit, int],
    carving: Carving,
    *,
    len_of_others: int,
    rank: Callable[[Unit], int],
    decided: dict[Unit, str],
) -> None:
    """Extend the decisions of smaller windows to the units of this one (``decided`` grows)."""
    assert carving.donor is not None
    rest = carving.renamed[carving.donor]
    share = round(_CARVED_SHARE * sum(units.values()))
    size = share if len(carving.carved) == 2 else min(len_of_others, share)
    undecided = sorted((unit for unit in units if unit not in decided), key=lambda unit: (rank(unit), unit))
    filled = {decided[unit] for unit in units if unit in decided}
    for place, split in enumerate(carving.carved):
        missing = size - sum(count for unit, count in units.items() if decided.get(unit) == split)
        needing = [later for later in carving.carved[place + 1 :] if later not in filled]
        spare = len(undecided) - (rest not in filled)
        taken = _draw(
            undecided, units, missing, most=max(spare - len(needing), min(spare, 1)), empty=split not in filled
        )
        decided.update(dict.fromkeys(taken, split))
        undecided = [unit for unit in undecided if unit not in decided]
    decided.update(dict.fromkeys(undecided, rest))


def _draw(undecided: Sequence[Unit], sizes: Mapping[Unit, int], missing: int, *, most: int, empty: bool) -> list[Unit]:
    """Units that bring a split nearer to its size, in order.

    Args:
        undecided: units to draw from, in order.
        sizes: unit -> instances.
        missing: instances that the split lacks.
        most: how many units may go, so that other splits get one each.
        empty: whether the split has nothing yet; it gets the smallest unit then, if none brings it nearer to its size.
    """
    taken: list[Unit] = []
    if missing <= 0:
        return taken
    for unit in undecided:
        if len(taken) >= most:
            break
        if sizes[unit] < 2 * missing:
            taken.append(unit)
            missing -= sizes[unit]
    if empty and not taken and most > 0:
        taken.append(min(undecided, key=lambda unit: sizes[unit]))
    return taken
