"""The fast token count equals the tokenizer's own, on text made to break it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from sciriff.building import tokens as tokens_module
from sciriff.building.tokens import SharedStart, TokenCounter
from sciriff.errors import UsageError
from sciriff.resources import resource_dir

BUNDLED = resource_dir("samples") / "tokenizer.json"

_AWKWARD = st.sampled_from(
    ["▁", " ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", "\u00a0", "\u2028", "<s>", "</s>", "<unk>", "<0x0A>", "<"]
    + ["é", "e\u0301", "β-catenin", "𝛼", "漢字", "🧬", "10.5%", "(n=3)", "IL-2", "don't", "Na+", "-", "--------"]
    + ["\x00", "\ufeff", "the", "cell", "of"]
)
_TEXTS = st.one_of(st.text(max_size=200), st.lists(_AWKWARD, max_size=60).map("".join))


@pytest.fixture(scope="module")
def exact() -> Tokenizer:
    return Tokenizer.from_file(str(BUNDLED))


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return TokenCounter(BUNDLED)


def _exact_count(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


def test_bundled_tokenizer_is_counted_by_pieces(counter: TokenCounter) -> None:
    assert counter.additive


@given(text=_TEXTS)
@settings(max_examples=2000, deadline=None)
def test_count_is_exact(exact: Tokenizer, counter: TokenCounter, text: str) -> None:
    assert counter.count(text) == _exact_count(exact, text)


@given(parts=st.lists(st.tuples(_TEXTS, st.sampled_from([1, 50, 700])), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_count_is_exact_over_many_stretches(
    exact: Tokenizer, counter: TokenCounter, parts: list[tuple[str, int]]
) -> None:
    text = "".join(part * times for part, times in parts)
    assert counter.count(text) == _exact_count(exact, text)


@pytest.mark.parametrize("stretch", [1, 1 << 13])
@given(text=_TEXTS, limit=st.integers(0, 60))
@settings(max_examples=1000, deadline=None)
def test_limit_only_decides_between_the_count_and_none(
    exact: Tokenizer, counter: TokenCounter, stretch: int, text: str, limit: int
) -> None:
    tokens = _exact_count(exact, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens_module, "_STRETCH", stretch)
        assert counter.count_within(text, limit) == (tokens if tokens <= limit else None)


@given(words=st.lists(st.sampled_from(["a", "cell", "Na+", "β-catenin", "don't", "\n", ""]), max_size=60))
@settings(max_examples=500, deadline=None)
def test_a_text_is_never_turned_away_at_its_own_length(
    exact: Tokenizer, counter: TokenCounter, words: list[str]
) -> None:
    text = " ".join(words)
    tokens = _exact_count(exact, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens_module, "_STRETCH", 1)
        patch.setattr(tokens_module, "_SAMPLE", 8)
        assert counter.count_within(text, tokens) == tokens
        assert tokens == 0 or counter.count_within(text, tokens - 1) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["model"].update(byte_fallback=False),
        lambda d: d["model"]["vocab"].update({"cell▁cycle": max(d["model"]["vocab"].values()) + 1}),
        lambda d: d.update(normalizer={"type": "NFKC"}),
        lambda d: d.update(pre_tokenizer={"type": "Whitespace"}),
    ],
    ids=["no byte fallback", "token across a space", "other normalizer", "other pre-tokenizer"],
)
@given(text=_TEXTS)
@settings(max_examples=50, deadline=None)
def test_tokenizers_without_the_property_are_not_counted_by_pieces(tmp_path_factory, change, text: str) -> None:
    description = json.loads(BUNDLED.read_text(encoding="utf-8"))
    change(description)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(json.dumps(description), encoding="utf-8")
    counter = TokenCounter(path)
    assert not counter.additive
    assert counter.count(text) == _exact_count(Tokenizer.from_file(str(path)), text)


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "vocab.json"
    path.write_text("{}")
    with pytest.raises(UsageError, match=r"vocab\.json"):
        TokenCounter(path)


@given(
    starts=st.lists(
        st.tuples(st.sampled_from(["List the genes of  this text.\n", "Name all  ", "x"]), _TEXTS), max_size=8
    ),
    common=_TEXTS,
)
@settings(max_examples=500, deadline=None)
def test_a_shared_start_changes_no_count(
    exact: Tokenizer, counter: TokenCounter, starts: list[tuple[str, str]], common: str
) -> None:
    shared = SharedStart()
    for begin, rest in starts:
        text = common + begin + rest
        assert counter.count_within(text, 10_000, shared) == _exact_count(exact, text)


def test_a_shared_start_is_counted_once(counter: TokenCounter) -> None:
    shared = SharedStart()
    for name in ("cells", "genes", "mice"):
        counter.count_within(f"List the mentions of {name} in this text", 100, shared)
    assert shared.text == " List the mentions of"
    assert shared.tokens == counter.count("List the mentions of")
