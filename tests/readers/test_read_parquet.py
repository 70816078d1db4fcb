from __future__ import annotations

import datetime
import io
import zipfile
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_kit import MemoryView, only_error, outcomes, read, texts

from sciriff.errors import SourceError, TaskFileError
from sciriff.readers import load_reader
from sciriff.readers.records import SplitSpec
from sciriff.sources.archives import ArchiveView, MissingMemberError


def parquet(table: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def file_of(rows: list[dict[str, Any]], schema: Any = None, **options: Any) -> bytes:
    return parquet(pa.Table.from_pylist(rows, schema), **options)


NESTED = [
    {"id": 1, "tags": ["a", "b"], "paper": {"title": "T", "cited": [{"mid": 7}]}, "year": None},
    {"id": 2, "tags": [], "paper": {"title": None, "cited": []}, "year": 1999},
    {"id": 3, "tags": None, "paper": None, "year": 2024},
]


def test_nested_values_become_plain_python() -> None:
    assert read("parquet", {"f": file_of(NESTED)}) == NESTED


def test_rows_are_numbered_on_through_files_in_order_of_their_names() -> None:
    files = {f"train_{part}": file_of([{"n": 10 * part}, {"n": 10 * part + 1}]) for part in (2, 0, 1)}
    assert [row["n"] for row in read("parquet", {**files, "other": b""}, "train_*")] == [0, 1, 10, 11, 20, 21]


def test_only_the_columns_asked_for_in_that_order() -> None:
    found = read("parquet", {"f": file_of(NESTED)}, columns=["year", "id"])
    assert [list(row.items()) for row in found][1] == [("year", 1999), ("id", 2)]


def test_row_groups_and_batches_make_no_difference() -> None:
    rows = [{"n": n, "text": "x" * (n % 7)} for n in range(333)]
    assert read("parquet", {"f": file_of(rows, row_group_size=50)}) == rows
    assert read("parquet", {"f": file_of(rows, compression="zstd")}) == rows


def test_a_file_without_rows() -> None:
    assert read("parquet", {"f": file_of([], pa.schema([("a", pa.string())]))}) == []


def test_categories_dates_decimals_and_bytes() -> None:
    category = pa.array(["x", "y", "x"]).dictionary_encode()
    table = pa.table(
        {
            "label": category,
            "all": pa.ListArray.from_arrays([0, 1, 3, 3], category),
            "in": pa.StructArray.from_arrays([category], ["label"]),
            "day": pa.array([datetime.date(2020, 2, 29)] * 3),
            "score": pa.array([Decimal("1.50")] * 3),
            "raw": pa.array([b"\x00\xff"] * 3),
        }
    )
    found = read("parquet", {"f": parquet(table)})
    assert [row["label"] for row in found] == ["x", "y", "x"]
    assert [row["all"] for row in found] == [["x"], ["y", "x"], []]
    assert found[1]["in"] == {"label": "y"}
    assert (found[0]["day"], found[0]["score"], found[0]["raw"]) == (
        datetime.date(2020, 2, 29),
        Decimal("1.50"),
        b"\x00\xff",
    )


def test_a_string_that_is_not_utf8_is_its_own_rows_fault() -> None:
    raw = pa.array([b"one", b"caf\xe9", b"three"])
    strings = pa.StringArray.from_buffers(3, raw.buffers()[1], raw.buffers()[2])
    files = {"f": parquet(pa.table({"text": strings}))}
    error = only_error("parquet", files)
    assert error.where == "f:row 2"
    assert "column 'text'" in error.reason
    found = outcomes("parquet", files)
    assert [found[0], found[2]] == [{"text": "one"}, {"text": "three"}]


def test_writer_notes_in_the_schema_are_not_carried_along() -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata({"huggingface": "x" * 100_000})
    view: Any = MemoryView({"f": parquet(table)})
    (row,) = load_reader("parquet").rows(view, SplitSpec("f"))
    assert sum(map(len, row.raw)) < 2000


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b'{"a": 1}\n' * 50, b"PAR1" + bytes(100) + b"PAR1", file_of(NESTED)[:-60]]
)
def test_what_is_not_parquet_or_is_cut_off_is_named(content: bytes) -> None:
    with pytest.raises(SourceError, match=r"^f is not Parquet, or is damaged or cut off .*fetch it again$"):
        outcomes("parquet", {"f": content})


def test_damage_in_a_page_is_named() -> None:
    rows = [{"text": f"{n} " * 400} for n in range(2000)]
    content = bytearray(file_of(rows, row_group_size=500, compression="zstd", use_dictionary=False))
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    with pytest.raises(SourceError, match=r"^f is not Parquet, or is damaged"):
        outcomes("parquet", {"f": bytes(content)})


def test_columns_that_are_not_there() -> None:
    with pytest.raises(SourceError, match="f has no column title; it has id, tags, paper, year"):
        outcomes("parquet", {"f": file_of(NESTED)}, columns=["id", "title"])
    with pytest.raises(TaskFileError, match="option 'columns' of reader 'parquet': expected a list, found 'id'"):
        outcomes("parquet", {"f": file_of(NESTED)}, columns="id")
    with pytest.raises(TaskFileError, match="has no option 'column'"):
        outcomes("parquet", {"f": file_of(NESTED)}, column=["id"])
    doubled = parquet(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]))
    with pytest.raises(SourceError, match="column a occurs more than once"):
        outcomes("parquet", {"f": doubled})


def test_a_shard_that_could_not_be_had_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(file_of([{"n": 1}]))
    view = ArchiveView({"train_1": tmp_path / "a"}, missing={"train_0": "the mirror lacks it"})
    reader = load_reader("parquet")
    with pytest.raises(MissingMemberError, match="the mirror lacks it"):
        list(reader.rows(view, SplitSpec("train_*")))
    with pytest.raises(MissingMemberError, match=r"no file 'test_\*'; it has train_1"):
        list(reader.rows(view, SplitSpec("test_*")))


def test_members_of_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("data/b.parquet", file_of([{"n": 2}]))
        archive.writestr("data/a.parquet", file_of([{"n": 1}]))
    reader = load_reader("parquet")
    split = SplitSpec("z!data/*.parquet")
    found = [(row.where, reader.parse(row, split)) for row in reader.rows(ArchiveView({"z": tmp_path / "z"}), split)]
    assert found == [("z!data/a.parquet:row 1", {"n": 1}), ("z!data/b.parquet:row 1", {"n": 2})]


RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none() | texts(min_size=0),
            "tags": st.none() | st.lists(texts(min_size=0), max_size=3),
            "parts": st.lists(st.fixed_dictionaries({"k": st.none() | st.integers(-9, 9)}), max_size=2),
        }
    ),
    max_size=9,
)
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("parts", pa.list_(pa.struct([("k", pa.int64())]))),
    ]
)


@settings(deadline=None)
@given(RECORDS, st.integers(1, 4))
def test_what_is_written_is_read_back(records: list[dict[str, Any]], group: int) -> None:
    assert read("parquet", {"f": file_of(records, SCHEMA, row_group_size=group)}) == records


WHOLE = file_of(NESTED * 30, row_group_size=20)


@settings(deadline=None)
@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_cut_off_anywhere_is_named(keep: int) -> None:
    with pytest.raises(SourceError, match="damaged or cut off"):
        outcomes("parquet", {"f": WHOLE[:keep]})


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_named(content: bytes) -> None:
    for framed in (content, b"PAR1" + content + b"PAR1"):
        with suppress(SourceError):
            outcomes("parquet", {"f": framed})
