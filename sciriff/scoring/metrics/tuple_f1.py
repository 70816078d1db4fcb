"""Tuple F1 of clinical findings: exact, substring and overlap match of five items each, micro-averaged.

Items are intervention, comparator (may be null), outcome, effect and evidence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sciriff.scoring.metrics.matching import most_matches
from sciriff.scoring.metrics.original_values import OriginalCrash, normalise
from sciriff.scoring.metrics.statistics import MatchCounts, MeanParts
from sciriff.scoring.metrics.token_f1 import overlap_f1, squad_tokens
from sciriff.scoring.metrics.values import NotUnderstood, field, has_any, normalise_mention
from sciriff.scoring.rules import Rule, Rules

ITEMS = ("intervention", "comparator", "outcome", "effect", "evidence")
LENGTH = len(ITEMS)
EFFECT = ITEMS.index("effect")
LEAST_OVERLAP = 0.3
"""Token F1 from which two items overlap."""

Finding = tuple[str, ...]
"""Five normalised items; an empty one was null."""


class Findings(NamedTuple):
    """A list of tuples that was read.

    Attributes:
        tuples: the well-formed ones, in order.
        not_list, wrong_length, bad: entries that are no list, not five items, or hold an item that cannot be read.
    """

    tuples: tuple[Finding, ...] = ()
    not_list: int = 0
    wrong_length: int = 0
    bad: int = 0

    @property
    def malformed(self) -> int:
        """Entries that are not well-formed."""
        return self.not_list + self.wrong_length + self.bad


class TupleParts(NamedTuple):
    """Statistics of one sample.

    Attributes:
        tuple_exact: tuples that are the same.
        tuple_substring: in each pair of items, one contains the other.
        tuple_overlap: in each pair of items, the tokens overlap.
        tuples_good, tuples_bad, tuples_not_list, tuples_wrong_length: share of the entries of the reply that are
            well-formed, or malformed in one of three ways.
    """

    tuple_exact: MatchCounts
    tuple_substring: MatchCounts
    tuple_overlap: MatchCounts
    tuples_good: MeanParts
    tuples_bad: MeanParts
    tuples_not_list: MeanParts
    tuples_wrong_length: MeanParts


# --- reading --------------------------------------------------------------------------------------------------------


def read_findings(value: Any) -> Findings:
    """Read a list of tuples.

    A single tuple is a list of one; needless nesting is opened; an object counts if it has five values, under the
    names of the items or in their order. Items count by their text.

    Raises:
        NotUnderstood: if it is no list, or has entries and none of them is well-formed.
    """
    if not isinstance(value, list):
        raise NotUnderstood
    tuples: list[Finding] = []
    malformed: Counter[str] = Counter()
    for entry in _entries(value):
        items = _items_of(entry) if isinstance(entry, dict) else entry
        if not isinstance(items, list):
            malformed["not_list"] += 1
        elif len(items) != LENGTH:
            malformed["wrong_length"] += 1
        else:
            tuples.append(tuple(map(normalise_mention, items)))
    if malformed and not tuples:
        raise NotUnderstood
    return Findings(tuple(tuples), **malformed)


def _entries(value: list[Any]) -> Iterator[Any]:
    """What should be a tuple each, in order; nested lists of tuples are opened."""
    waiting = [value] if value else []
    while waiting:
        entry = waiting.pop()
        nested = [item for item in entry if isinstance(item, list | dict)] if isinstance(entry, list) else []
        is_tuple = len(entry) == LENGTH and len(nested) * 2 < LENGTH if nested else True
        if is_tuple:
            yield entry
        else:
            waiting.extend(reversed(entry))


def _items_of(entry: Mapping[str, Any]) -> list[Any] | None:
    """The items of a tuple that was written as an object; None if it is not one."""
    if all(has_any(entry, [name]) for name in ITEMS if name != "comparator"):
        return [field(entry, name) for name in ITEMS]
    return list(entry.values()) if len(entry) == LENGTH else None


def read_findings_original(value: Any) -> Findings:
    """Read a list of tuples as the original does: malformed ones are told, and are no predictions.

    Raises:
        OriginalCrash: for an empty string and for objects.
    """
    if value == "" or isinstance(value, dict):
        raise OriginalCrash("no first element")
    if not isinstance(value, list | str) or value == []:
        return Findings()
    tuples: list[Finding] = []
    malformed: Counter[str] = Counter()
    for entry in value if isinstance(value[0], list) else [value]:
        if not isinstance(entry, list):
            malformed["not_list"] += 1
        elif len(entry) != LENGTH:
            malformed["wrong_length"] += 1
        else:
            try:
                tuples.append(tuple(map(normalise, entry)))
            except OriginalCrash:
                malformed["bad"] += 1
    return Findings(tuple(tuples), **malformed)


def read_reference_original(value: Any) -> Findings:
    """Read the reference as the original does: every entry is taken as a tuple.

    Raises:
        OriginalCrash: if it is not a list of lists, or an item cannot be read.
    """
    if not isinstance(value, list) or not all(isinstance(entry, list) for entry in value):
        raise OriginalCrash("the reference is not a list of lists")
    return Findings(tuple(tuple(map(normalise, entry)) for entry in value))


# --- comparing ------------------------------------------------------------------------------------------------------


def tuple_parts(prediction: Findings, reference: Findings, rules: Rules) -> TupleParts:
    """Statistics of one sample.

    Of the rules, ``VALUES`` (malformed tuples are wrong predictions), ``DISTINCT``, ``EFFECTS``, ``NULL_ITEMS``,
    ``WHOLE_WORDS`` and ``ONE_TO_ONE`` bear on this.
    """
    predicted, expected = prediction.tuples, reference.tuples
    if Rule.DISTINCT in rules:
        predicted, expected = tuple(dict.fromkeys(predicted)), tuple(dict.fromkeys(expected))
    claimed = len(predicted) + (prediction.malformed if Rule.VALUES in rules else 0)
    exact = len(set(predicted) & set(expected))
    entries = len(prediction.tuples) + prediction.malformed
    return TupleParts(
        tuple_exact=MatchCounts(exact, claimed, len(expected)),
        tuple_substring=MatchCounts(_matches(predicted, expected, _contains, rules), claimed, len(expected)),
        tuple_overlap=MatchCounts(_matches(predicted, expected, _overlaps, rules), claimed, len(expected)),
        tuples_good=MeanParts(len(prediction.tuples), entries),
        tuples_bad=MeanParts(prediction.bad, entries),
        tuples_not_list=MeanParts(prediction.not_list, entries),
        tuples_wrong_length=MeanParts(prediction.wrong_length, entries),
    )


_Alike = Callable[[str, str, Rules], bool]


def _matches(predicted: Sequence[Finding], expected: Sequence[Finding], alike: _Alike, rules: Rules) -> int:
    if Rule.ONE_TO_ONE in rules:
        return most_matches(
            [
                [place for place, other in enumerate(expected) if _all_alike(one, other, alike, rules)]
                for one in predicted
            ]
        )
    return _greedy_matches(predicted, expected, alike, rules)


def _greedy_matches(predicted: Sequence[Finding], expected: Sequence[Finding], alike: _Alike, rules: Rules) -> int:
    """The original's way: each prediction takes the first reference left; equal references are used up at once."""
    used: set[Finding] = set()
    for one in predicted:
        found = next((other for other in expected if other not in used and _all_alike(one, other, alike, rules)), None)
        if found is not None:
            used.add(found)
    return len(used)


