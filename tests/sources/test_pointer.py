from __future__ import annotations

import re
import string
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sciriff.sources.pointer import LIMIT, Pointer, looks_like_pointer, parse_pointer

OID = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
VERSION = "version https://git-lfs.github.com/spec/v1\n"
GOOD = f"{VERSION}oid sha256:{OID}\nsize 12345\n".encode()

oids = st.text("0123456789abcdef", min_size=64, max_size=64)
sizes = st.integers(0, 10**18 - 1)
keys = st.text(string.ascii_lowercase + string.digits + ".-", min_size=1, max_size=12)
values = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=12)


def test_the_example_of_the_specification() -> None:
    assert parse_pointer(GOOD) == Pointer(OID, 12345)


def test_the_version_before_the_first_release() -> None:
    assert parse_pointer(GOOD.replace(b"git-lfs.github.com", b"hawser.github.com")) == Pointer(OID, 12345)


@given(oid=oids, size=sizes, more=st.dictionaries(keys, values, max_size=4))
def test_whatever_follows_the_rules_is_read(oid: str, size: int, more: dict[str, str]) -> None:
    fields = {**more, "oid": f"sha256:{oid}", "size": str(size)}
    fields.pop("version", None)
    data = (VERSION + "".join(f"{key} {fields[key]}\n" for key in sorted(fields))).encode()
    assume(len(data) < LIMIT)
    assert looks_like_pointer(data)
    assert parse_pointer(data) == Pointer(oid, size)


@given(cut=st.integers(0, len(GOOD) - 1))
def test_no_part_of_a_pointer_is_a_pointer(cut: int) -> None:
    with pytest.raises(ValueError, match=r"expected|newline"):
        parse_pointer(GOOD[:cut])


@given(at=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_is_an_error_or_another_good_pointer(at: int, byte: int) -> None:
    changed = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    with suppress(ValueError):
        pointer = parse_pointer(changed)
        assert f"oid sha256:{pointer.oid}\nsize {pointer.size}\n".encode() in changed


@given(st.binary(max_size=200))
def test_other_bytes_are_refused_by_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of its messages
        parse_pointer(data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (GOOD[:-1], "does not end in a newline"),
        (GOOD.replace(b"\n", b"\r\n"), "line 1: expected 'key value'"),
        (GOOD.replace(b"size ", b"size  "), "expected size <bytes>, found ' 12345'"),
        (GOOD.replace(b"12345", b"-1"), "expected size <bytes>, found '-1'"),
        (GOOD.replace(b"12345", b"012345"), "expected size <bytes>"),
        (GOOD.replace(b"sha256:", b"sha1:"), "expected oid sha256:<64 hex digits>"),
        (GOOD.replace(OID.encode(), OID.upper().encode()), "expected oid sha256:<64 hex digits>"),
        (GOOD.replace(b"spec/v1", b"spec/v2"), "expected version https://git-lfs.github.com/spec/v1, found"),
        (f"{VERSION}size 12345\noid sha256:{OID}\n".encode(), "line 3: expected keys in ascending order, found 'oid'"),
        (GOOD + b"size 12345\n", "line 4: expected keys in ascending order, found 'size' after 'size'"),
        (GOOD + VERSION.encode(), "line 4: version stands in the first line and nowhere else"),
        (f"oid sha256:{OID}\nsize 12345\n".encode(), "line 1: version stands in the first line"),
        (GOOD + b"\xff\n", "expected UTF-8"),
        (GOOD + b"x-key " + b"a" * LIMIT + b"\n", "a pointer file has fewer than 1024 bytes"),
        (VERSION.encode(), "expected oid"),
    ],
)
def test_every_broken_rule_is_named(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse_pointer(data)
