"""Ways in which a finished file goes bad, and rounds in which a store is damaged in many places at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random

Damage = Callable[[Path, Sequence[Path], Random], None]
"""Spoils a file; it gets others that may stand in its place, and chance."""


def flip(path: Path, others: Sequence[Path], chance: Random) -> None:
    """Flip one bit."""
    data = bytearray(path.read_bytes())
    place = chance.randrange(len(data))
    data[place] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def cut(path: Path, others: Sequence[Path], chance: Random) -> None:
    """Leave off the end."""
    data = path.read_bytes()
    path.write_bytes(data[: chance.randrange(len(data))])


def empty(path: Path, others: Sequence[Path], chance: Random) -> None:
    """Leave nothing."""
    path.write_bytes(b"")


def delete(path: Path, others: Sequence[Path], chance: Random) -> None:
    """Take it away."""
    path.unlink()


def replace(path: Path, others: Sequence[Path], chance: Random) -> None:
    """Put another file of the store there, whole."""
    same = [other for other in others if other.name == path.name and other.read_bytes() != path.read_bytes()]
    rest = [other for other in others if other.suffix == path.suffix and other != path] or [path.parents[1]]
    chosen = chance.choice(same or rest)
    path.write_bytes(chosen.read_bytes() if chosen.is_file() else b"something else")


DAMAGES: tuple[Damage, ...] = (flip, cut, empty, delete, replace, flip)


def rounds(files: Mapping[str, Path], number: int, chance: Random) -> list[dict[str, Damage]]:
    """Plan damage: in each round at most one file of a folder, every file at least once if there are enough rounds.

    Args:
        files: name in the store -> the file.
        number: how many rounds.
        chance: what decides.
    """
    of_folder: dict[str, list[str]] = defaultdict(list)
    for name in sorted(files):
        of_folder[name.rpartition("/")[0]].append(name)
    plan: list[dict[str, Damage]] = [{} for _ in range(number)]
    for names in of_folder.values():
        chance.shuffle(names)
        for place, round_ in enumerate(plan):
            round_[names[place % len(names)]] = DAMAGES[(place + place // len(names)) % len(DAMAGES)]
    return plan
