"""SciCite, PubMedQA and the identity formatter."""

from __future__ import annotations

from typing import Any

import pytest

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.identity import format_identity
from sciriff.tasks.formatters.pubmedqa import format_pubmedqa
from sciriff.tasks.formatters.scicite import format_scicite


@pytest.mark.parametrize(("label", "index"), [("method", 0), ("background", 1), ("result", 2)])
def test_scicite_label_is_an_index(label: str, index: int) -> None:
    record = {"string": "As shown in [3].", "label": label, "citingPaperId": "c1", "unique_id": "u1"}
    assert list(format_scicite(record)) == [{"string": "As shown in [3].", "label": index, "_document_id": "c1"}]


@pytest.mark.parametrize("label", ["Method", "", None, 0, ["method"]])
def test_scicite_unknown_label_names_the_citation(label: Any) -> None:
    with pytest.raises(RecordError, match=r"citation u1: label is .*expected one of method, background, result"):
        list(format_scicite({"string": "x", "label": label, "unique_id": "u1"}))


@pytest.mark.parametrize("record", [{"label": "method", "string": " "}, {"label": "method", "string": None}])
def test_scicite_blank_sentence_is_dropped(record: dict[str, Any]) -> None:
    with pytest.raises(Dropped, match="blank text"):
        list(format_scicite(record))


def test_pubmedqa_shows_one_labelled_line_per_section() -> None:
    record = {
        "pmid": "7",
        "QUESTION": "Does it help?",
        "CONTEXTS": ["We asked.", "It helped."],
        "LABELS": ["BACKGROUND", "RESULTS"],
        "final_decision": "maybe",
    }
    assert list(format_pubmedqa(record)) == [
        {
            "context": "(BACKGROUND) We asked.\n(RESULTS) It helped.",
            "question": "Does it help?",
            "answer": "MAYBE",
            "_document_id": "7",
        }
    ]
    with pytest.raises(Dropped, match="blank text"):
        list(format_pubmedqa({**record, "CONTEXTS": ["", " "]}))


def test_identity_hands_fields_on() -> None:
    record = {"claim": "x", "doc": 5}
    assert list(format_identity(record)) == [record]
    assert list(format_identity(record, document_id="doc")) == [{**record, "_document_id": "5"}]
