from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.drug_combinations import LABELS, format_drug_combinations
from sciriff.tasks.rendering import Fidelity

SENTENCE = "A with B beat A alone , and A with B , C and A did harm ."
SPANS = [{"span_id": number, "text": text} for number, text in enumerate("ABAABCA")]


def relation(label: str, *spans: int) -> dict[str, Any]:
    return {"class": label, "spans": list(spans), "is_context_needed": False}


def record(*relations: Any, **changes: Any) -> dict[str, Any]:
    return {
        "doc_id": "d1",
        "sentence": SENTENCE,
        "paragraph": f"Drugs. {SENTENCE} End.",
        "spans": SPANS,
        "rels": list(relations),
        "source": "https://pubmed.ncbi.nlm.nih.gov/97100011/",
        **changes,
    }


def variables_of(found: dict[str, Any], fidelity: Fidelity = "corrected") -> dict[str, Any]:
    (variables,) = format_drug_combinations(found, fidelity=fidelity)
    return variables


def test_relations_are_drugs_and_a_class() -> None:
    found = record(relation("NEG", 3, 4, 5), relation("POS", 1, 0))
    variables = variables_of(found)
    assert variables["relations"] == [["A", "B", "C", "NEG"], ["B", "A", "POS"]]
    assert variables["_document_id"] == "97100011"
    assert {name: variables[name] for name in found} == found


def test_no_relation_is_an_empty_list() -> None:
    assert variables_of(record())["relations"] == []


def test_repeated_relations_and_drugs_are_given_once() -> None:
    found = record(relation("POS", 0, 1), relation("POS", 3, 4), relation("NEG", 3, 4, 5, 6), relation("NEG", 0, 1))
    assert variables_of(found)["relations"] == [["A", "B", "POS"], ["A", "B", "C", "NEG"], ["A", "B", "NEG"]]
    assert variables_of(found, "original")["relations"] == [
        ["A", "B", "POS"],
        ["A", "B", "POS"],
        ["A", "B", "C", "A", "NEG"],
        ["A", "B", "NEG"],
    ]


@pytest.mark.parametrize("source", [None, "", "https://example.org/97100011/", 5])
def test_a_sentence_without_pubmed_id_is_known_by_its_paragraph(source: Any) -> None:
    variables = variables_of(record(source=source))
    assert variables["_document_id"] is None
    assert variables["_document_text"] == f"Drugs. {SENTENCE} End."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rels": [relation("POS", 0, 9)]}, "expected 'spans' with 'span_id' and 'text'"),
        ({"rels": [{"spans": [0, 1]}]}, "expected 'spans' with 'span_id' and 'text'"),
        ({"spans": None}, "expected 'spans' with 'span_id' and 'text'"),
        ({"spans": [{"span_id": [], "text": "A"}]}, "expected 'spans' with 'span_id' and 'text'"),
        ({"rels": [relation("POS", 0)]}, "expected two drugs or more, then one of POS, COMB, NEG"),
        ({"rels": [relation("GOOD", 0, 1)]}, "expected two drugs or more, then one of POS, COMB, NEG"),
        ({"sentence": None}, "field 'sentence': expected a string"),
    ],
)
def test_a_malformed_record_names_the_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=f"sentence d1: .*{message}"):
        variables_of(record(**changes))


def test_blank_texts_are_dropped() -> None:
    with pytest.raises(Dropped, match="blank text"):
        variables_of(record(paragraph=" "))


@given(st.lists(st.tuples(st.lists(st.integers(0, 6), min_size=2, max_size=6), st.sampled_from(LABELS)), max_size=6))
def test_nothing_stands_twice_and_nothing_is_lost(drawn: list[tuple[list[int], str]]) -> None:
    found = record(*(relation(label, *spans) for spans, label in drawn if len({SPANS[n]["text"] for n in spans}) > 1))
    relations = variables_of(found)["relations"]
    original = variables_of(found, "original")["relations"]
    assert len(original) == len(found["rels"])
    assert len({tuple(names) for names in relations}) == len(relations)
    assert all(len(set(names)) == len(names) >= 3 for names in relations)
    assert {(frozenset(names[:-1]), names[-1]) for names in relations} == {
        (frozenset(names[:-1]), names[-1]) for names in original
    }
