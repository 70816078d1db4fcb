from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import only_error, outcomes, read, texts

from sciriff.errors import RecordError, TaskFileError

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.dictionaries(texts(), VALUES, max_size=4)


def test_byte_order_mark_crlf_blank_lines_and_no_last_newline() -> None:
    content = b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": 2}'
    assert read("json_lines", {"f": content}) == [{"a": 1}, {"a": 2}]


def test_what_corpora_write_beyond_the_standard() -> None:
    content = (
        b'{"cite": NaN, "x": [Infinity, -Infinity]}\n{"a": "tab\there, nul\x00 there"}\n{"u": "\\u0000 \\ud835\\udefc"}'
    )
    assert read("json_lines", {"f": content}) == [
        {"cite": None, "x": [None, None]},
        {"a": "tab\there, nul\0 there"},
        {"u": "\0 𝛼"},
    ]


def test_line_separators_inside_a_string_do_not_cut_a_line() -> None:
    content = '{"a": "one\u2028two\u0085three"}'.encode()
    assert read("json_lines", {"f": content}) == [{"a": "one\u2028two\u0085three"}]


def test_the_first_of_a_unique_key_is_kept_and_rows_are_numbered_after() -> None:
    content = (
        b'{"id": "x", "n": 1}\n{"id": "x", "n": 2}\n{"id": "y", "n": NaN}\n{"n": 4}\n{"n": 5}\n{"id": 1}\n{"id": "1"}'
    )
    found = read("json_lines", {"f": content}, unique_key="id")
    assert found == [{"id": "x", "n": 1}, {"id": "y", "n": None}, {"n": 4}, {"n": 5}, {"id": 1}, {"id": "1"}]


@pytest.mark.parametrize("options", [{}, {"unique_key": "id"}])
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": 2, "text": "cut o', "not JSON"),
        (b"\x00\x00\x00", "not JSON"),
        (b"[1, 2]", "expected a JSON object, found a list"),
        (b"null", "expected a JSON object, found null"),
        (b'{"id": "caf\xe9"}', "not UTF-8: byte 0xe9 at offset 11"),
        (b'{"id": "\\ud800 alone"}', "half of a surrogate pair"),
        (b'{"id": NaN, "s": "\\udc00"}', "half of a surrogate pair"),
        (b'{"id": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"id": 1} {"id": 2}', "not JSON: Extra data at character 11"),
    ],
)
def test_a_malformed_line_is_named_and_the_others_go_on(line: bytes, reason: str, options: dict[str, str]) -> None:
    content = b'{"id": "a"}\n\n' + line + b'\n{"id": "b"}\n'
    error = only_error("json_lines", {"f": content}, **options)
    assert error.where == "f:3"
    assert reason in error.reason
    found = outcomes("json_lines", {"f": content}, **options)
    assert [found[0], found[2]] == [{"id": "a"}, {"id": "b"}]


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TaskFileError, match="has no option 'unique'"):
        outcomes("json_lines", {"f": b"{}"}, unique="id")


@given(st.lists(RECORDS, max_size=5), st.booleans(), st.sampled_from([b"\n", b"\r\n"]))
def test_what_is_written_is_read_back(records: list[dict[str, Any]], ascii_only: bool, ending: bytes) -> None:
    content = ending.join(json.dumps(record, ensure_ascii=ascii_only).encode() for record in records)
    assert read("json_lines", {"f": content}) == records


@given(st.lists(st.integers(0, 3), max_size=12))
def test_unique_keys_are_those_of_first_appearance(keys: list[int]) -> None:
    content = b"\n".join(json.dumps({"k": key, "at": at}).encode() for at, key in enumerate(keys))
    found = read("json_lines", {"f": content}, unique_key="k")
    assert [record["at"] for record in found] == [keys.index(key) for key in dict.fromkeys(keys)]


@given(st.binary(max_size=80))
def test_any_bytes_give_objects_or_record_errors(content: bytes) -> None:
    for found in outcomes("json_lines", {"f": content}, unique_key="a"):
        assert isinstance(found, (dict, RecordError))
