from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import names, only_error, outcomes, read, texts

from sciriff.errors import RecordError
from sciriff.readers.records import DygieDocument

RECORD: dict[str, Any] = {
    "clusters": [[[0, 1], [4, 4]]],
    "sentences": [["Hidden", "models", "-LRB-", "HMM"], ["They", "work"]],
    "ner": [[[0, 1, "Method"], [3, 3, "Method"]], [[4, 4, "Generic"]]],
    "relations": [[], [[4, 4, 5, 5, "USED-FOR"]]],
    "doc_key": "X_1",
}


def test_a_document() -> None:
    lines = json.dumps(RECORD).encode()  # no newline at the end, as in SciERC
    assert read("dygie", {"f": lines}) == [
        DygieDocument(
            id="X_1",
            sentences=(("Hidden", "models", "-LRB-", "HMM"), ("They", "work")),
            ner=((0, 1, "Method"), (3, 3, "Method"), (4, 4, "Generic")),
            relations=((4, 4, 5, 5, "USED-FOR"),),
            clusters=(((0, 1), (4, 4)),),
        )
    ]


def test_relations_and_clusters_may_be_missing() -> None:
    record = {key: value for key, value in RECORD.items() if key not in ("relations", "clusters")}
    found = read("dygie", {"f": json.dumps(record).encode()})[0]
    assert (found.relations, found.clusters) == ((), ())


def test_a_document_may_be_named_by_a_number() -> None:
    record = {**RECORD, "doc_key": 90000001, "dataset": "chemprot"}
    assert read("dygie", {"f": json.dumps(record).encode()})[0].id == "90000001"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ner": [[[0, 6, "Method"]], []]}, "field 'ner': span [0, 6] does not lie within the document's 6 tokens"),
        ({"ner": [[[-1, 0, "Method"]], []]}, "span [-1, 0]"),
        ({"ner": [[[2, 1, "Method"]], []]}, "span [2, 1]"),
        ({"ner": [[["0", 1, "Method"]], []]}, "span ['0', 1]"),
        ({"ner": [[[0.0, 1, "Method"]], []]}, "span [0.0, 1]"),
        ({"ner": [[[False, True, "Method"]], []]}, "span [False, True]"),
        ({"ner": [[[0, 1]], []]}, "expected 2 indices and a label"),
        ({"ner": [[[0, 1, 5]], []]}, "expected 2 indices and a label"),
        ({"ner": [[]]}, "expected a list for each of the 2 sentences, found 1"),
        ({"ner": [None, []]}, "expected a list, found None"),
        ({"relations": [[[0, 0, 9, 9, "USED-FOR"]], []]}, "field 'relations': span [9, 9]"),
        ({"relations": [[[0, 0, "USED-FOR"]], []]}, "expected 4 indices and a label"),
        ({"clusters": [[[0]]]}, "field 'clusters': expected [start, end]"),
        ({"clusters": [[[0, 99]]]}, "field 'clusters': span [0, 99]"),
        ({"sentences": ["a b"]}, "field 'sentences': expected lists of token strings"),
        ({"sentences": [["a", None]]}, "field 'sentences': expected lists of token strings"),
        ({"sentences": None}, "field 'sentences': expected a list, found null"),
        ({"doc_key": 5.5}, "field 'doc_key': expected a string, found a number"),
        ({"doc_key": True}, "field 'doc_key': expected a string, found true or false"),
    ],
)
def test_a_malformed_document_names_line_field_and_reason(change: dict[str, Any], reason: str) -> None:
    lines = [json.dumps(record).encode() for record in (RECORD, {**RECORD, **change}, RECORD)]
    error = only_error("dygie", {"f": b"\n".join(lines)})
    assert error.where == "f:2"
    assert reason in error.reason


@pytest.mark.parametrize("field", ["sentences", "ner", "doc_key"])
def test_a_missing_field_is_named(field: str) -> None:
    record = {key: value for key, value in RECORD.items() if key != field}
    assert f"field '{field}' is missing" in only_error("dygie", {"f": json.dumps(record).encode()}).reason


def test_a_truncated_line_is_named() -> None:
    line = json.dumps(RECORD).encode()
    found = outcomes("dygie", {"f": line + b"\n" + line[:100]})
    assert isinstance(found[0], DygieDocument)
    assert isinstance(found[1], RecordError)
    assert found[1].where == "f:2"


@st.composite
def documents(draw: st.DrawFn) -> DygieDocument:
    sentences = draw(st.lists(st.lists(texts(), max_size=5).map(tuple), min_size=1, max_size=4))
    total = sum(map(len, sentences))
    span = st.tuples(st.integers(0, max(total - 1, 0)), st.integers(0, max(total - 1, 0))).map(
        lambda s: tuple(sorted(s))
    )
    spans = st.lists(span, max_size=4) if total else st.just([])
    return DygieDocument(
        id=draw(names()),
        sentences=tuple(sentences),
        ner=tuple((*one, draw(names())) for one in draw(spans)),
        relations=tuple((*one, *one, draw(names())) for one in draw(spans)),
        clusters=(tuple(draw(spans)),),
    )


@given(documents())
def test_what_is_written_is_read_back(document: DygieDocument) -> None:
    later = [[] for _ in document.sentences[1:]]
    record = {
        "doc_key": document.id,
        "sentences": document.sentences,
        "ner": [document.ner, *later],
        "relations": [document.relations, *later],
        "clusters": document.clusters,
    }
    assert read("dygie", {"f": json.dumps(record).encode()}) == [document]
