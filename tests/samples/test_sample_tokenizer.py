"""The sample tokenizer behaves as Llama 2's does where token counting depends on it."""

from __future__ import annotations

import pytest
from sample_files import SAMPLES
from tokenizers import Tokenizer

BLANK = "▁"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(SAMPLES / "tokenizer.json"))


def test_special_and_byte_tokens_stand_where_llama_2_has_them(tokenizer: Tokenizer) -> None:
    assert [tokenizer.id_to_token(number) for number in range(3)] == ["<unk>", "<s>", "</s>"]
    assert [tokenizer.id_to_token(3 + byte) for byte in range(256)] == [f"<0x{byte:02X}>" for byte in range(256)]
    assert 5_000 < tokenizer.get_vocab_size() <= 8_000


def test_no_token_crosses_a_blank_and_digits_stand_alone(tokenizer: Tokenizer) -> None:
    tokens = [token for token in tokenizer.get_vocab() if not token.startswith("<")]
    assert [token for token in tokens if BLANK in token.lstrip(BLANK)] == []
    assert [token for token in tokens if len(token) > 1 and any(char.isdigit() for char in token)] == []


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The 12 cells", ["▁The", "▁", "1", "2", "▁cells"]),
        ("a  b", ["▁a", "▁▁", "b"]),
        ("λ", ["▁", "<0xCE>", "<0xBB>"]),
        ("", []),
    ],
)
def test_encoding(tokenizer: Tokenizer, text: str, tokens: list[str]) -> None:
    assert tokenizer.encode(text, add_special_tokens=False).tokens == tokens


@pytest.mark.parametrize(
    "text", ["Zn(NO3)2·6H2O at 90 °C", '{"Chemical": ["folate"]}\n', "北京 \t 𝛼 ▁x", "  two  gaps"]
)
def test_text_comes_back_whole(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids) == text.replace(BLANK, " ")


def test_counts_add_up_over_words(tokenizer: Tokenizer) -> None:
    text = (SAMPLES / "README.md").read_text(encoding="utf-8").replace("\n", " ")
    words = [word for word in text.split(" ") if word]
    whole = tokenizer.encode(" ".join(words), add_special_tokens=False)
    assert len(whole.ids) == sum(len(tokenizer.encode(word, add_special_tokens=False).ids) for word in words)
