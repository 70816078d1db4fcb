"""From spooled lines to the files of each window."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.building import writing as writing_module
from sciriff.building.facts import InstanceFacts
from sciriff.building.instances import ANY_WINDOW, Instance
from sciriff.building.pool import WorkerPool, stop_workers
from sciriff.building.writing import write_windows

FACTS = InstanceFacts("id", 0, 10, 10, 10, True, 0, 0, 0, "")


@pytest.fixture(autouse=True, scope="module")
def _no_workers_left() -> Iterator[None]:
    yield
    stop_workers()


def spooled(folder: Path, texts: dict[str, list[bytes]]) -> dict[bytes, Instance]:
    """Write spool files: name -> lines."""
    found: dict[bytes, Instance] = {}
    for name, lines in texts.items():
        (folder / name).write_bytes(b"".join(lines))
        offset = 0
        for line in lines:
            found[line] = Instance(0, 0, ANY_WINDOW, 10, name, offset, len(line), b"", "", "", FACTS)
            offset += len(line)
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_files_hold_the_spooled_lines_in_the_order_given(workers: int, tmp_path: Path) -> None:
    found = spooled(tmp_path, {"one": [b"first\n", b"second\n"], "two": [b"third, a longer line\n"]})
    first, second, third = found.values()
    small = {"train": [third, second], "validation": [first], "test": []}
    large = {"train": [third, second], "validation": [second, first], "test": []}
    files = write_windows({4096: small, 8192: large}, tmp_path, WorkerPool(workers))
    written = {
        (window, path.name): path.read_bytes() for window in files for path in (tmp_path / str(window)).iterdir()
    }
    assert written == {
        (4096, "train.jsonl"): b"third, a longer line\nsecond\n",
        (4096, "validation.jsonl"): b"first\n",
        (4096, "test.jsonl"): b"",
        (8192, "train.jsonl"): b"third, a longer line\nsecond\n",
        (8192, "validation.jsonl"): b"second\nfirst\n",
        (8192, "test.jsonl"): b"",
    }
    assert [list(entries) for entries in files.values()] == [["train.jsonl", "validation.jsonl", "test.jsonl"]] * 2
    assert {(window, name): entry for window, entries in files.items() for name, entry in entries.items()} == {
        place: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": data.count(b"\n")}
        for place, data in written.items()
    }


@given(chunk=st.integers(1, 40), order=st.permutations(range(8)))
def test_lines_are_copied_whole_however_they_are_gathered(
    tmp_path_factory: pytest.TempPathFactory, chunk: int, order: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("work")
    lines = [b"x" * size + b"\n" for size in (0, 1, 5, 17, 2, 30, 8, 3)]
    found = list(spooled(folder, {"one": lines[:3], "two": lines[3:]}).values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing_module, "_CHUNK", chunk)
        write_windows({4096: {"train": [found[place] for place in order]}}, folder, WorkerPool(1))
    assert (folder / "4096" / "train.jsonl").read_bytes() == b"".join(lines[place] for place in order)
