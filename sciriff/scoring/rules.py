"""What sets the two profiles apart: each repair of a defect of the original scorers is a rule with a name.

The profile ``corrected`` has all rules, ``original`` has none. Where the scores of a sample differ between the two,
the rules that make the difference are told (:class:`~sciriff.scoring.outcome.SampleScores`).
"""

from __future__ import annotations

from enum import StrEnum


class Rule(StrEnum):
    """A repair, in the order in which the steps of scoring come.

    Attributes:
        meaning: what it does, in a sentence.
    """

    meaning: str

    def __new__(cls, name: str, meaning: str) -> Rule:
        """Make a rule of its name and meaning."""
        rule = str.__new__(cls, name)
        rule._value_ = name
        rule.meaning = meaning
        return rule

    REFERENCES = "references", "A reference that only one of the profiles can read."
    SPECIAL_TOKENS = (
        "special_tokens",
        "A literal end-of-text token is cut off, not every <, /, s and > at the ends of a reply.",
    )
    JSON_SEARCH = (
        "json_search",
        "JSON inside other text is found by a JSON decoder, not by counting brackets; nothing crashes it.",
    )
    FAILURES = (
        "failures",
        "A reply that is not what the task asks for is a failure: no default stands in for it, nothing is skipped.",
    )
    VALUES = (
        "values",
        "Values of an unexpected type count by their text, a single value is a list of one, the case of labels "
        "and keys does not matter, malformed tuples are wrong predictions.",
    )
    DISTINCT = "distinct", "Tuples that are given twice, in the reply or in the reference, count once."
    EFFECTS = "effects", "Effects match if they say the same: increased is not decreased."
    NULL_ITEMS = "null_items", "Items that are empty on both sides match: a comparator of null can be right."
    WHOLE_WORDS = "whole_words", "One item contains another if it has the words of the other, not merely its letters."
    ONE_TO_ONE = "one_to_one", "As many tuples as possible are matched one to one; their order does not matter."
    EMPTY = (
        "empty",
        "Nothing against nothing is right, and so are equal texts too short for an n-gram; a failure is wrong "
        "even where there was nothing to find.",
    )


Rules = frozenset[Rule]

CORRECTED: Rules = frozenset(Rule)
ORIGINAL: Rules = frozenset()

OF_READING: Rules = frozenset({Rule.SPECIAL_TOKENS, Rule.JSON_SEARCH, Rule.FAILURES, Rule.VALUES})
"""Rules on what a reply says; the others are on how that is compared."""
