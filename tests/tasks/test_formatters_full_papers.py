"""ChemSum, MuP, and the ids that papers go by."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.chemsum import format_chemsum
from sciriff.tasks.formatters.document_ids import arxiv_id, pmc_id
from sciriff.tasks.formatters.mup import format_mup

CHEMISTRY = {
    "uuid": "u-1",
    "title": "Rods",
    "abstract": "\n We grew rods. ",
    "headers": "Introduction<!>Results",
    "sections": "<p>Rods are thin.</p><!>They grew.",
}
REVIEWED = {
    "paper_id": "SP:1",
    "paper_name": "Parsing\n  birds",
    "text": "Abstract\nWe parse.",
    "summary": "It parses birds. It is fast!",
}


def chemsum(**changes: Any) -> dict[str, Any]:
    (variables,) = format_chemsum({**CHEMISTRY, **changes})
    return variables


def test_chemsum_sections_stand_below_their_headers() -> None:
    assert chemsum() == {
        **CHEMISTRY,
        "article_text": "Introduction\n<p>Rods are thin.</p>\n\nResults\nThey grew.\n",
        "abstract": "We grew rods.",
        "_document_id": "u-1",
        "_document_text": "<p>Rods are thin.</p><!>They grew.",
    }
    assert chemsum(headers="", sections="All.")["article_text"] == "\nAll.\n"


def test_chemsum_papers_without_title_or_id() -> None:
    variables = chemsum(title=None, uuid=None)
    assert (variables["title"], variables["_document_id"]) == ("", None)
    assert variables["_document_text"] == CHEMISTRY["sections"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"abstract": " \n"}, "blank abstract"), ({"sections": " <!>"}, "blank text")],
)
def test_chemsum_blank_texts_are_dropped(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(Dropped, match=reason):
        chemsum(**changes)


def test_chemsum_malformed_papers_are_named() -> None:
    with pytest.raises(RecordError, match="paper u-1: expected as many headers as sections, found 1 and 2"):
        chemsum(headers="Introduction")
    for field in ("abstract", "headers", "sections"):
        with pytest.raises(RecordError, match=f"paper u-1: field '{field}': expected a string, found NoneType"):
            chemsum(**{field: None})


@given(st.lists(st.tuples(st.text("ab \n", max_size=4), st.text("cd.\n", min_size=1, max_size=6)), min_size=1))
def test_chemsum_every_section_is_shown_once_in_order(parts: list[tuple[str, str]]) -> None:
    headers, sections = zip(*parts, strict=True)
    try:
        text = chemsum(headers="<!>".join(headers), sections="<!>".join(sections))["article_text"]
    except Dropped:
        assert not "".join(sections).strip()
        return
    assert text == "".join(f"{header}\n{section}\n\n" for header, section in parts).removesuffix("\n")


def test_mup_counts_sentences_and_puts_the_title_on_one_line() -> None:
    assert list(format_mup(REVIEWED)) == [
        {**REVIEWED, "paper_name": "Parsing birds", "summary_sentences": 2, "_document_id": "SP:1"}
    ]
    (original,) = format_mup(REVIEWED, fidelity="original")
    assert original["paper_name"] == "Parsing\n  birds"


@pytest.mark.parametrize(("field", "reason"), [("text", "blank text"), ("summary", "blank summary")])
def test_mup_blank_texts_are_dropped(field: str, reason: str) -> None:
    with pytest.raises(Dropped, match=reason):
        list(format_mup({**REVIEWED, field: " \n"}))


@pytest.mark.parametrize("field", REVIEWED)
def test_mup_a_column_that_is_missing_is_named(field: str) -> None:
    record = {name: value for name, value in REVIEWED.items() if name != field}
    with pytest.raises(RecordError, match=f"no column {field}; found "):
        list(format_mup(record))


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("1901.00001", "1901.00001"),
        ("1901.00001v3", "1901.00001"),
        ("0704.0001v1", "0704.0001"),
        ("cs/9912018", "cs/9912018"),
        ("cs9912018v2", "cs/9912018"),
        ("math.GT/0309136", "math.GT/0309136"),
        ("hep-th9901001", "hep-th/9901001"),
        ("journal.pone.1", "journal.pone.1"),
    ],
)
def test_arxiv_ids_lose_their_version(name: str, bare: str) -> None:
    assert arxiv_id(name) == bare


def test_pmc_ids_lose_their_letters() -> None:
    assert [pmc_id("PMC123"), pmc_id("123")] == ["123", "123"]
