from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import MemoryView, only_error, outcomes, read, texts

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers import claims
from sciriff.readers.records import SplitSpec

DOCUMENTS = [
    {"doc_id": 7, "title": "On masks", "abstract": [" Masks help. ", "We counted.\n"], "structured": False},
    {"doc_id": 12, "title": "On tea", "abstract": ["Tea is warm."]},
]


def claim(**changes: Any) -> dict[str, Any]:
    found = {
        "id": 1,
        "claim": "Masks work.",
        "evidence": {"7": [{"sentences": [1], "label": "SUPPORT"}, {"sentences": [0, 1], "label": "CONTRADICT"}]},
        "cited_doc_ids": [7, 12],
    }
    return {name: value for name, value in {**found, **changes}.items() if value is not None}


def lines(records: list[Any]) -> bytes:
    return b"".join(record if isinstance(record, bytes) else json.dumps(record).encode() + b"\n" for record in records)


def files(*found: Any, documents: list[Any] = DOCUMENTS) -> dict[str, bytes]:
    return {"claims": lines(list(found)), "corpus": lines(documents)}


def split(*found: Any, documents: list[Any] = DOCUMENTS) -> list[Any]:
    return read("claims", files(*found, documents=documents), "claims", corpus="corpus")


def test_a_claim_gives_a_record_for_each_document_it_names() -> None:
    first = {
        "claim_id": 1,
        "claim": "Masks work.",
        "abstract_id": 7,
        "title": "On masks",
        "abstract": ["Masks help.", "We counted."],
        "verdict": "SUPPORT",
        "evidence": [1, 0, 1],
    }
    second = {
        **first,
        "abstract_id": 12,
        "title": "On tea",
        "abstract": ["Tea is warm."],
        "verdict": "NEI",
        "evidence": [],
    }
    assert split(claim()) == [first, second]


def test_documents_come_in_the_order_of_the_claim_under_either_name_of_the_field() -> None:
    found = split(claim(doc_ids=[12, 7], cited_doc_ids=None), claim(id=2, cited_doc_ids=[12], evidence=None))
    assert [(record["claim_id"], record["abstract_id"]) for record in found] == [(1, 12), (1, 7), (2, 12)]
    assert split(claim(cited_doc_ids=[])) == []


def test_ids_written_as_strings_name_the_same_documents() -> None:
    found = split(claim(cited_doc_ids=["7"]), documents=[{**DOCUMENTS[0], "doc_id": "7"}])
    assert [(record["abstract_id"], record["verdict"]) for record in found] == [("7", "SUPPORT")]


def test_of_two_documents_with_one_id_the_later_counts() -> None:
    later = {**DOCUMENTS[0], "title": "On masks, corrected"}
    assert split(claim(cited_doc_ids=[7]), documents=[*DOCUMENTS, later])[0]["title"] == "On masks, corrected"


def test_rows_are_numbered_over_claims_and_say_where_they_stand() -> None:
    view: Any = MemoryView(files(claim(), b"\n", claim(id=2, cited_doc_ids=[7])))
    found = list(claims.rows(view, SplitSpec("claims", {"corpus": "corpus"})))
    assert [(row.index, row.where) for row in found] == [
        (0, "claims:1, document 7"),
        (1, "claims:1, document 12"),
        (2, "claims:3, document 7"),
    ]


