from __future__ import annotations

import csv
import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import MemoryView, only_error, outcomes, read

from sciriff.errors import RecordError, SourceError, TaskFileError
from sciriff.readers import csv_rows
from sciriff.readers.records import SplitSpec

FIELDS = st.text(
    st.sampled_from('aé",;\t \u2028\u0085\n') | st.characters(codec="utf-8", exclude_characters="\r\ufeff"), max_size=12
)


def written(rows: list[list[str]], ending: str = "\n") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=ending).writerows(rows)
    return text.getvalue().encode()


def test_quoted_fields_hold_commas_line_ends_and_quotes() -> None:
    content = b'id,text\n1,"one, two\nthree\n\nfour"\n2,"say ""yes"""\n3,\n'
    assert read("csv", {"f": content}) == [
        {"id": "1", "text": "one, two\nthree\n\nfour"},
        {"id": "2", "text": 'say "yes"'},
        {"id": "3", "text": ""},
    ]


def test_byte_order_mark_crlf_blank_lines_nul_and_no_last_newline() -> None:
    content = b'\xef\xbb\xbf,id\r\n\r\n0,"a\r\nb"\r\n1,n\x00l'
    assert read("csv", {"f": content}) == [{"": "0", "id": "a\r\nb"}, {"": "1", "id": "n\x00l"}]


def test_places_are_lines_of_the_file() -> None:
    content = b'id\n"two\nlines"\n\nlast\n'
    view = MemoryView({"f": content})
    found = list(csv_rows.rows(view, SplitSpec("f")))  # type: ignore[arg-type]
    assert [row.where for row in found] == ["f:2", "f:5"]


def test_long_fields() -> None:
    assert read("csv", {"f": b"a\n" + b"x" * 500_000}) == [{"a": "x" * 500_000}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1", "expected 2 fields (id, text), found 1"),
        (b"1,2,3", "expected 2 fields (id, text), found 3"),
        (b'1,"a"b"c"', "not CSV"),
        (b"1,caf\xe9", "not UTF-8: byte 0xe9"),
        (b"1,a\rb", "not CSV"),
    ],
)
def test_a_malformed_record_is_named_and_the_others_go_on(line: bytes, reason: str) -> None:
    content = b"id,text\n0,a\n" + line + b"\n2,c\n"
    error = only_error("csv", {"f": content})
    assert error.where == "f:3"
    assert reason in error.reason
    found = outcomes("csv", {"f": content})
    assert [found[0], found[2]] == [{"id": "0", "text": "a"}, {"id": "2", "text": "c"}]


def test_a_file_cut_off_inside_quotes_is_noticed() -> None:
    error = only_error("csv", {"f": b'id,text\n0,a\n1,"cut o'})
    assert error.where == "f:3"
    assert "unexpected end of data" in error.reason


def test_a_stray_quote_does_not_swallow_the_whole_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "LONGEST_RECORD", 100)
    content = b'id,text\n1,inches: 5"\n' + b"2,b\n" * 200
    with pytest.raises(SourceError, match="f:2: a quote is opened here and not closed within 100 bytes"):
        outcomes("csv", {"f": content})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "f is empty"),
        (b"\n\n", "f is empty"),
        (b"a,b,a\n1,2,3", "f:1: a column name"),
        (b"a,caf\xe9\n1,2", "f:1: expected a line of column names"),
        (b'a,"b\n1,2', "f:1: expected a line of column names"),
    ],
)
def test_files_without_usable_header(content: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        outcomes("csv", {"f": content})


def test_a_pattern_names_one_member() -> None:
    files = {"a!x/train.csv": b"a\n1", "a!x/val.csv": b"a\n2", "a!y/val.csv": b"a\n3"}
    assert read("csv", files, "a!*train.csv") == [{"a": "1"}]
    with pytest.raises(
        SourceError, match=r"a!\*val\.csv should name one member, but matches a!x/val\.csv, a!y/val\.csv"
    ):
        outcomes("csv", files, "a!*val.csv")


def test_columns_that_must_be_there() -> None:
    files = {"f": b"id,text,more\n1,a,b"}
    assert read("csv", files, columns=["text", "id"]) == [{"id": "1", "text": "a", "more": "b"}]
    with pytest.raises(SourceError, match="f: no column title, year; found id, text, more"):
        outcomes("csv", files, columns=["title", "id", "year"])


def test_an_option_is_refused() -> None:
    with pytest.raises(TaskFileError, match="has no option 'delimiter'"):
        outcomes("csv", {"f": b"a"}, delimiter=";")


@given(
    st.lists(FIELDS, min_size=2, max_size=4, unique=True),
    st.lists(st.lists(FIELDS, min_size=4, max_size=4), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_is_read_back(columns: list[str], rows: list[list[str]], ending: str) -> None:
    rows = [row[: len(columns)] for row in rows]
    assert read("csv", {"f": written([columns, *rows], ending)}) == [
        dict(zip(columns, row, strict=True)) for row in rows
    ]


@given(st.lists(st.lists(FIELDS, min_size=2, max_size=2), max_size=5), st.data())
def test_a_cut_off_file_gives_its_first_records_as_they_were(rows: list[list[str]], data: st.DataObject) -> None:
    whole = written([["a", "b"], *rows])
    cut = whole[: data.draw(st.integers(len(b"a,b\n"), len(whole)))]
    found = outcomes("csv", {"f": cut})
    complete = read("csv", {"f": whole})
    assert found[:-1] == complete[: max(len(found) - 1, 0)]


@given(st.binary(max_size=60))
def test_any_bytes_give_records_or_named_errors(content: bytes) -> None:
    for found in outcomes("csv", {"f": b"a,b\n" + content}):
        assert isinstance(found, (dict, RecordError))


@given(st.lists(FIELDS, max_size=8))
def test_places_grow(fields: list[str]) -> None:
    view = MemoryView({"f": written([["a", "b"], *([field, "x"] for field in fields)])})
    rows = csv_rows.rows(view, SplitSpec("f"))  # type: ignore[arg-type]
    lines = [int(row.where.removeprefix("f:")) for row in rows]
    assert all(first < second for first, second in pairwise(lines))
