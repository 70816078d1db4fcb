"""Phrases that a corpus annotates beyond the mark-up of the texts (``texts/concepts.yaml``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from samples.tool import corpus


class Found(NamedTuple):
    """A typed stretch of text: characters [start, end)."""

    start: int
    end: int
    type: str


@cache
def concepts(purpose: str) -> dict[str, Any]:
    """The record of one purpose."""
    (record,) = (record for record in corpus.load("concepts") if record["purpose"] == purpose)
    found: dict[str, Any] = record
    return found


def phrases(purpose: str) -> dict[str, str]:
    """Lower-cased phrase -> its type."""
    return _inverted(concepts(purpose)["types"])


def exceptions(purpose: str) -> dict[str, str]:
    """Surface, as it is written and lower-cased -> the type that it has by way of exception."""
    return _inverted(concepts(purpose)["except"])


def _inverted(types: Mapping[str, list[str]]) -> dict[str, str]:
    return {phrase.lower(): kind for kind, listed in types.items() for phrase in listed}


def find(text: str, types: Mapping[str, str], taken: Iterable[tuple[int, int]] = ()) -> list[Found]:
    """Find phrases as whole words, the longest first where several begin, outside of the stretches that are taken."""
    longest_first = sorted(types, key=lambda phrase: (-len(phrase), phrase))
    pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])", re.IGNORECASE)
    stretches = list(taken)
    return [
        Found(*match.span(), types[match[0].lower()])
        for match in pattern.finditer(text)
        if not any(start < match.end() and match.start() < end for start, end in stretches)
    ]
