"""Texts of strangers are made fit to be looked at."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.reporting.text import excerpt, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\nof two lines", "plain\ttext\nof two lines"),
        ("a\r\nb", "a\nb"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("bell\x07, null\x00, delete\x7f", "bell␇, null␀, delete␡"),
        ("one\x9bm", "one⟨U+009B⟩m"),
        ("\u202egnp.exe\u202c", "⟨U+202E⟩gnp.exe⟨U+202C⟩"),
        ("pass\u200bword\ufeff", "pass⟨U+200B⟩word⟨U+FEFF⟩"),
        ("half \ud800 pair", "half ⟨U+D800⟩ pair"),
        ("tag \U000e0041", "tag ⟨U+E0041⟩"),
        ("family 👨‍👩‍👧, नमस्ते, Å, 中文", "family 👨‍👩‍👧, नमस्ते, Å, 中文"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_what_cannot_be_seen_gets_a_sign(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    shown = visible(text)
    shown.encode()
    joiners = "\u200c\u200d"  # parts of words and of emoji
    assert all(
        character in "\t\n" + joiners or unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        for character in shown
    )
    assert not any(unicodedata.bidirectional(character) in ("RLO", "LRO", "RLI", "PDF") for character in shown)
    assert visible(shown) == shown


@given(st.text(max_size=200), st.integers(1, 60))
def test_an_excerpt_is_the_text_or_its_ends(text: str, most: int) -> None:
    part = excerpt(text, most)
    assert part.length == len(text)
    assert len(part.start) + len(part.end) + part.left_out == len(text)
    if len(text) <= most:
        assert (part.start, part.left_out, part.end) == (text, 0, "")
    else:
        assert text.startswith(part.start)
        assert text.endswith(part.end)
        assert len(part.start) + len(part.end) == most
