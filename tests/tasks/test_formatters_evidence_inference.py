from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.evidence_inference import LABELS, format_evidence_inference

TEXT = "ABSTRACT.RESULTS: Pain fell (P < 0.01).\nSleep did not change."


def linear(label: str) -> str:
    return f"[EVIDENCE] x [LABEL] {label} [OUT] y [OUT]"


def finding(label: str = LABELS[1], comparator: str | None = "placebo") -> list[Any]:
    return ["aspirin", "pain - adults", comparator, "Pain fell (P < 0.01).", linear(label)]


def variables_of(findings: Any, text: str = TEXT) -> dict[str, Any]:
    (variables,) = format_evidence_inference(
        {"X": text, "Y": findings if isinstance(findings, str) else repr(findings)}
    )
    return variables


def test_a_finding_has_its_comparator_second_and_its_effect_fourth() -> None:
    assert variables_of([finding(), finding(LABELS[2], None)]) == {
        "document": TEXT,
        "evidence": [
            ["aspirin", "placebo", "pain - adults", "significantly decreased", "Pain fell (P < 0.01)."],
            ["aspirin", None, "pain - adults", "no significant difference", "Pain fell (P < 0.01)."],
        ],
        "_document_text": TEXT,
    }


def test_findings_may_be_none_or_repeated_and_have_items_in_between() -> None:
    assert variables_of([])["evidence"] == []
    assert len(variables_of([finding(), finding()])["evidence"]) == 2
    longer = finding()
    longer.insert(4, 17)
    assert variables_of([longer])["evidence"] == variables_of([finding()])["evidence"]


def test_the_first_and_shortest_label_counts() -> None:
    odd = [*finding()[:-1], "[LABEL] significantly increased [OUT] z [LABEL] no significant difference [OUT]"]
    assert variables_of([odd])["evidence"][0][3] == "significantly increased"


@pytest.mark.parametrize(
    "source",
    [
        "",
        "[",
        "nan",
        "open('x')",
        "[].__class__",
        "[1 for _ in ()]",
        "(" * 300,
        "[" * 5000,
        "'\0'",
        "9" * 5000,
        "{[]: 1}",
        " [",
    ],
)
def test_what_is_no_literal_is_refused_and_never_run(source: str) -> None:
    with pytest.raises(
        RecordError, match=r"abstract 'ABSTRACT\.RESULTS: Pain fell \(P < 0\.01\)\.'.*: column 'Y' is not"
    ):
        variables_of(source)


@pytest.mark.parametrize(
    ("findings", "message"),
    [
        ({"a": 1}, "expected a list of findings, found dict"),
        ("'text'", "expected a list of findings, found str"),
        (["text"], "finding 1: expected a list of four texts"),
        ([finding(), finding()[:4]], "finding 2: expected a list of four texts"),
        ([[None, *finding()[1:]]], "finding 1: intervention: expected a string, found None"),
        ([[*finding()[:2], 3, *finding()[3:]]], "finding 1: comparator: expected a string or None, found 3"),
        ([[*finding()[:3], None, linear(LABELS[0])]], "finding 1: evidence: expected a string"),
        ([finding("significantly increase")], r"finding 1: .*expected '\[LABEL\] effect \[OUT\]' with one of"),
        ([[*finding()[:4], "[LABEL] significantly increased"]], r"finding 1: .*expected '\[LABEL\] effect"),
    ],
)
def test_a_malformed_finding_is_named(findings: Any, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        variables_of(findings)


def test_missing_columns_are_named() -> None:
    with pytest.raises(RecordError, match="expected the columns 'X' and 'Y', found 'text', 'Y'"):
        next(format_evidence_inference({"text": "", "Y": "[]"}))


def test_a_blank_abstract_is_dropped() -> None:
    with pytest.raises(Dropped, match="blank text"):
        variables_of([], text=" \n")


def test_backslashes_in_a_literal_give_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = "[['a', 'b', None, 'c \\d', '[LABEL] significantly increased [OUT]']]"
        assert variables_of(source)["evidence"] == [["a", None, "b", "significantly increased", "c \\d"]]


texts = st.text(st.characters(codec="utf-8"), max_size=12)


@given(st.lists(st.tuples(texts, texts, st.none() | texts, texts, st.sampled_from(LABELS)), max_size=4))
def test_what_is_written_is_read_back(drawn: list[tuple[str, str, str | None, str, str]]) -> None:
    findings = [[*items[:4], linear(items[4])] for items in drawn]
    assert variables_of(findings)["evidence"] == [
        [intervention, comparator, outcome, label, evidence]
        for intervention, outcome, comparator, evidence, label in drawn
    ]


@given(st.lists(st.just(finding()), min_size=1, max_size=3), st.data())
def test_a_truncated_literal_is_refused(findings: list[Any], data: st.DataObject) -> None:
    source = repr(findings)
    with pytest.raises(RecordError, match="column 'Y' is not a literal of Python"):
        variables_of(source[: data.draw(st.integers(1, len(source) - 1))])
