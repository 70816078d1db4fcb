"""The text behind an instance, and the id that equal texts share."""

from __future__ import annotations

from typing import Any

import pytest

from sciriff.building.texts import source_text, text_id


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"question": "Why?", "abstract": "Because it is so."}, "Because it is so."),
        ({"question": "Why on earth?", "tokens": ["Be", "cause"]}, "Why on earth?"),
        ({"question": "Why?", "abstract": ["One sentence.", "Another."]}, "One sentence.\nAnother."),
        ({"types": [["a", "b"], 3], "label": 1, "answer": None}, ""),
        ({"types": ["Condition", "Device", "Drug"], "abstract": "Adults only"}, "Adults only"),
        ({"question": "same", "abstract": "size"}, "same"),
        ({}, ""),
    ],
)
def test_the_longest_text_of_the_named_variables_counts(variables: dict[str, Any], text: str) -> None:
    assert source_text({**variables, "unnamed": "far longer than all the others"}, list(variables)) == text
    assert source_text(variables, ["missing"]) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("p53 binds DNA.", "P53  binds\nDNA"),
        ("IL-2 (interleukin 2), too", "IL - 2 ( interleukin 2 ) , too"),
    ],
)
def test_white_space_punctuation_and_case_do_not_count(one: str, other: str) -> None:
    assert text_id(one) == text_id(other)


@pytest.mark.parametrize(
    ("one", "other"), [("p53 binds", "p54 binds"), ("α-actin", "β-actin"), ("...", "!"), ("", "."), ("a", "")]
)
def test_letters_and_digits_count(one: str, other: str) -> None:
    assert text_id(one) != text_id(other)


def test_ids_never_change() -> None:
    assert text_id("P53 binds DNA.") == "cc6ce6e8452961550b32fdb4"
