from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import MemoryView, names, only_error, outcomes, read, texts

from sciriff.errors import RecordError, SourceError, TaskFileError
from sciriff.readers import json_records
from sciriff.readers.records import SplitSpec

RECORDS = [{"query": "q1", "cands": ["a", "b"]}, {"query": "q2 [é]", "cands": []}]
ARRAY = json.dumps(RECORDS).encode()
LINES = b"".join(json.dumps(record).encode() + b"\n" for record in RECORDS)


@pytest.mark.parametrize(
    "content",
    [
        ARRAY,
        json.dumps(RECORDS, indent=2).encode(),
        b"\xef\xbb\xbf" + ARRAY,
        b"\n  \r\n" + ARRAY + b"\n",
        b" " * 10_000 + ARRAY,
        LINES,
        LINES.rstrip(b"\n"),
        b"\xef\xbb\xbf" + LINES,
        b"\n\n" + LINES.replace(b"\n", b"\r\n\r\n"),
    ],
)
def test_an_array_and_lines_give_the_same_records(content: bytes) -> None:
    assert read("json_records", {"f": content}) == RECORDS


def test_places_are_items_of_the_array_or_lines() -> None:
    for content, places in ((ARRAY, ["f:[0]", "f:[1]"]), (b"\n" + LINES, ["f:2", "f:3"])):
        view: Any = MemoryView({"f": content})
        assert [row.where for row in json_records.rows(view, SplitSpec("f"))] == places


@pytest.mark.parametrize("content", [b"", b" \n", b"[]", b"[ ]\n"])
def test_a_file_without_records(content: bytes) -> None:
    assert read("json_records", {"f": content}) == []


@pytest.mark.parametrize(
    ("content", "where"), [(b'[{"a": 1}, 2, {"a": 3}]', "f:[1]"), (b'{"a": 1}\n2\n{"a": 3}\n', "f:2")]
)
def test_what_is_no_object_is_named_and_the_others_go_on(content: bytes, where: str) -> None:
    error = only_error("json_records", {"f": content})
    assert (error.where, error.reason) == (where, "expected a JSON object, found a number")
    assert [found for found in outcomes("json_records", {"f": content}) if isinstance(found, dict)] == [
        {"a": 1},
        {"a": 3},
    ]


def test_a_cut_off_array_keeps_what_came_before() -> None:
    view: Any = MemoryView({"f": ARRAY[:-6]})
    rows = json_records.rows(view, SplitSpec("f"))
    assert json.loads(next(rows).raw) == RECORDS[0]
    with pytest.raises(SourceError, match=r"f: .*damaged or of another format"):
        next(rows)


def test_an_option_is_refused() -> None:
    with pytest.raises(TaskFileError, match="has no option 'under'"):
        outcomes("json_records", {"f": ARRAY}, under="data")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts(min_size=0),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names(), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(names(), VALUES, max_size=3), max_size=4), st.booleans(), st.booleans())
def test_what_is_written_is_read_back(records: list[dict[str, Any]], as_array: bool, ascii_only: bool) -> None:
    dumped = [json.dumps(record, ensure_ascii=ascii_only) for record in records]
    content = f"[{', '.join(dumped)}]" if as_array else "\n".join(dumped)
    assert read("json_records", {"f": content.encode()}) == records


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_give_records_or_named_errors(content: bytes, as_array: bool) -> None:
    with suppress(SourceError):
        for found in outcomes("json_records", {"f": (b"[" if as_array else b"") + content}):
            assert isinstance(found, (dict, RecordError))
