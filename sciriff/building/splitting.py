"""Making train, validation and test out of the splits that a source has.

The rules are the original's (task catalogue, split standardisation):

- three splits: unchanged;
- train and one other: the other becomes test; validation is carved out of train,
  ``min(len(test), round(0.2 * len(train)))``;
- one split: test and validation are carved out of it, ``round(0.2 * n)`` each.

Two things differ from the original on purpose. What is carved is decided by keyed rank, not by a generator's state. And
windows agree: an instance that is held out at one window is never training data at another. Windows are taken in
ascending order and a decision, once made, stands; since counts only grow with the window this never runs short.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sciriff.errors import UsageError

SPLITS: Final = ("train", "validation", "test")
_CARVED_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Member:
    """What splitting needs to know of a row: its source split and its index there."""

    split: str
    row: int


@dataclass(frozen=True, slots=True)
class Carving:
    """How final splits come out of source splits.

    Attributes:
        renamed: source split -> final split, for the rows that are not carved out.
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
    kept: Mapping[int, Mapping[str, Sequence[int]]],
    rank: Callable[[int], int],
    *,
    standardise: bool = True,
) -> dict[int, dict[Member, str]]:
    """Assign the kept rows of every window to final splits.

    Args:
        kept: window -> source split -> row indices kept there; every split that the source has, also where none is
            kept.
        rank: keyed rank of a row of the donor split; the lowest are carved out first.
        standardise: False leaves splits as the source has them.

    Returns:
        window -> member -> final split. The sizes at each window are those of the rules above.
    """
    available = sorted({split for splits in kept.values() for split in splits})
    carving = plan_carving(available) if standardise else Carving({split: split for split in available})
    held_out: dict[int, str] = {}
    training: set[int] = set()
    assigned: dict[int, dict[Member, str]] = {}
    for window in sorted(kept):
        splits = kept[window]
        final = {
            Member(split, row): carving.renamed[split]
            for split, rows in splits.items()
            if split != carving.donor
            for row in rows
        }
        if carving.donor is not None:
            rows = splits.get(carving.donor, ())
            others = sum(len(rows) for split, rows in splits.items() if split != carving.donor)
            _carve(rows, carving, others, rank, held_out, training)
            final |= {Member(carving.donor, row): held_out.get(row, carving.renamed[carving.donor]) for row in rows}
        assigned[window] = final
    return assigned


def _carve(
    rows: Sequence[int],
    carving: Carving,
    others: int,
    rank: Callable[[int], int],
    held_out: dict[int, str],
    training: set[int],
) -> None:
    """Extend the decisions of smaller windows to the rows of this one (``held_out`` and ``training`` grow)."""
    share = round(_CARVED_SHARE * len(rows))
    size = share if len(carving.carved) == 2 else min(others, share)
    undecided = sorted(
        (row for row in rows if row not in held_out and row not in training), key=lambda row: (rank(row), row)
    )
    for split in carving.carved:
        already = sum(held_out.get(row) == split for row in rows)
        wanted = max(0, size - already)
        for row in undecided[:wanted]:
            held_out[row] = split
        undecided = undecided[wanted:]
    training.update(undecided)
