from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.building import rows as rows_module
from sciriff.building.pieces import Piece, PieceReader
from sciriff.building.rows import SplitRows, batches, raw_bytes
from sciriff.readers import load_reader
from sciriff.readers.records import PassedOver, Reader, Row, SplitSpec
from sciriff.sources.archives import ArchiveView

SPEC = SplitSpec(path="file")
VIEW = ArchiveView({})


class CountingReader:
    """Gives the same rows each time, and counts how often it is asked."""

    def __init__(self, raws: list[Any]) -> None:
        self.readings = 0
        self.drawn = 0
        self._raws = raws

    def __call__(self, view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
        self.readings += 1
        for index, raw in enumerate(self._raws):
            self.drawn += 1
            yield Row(index, f"file:{index + 1}", raw)

    @property
    def reader(self) -> Reader:
        return Reader(self, lambda row, split: {})


@given(
    st.lists(st.binary(max_size=30), max_size=40).flatmap(
        lambda raws: st.tuples(st.just(raws), st.sets(st.integers(0, max(0, len(raws) - 1))))
    ),
    st.integers(0, 300),
)
def test_a_split_read_again_gives_the_rows_of_a_buffered_one(case: tuple[list[bytes], set[int]], buffer: int) -> None:
    raws, wanted = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "_BUFFER_BYTES", buffer)
        source = CountingReader(raws)
        split = SplitRows(source.reader, VIEW, SPEC)
        picked = list(split.pick(wanted))
    assert split.size == len(raws)
    assert picked == [Row(i, f"file:{i + 1}", raws[i]) for i in sorted(wanted) if i < len(raws)]
    assert source.readings == (1 if sum(map(len, raws)) <= buffer else 2)


def test_rounds_take_each_row_once_in_source_order(monkeypatch: pytest.MonkeyPatch) -> None:
    source = CountingReader([b"x" * 10] * 10)
    split = SplitRows(source.reader, VIEW, SPEC)
    assert [row.index for row in split.pick([7, 2, 5])] == [2, 5, 7]
    assert [row.index for row in split.pick([9, 0])] == [0, 9]
    assert source.readings == 1


def test_large_splits_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_BUFFER_BYTES", 25)
    source = CountingReader([b"x" * 10] * 10)
    split = SplitRows(source.reader, VIEW, SPEC)
    first = split.pick([0, 1])
    assert source.drawn == 10
    assert next(first).index == 0
    assert source.drawn == 11


LINES = [b'{"text": "%d"}' % number for number in range(9)]


@pytest.mark.parametrize("name", ["json_lines", "pubtator"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_rows_of_a_plain_file_stay_there_until_they_are_wanted(
    name: str, mark: bytes, end: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = {"json_lines": LINES, "pubtator": [b"%d|t|title%b%d|a|text%b" % (n, end, n, end) for n in range(9)]}
    (tmp_path / "f").write_bytes(mark + end.join(documents[name]))
    reader, view, spec = load_reader(name), ArchiveView({"file": tmp_path / "f"}), SplitSpec("file")
    cut = [row for row in reader.rows(view, spec) if isinstance(row, Row)]
    assert len(cut) == 9
    split = SplitRows(reader, view, spec)
    monkeypatch.setattr(ArchiveView, "open", None)
    picked = list(split.pick(range(9)))
    assert [raw_bytes(row) for row in picked] == [len(row.raw) for row in cut]
    with PieceReader() as pieces:
        assert all(isinstance(row.raw, Piece) for row in picked)
        assert [row._replace(raw=pieces.read(row.raw)) for row in picked] == [row._replace(at=None) for row in cut]


def test_rows_of_a_packed_file_are_held(tmp_path: Path) -> None:
    (tmp_path / "f.gz").write_bytes(gzip.compress(b"\n".join(LINES)))
    split = SplitRows(load_reader("json_lines"), ArchiveView({"file": tmp_path / "f.gz"}), SPEC)
    assert [row.raw for row in split.pick([3, 8])] == [LINES[3], LINES[8]]


@pytest.mark.parametrize("buffer", [0, 1000])
def test_what_a_reader_passes_over_is_counted_and_no_row(monkeypatch: pytest.MonkeyPatch, buffer: int) -> None:
    monkeypatch.setattr(rows_module, "_BUFFER_BYTES", buffer)
    cut = [Row(0, "f:1", b"a"), PassedOver("repeated", "f:2"), PassedOver("unlisted", "f:3")]
    cut += [Row(1, "f:4", b"b"), PassedOver("repeated", "f:5")]
    split = SplitRows(Reader(lambda view, spec: iter(cut), lambda row, split: {}), VIEW, SPEC)
    assert split.size == 2
    assert split.passed_over == {"repeated": (2, "f:2"), "unlisted": (1, "f:3")}
    assert [row.where for row in split.pick([0, 1])] == ["f:1", "f:4"]


@pytest.mark.parametrize(
    ("raw", "size"), [(b"abc", 3), ("abcd", 4), ((b"ab", "cde", 7), 5), ((), 0), ({"a": 1}, 1024), (5, 1024)]
)
def test_size_of_what_a_row_carries(raw: Any, size: int) -> None:
    assert raw_bytes(Row(0, "x", raw)) == size


@given(st.lists(st.binary(max_size=200), max_size=60), st.integers(1, 10), st.integers(1, 500))
def test_batches_keep_order_and_are_bounded(raws: list[bytes], most_rows: int, enough_bytes: int) -> None:
    rows = [Row(index, "x", raw) for index, raw in enumerate(raws)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "_BATCH_ROWS", most_rows)
        patch.setattr(rows_module, "_BATCH_BYTES", enough_bytes)
        cut = list(batches(rows))
    assert [row for batch in cut for row in batch] == rows
    assert all(1 <= len(batch) <= most_rows for batch in cut)
    assert all(sum(map(raw_bytes, batch[:-1])) < enough_bytes for batch in cut)
