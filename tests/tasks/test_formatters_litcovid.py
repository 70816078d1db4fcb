from __future__ import annotations

from typing import Any

import pytest

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.litcovid import LABELS, format_litcovid
from sciriff.tasks.rendering import Fidelity


def variables_of(fidelity: Fidelity = "corrected", **changes: Any) -> dict[str, Any]:
    record = {
        "pmid": "98200000",
        "title": "Masks",
        "abstract": "Masks help.",
        "label": "Treatment;Mechanism",
        **changes,
    }
    (variables,) = format_litcovid(record, fidelity=fidelity)
    return variables


def test_topics_stand_in_the_order_of_the_source_and_the_title_is_left_out() -> None:
    assert variables_of() == {
        "text": "Masks help.",
        "labels": ["Treatment", "Mechanism"],
        "_document_id": "98200000",
    }


def test_all_topics() -> None:
    assert variables_of(label=";".join(LABELS))["labels"] == list(LABELS)


def test_repeated_topics_are_given_once() -> None:
    assert variables_of(label="Diagnosis;Prevention;Diagnosis")["labels"] == ["Diagnosis", "Prevention"]
    assert variables_of("original", label="Diagnosis;Diagnosis")["labels"] == ["Diagnosis", "Diagnosis"]


@pytest.mark.parametrize("abstract", ["", " \n", "nan", "NaN", "NA", "N/A", "None", "null", "<NA>"])
def test_articles_without_abstract_are_dropped(abstract: str) -> None:
    with pytest.raises(Dropped, match="no abstract"):
        variables_of(abstract=abstract)
    assert variables_of("original", abstract=abstract)["text"] == "None"


@pytest.mark.parametrize("label", ["", "treatment", "Treatment; Mechanism", "Treatment;", "Long COVID"])
def test_unknown_topics_name_the_article(label: str) -> None:
    with pytest.raises(RecordError, match=r"article 98200000: topics are .* expected some of Epidemic Forecasting"):
        variables_of(label=label)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(RecordError, match=r"article 1: column 'abstract' is missing; found 'pmid', 'text'"):
        next(format_litcovid({"pmid": "1", "text": "x"}))
