"""Which records of a task are made anew: a keyed draw of source rows, the same on any machine.

Rows are drawn, not lines: all that became of a row, in every window and wording, is looked at together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from sciriff.building.combine import INSTRUCTIONS, SPLITS, combined_record
from sciriff.hashing import keyed_rank
from sciriff.store import Store

_RANKS = 1 << 64

Row = tuple[str, int]
"""Source split and index of a source row."""


class Stored(NamedTuple):
    """One output line in the store.

    Attributes:
        window: the window of its file.
        path: its file, relative to the store root.
        line: its number there, from 1.
        instance_id, template_id: what it says it is.
        digest: of its bytes.
        parts: field -> digest of its value.
        combined: digest of what the combined dataset makes of it; empty if that cannot be said.
    """

    window: int
    path: str
    line: int
    instance_id: str
    template_id: int
    digest: bytes
    parts: Mapping[str, bytes]
    combined: bytes


class Difference(NamedTuple):
    """A record that is not what it should be.

    Attributes:
        path, line: where it stands; line 0 for one that stands nowhere.
        instance_id: what it says it is.
        what: fields that differ, or what is wrong.
    """

    path: str
    line: int
    instance_id: str
    what: str


@dataclass
class Drawn:
    """The sample of a task.

    Attributes:
        rows: row -> its lines in all windows.
        strange: (path, line, what is wrong) of lines whose id is none of the task.
        records: lines that were looked through.
    """

    rows: dict[Row, list[Stored]] = field(default_factory=dict)
    strange: list[tuple[str, int, str]] = field(default_factory=list)
    records: int = 0

    @property
    def sampled(self) -> int:
        """Lines of the sample."""
        return sum(map(len, self.rows.values()))


def draw(store: Store, task: str, windows: list[int], share: float, seed: int) -> Drawn:
    """Draw a share of the source rows that a task's files hold; at least one.

    Args:
        store: where the files lie.
        task: its name.
        windows: windows whose files are looked through.
        share: of the rows, from 0 to 1.
        seed: another seed draws other rows.

    Raises:
        StoreError, FileNotFoundError: if a file cannot be read.
    """
    rank = keyed_rank(seed, task, "verify")
    drawn = Drawn()
    lowest: tuple[int, Row] | None = None
    for window, path in (
        (window, f"{INSTRUCTIONS}/{window}/{task}/{split}.jsonl") for window in windows for split in SPLITS
    ):
        for number, line in _lines(store, path):
            drawn.records += 1
            row = row_of(task, line)
            if row is None:
                drawn.strange.append((path, number, "no line of this task"))
                continue
            place = rank(f"{row[0]}:{row[1]}")
            if place < share * _RANKS:
                drawn.rows.setdefault(row, []).append(stored(window, path, number, line))
            if lowest is None or (place, row) < lowest:
                lowest = place, row
    if not drawn.rows and lowest is not None:
        _add(store, task, windows, lowest[1], drawn)
    return drawn


def _add(store: Store, task: str, windows: list[int], row: Row, drawn: Drawn) -> None:
    """Take the lines of a row into the sample."""
    for window in windows:
        for split in SPLITS:
            path = f"{INSTRUCTIONS}/{window}/{task}/{split}.jsonl"
            for number, line in _lines(store, path):
                if row_of(task, line) == row:
                    drawn.rows.setdefault(row, []).append(stored(window, path, number, line))


def _lines(store: Store, path: str) -> Iterator[tuple[int, bytes]]:
    with store.open_read(path) as stream:
        yield from enumerate(stream, start=1)


def row_of(task: str, line: bytes) -> Row | None:
    """The source row that an output line says it was made of; None if it says nothing that can be."""
    try:
        name, split, rest = str(orjson.loads(line)["_instance_id"]).split(":", 2)
        return (split, int(rest.split(".", 1)[0])) if name == task else None
    except (ValueError, KeyError, TypeError):
        return None


def stored(window: int, path: str, number: int, line: bytes) -> Stored:
    """An output line, of which only digests are kept."""
    record = orjson.loads(line)
    template = record.get("_template_id")
    return Stored(
        window,
        path,
        number,
        str(record["_instance_id"]),
        template if isinstance(template, int) else -1,
        digest_of(line),
        parts_of(record),
        _combined(record),
    )


def _combined(record: dict[str, Any]) -> bytes:
    try:
        return digest_of(orjson.dumps(combined_record(record)) + b"\n")
    except (KeyError, TypeError):
        return b""


def digest_of(line: bytes) -> bytes:
    """Digest of a line."""
    return hashlib.blake2b(line, digest_size=16).digest()


def parts_of(record: Mapping[str, Any]) -> dict[str, bytes]:
    """Field -> digest of its value."""
    return {name: digest_of(orjson.dumps(value)) for name, value in record.items()}
