"""Putting the kept instances of a task into final splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sciriff.building.documents import document_of_rows
from sciriff.building.instances import Instance
from sciriff.building.overlaps import Entry, Overlap, Place, find_overlaps, named
from sciriff.building.sampling import Selection
from sciriff.building.splitting import SPLITS, Member, SplitBy, Unit, assign_splits
from sciriff.hashing import keyed_rank

Placed = dict[str, list[Instance]]
"""Final split -> its instances, in output order."""

_NAMED_INSTANCES = 20


@dataclass(frozen=True, slots=True)
class Shared:
    """What a final split shares with an earlier one at the largest window.

    Attributes:
        texts: its instances whose text also stands in the earlier split.
        documents: its instances whose document also stands there.
        first: ids of the first of either kind.
    """

    texts: int
    documents: int
    first: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assembly:
    """Where every kept instance goes.

    Attributes:
        windows: window -> final split -> instances.
        notes: what a user should know: a split that repeats another one, a split too small to be made.
        shared: (earlier final split, later one) -> what the later one shares with it, if anything.
    """

    windows: Mapping[int, Placed]
    notes: tuple[str, ...]
    shared: Mapping[tuple[str, str], Shared]


def assemble(
    task: str,
    seed: int,
    selections: Mapping[int, Mapping[str, Selection]],
    *,
    standardise: bool = True,
    split_by: SplitBy = "document",
    keep_repeated: bool = False,
) -> Assembly:
    """Decide the final split of every kept instance.

    A source split whose kept texts all stand in another split (SciRIFF's discomat has validation equal to train) is no
    independent split: it is left out, and the rules for missing splits apply.

    Args:
        task: task name.
        seed: the build's global seed.
        selections: window -> source split -> what the window keeps of it.
        standardise: whether missing splits are carved out of the others.
        split_by: what carving keeps together. Documents are ranked by seed and id alone, so that tasks over the same
            documents hold out the same ones; rows by seed, task and index.
        keep_repeated: take a split that repeats another one for independent, as the original did.
    """
    notes: list[str] = []
    repeated = _repeating_split(selections[max(selections)]) if standardise and not keep_repeated else None
    if repeated is not None:
        copy, original = repeated
        notes.append(left_out(copy, original))
        selections = {
            window: {split: kept for split, kept in splits.items() if split != copy}
            for window, splits in selections.items()
        }
    units = _units(selections, split_by)
    rank = keyed_rank(seed, "documents", "carve") if split_by == "document" else keyed_rank(seed, task, "carve")
    sizes: dict[int, dict[str, Mapping[Unit, int]]] = {
        window: {
            split: Counter(units[split][instance.row] for instance in selection.instances)
            for split, selection in splits.items()
        }
        for window, splits in selections.items()
    }
    assigned = assign_splits(sizes, rank, standardise=standardise)
    windows = {window: _place(splits, units, assigned[window]) for window, splits in selections.items()}
    for window, placed in windows.items():
        if empty := [split for split in SPLITS if not placed[split]]:
            single = all(count == 1 for counts in sizes[window].values() for count in counts.values())
            few = "instances" if single or split_by == "instance" else "documents"
            notes.append(f"too few {few} fit {window} tokens: {', '.join(empty)} empty")
    return Assembly(windows, tuple(notes), _shared(task, windows[max(windows)]))


def _units(selections: Mapping[int, Mapping[str, Selection]], split_by: SplitBy) -> dict[str, Mapping[int, Unit]]:
    """Source split -> row -> what carving keeps it together with; the same at every window."""
    documents: dict[str, dict[int, set[str]]] = {}
    for splits in selections.values():
        for split, selection in splits.items():
            rows = documents.setdefault(split, {})
            for instance in selection.instances:
                rows.setdefault(instance.row, set()).add(instance.document)
    if split_by == "instance":
        return {split: {row: row for row in rows} for split, rows in documents.items()}
    return {split: dict(document_of_rows(rows)) for split, rows in documents.items()}


def left_out(copy: str, original: str) -> str:
    """What to tell of a source split that is no independent split."""
    return f"source split {copy} left out: every text of it also stands in {original}"


def _place(
    splits: Mapping[str, Selection], units: Mapping[str, Mapping[int, Unit]], assigned: Mapping[Member, str]
) -> Placed:
    placed: Placed = {split: [] for split in SPLITS}
    for source in SPLITS:
        for instance in splits[source].instances if source in splits else ():
            placed[assigned[Member(source, units[source][instance.row])]].append(instance)
    return placed


def _repeating_split(selections: Mapping[str, Selection]) -> tuple[str, str] | None:
    """The first source split whose texts all stand in an earlier one, and that one."""
    texts = {
        split: {instance.content for instance in selections[split].instances}
        for split in SPLITS
        if split in selections and selections[split].instances
    }
    names = list(texts)
    for place, copy in enumerate(names):
        for original in names[:place]:
            if texts[copy] <= texts[original]:
                return copy, original
    return None


def _shared(task: str, placed: Placed) -> dict[tuple[str, str], Shared]:
    entries = (
        Entry(Place(task, split), instance.facts.instance_id, instance.document, instance.text)
        for split, instances in placed.items()
        for instance in instances
    )
    found: dict[tuple[str, str], list[Overlap]] = {}
    for overlap in find_overlaps(entries):
        pair = (overlap.other.split, overlap.entry.place.split)
        if SPLITS.index(pair[0]) < SPLITS.index(pair[1]):
            found.setdefault(pair, []).append(overlap)
    return {
        pair: Shared(
            texts=sum(overlap.same_text > 0 for overlap in found[pair]),
            documents=sum(overlap.same_document > 0 for overlap in found[pair]),
            first=tuple(named(found[pair], _NAMED_INSTANCES)),
        )
        for pair in sorted(found, key=lambda pair: (SPLITS.index(pair[0]), SPLITS.index(pair[1])))
    }
