from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.tables import ATTRIBUTES, Schema, format_table_cells


def table(*cells: Any, code: str = "| Glass | Na2O |", supplement: str = "") -> dict[str, Any]:
    return {
        "_key": "P1::0",
        "paper_id": "P1",
        "table_code": code,
        "sup_text": supplement,
        "gold_json_records": [json.dumps(cell) for cell in cells],
    }


def lines_of(record: dict[str, Any], schema: Schema = "discomat", **options: Any) -> list[str]:
    (variables,) = format_table_cells(record, schema=schema, **options)
    found: str = variables["json_records"]
    return found.split("\n")


GLASS = {
    "material": "G1",
    "type": "Glass_Compound_Amount",
    "value": "4",
    "unit": "%",
    "constituent": "Na₂O",
    "x": "y",
}


def test_cells_have_the_attributes_of_their_type_in_table_order() -> None:
    assert lines_of(table(GLASS, {"type": "Other", "value": "3"}), ascii_only=True) == [
        '{"value": "4", "type": "Glass_Compound_Amount", "constituent": "Na\\u2082O", "unit": "%", "material": "G1"}',
        '{"value": "3", "type": "Other"}',
    ]


def test_non_ascii_stays_literal_unless_asked() -> None:
    assert '"constituent": "Na₂O"' in lines_of(table(GLASS))[0]


@pytest.mark.parametrize(
    ("supplement", "text"), [("", "| T |\n"), ("  \n", "| T |\n"), (" Prose. ", " Prose. \n\n| T |\n")]
)
def test_supplement_goes_before_the_table(supplement: str, text: str) -> None:
    record = table({"type": "Other", "value": "3"}, code="| T |\n", supplement=supplement)
    (variables,) = format_table_cells(record, schema="discomat")
    assert variables["table_code_text"] == text
    assert variables["_document_id"] == "P1"


@pytest.mark.parametrize(
    ("schema", "paper", "document"),
    [("chemtables", "PMC3131785", "3131785"), ("discomat", "S001", "S001"), ("mltables", "2211.05596v1", "2211.05596")],
)
def test_papers_are_named_as_in_other_tasks(schema: Schema, paper: str, document: str) -> None:
    record = {**table({"type": "Other", "value": "3"}), "paper_id": paper}
    (variables,) = format_table_cells(record, schema=schema)
    assert variables["_document_id"] == document
    (nameless,) = format_table_cells({**record, "paper_id": None}, schema=schema)
    assert (nameless["_document_id"], nameless["_document_text"]) == ("", record["table_code"])


@pytest.mark.parametrize(
    ("alternatives", "chosen"),
    [
        (["test set", "dev split"], "dev split"),
        (["SQuAD 1.1", "squad"], "squad"),  # a half match loses to a whole one, letter case does not matter
        (["nothing", "here either"], "nothing"),  # of equals the first
        (["", "squad"], "squad"),
    ],
)
def test_the_alternative_that_the_table_supports_best_is_taken(alternatives: list[str], chosen: str) -> None:
    statistic = dict.fromkeys(ATTRIBUTES["mltables"]["Data Stat."], "xx")
    cell = {**statistic, "type": "Data Stat.", "dataset": alternatives, "dataset features": {"split": "dev"}}
    record = table(cell, code="SQuAD on the dev-split", supplement="test set SQuAD 1.1")
    parsed = json.loads(lines_of(record, "mltables")[0])
    assert parsed["dataset"] == chosen
    assert parsed["dataset features"] == {"split": "dev"}


@pytest.mark.parametrize(
    "cell",
    [
        {"type": "Glass_Compound_Amount", "value": "3"},
        {"type": "IC50", "value": "3"},
        {"value": "3"},
        [],
        "text",
        {"type": "Other", "value": []},
        {"type": "Other", "value": [None]},
        {"type": [], "value": "3"},
    ],
)
def test_cells_outside_the_schema_name_the_table(cell: Any) -> None:
    with pytest.raises(RecordError, match="table P1::0: "):
        lines_of(table(cell))


def test_cell_that_is_not_json_names_the_table() -> None:
    with pytest.raises(RecordError, match=r"table P1::0: cell '\{' is not JSON"):
        lines_of({**table(), "gold_json_records": ["{"]})


def test_tables_without_text_or_cells_are_dropped() -> None:
    with pytest.raises(Dropped, match="no annotated cell"):
        lines_of(table())
    with pytest.raises(Dropped, match="blank table"):
        lines_of(table({"type": "Other", "value": "3"}, code=" \n"))


@given(st.sampled_from(sorted(ATTRIBUTES)), st.data())
def test_every_cell_gives_one_line_that_parses_back(schema: Schema, data: st.DataObject) -> None:
    cells = []
    for type_ in data.draw(st.lists(st.sampled_from(sorted(ATTRIBUTES[schema])), min_size=1, max_size=4)):
        values = {attribute: data.draw(st.text()) for attribute in ATTRIBUTES[schema][type_]}
        cells.append({**values, "type": type_})
    for ascii_only in (True, False):
        lines = lines_of(table(*cells), schema, ascii_only=ascii_only)
        assert [json.loads(line) for line in lines] == cells
        assert [list(json.loads(line)) for line in lines] == [list(ATTRIBUTES[schema][cell["type"]]) for cell in cells]
