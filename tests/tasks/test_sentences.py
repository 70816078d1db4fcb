from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sciriff.tasks.sentences import sentence_spans, sentence_splitter_name, split_sentences


def test_sentences_of_a_paragraph() -> None:
    text = "  Cells were lysed.\n\nDid it work? It did!  Yields rose by 2.5 fold. "
    assert split_sentences(text) == [
        "Cells were lysed.",
        "Did it work?",
        "It did!",
        "Yields rose by 2.5 fold.",
    ]


def test_blank_text_has_no_sentence() -> None:
    assert split_sentences("") == split_sentences(" \n ") == []


def test_splitter_has_a_name_with_a_version() -> None:
    assert sentence_splitter_name().startswith("spacy-sentencizer-3.")


@given(st.one_of(st.text(max_size=80), st.text(alphabet="ab .!?\n\t\u3000。", max_size=80)))
def test_spans_cover_every_character_that_is_not_whitespace_once_and_in_order(text: str) -> None:
    spans = sentence_spans(text)
    assert all(start < end for start, end in spans)
    assert all(left_end <= start for (_, left_end), (start, _) in pairwise(spans))
    assert "".join(" ".join(split_sentences(text)).split()) == "".join(text.split())
    assert all(sentence == sentence.strip() for sentence in split_sentences(text))


def test_texts_beyond_the_length_limit_of_the_parser_are_split() -> None:
    assert len(split_sentences("One " + "x" * 1_000_000 + ". Two.")) == 2
