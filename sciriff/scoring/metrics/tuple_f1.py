"""Tuple F1 of clinical findings: exact, substring and overlap match of five items each, micro-averaged.

Items are intervention, comparator (may be null), outcome, effect and evidence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from sciriff.scoring.metrics.matching import most_matches
from sciriff.scoring.metrics.original_values import OriginalCrash, normalise
from sciriff.scoring.metrics.statistics import MatchCounts, MeanParts
from sciriff.scoring.metrics.token_f1 import overlap_f1, token_counts
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
        wrong_predictions: how many of those count as predictions. For the original none does.
    """

    tuples: tuple[Finding, ...] = ()
    not_list: int = 0
    wrong_length: int = 0
    bad: int = 0
    wrong_predictions: int = 0


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
    return Findings(tuple(tuples), **malformed, wrong_predictions=malformed.total())


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

    Of the rules, ``DISTINCT``, ``EFFECTS``, ``NULL_ITEMS``, ``WHOLE_WORDS`` and ``ONE_TO_ONE`` bear on this.
    """
    predicted, expected = prediction.tuples, reference.tuples
    if Rule.DISTINCT in rules:
        predicted, expected = tuple(dict.fromkeys(predicted)), tuple(dict.fromkeys(expected))
    claimed = len(predicted) + prediction.wrong_predictions
    exact = len(set(predicted) & set(expected))
    entries = len(prediction.tuples) + prediction.not_list + prediction.wrong_length + prediction.bad
    return TupleParts(
        tuple_exact=MatchCounts(exact, claimed, len(expected)),
        tuple_substring=MatchCounts(_matches(predicted, expected, _contain(rules), rules), claimed, len(expected)),
        tuple_overlap=MatchCounts(_matches(predicted, expected, _overlap(rules), rules), claimed, len(expected)),
        tuples_good=MeanParts(len(prediction.tuples), entries),
        tuples_bad=MeanParts(prediction.bad, entries),
        tuples_not_list=MeanParts(prediction.not_list, entries),
        tuples_wrong_length=MeanParts(prediction.wrong_length, entries),
    )


_Alike = Callable[[str, str], bool]
"""Whether two items match."""


def _matches(predicted: Sequence[Finding], expected: Sequence[Finding], alike: _Alike, rules: Rules) -> int:
    if Rule.ONE_TO_ONE in rules:
        partners = _partners(predicted, expected, alike, rules)
        return most_matches([list(places) for places in partners])
    return _greedy_matches(expected, _partners(predicted, expected, alike, rules))


def _greedy_matches(expected: Sequence[Finding], partners: Iterable[Iterator[int]]) -> int:
    """The original's way: each prediction takes the first reference left; equal references are used up at once."""
    used: set[Finding] = set()
    for places in partners:
        used.update(islice((expected[place] for place in places if expected[place] not in used), 1))
    return len(used)


def _partners(
    predicted: Sequence[Finding], expected: Sequence[Finding], alike: _Alike, rules: Rules
) -> Iterator[Iterator[int]]:
    """For each predicted tuple, the places of the expected ones all of whose items match, in order."""
    tests = [alike] * LENGTH
    if Rule.EFFECTS in rules:
        tests[EFFECT] = _same_effect

    def match(one: Finding, other: Finding) -> bool:
        for test, item, other_item in zip(tests, one, other, strict=False):  # noqa: SIM110 - this is the inner loop
            if not test(item, other_item):
                return False
        return True

    for one in predicted:
        yield (place for place, other in enumerate(expected) if match(one, other))


def _contain(rules: Rules) -> _Alike:
    """Whether one item contains the other."""
    null_items, whole_words = Rule.NULL_ITEMS in rules, Rule.WHOLE_WORDS in rules

    def contain(item: str, other: str) -> bool:
        if not item or (not other and null_items):
            return null_items and item == other
        if item == other or not whole_words:
            return item in other or other in item
        return _has_words_of(item, other)

    return contain


def _overlap(rules: Rules) -> _Alike:
    """Whether the tokens of two items overlap enough."""
    null_items = Rule.NULL_ITEMS in rules

    def overlap(item: str, other: str) -> bool:
        if item == other:
            return null_items or bool(_tokens(item))  # not so articles and punctuation only, for the original
        return _overlap_enough(item, other)

    return overlap


_WORD = re.compile(r"\w+")
_ARTICLES = frozenset(("a", "an", "the"))

# One sample is compared several times, under other rules.
_TEXTS_KEPT = 1024
_PAIRS_KEPT = 4096


@lru_cache(maxsize=_PAIRS_KEPT)
def _has_words_of(item: str, other: str) -> bool:
    words, other_words = _words(item), _words(other)
    return bool(words and other_words) and (words in other_words or other_words in words)


@lru_cache(maxsize=_PAIRS_KEPT)
def _overlap_enough(item: str, other: str) -> bool:
    return overlap_f1(_tokens(item), _tokens(other)) >= LEAST_OVERLAP


@lru_cache(maxsize=_TEXTS_KEPT)
def _words(text: str) -> str:
    """Words of a text without articles, each between blanks, so that one can be looked for in another."""
    words = [word for word in _WORD.findall(text) if word not in _ARTICLES]
    return f" {' '.join(words)} " if words else ""


@lru_cache(maxsize=_TEXTS_KEPT)
def _tokens(text: str) -> Mapping[str, int]:
    return token_counts(text)


def _same_effect(item: str, other: str) -> bool:
    return item == other or _effect(item) == _effect(other)


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
