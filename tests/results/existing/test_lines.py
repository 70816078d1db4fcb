from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from sciriff.results.existing.lines import Bad, Line, json_values

numbers = st.integers(-(2**63), 2**63 - 1)
values = st.dictionaries(st.text(), st.text(st.characters(exclude_categories=[])) | st.none() | st.lists(numbers))


def read(data: bytes) -> list[Line | Bad]:
    return list(json_values(data.split(b"\n")))


def test_bad_lines_are_named_and_stop_nothing() -> None:
    data = b'\xef\xbb\xbf{"a": 1}\n\n{"b": 2\n  \t\n{"c": "\xff"}\r\n' + b"[" * 100_000 + b'\n{"d": NaN}\n{"e": 5},'
    found = read(data)
    assert [each.number for each in found] == [1, 3, 5, 6, 7, 8]
    assert found[0] == Line(1, {"a": 1})
    assert [type(each) for each in found] == [Line, Bad, Bad, Bad, Line, Line]
    assert isinstance(found[3], Bad)
    assert found[3].reason == "not JSON: nested too deeply"


def test_an_indented_list_is_cut_into_its_elements_although_one_is_broken() -> None:
    whole = json.dumps([{"a": {"b": [1]}, "c": "x"}, {"a": 2}, {"a": 3}], indent=2)
    assert [each.value["a"] for each in read(whole.encode()) if isinstance(each, Line)] == [{"b": [1]}, 2, 3]
    broken = whole.replace('"a": 2', '"a": ')
    found = read(broken.encode())
    assert [type(each) for each in found] == [Line, Bad, Line]
    assert broken.splitlines()[found[1].number - 1] == "  {"
    cut = read(whole[: whole.index("3")].encode())
    assert [type(each) for each in cut] == [Line, Line, Bad]


def test_a_list_on_one_line_is_its_elements() -> None:
    assert read(b'[{"a": 1}, {"a": 2}]\n') == [Line(1, {"a": 1}), Line(1, {"a": 2})]
    assert read(b"") == read(b"\n \n") == []


@given(st.lists(values), st.booleans())
def test_what_was_written_is_read(written: list[dict[str, object]], as_list: bool) -> None:
    lines = json.dumps(written, indent=2) if as_list else "\n".join(map(json.dumps, written))
    found = read(lines.encode())
    assert [each.value for each in found if isinstance(each, Line)] == written
    assert len(found) == len(written)


@given(st.lists(st.binary() | values.map(lambda value: json.dumps(value).encode())))
def test_anything_is_read_or_named(lines: list[bytes]) -> None:
    data = b"\n".join(lines)
    found = read(data)
    numbers = [each.number for each in found]
    assert numbers == sorted(numbers)
    assert all(1 <= number <= data.count(b"\n") + 1 for number in numbers)
    assert all(each.reason for each in found if isinstance(each, Bad))
