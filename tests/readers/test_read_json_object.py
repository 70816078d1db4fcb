from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import MemoryView, only_error, outcomes, read, texts
from test_read_json_lines import RECORDS

from sciriff.errors import RecordError, SourceError
from sciriff.readers import json_object, json_text
from sciriff.readers.json_text import cut_container
from sciriff.readers.records import SplitSpec


def test_records_come_in_file_order_with_their_keys() -> None:
    content = b'\xef\xbb\xbf{"b": {"x": 1},\r\n "a": {"x": NaN}, "a": {"x": 3}}\n'
    assert read("json_object", {"f": content}) == [
        {"_key": "b", "x": 1},
        {"_key": "a", "x": None},
        {"_key": "a", "x": 3},
    ]


def test_an_array_has_no_keys() -> None:
    assert read("json_object", {"f": b'[{"x": 1}, {"x": 2}]'}) == [{"x": 1}, {"x": 2}]
    assert read("json_object", {"f": b"[]"}) == []


def test_records_under_a_member() -> None:
    content = b'{"version": [1, {"questions": 0}], "questions": [{"id": 1}], "end": "]"}'
    assert read("json_object", {"f": content}, under="questions") == [{"id": 1}]


def test_a_malformed_record_is_named_by_its_key() -> None:
    content = b'{"good": {}, "sur": {"s": "\\ud800"}, "list": [1], "utf": {"s": "\xff"}, "last": {}}'
    found = outcomes("json_object", {"f": content})
    assert [str(error) for error in found if isinstance(error, RecordError)] == [
        "f:sur: a string holds half of a surrogate pair (an escape \\ud800 to \\udfff)",
        "f:list: expected a JSON object, found a list",
        "f:utf: not UTF-8: byte 0xff at offset 7",
    ]
    assert [found[0], found[-1]] == [{"_key": "good"}, {"_key": "last"}]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"a": {}, "b": {"x": ', "not JSON: Expecting value"),
        (b'{"a": {}, "b"', "expected ':'"),
        (b'{"a": {}', "the file ends too early"),
        (b'{"a": {},', "expected a key in double quotes"),
        (b'{"a": {} "b": {}}', "expected ',' or '}', found '\"'"),
        (b'{"a": {}, "b": oops}', "not JSON: Expecting value"),
        (b'{"a": {}}{"b": {}}', "unexpected text after the end"),
        (b'{"a": {}, "b": ' + b"[" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_a_broken_file_is_an_error_after_the_records_before(content: bytes, reason: str) -> None:
    rows = json_object.rows(MemoryView({"f": content}), SplitSpec("f"))  # type: ignore[arg-type]
    assert next(rows).raw == ("a", b"{}")
    with pytest.raises(SourceError) as caught:
        list(rows)
    assert str(caught.value).startswith(f"f: {reason}")
    assert "after key" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "under", "reason"),
    [
        (b"", None, "the file is empty"),
        (b"<html>", None, "expected a JSON object or array, found '<'"),
        (b"[]", "data", "expected a JSON object with a member 'data'"),
        (b'{"x": []}', "data", "has no member 'data'"),
        (b'{"data": "x"}', "data", "expected a JSON object or array"),
    ],
)
def test_another_format_is_an_error(content: bytes, under: str | None, reason: str) -> None:
    with pytest.raises(SourceError, match=r"^f: ") as caught:
        list(cut_container(io.BytesIO(content), "f", under))
    assert reason in str(caught.value)


@given(
    records=st.lists(st.tuples(texts(), RECORDS | st.integers() | st.floats(allow_nan=False) | texts()), max_size=5),
    size=st.integers(1, 50),
    indent=st.sampled_from([None, 1]),
    as_list=st.booleans(),
)
def test_values_are_cut_at_any_size_of_read(
    records: list[tuple[str, Any]], size: int, indent: int | None, as_list: bool
) -> None:
    values = [value for _, value in records]
    pairs = ",".join(f"{json.dumps(key)} : {json.dumps(value, indent=indent)}" for key, value in records)
    content = json.dumps(values, ensure_ascii=False, indent=indent) if as_list else f"{{{pairs}}}"
    keep = json_text._MIN_READ
    json_text._MIN_READ = size
    try:
        found = list(cut_container(io.BytesIO(content.encode()), "f"))
    finally:
        json_text._MIN_READ = keep
    assert [json.loads(raw) for _, raw in found] == values
    assert [key for key, _ in found] == ([None] * len(values) if as_list else [key for key, _ in records])


TABLE = {"paper_id": "P", "table_id": 0, "table_code": "| a |", "sup_text": ""}
CELLS = ['{"value": "8", "type": "Other"}', '{"value": "µ"}']


@pytest.mark.parametrize(
    "records",
    [
        [{"cell_index": [0, 1], "cell_record": cell} for cell in CELLS],
        {"cell_index": [[0, 1], [0, 2]], "cell_record": CELLS},
    ],
)
def test_both_shapes_of_cell_records(records: Any) -> None:
    content = json.dumps({"P::0": {**TABLE, "gold_json_records": records}}).encode()
    assert read("json_table", {"f": content}) == [{"_key": "P::0", **TABLE, "gold_json_records": CELLS}]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "field 'gold_json_records' is missing"),
        ({"gold_json_records": None}, "expected a list of {cell_index, cell_record}"),
        ({"gold_json_records": {"cell_index": []}}, "expected a list of {cell_index, cell_record}"),
        ({"gold_json_records": [{"cell_index": [0]}]}, "expected a list of {cell_index, cell_record}"),
        ({"gold_json_records": ["{}"]}, "expected a list of {cell_index, cell_record}"),
        ({"gold_json_records": [{"cell_record": {"value": 1}}]}, "expected every 'cell_record' to be a string"),
        ({"gold_json_records": {"cell_record": "{}"}}, "expected every 'cell_record' to be a string"),
        ({"gold_json_records": [], "table_code": None}, "field 'table_code': expected a string, found null"),
    ],
)
def test_a_malformed_table_is_named(change: dict[str, Any], reason: str) -> None:
    error = only_error("json_table", {"f": json.dumps({"P::0": {**TABLE, **change}}).encode()})
    assert error.where == "f:P::0"
    assert reason in error.reason
