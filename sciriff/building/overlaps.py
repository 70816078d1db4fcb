"""Which instances have their text, or their document, also in another split or in what another task is evaluated on.

Pure functions over :class:`Entry` values, which built instances (:func:`entry_of_line`) and instances of a running
build give alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

EVALUATION_SPLITS = ("validation", "test")


class Place(NamedTuple):
    """A final split of a task."""

    task: str
    split: str


class Entry(NamedTuple):
    """What is compared of one instance.

    Attributes:
        place: task and final split in which it lies.
        instance_id: ``_instance_id``.
        document: ``_document_id``.
        text: ``_text_id``.
    """

    place: Place
    instance_id: str
    document: str
    text: str


class Overlap(NamedTuple):
    """An instance with instances of another place that share its text or document.

    Attributes:
        entry: the instance.
        other: the other place: another split of its task, or an evaluation split of another task.
        same_text: instances there with the same text.
        same_document: instances there of the same document.
        other_id: the first of them by name, of the same text if there is one.
    """

    entry: Entry
    other: Place
    same_text: int
    same_document: int
    other_id: str


def entry_of_line(place: Place, instance: Mapping[str, Any]) -> Entry:
    """The entry of an output line; what it does not say (lines of older builds) is empty."""
    document, text = instance.get("_document_id", ""), instance.get("_text_id", "")
    return Entry(place, instance["_instance_id"], document, text)


def find_overlaps(entries: Iterable[Entry]) -> Iterator[Overlap]:
    """Yield every overlap, sorted by the instance (task, split, id) and the other place.

    An instance that several templates render is one instance. Nothing is the same as an empty id. The order of the
    entries does not matter.
    """
    distinct = set(entries)
    seen = Counter(key for entry in distinct for key in (entry.text, entry.document))
    seen[""] = 0
    shared = sorted(entry for entry in distinct if seen[entry.text] > 1 or seen[entry.document] > 1)
    texts = _grouped((entry.text, entry) for entry in shared)
    documents = _grouped((entry.document, entry) for entry in shared)
    none: list[str] = []
    for entry in shared:
        by_text, by_document = texts.get(entry.text, {}), documents.get(entry.document, {})
        for other in sorted(by_text.keys() | by_document.keys()):
            if _compared(entry.place, other):
                same_text, same_document = by_text.get(other, none), by_document.get(other, none)
                first = (same_text or same_document)[0]
                yield Overlap(entry, other, len(same_text), len(same_document), first)


class TrainingOverlaps(NamedTuple):
    """How many training instances meet what models are evaluated on.

    Attributes:
        texts, documents: those whose text, or document, stands in a validation or test split.
        held_out_texts, held_out_documents: those of them that meet a split of a held-out task.
    """

    texts: int = 0
    documents: int = 0
    held_out_texts: int = 0
    held_out_documents: int = 0

    def __str__(self) -> str:
        """In one line, for people."""
        if not self.texts and not self.documents:
            return "no training instance meets an evaluation split"
        return (
            f"training instances that meet an evaluation split: {self.texts:,} by text, {self.documents:,} by document "
            f"(of a held-out task: {self.held_out_texts:,}, {self.held_out_documents:,})"
        )


NO_OVERLAPS = TrainingOverlaps()


def training_overlaps(overlaps: Iterable[Overlap], held_out: Container[str]) -> TrainingOverlaps:
    """Count training instances in sorted overlaps.

    Args:
        overlaps: as :func:`find_overlaps` yields them.
        held_out: tasks that are kept for evaluation. Their own training instances count, too.
    """
    total = [0, 0, 0, 0]
    for entry, found in groupby(overlaps, key=lambda overlap: overlap.entry):
        if entry.place.split == "train":
            met = [overlap for overlap in found if overlap.other.split in EVALUATION_SPLITS]
            kept = [overlap for overlap in met if overlap.other.task in held_out]
            for place, some in ((0, met), (2, kept)):
                total[place] += any(overlap.same_text for overlap in some)
                total[place + 1] += any(overlap.same_document for overlap in some)
    return TrainingOverlaps(*total)


def count_overlaps(overlaps: Iterable[Overlap]) -> list[dict[str, Any]]:
    """How many instances of each place have their text, and how many their document, in each other place, sorted."""
    texts: Counter[tuple[Place, Place]] = Counter()
    documents: Counter[tuple[Place, Place]] = Counter()
    for overlap in overlaps:
        pair = (overlap.entry.place, overlap.other)
        texts[pair] += overlap.same_text > 0
        documents[pair] += overlap.same_document > 0
    return [
        {
            "task": place.task,
            "split": place.split,
            "other_task": other.task,
            "other_split": other.split,
            "same_text": texts[place, other],
            "same_document": documents[place, other],
        }
        for place, other in sorted(texts)
    ]


def _compared(place: Place, other: Place) -> bool:
    if place.task == other.task:
        return place.split != other.split
    return other.split in EVALUATION_SPLITS


def _grouped(keyed: Iterable[tuple[str, Entry]]) -> dict[str, dict[Place, list[str]]]:
    """Key -> place -> ids of the entries with that key, in the order given."""
    groups: dict[str, dict[Place, list[str]]] = {}
    for key, entry in keyed:
        if key:
            groups.setdefault(key, {}).setdefault(entry.place, []).append(entry.instance_id)
    return groups


def named(overlaps: Sequence[Overlap], most: int) -> list[str]:
    """Ids of the first instances of a list of overlaps, each once."""
    return list(dict.fromkeys(overlap.entry.instance_id for overlap in overlaps))[:most]