@pytest.mark.parametrize(
    ("bad", "where", "reason"),
    [
        (b'{"id": 1, "claim": "cut o\n', "claims:2", "not JSON"),
        (b"[7]\n", "claims:2", "expected a JSON object, found a list"),
        (claim(cited_doc_ids=None), "claims:2", "field 'doc_ids' or 'cited_doc_ids' is missing"),
        (claim(cited_doc_ids=7), "claims:2", "field 'cited_doc_ids': expected a list, found a number"),
        (claim(cited_doc_ids=[7, [12]]), "claims:2", "expected document ids, found a list among them"),
        (claim(cited_doc_ids=[True]), "claims:2", "expected document ids, found true or false among them"),
        (claim(cited_doc_ids=[99]), "claims:2, document 99", "the corpus corpus has no document 99"),
        (claim(cited_doc_ids=[7], claim=None), "claims:2, document 7", "field 'claim' is missing"),
        (claim(cited_doc_ids=[7], evidence=["SUPPORT"]), "claims:2, document 7", "field 'evidence': expected"),
        (
            claim(cited_doc_ids=[7], evidence={"7": [{"sentences": [0]}]}),
            "claims:2, document 7",
            "expected, for each document, groups with 'sentences' and 'label'",
        ),
        (
            claim(cited_doc_ids=[7], evidence={"7": [{"sentences": ["0"], "label": "SUPPORT"}]}),
            "claims:2, document 7",
            "field 'evidence': expected",
        ),
        (
            claim(cited_doc_ids=[7], evidence={"7": [{"sentences": [0], "label": None}]}),
            "claims:2, document 7",
            "field 'evidence': expected",
        ),
    ],
)
def test_a_malformed_claim_is_named_and_the_others_go_on(bad: Any, where: str, reason: str) -> None:
    good = claim(cited_doc_ids=[7])
    content = files(good, bad, good)
    error = only_error("claims", content, "claims", corpus="corpus")
    assert error.where == where
    assert reason in error.reason
    found = outcomes("claims", content, "claims", corpus="corpus")
    assert [isinstance(record, RecordError) for record in found] == [False, True, False]


def test_malformed_documents_are_the_fault_of_the_claims_that_need_them() -> None:
    documents = [b"{\n", {"title": "no id"}, {"doc_id": 7, "abstract": "one string"}, DOCUMENTS[1]]
    found = outcomes("claims", files(claim(), claim(cited_doc_ids=[8]), documents=documents), "claims", corpus="corpus")
    assert isinstance(found[0], RecordError)
    assert found[0].reason == "field 'abstract': expected a list, found a string"
    assert isinstance(found[1], dict)
    assert isinstance(found[2], RecordError)
    assert found[2].reason == "the corpus corpus has no document 8; it has lines that are no documents: 1, 2"
    odd = only_error(
        "claims", files(claim(), documents=[{**DOCUMENTS[0], "abstract": [1]}, DOCUMENTS[1]]), "claims", corpus="corpus"
    )
    assert odd.reason == "field 'abstract': expected a list of sentences"


@pytest.mark.parametrize("options", [{}, {"corpora": "corpus"}])
def test_the_corpus_must_be_named(options: dict[str, str]) -> None:
    with pytest.raises(TaskFileError, match=r"needs the option 'corpus'|has no option 'corpora'"):
        outcomes("claims", files(claim()), "claims", **options)


SENTENCES = st.lists(texts(), min_size=1, max_size=4)


@given(st.dictionaries(st.integers(0, 99), SENTENCES, min_size=1, max_size=4), st.data())
def test_what_is_written_is_read_back(abstracts: dict[int, list[str]], data: st.DataObject) -> None:
    documents = [{"doc_id": number, "title": "t", "abstract": text} for number, text in abstracts.items()]
    cited = data.draw(st.lists(st.sampled_from(sorted(abstracts)), unique=True))
    decided = {number: data.draw(st.lists(st.integers(0, 5), max_size=3)) for number in cited}
    evidence = {
        str(number): [{"sentences": places, "label": "SUPPORT"}] for number, places in decided.items() if places
    }
    found = split(claim(cited_doc_ids=cited, evidence=evidence), documents=documents)
    assert [record["abstract_id"] for record in found] == cited
    for record in found:
        number = record["abstract_id"]
        assert record["abstract"] == abstracts[number]
        assert record["evidence"] == decided[number]
        assert record["verdict"] == ("SUPPORT" if decided[number] else "NEI")


@given(st.integers(0, 400))
def test_cut_off_claims_give_the_first_records_as_they_were(length: int) -> None:
    whole = files(claim(), claim(id=2, cited_doc_ids=[12]))
    found = outcomes("claims", {**whole, "claims": whole["claims"][:length]}, "claims", corpus="corpus")
    complete = read("claims", whole, "claims", corpus="corpus")
    good = [record for record in found if not isinstance(record, RecordError)]
    assert good == complete[: len(good)]
    assert len(found) - len(good) <= 1


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_give_records_or_named_errors(first: bytes, second: bytes) -> None:
    content = {"claims": lines([claim()]) + first, "corpus": lines(DOCUMENTS) + second}
    for found in outcomes("claims", content, "claims", corpus="corpus"):
        assert isinstance(found, (dict, RecordError))
