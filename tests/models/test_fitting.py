"""Prompts that are too long: what is cut, and that what is left fits."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from sciriff.building.tokens import TokenCounter
from sciriff.models.fitting import GAP, Limit, cut_left, cut_middle
from sciriff.resources import resource_dir

TEXT = "Read the abstract. We align glosses from subtitles with broadcast video. What is aligned? Answer in one word."


@cache
def limit(tokens: int) -> Limit:
    path = resource_dir("samples") / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    return Limit(tokens, tokenizer, TokenCounter(path))


def ids(text: str) -> list[int]:
    return list(limit(1).tokenizer.encode(text, add_special_tokens=False).ids)


TEXTS = st.lists(
    st.sampled_from(["the", " cell", "é", "\n", "  ", "β-catenin", "日本", "<s>", "(p < 0.05)"]), min_size=1
)


@given(text=TEXTS.map("".join), tokens=st.integers(1, 30))
def test_the_end_of_a_prompt_is_kept_and_fits(text: str, tokens: int) -> None:
    kept = cut_left(text, limit(tokens))
    assert text.endswith(kept)
    assert len(ids(kept)) <= tokens


@given(tokens=st.integers(1, len(TEXT)))
def test_what_is_left_are_the_last_tokens_as_the_original_cuts_them(tokens: int) -> None:
    everything = ids(TEXT)
    kept = ids(cut_left(TEXT, limit(tokens)))
    wanted = everything[-tokens:]
    assert len(wanted) - 2 <= len(kept) <= len(wanted)
    assert wanted[len(wanted) - len(kept) + 1 :] == kept[1:], "but for the first, if the cut falls into a word"


@given(text=TEXTS.map("".join), tokens=st.integers(4, 40))
def test_taking_out_the_middle_keeps_beginning_end_and_markers(text: str, tokens: int) -> None:
    text = f"Tag it: {text} Answer:"
    prompt = cut_middle(text, lambda cut: f"<u>{cut}<a>", limit(tokens))
    if prompt is None:
        return
    assert len(ids(prompt)) <= tokens
    assert prompt.startswith("<u>")
    assert prompt.endswith("<a>")
    inner = prompt.removeprefix("<u>").removesuffix("<a>")
    if inner != text:
        head, _, tail = inner.partition(GAP)
        assert text.startswith(head)
        assert text.endswith(tail)


def test_the_middle_is_taken_out_as_little_as_needed() -> None:
    text = f"Read the abstract. {TEXT * 5} Answer in one word."
    whole = len(ids(text))
    prompt = cut_middle(text, str, limit(whole - 20))
    assert prompt is not None
    assert prompt.startswith("Read the abstract.")
    assert prompt.endswith("Answer in one word.")
    assert len(ids(prompt)) >= whole - 23


def test_nothing_fits_where_the_frame_alone_is_too_long() -> None:
    assert cut_middle(TEXT, lambda cut: "frame " * 40 + cut, limit(10)) is None


@pytest.mark.parametrize("text", [TEXT, "", "x", "日本" * 40, "<s>" * 30])
def test_lengths_are_counted_exactly_at_the_limit(text: str) -> None:
    tokens = len(ids(text))
    assert limit(tokens + 1).fits(text)
    assert limit(max(tokens, 1)).fits(text)
    assert tokens < 2 or not limit(tokens - 1).fits(text)
