from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from sciriff.scoring.metrics.tokenize_13a import tokenize_13a

_SACREBLEU = Tokenizer13a()
_TRICKY = st.text(alphabet="aé1 9.,-'\"&{}[]()<>/:;\n\t_~%$^|\u00a0ltgquopskied", max_size=60)


@given(st.one_of(_TRICKY, st.text(max_size=60)))
def test_gives_the_tokens_of_sacrebleu(text: str) -> None:
    assert tokenize_13a(text) == _SACREBLEU(text).split()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("don't 1,000 3-4 end.", ["don't", "1,000", "3", "-", "4", "end", "."]),
        ('{"value": "4.40"}', ["{", '"', "value", '"', ":", '"', "4.40", '"', "}"]),
        ("&lt;b&gt; x-\ny", ["<", "b", ">", "xy"]),
        ("", []),
    ],
)
def test_splits(text: str, tokens: list[str]) -> None:
    assert tokenize_13a(text) == tokens