def _all_alike(one: Finding, other: Finding, alike: _Alike, rules: Rules) -> bool:
    if Rule.EFFECTS in rules:
        return _effect(one[EFFECT]) == _effect(other[EFFECT]) and all(
            _items_alike(one[place], other[place], alike, rules) for place in range(LENGTH) if place != EFFECT
        )
    return all(_items_alike(item, other_item, alike, rules) for item, other_item in zip(one, other, strict=False))


def _items_alike(item: str, other: str, alike: _Alike, rules: Rules) -> bool:
    if Rule.NULL_ITEMS in rules and (not item or not other):
        return item == other
    return bool(item) and alike(item, other, rules)


def _contains(item: str, other: str, rules: Rules) -> bool:
    if Rule.WHOLE_WORDS not in rules:
        return item in other or other in item
    words, other_words = _words(item), _words(other)
    if not words or not other_words:
        return item == other
    return words in other_words or other_words in words


def _overlaps(item: str, other: str, rules: Rules) -> bool:
    tokens, other_tokens = _tokens(item), _tokens(other)
    if Rule.NULL_ITEMS in rules and not tokens and not other_tokens:  # articles and punctuation only
        return item == other
    return overlap_f1(tokens, other_tokens) >= LEAST_OVERLAP


_WORD = re.compile(r"\w+")
_ARTICLES = frozenset(("a", "an", "the"))
_TEXTS_KEPT = 1024


@lru_cache(maxsize=_TEXTS_KEPT)
def _words(text: str) -> str:
    """Words of a text without articles, each between blanks, so that one can be looked for in another."""
    words = [word for word in _WORD.findall(text) if word not in _ARTICLES]
    return f" {' '.join(words)} " if words else ""


@lru_cache(maxsize=_TEXTS_KEPT)
def _tokens(text: str) -> Counter[str]:
    return Counter(squad_tokens(text))


_NEGATIONS = frozenset(("no", "not", "non", "without", "neither", "nor"))


@lru_cache(maxsize=_TEXTS_KEPT)
def _effect(text: str) -> str:
    """Direction of an effect: ``+``, ``-``, ``0`` for no difference, else the text."""
    words = _WORD.findall(text)
    if not _NEGATIONS.isdisjoint(words):
        return "0"
    rises = any(word.startswith("increas") for word in words)
    falls = any(word.startswith("decreas") for word in words)
    if rises == falls:
        return text
    return "+" if rises else "-"
