from __future__ import annotations

from typing import Any

import pytest

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.multicite import format_multicite
from sciriff.tasks.rendering import Fidelity

EXCERPT = "We follow<cite> Ito (2001)</cite> ."


def variables_of(fidelity: Fidelity = "corrected", **changes: Any) -> dict[str, Any]:
    record = {"id": "00ff_0_12", "x": EXCERPT, "y": "uses future_work", **changes}
    (variables,) = format_multicite(record, fidelity=fidelity)
    return variables


def test_intents_stand_in_the_order_of_the_source() -> None:
    assert variables_of() == {
        "input_transformed": EXCERPT,
        "output_transformed": ["Uses", "FutureWork"],
        "metadata": {"id": "00ff_0_12"},
        "_document_id": "00ff_0",
    }


def test_all_intents() -> None:
    names = "background motivation uses extends similarities differences future_work"
    labels = ["Background", "Motivation", "Uses", "Extends", "Similarities", "Differences", "FutureWork"]
    assert variables_of(y=names)["output_transformed"] == labels


def test_an_excerpt_in_a_list_is_taken_out() -> None:
    assert variables_of(x=[EXCERPT])["input_transformed"] == EXCERPT


def test_repeated_intents_are_given_once() -> None:
    assert variables_of(y="uses  extends\nuses")["output_transformed"] == ["Uses", "Extends"]
    assert variables_of("original", y="uses extends uses")["output_transformed"] == ["Uses", "Extends", "Uses"]


@pytest.mark.parametrize("intents", ["", " ", "Uses", "future work", "uses,extends"])
def test_unknown_intents_name_the_citation(intents: str) -> None:
    with pytest.raises(
        RecordError, match=r"citation 00ff_0_12: intents are .* expected some of background, motivation"
    ):
        variables_of(y=intents)


@pytest.mark.parametrize("change", [{"x": ["a", "b"]}, {"x": []}, {"x": None}, {"x": [1]}, {"y": ["uses"]}, {"id": 3}])
def test_fields_of_another_type_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match="expected strings in 'id' and 'y'"):
        variables_of(**change)


def test_a_blank_excerpt_is_dropped() -> None:
    with pytest.raises(Dropped, match="blank text"):
        variables_of(x=["  "])
