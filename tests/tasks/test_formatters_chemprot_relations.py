from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.readers.records import DygieDocument
from sciriff.tasks.formatters.chemprot_relations import format_chemprot_relations
from sciriff.tasks.rendering import Fidelity

LABELS = ("INHIBITOR", "SUBSTRATE", "NOT")


def document(text: str, *relations: tuple[int, int, int, int, str]) -> DygieDocument:
    sentences = tuple(tuple(sentence.split()) for sentence in text.split(" | "))
    return DygieDocument("90000001", sentences, (), relations, ())


def variables_of(record: DygieDocument, fidelity: Fidelity = "corrected") -> dict[str, Any]:
    (variables,) = format_chemprot_relations(record, labels=LABELS, fidelity=fidelity)
    return variables


def test_a_triple_has_its_label_in_the_middle() -> None:
    record = document("Drugs | Folate inhibits DHFR .", (1, 1, 3, 3, "INHIBITOR"))
    assert variables_of(record) == {
        "org_text": "Drugs Folate inhibits DHFR.",
        "re_triples": [["Folate", "INHIBITOR", "DHFR"]],
        "re_answer": ["(Folate, INHIBITOR, DHFR)"],
        "_document_id": "90000001",
    }


@pytest.mark.parametrize("fidelity", ["corrected", "original"])
def test_documents_without_relations_are_kept(fidelity: Fidelity) -> None:
    variables = variables_of(document("Nothing here ."), fidelity)
    assert (variables["re_triples"], variables["re_answer"]) == ([], [])


@pytest.mark.parametrize("fidelity", ["corrected", "original"])
def test_relations_stand_in_document_order_and_once(fidelity: Fidelity) -> None:
    relations = [(2, 2, 4, 4, "NOT"), (0, 0, 4, 4, "SUBSTRATE"), (2, 2, 4, 4, "NOT"), (5, 5, 4, 4, "NOT")]
    variables = variables_of(document("A and B and X B", *relations), fidelity)
    assert variables["re_triples"] == [["B", "NOT", "X"], ["A", "SUBSTRATE", "X"]]


@pytest.mark.parametrize(
    ("text", "span", "triple", "original"),
    [
        # a comma and a blank inside a name make a fourth part
        ("Wy-14 , 643 hits X", (0, 2, 4, 4), ["Wy-14, 643", "NOT", "X"], ["Wy-14 ", "643", "NOT", "X"]),
        # parentheses at the ends are lost
        ("(S)-x hits X", (0, 0, 2, 2), ["(S) -x", "NOT", "X"], ["S) -x", "NOT", "X"]),
        ("a hits X ( Y )", (0, 0, 2, 5), ["a", "NOT", "X (Y)"], ["a", "NOT", "X (Y"]),
        # names are spaced as their tokens are
        ("a - b hits X", (0, 2, 4, 4), ["a-b", "NOT", "X"], ["a - b", "NOT", "X"]),
        ("a hits X , B", (0, 0, 2, 4), ["a", "NOT", "X, B"], ["a", "NOT", "X ", "B"]),
    ],
)
def test_names_that_are_hard_to_handle(
    text: str, span: tuple[int, int, int, int], triple: list[str], original: list[str]
) -> None:
    record = document(text, (*span, "NOT"))
    variables = variables_of(record)
    assert variables["re_triples"] == [triple]
    assert triple[0] in variables["org_text"]
    assert triple[2] in variables["org_text"]
    assert variables_of(record, "original")["re_triples"] == [original]


def test_strings_that_would_be_mangled_are_left_out_of_the_answer_for_other_templates() -> None:
    relations = [(0, 2, 4, 4, "NOT"), (4, 4, 0, 0, "NOT")]
    variables = variables_of(document("Wy-14 , 643 hits X", *relations))
    assert len(variables["re_triples"]) == 2
    assert variables["re_answer"] == ["(X, NOT, Wy-14)"]
    original = variables_of(document("Wy-14 , 643 hits X", *relations), "original")
    assert original["re_answer"] == ["(Wy-14 , 643, NOT, X)", "(X, NOT, Wy-14)"]


@pytest.mark.parametrize("fidelity", ["corrected", "original"])
def test_an_unknown_label_names_the_document(fidelity: Fidelity) -> None:
    with pytest.raises(RecordError, match=r"document 90000001: a relation has type 'CPR:4', expected one of INHIBITOR"):
        variables_of(document("a b", (0, 0, 1, 1, "CPR:4")), fidelity)


def test_a_document_without_text_is_dropped() -> None:
    with pytest.raises(Dropped, match="blank text"):
        variables_of(document(""))


words = st.sampled_from(["Wy-14", ",", "643", "(", ")", "(S)-x", "-", "%", "10", "'", "''", "``", "X.", ";", "gene"])


@given(st.lists(words, min_size=1, max_size=15), st.data())
def test_names_stand_in_the_text_and_strings_can_be_taken_apart(tokens: list[str], data: st.DataObject) -> None:
    places = st.integers(0, len(tokens) - 1)
    spans = st.tuples(places, places).map(lambda pair: (min(pair), max(pair)))
    drawn = data.draw(st.lists(st.tuples(spans, spans, st.sampled_from(LABELS)), max_size=4))
    record = document(" ".join(tokens), *((*head, *tail, label) for head, tail, label in drawn))
    if any(not "".join(tokens[a : b + 1]).strip("'`") for head, tail, _ in drawn for a, b in (head, tail)):
        with pytest.raises(Dropped, match="a mention is not found in the text"):
            variables_of(record)
        return
    variables = variables_of(record)
    triples = variables["re_triples"]
    assert all(name in variables["org_text"] for head, _, tail in triples for name in (head, tail))
    assert all(label in LABELS for _, label, _ in triples)
    for text in variables["re_answer"]:
        assert text.strip("()").split(", ") in triples
    assert len(variables_of(record, "original")["re_answer"]) == len(
        {(" ".join(tokens[a : b + 1]), " ".join(tokens[c : d + 1]), label) for (a, b), (c, d), label in drawn}
    )
