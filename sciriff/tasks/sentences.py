"""Sentence splitting by spaCy's rule-based sentencizer, which needs no trained model."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any

_NO_LIMIT = 1 << 62
"""spaCy refuses texts above a length for the sake of its parser, which is not in this pipeline."""

_TEXTS_REMEMBERED = 256
"""More than the articles of any question-answering corpus here: each article is split once for all its questions."""


@cache
def _pipeline() -> Any:
    import spacy

    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    pipeline.max_length = _NO_LIMIT
    return pipeline


def sentence_splitter_name() -> str:
    """Name and version of the splitter, for manifests, e.g. ``spacy-sentencizer-3.8.18``."""
    return f"spacy-sentencizer-{version('spacy')}"


@lru_cache(maxsize=_TEXTS_REMEMBERED)
def sentence_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Character offsets (start, end) of each sentence without the whitespace around it, in text order.

    Every character that is not whitespace lies in exactly one span.
    """
    spans = []
    for sentence in _pipeline()(text).sents:
        piece = text[sentence.start_char : sentence.end_char]
        if stripped := piece.strip():
            start = sentence.start_char + piece.index(stripped[0])
            spans.append((start, start + len(stripped)))
    return tuple(spans)


def split_sentences(text: str) -> list[str]:
    """Sentences of a text, stripped. Joined by a space they give the text again, up to whitespace between sentences."""
    return [text[start:end] for start, end in sentence_spans(text)]
