"""Damaged sources for every reader, and what must hold of any reader on them.

Shared by the property tests (``test_fuzzed_sources.py``) and the coverage-guided run (``fuzz_readers.py``).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import BinaryIO, NamedTuple

from sciriff.errors import RecordError, SciriffError
from sciriff.readers import load_reader
from sciriff.readers.records import PassedOver, Record, SplitSpec
from sciriff.resources import resource_dir
from sciriff.sources.archives import ArchiveView
from sciriff.sources.catalogue import source
from sciriff.tasks.binding import bound_tasks, load_binding

Damage = Callable[[bytes], bytes]


class Case(NamedTuple):
    """One reader on the sample of one source split."""

    task: str
    reader: str
    split: SplitSpec
    view: ArchiveView


class DamagedView:
    """An archive view in which one stream, the ``victim``-th that is asked for, comes damaged."""

    def __init__(self, view: ArchiveView, damage: Damage, victim: int = 0) -> None:
        self._view, self._damage, self._left = view, damage, victim

    def _hand_out(self, content: bytes) -> bytes:
        self._left -= 1
        return self._damage(content) if self._left == -1 else content

    def open(self, path: str) -> BinaryIO:
        with self._view.open(path) as stream:
            return io.BytesIO(self._hand_out(stream.read()))

    def open_seekable(self, path: str) -> BinaryIO:
        with self._view.open_seekable(path) as stream:
            return io.BytesIO(self._hand_out(stream.read()))

    def members(self, pattern: str) -> Iterator[tuple[str, bytes]]:
        return ((path, self._hand_out(content)) for path, content in self._view.members(pattern))

    def names(self, pattern: str) -> list[str]:
        return self._view.names(pattern)


class Outcome(NamedTuple):
    """What a reader made of a source: records, the errors of single records, and what stopped it."""

    records: list[Record]
    malformed: list[RecordError]
    stopped: SciriffError | None


@cache
def cases() -> dict[str, Case]:
    """One case per reader and set of options: the first task's, at its first split. Named ``reader:task``."""
    entries = json.loads((resource_dir("samples") / "mirror.json").read_bytes())
    found: dict[str, Case] = {}
    seen = set()
    for task in bound_tasks():
        binding = load_binding(task)
        split = next(iter(binding.split_specs().values()))
        if (kind := (binding.reader, tuple(split.options))) in seen:
            continue
        seen.add(kind)
        files = source(binding.source).files
        places = {
            key: resource_dir("samples") / entries[file.url]["path"]
            for key, file in files.items()
            if file.url in entries
        }
        found[f"{binding.reader}:{task}"] = Case(task, binding.reader, split, ArchiveView(places))
    return found


def read_damaged(case: Case, damage: Damage, victim: int = 0) -> Outcome:
    """Read a case with one stream damaged.

    Whatever the bytes, a reader may only yield rows, stop with a ``SciriffError``, or refuse single rows with a
    ``RecordError``; anything else gets out of here and is a defect.
    """
    reader = load_reader(case.reader)
    records: list[Record] = []
    malformed: list[RecordError] = []
    try:
        rows = reader.rows(DamagedView(case.view, damage, victim), case.split)  # type: ignore[arg-type]
        for place, row in enumerate(row for row in rows if not isinstance(row, PassedOver)):
            assert row.index == place, "rows are numbered from 0 without gaps"
            try:
                records.append(reader.parse(row, case.split))
            except RecordError as error:
                malformed.append(error)
    except SciriffError as error:
        return Outcome(records, malformed, error)
    return Outcome(records, malformed, None)


@cache
def intact(name: str) -> list[Record]:
    """The records of a case as they are."""
    outcome = read_damaged(cases()[name], lambda content: content)
    assert not outcome.malformed
    assert outcome.stopped is None
    return outcome.records
