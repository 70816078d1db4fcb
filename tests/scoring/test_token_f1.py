from __future__ import annotations

import re
import string

from hypothesis import example, given
from hypothesis import strategies as st

from sciriff.scoring.metrics.token_f1 import squad_tokens

TEXTS = st.lists(
    st.sampled_from(["a", "an", "The", "b", " ", "_", "-", ".", "\n", "–", "é", "²", "\x00", "\x1c", "\u0300"])
    | st.characters(),
    max_size=12,
).map("".join)


@given(TEXTS)
@example("the cat_a sat on a mat")
@example("a–b")
@example("a\x00the b")
def test_squad_tokens_are_those_of_the_definition(text: str) -> None:
    without_punctuation = "".join(character for character in text.lower() if character not in string.punctuation)
    assert squad_tokens(text) == re.sub(r"\b(a|an|the)\b", " ", without_punctuation).split()
