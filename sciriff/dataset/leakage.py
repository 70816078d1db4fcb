"""Which instances meet the same document, the same text or nearly the same text somewhere else.

Nearly the same: the estimated Jaccard similarity of their sets of 13-word shingles is at least a threshold. It is
estimated by MinHash and candidates are found by locality-sensitive hashing, so a pair just above the threshold can be
missed and one just below be told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sciriff.building.overlaps import EVALUATION_SPLITS, Place

DEFAULT_THRESHOLD: Final = 0.5
PERMUTATIONS: Final = 128
"""Slots of a MinHash signature; the estimate's standard error is at most 0.5 / sqrt(128) = 0.044."""
_BANDS: Final = 64
"""Bands of two slots. Unrelated texts share no run of 13 words, so such short bands bring few false candidates, and of
the pairs with similarity 0.3 they miss two in a thousand."""
_SEED: Final = 76

TRAIN: Final = "train"
MIXTURE: Final = "mixture"
"""Split of a place in a training mixture."""


class Item(NamedTuple):
    """What is compared of one instance.

    Attributes:
        place: where it lies: task and split, or, of a training mixture, dataset and ``mixture``.
        instance_id: its id.
        document: ``_document_id``; empty if it has none.
        text: digest of its text; equal texts have equal ones.
    """

    place: Place
    instance_id: str
    document: str
    text: str


class Match(NamedTuple):
    """An item and another place in which it has company.

    Attributes:
        item: the item.
        other: the other place.
        same_document: whether an item there has the same document.
        same_text: whether an item there has the same text.
        similarity: highest estimated similarity to an item there with another text; 1 with the same text, 0 if none
            reaches the threshold.
        other_id: the item there that is nearest: of the same text, else of the most similar one, else of the document.
    """

    item: Item
    other: Place
    same_document: bool
    same_text: bool
    similarity: float
    other_id: str


class Cell(NamedTuple):
    """How many items of a place have company in another one."""

    same_document: int = 0
    same_text: int = 0
    near_text: int = 0


@dataclass(frozen=True)
class Leakage:
    """What was found.

    Attributes:
        sizes: items of each place.
        cells: (place, other place) -> how many items of the first have company in the second; only where any have.
        matches: every item that has company across the line between training and evaluation.
        leaked: evaluation split -> how many of its items have their text, or nearly it, in training data.
        training: the split that counts as training data.
    """

    sizes: Mapping[Place, int]
    cells: Mapping[tuple[Place, Place], Cell]
    matches: tuple[Match, ...]
    leaked: Mapping[Place, int]
    training: str = TRAIN

    def share(self, place: Place) -> float:
        """Share of an evaluation split's items whose text stands in training data, exactly or nearly."""
        return self.leaked.get(place, 0) / self.sizes[place] if self.sizes.get(place) else 0.0


def is_evaluation(place: Place) -> bool:
    """Whether models are measured on a place."""
    return place.split in EVALUATION_SPLITS


class Signatures:
    """MinHash signatures of distinct texts, and which of them are near each other."""

    def __init__(self, threshold: float = DEFAULT_THRESHOLD) -> None:
        from rensa import RMinHashLSH

        self._threshold = threshold
        self._index: Any = RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=_BANDS)
        self._signatures: list[Any] = []
        self._texts: list[str] = []

    def add(self, text: str, shingles: Iterable[str]) -> None:
        """Take a text, by its digest, with its shingles; a text without any is near nothing."""
        from rensa import RMinHash

        found = sorted(shingles)
        if found:
            signature = RMinHash(num_perm=PERMUTATIONS, seed=_SEED)
            signature.update(found)
            self._index.insert(len(self._texts), signature)
            self._signatures.append(signature)
            self._texts.append(text)

    def near(self) -> dict[str, dict[str, float]]:
        """Text -> the other texts near it, with the estimated similarity; only where there are any."""
        found: dict[str, dict[str, float]] = {}
        for number, signature in enumerate(self._signatures):
            for other in self._index.query(signature):
                similarity = signature.jaccard(self._signatures[other]) if other != number else 0.0
                if similarity >= self._threshold:
                    found.setdefault(self._texts[number], {})[self._texts[other]] = round(similarity, 4)
        return found


def find_leakage(items: Iterable[Item], near: Mapping[str, Mapping[str, float]], training: str = TRAIN) -> Leakage:
    """Compare items of all places with each other.

    Args:
        items: all items; an id that occurs twice in a place (several templates) is one item.
        near: text -> texts near it, as :meth:`Signatures.near` gives them.
        training: the split that a model is trained on: ``train`` of every task, or ``mixture``.
    """
    distinct = sorted(set(items))
    sizes: dict[Place, int] = defaultdict(int)
    cells: dict[tuple[Place, Place], list[int]] = defaultdict(lambda: [0, 0, 0])
    leaked: dict[Place, set[str]] = defaultdict(set)
    kept: list[Match] = []
    for item in distinct:
        sizes[item.place] += 1
    for match in _matches(distinct, near):
        cell = cells[match.item.place, match.other]
        cell[0] += match.same_document
        cell[1] += match.same_text
        cell[2] += not match.same_text and match.similarity > 0
        splits = {match.item.place.split, match.other.split}
        if training in splits and not splits.isdisjoint(EVALUATION_SPLITS):
            kept.append(match)
            if match.other.split == training and match.similarity > 0:
                leaked[match.item.place].add(match.item.instance_id)
    return Leakage(
        dict(sizes),
        {pair: Cell(*counts) for pair, counts in sorted(cells.items())},
        tuple(kept),
        {place: len(ids) for place, ids in sorted(leaked.items())},
        training,
    )


_Firsts = dict[str, dict[Place, str]]


def _matches(items: Sequence[Item], near: Mapping[str, Mapping[str, float]]) -> Iterator[Match]:
    """Yield the matches of every item, by other place."""
    by_text, by_document = _firsts(items, "text"), _firsts(items, "document")
    for item in items:
        found: dict[Place, tuple[bool, bool, float, str]] = {}
        for other, first in by_document.get(item.document, {}).items():
            found[other] = (True, False, 0.0, first)
        for text, similarity in near.get(item.text, {}).items():
            for other, first in by_text.get(text, {}).items():
                same_document, _, best, _ = found.get(other, (False, False, 0.0, ""))
                if similarity > best:
                    found[other] = (same_document, False, similarity, first)
        for other, first in by_text.get(item.text, {}).items():
            found[other] = (other in found and found[other][0], True, 1.0, first)
        for other in sorted(found):
            if other != item.place:
                yield Match(item, other, *found[other])


def _firsts(items: Sequence[Item], name: str) -> _Firsts:
    """Value of a field -> place -> the first id there with it; items without the field are in none."""
    found: _Firsts = {}
    for item in items:
        if value := getattr(item, name):
            found.setdefault(value, {}).setdefault(item.place, item.instance_id)
    return found
