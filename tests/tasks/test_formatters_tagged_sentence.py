from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import RecordError
from sciriff.tasks.formatters.tagged_sentence import format_tagged_sentence
from sciriff.tasks.rendering import Fidelity

TAG = {"O": "O", "B": "B-CHEBI", "I": "I-CHEBI"}


def variables_of(tokens: str, tags: str, fidelity: Fidelity = "corrected") -> dict[str, Any]:
    record = {"tokens": tokens.split(), "tags": [TAG[tag] for tag in tags]}
    (variables,) = format_tagged_sentence(record, kind="CHEBI", fidelity=fidelity)
    return variables


def test_the_variables() -> None:
    assert variables_of("Amino acids bind zinc .", "BIOBO") == {
        "tokens": ["Amino", "acids", "bind", "zinc", "."],
        "sentence": "Amino acids bind zinc .",
        "entities": ["Amino acids", "zinc"],
        "_document_text": "Amino acids bind zinc .",
    }


@pytest.mark.parametrize(
    ("tags", "mentions"),
    [
        ("OOOO", []),
        ("BBBB", ["a", "b", "c", "d"]),
        ("BIII", ["a b c d"]),
        ("BIBO", ["a b", "c"]),
        ("OOBI", ["c d"]),
        ("BOIO", ["a", "c"]),
        ("IIOB", ["a b", "d"]),
        ("OIBI", ["b", "c d"]),
    ],
)
def test_mentions(tags: str, mentions: list[str]) -> None:
    assert variables_of("a b c d", tags)["entities"] == mentions


@pytest.mark.parametrize(("tags", "mentions"), [("BOIO", ["a"]), ("IIOB", ["d"]), ("OIBI", ["c d"]), ("IIII", [])])
def test_the_original_passes_over_an_inside_tag_that_carries_on_nothing(tags: str, mentions: list[str]) -> None:
    assert variables_of("a b c d", tags, "original")["entities"] == mentions


def test_a_repeated_mention_counts_once_but_in_the_original() -> None:
    assert variables_of("zinc or Zinc or zinc", "BOBOB")["entities"] == ["zinc", "Zinc"]
    assert variables_of("zinc or Zinc or zinc", "BOBOB", "original")["entities"] == ["zinc", "Zinc", "zinc"]


def test_a_tag_of_another_type_is_refused() -> None:
    record = {"tokens": ["p53", "acts"], "tags": ["B-GENE", "O"]}
    with pytest.raises(RecordError, match=r"sentence 'p53 acts': found tag 'B-GENE', expected O, B-CHEBI or I-CHEBI"):
        list(format_tagged_sentence(record, kind="CHEBI"))


@given(st.lists(st.tuples(st.text("abc-", min_size=1, max_size=3), st.sampled_from("OBI")), min_size=1))
def test_every_tagged_token_is_in_a_mention_and_every_mention_in_the_sentence(pairs: list[tuple[str, str]]) -> None:
    tokens, tags = (" ".join(column) for column in zip(*pairs, strict=True))
    variables = variables_of(tokens, tags.replace(" ", ""), "corrected")
    assert all(mention in variables["sentence"] for mention in variables["entities"])
    mentioned = {token for mention in variables["entities"] for token in mention.split(" ")}
    assert mentioned == {token for token, tag in pairs if tag != "O"}
