from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import names, only_error, outcomes, read, texts

from sciriff.errors import RecordError, TaskFileError

FILE = b"""Amino\tB-CHEBI
acids\tI-CHEBI
bind\tO
zinc\tB-CHEBI
.\tO

Results\tO

"""


def test_sentences_end_at_blank_lines() -> None:
    assert read("iob", {"f": FILE}) == [
        {
            "tokens": ["Amino", "acids", "bind", "zinc", "."],
            "tags": ["B-CHEBI", "I-CHEBI", "O", "B-CHEBI", "O"],
        },
        {"tokens": ["Results"], "tags": ["O"]},
    ]


@pytest.mark.parametrize(
    "form",
    [
        FILE.rstrip(),
        FILE + b"\n\n",
        b"\n \n" + FILE,
        b"\xef\xbb\xbf" + FILE,
        FILE.replace(b"\n", b"\r\n"),
        FILE.replace(b"\n\n", b"\n\t\n\n"),
    ],
    ids=[
        "no newline at the end",
        "blank lines at the end",
        "at the start",
        "byte order mark",
        "CRLF",
        "blanks between",
    ],
)
def test_what_is_around_the_sentences_does_not_count(form: bytes) -> None:
    assert read("iob", {"f": form}) == read("iob", {"f": FILE})


@pytest.mark.parametrize("content", [b"", b"\n\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_tokens_has_no_sentences(content: bytes) -> None:
    assert read("iob", {"f": content}) == []


def test_a_list_may_begin_with_an_inside_tag() -> None:
    assert read("iob", {"f": b"acids\tI-CHEBI\nbind\tO\n"})[0]["tags"] == ["I-CHEBI", "O"]


def test_control_characters_and_blanks_beyond_ascii_are_parts_of_tokens() -> None:
    tokens = ["NUL\0here", "\x1b", "no\u00a0break", "\u2028", "\u0085x", "½"]
    content = "".join(f"{token}\tO\n" for token in tokens).encode()
    assert read("iob", {"f": content + b"\n"})[0]["tokens"] == tokens


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"zinc", "expected 'token<tab>tag', found b'zinc'"),
        (b"zinc O", "expected 'token<tab>tag'"),
        (b"zinc\tNN\tO", "expected 'token<tab>tag'"),
        (b"\tO", "expected 'token<tab>tag'"),
        (b"zinc\t", "expected tag O, B-TYPE or I-TYPE, found ''"),
        (b"zinc\tE-CHEBI", "found 'E-CHEBI'"),
        (b"zinc\tB-", "found 'B-'"),
        (b"zinc\t0", "found '0'"),
        (b"zi\xffnc\tO", "not UTF-8: byte 0xff at offset 2"),
    ],
)
def test_a_malformed_line_names_file_line_and_reason(line: bytes, reason: str) -> None:
    error = only_error("iob", {"f": b"a\tO\n\nb\tO\n" + line + b"\n\nc\tO\n"})
    assert error.where == "f:4"
    assert reason in error.reason


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TaskFileError, match="reader 'iob' has no option 'sep'; it has none"):
        outcomes("iob", {"f": b""}, sep="|")


tags = st.just("O") | st.builds("{}-{}".format, st.sampled_from("BI"), names())
sentences = st.lists(st.tuples(texts(), tags), min_size=1, max_size=6)


@given(st.lists(sentences, max_size=5), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_is_written_is_read_back(written: list[list[Any]], ending: str, closed: bool) -> None:
    blocks = [ending.join(f"{token}\t{tag}" for token, tag in sentence) for sentence in written]
    content = (ending * 2).join(blocks) + (ending * 2 if closed else "")
    assert read("iob", {"f": content.encode()}) == [
        {"tokens": [token for token, _ in sentence], "tags": [tag for _, tag in sentence]} for sentence in written
    ]


@given(st.integers(0, len(FILE)))
def test_a_truncated_file_gives_a_named_error_or_the_tokens_before_the_cut(cut: int) -> None:
    whole = [token for record in read("iob", {"f": FILE}) for token in record["tokens"]]
    found = outcomes("iob", {"f": FILE[:cut]})
    got = [token for record in found if isinstance(record, dict) for token in record["tokens"]]
    assert got == whole[: len(got)]
    assert all(record.where.startswith("f:") for record in found[:-1] if isinstance(record, RecordError))
    assert sum(isinstance(record, RecordError) for record in found) <= 1
