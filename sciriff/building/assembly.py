"""Putting the kept instances of a task into final splits and writing one file per window and split.

Output lines were serialised once, by the workers; here they are only copied out of the spool files, in keyed order.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciriff.building.instances import Instance
from sciriff.building.sampling import Selection
from sciriff.building.splitting import SPLITS, Member, assign_splits
from sciriff.hashing import keyed_rank

Placed = dict[str, list[Instance]]
"""Final split -> its instances, in output order."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """Where every kept instance goes.

    Attributes:
        windows: window -> final split -> instances.
        notes: what a user should know: a split that repeats another one, a split too small to be made.
        shared: pair of final splits -> instances of the second whose text also stands in the first (largest window).
    """

    windows: Mapping[int, Placed]
    notes: tuple[str, ...]
    shared: Mapping[str, int]


def assemble(
    task: str, seed: int, selections: Mapping[int, Mapping[str, Selection]], *, standardise: bool = True
) -> Assembly:
    """Decide the final split of every kept instance.

    A source split whose kept texts all stand in another split (SciRIFF's discomat has validation equal to train) is no
    independent split: it is left out, and the rules for missing splits apply.

    Args:
        task: task name.
        seed: the build's global seed.
        selections: window -> source split -> what the window keeps of it.
        standardise: whether missing splits are carved out of the others.
    """
    notes: list[str] = []
    repeated = _repeating_split(selections[max(selections)]) if standardise else None
    if repeated is not None:
        copy, original = repeated
        notes.append(left_out(copy, original))
        selections = {
            window: {split: kept for split, kept in splits.items() if split != copy}
            for window, splits in selections.items()
        }
    rows = {
        window: {
            split: list(dict.fromkeys(instance.row for instance in selection.instances))
            for split, selection in splits.items()
        }
        for window, splits in selections.items()
    }
    assigned = assign_splits(rows, keyed_rank(seed, task, "carve"), standardise=standardise)
    windows = {window: _place(splits, assigned[window]) for window, splits in selections.items()}
    for window, placed in windows.items():
        if empty := [split for split in SPLITS if not placed[split]]:
            notes.append(f"too few instances fit {window} tokens: {', '.join(empty)} empty")
    return Assembly(windows, tuple(notes), _shared_texts(windows[max(windows)]))


def left_out(copy: str, original: str) -> str:
    """What to tell of a source split that is no independent split."""
    return f"source split {copy} left out: every text of it also stands in {original}"


def _place(splits: Mapping[str, Selection], assigned: Mapping[Member, str]) -> Placed:
    placed: Placed = {split: [] for split in SPLITS}
    for source in SPLITS:
        for instance in splits[source].instances if source in splits else ():
            placed[assigned[Member(source, instance.row)]].append(instance)
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


def _shared_texts(placed: Placed) -> dict[str, int]:
    texts = {split: {instance.content for instance in instances} for split, instances in placed.items()}
    pairs = (("train", "validation"), ("train", "test"), ("validation", "test"))
    return {
        f"{first}/{second}": shared
        for first, second in pairs
        if (shared := sum(instance.content in texts[first] for instance in placed[second]))
    }


def write_splits(placed: Mapping[str, Sequence[Instance]], spool: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """Write the files of one window.

    Args:
        placed: final split -> instances in output order.
        spool: folder of the workers' spool files.
        folder: where to write ``{split}.jsonl``; made if need be.

    Returns:
        File name -> ``{sha256, bytes, rows}``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    with ExitStack() as stack:
        spools: dict[str, int] = {}
        for split in SPLITS:
            hasher, size = hashlib.sha256(), 0
            name = f"{split}.jsonl"
            with (folder / name).open("wb") as out:
                for instance in placed[split]:
                    if instance.spool not in spools:
                        spools[instance.spool] = stack.enter_context((spool / instance.spool).open("rb")).fileno()
                    line = os.pread(spools[instance.spool], instance.length, instance.offset)
                    out.write(line)
                    hasher.update(line)
                    size += len(line)
            files[name] = {"sha256": hasher.hexdigest(), "bytes": size, "rows": len(placed[split])}
    return files
