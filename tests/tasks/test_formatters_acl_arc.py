from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.acl_arc import format_acl_arc
from sciriff.tasks.rendering import Fidelity


def tokens(*pairs: str) -> list[dict[str, str]]:
    """``text, what follows, text, ...`` as token objects."""
    return [{"originalText": text, "after": after} for text, after in zip(pairs[::2], pairs[1::2], strict=True)]


def citation(**changes: Any) -> dict[str, Any]:
    return {
        "text": "We use it ( A , 1999 ) .",
        "intent": "Uses",
        "section_title": None,
        "section_name": "method",
        "sents_before": [tokens("One", " ", "thing", "", ".", " "), tokens("Two", "", ".", "")],
        "sents_after": [],
        "citing_paper_id": "W91-9002",
        "citation_id": "W91-9002_1",
        **changes,
    }


def variables_of(record: dict[str, Any], fidelity: Fidelity = "corrected") -> dict[str, Any]:
    (variables,) = format_acl_arc(record, fidelity=fidelity)
    return variables


def test_a_citation_in_its_context() -> None:
    assert variables_of(citation()) == {
        "citation_sentence": "We use it ( A , 1999 ) .",
        "section": "method",
        "context_before": "One thing. Two.",
        "context_after": "",
        "label": "Uses",
        "all_distinct_labels": ["Background", "Extends", "Uses", "Motivation", "CompareOrContrast", "FutureWork"],
        "_document_id": "W91-9002",
        "_document_text": "We use it ( A , 1999 ) .",
    }


def test_only_future_gets_another_name() -> None:
    intents = ["Background", "Extends", "Uses", "Motivation", "CompareOrContrast", "Future"]
    labels = [variables_of(citation(intent=intent))["label"] for intent in intents]
    assert labels == [*intents[:-1], "FutureWork"]


@pytest.mark.parametrize(
    ("title", "name", "section", "original"),
    [
        ("Model", "method", "Model", "Model"),
        ("", "method", "method", "method"),
        (None, "", "", "None"),
        (None, None, "", "None"),
    ],
)
def test_a_section_without_title_is_named_by_its_kind(title: Any, name: Any, section: str, original: str) -> None:
    record = citation(section_title=title, section_name=name)
    assert variables_of(record)["section"] == section
    assert variables_of(record, "original")["section"] == original


@pytest.mark.parametrize(
    ("after", "corrected", "original"),
    [
        ("", "ab", "ab"),
        (" ", "a b", "a b"),
        ("\n", "a\nb", "a\nb"),
        (".", "a.b", "a.b"),
        (" ; ", "a ; b", "a ; b"),
        ("->", "a ->b", "a ->b"),
        ("..", "a ..b", "a ..b"),
        ("\0\0", "a b", "a \0\0b"),
        (" \0", "a b", "a  \0b"),
        (" \u00ee\u0086\u00a8\u00ee\u0086\u0095 ", "a b", "a  \u00ee\u0086\u00a8\u00ee\u0086\u0095 b"),
        ("\u00e2\u0080\u0093", "a \u2013b", "a \u00e2\u0080\u0093b"),
        ("caf\u00e9", "a caf\u00e9b", "a caf\u00e9b"),
    ],
)
def test_what_stands_between_tokens(after: str, corrected: str, original: str) -> None:
    record = citation(sents_after=[tokens("a", after, "b", " ")])
    assert variables_of(record)["context_after"] == corrected
    assert variables_of(record, "original")["context_after"] == original


def test_wrongly_decoded_words_are_repaired_and_others_left_alone() -> None:
    record = citation(
        text="B\u00c3\u00b6hm \x02says \u00a7 5",
        section_title="R\u00c3\u00a9sum\u00c3\u00a9",
        sents_before=[tokens("\u00e2\u0080\u0098wrong\u00e2\u0080\u0099", " ", "na\u00efve", "")],
    )
    variables = variables_of(record)
    assert variables["citation_sentence"] == "B\u00f6hm says \u00a7 5"
    assert variables["section"] == "R\u00e9sum\u00e9"
    assert variables["context_before"] == "\u2018wrong\u2019 na\u00efve"
    assert variables_of(record, "original")["citation_sentence"] == record["text"]


@pytest.mark.parametrize("intent", ["uses", "FutureWork", "", None, ["Uses"]])
def test_an_unknown_intent_names_the_citation(intent: Any) -> None:
    with pytest.raises(RecordError, match=r"citation W91-9002_1: intent is .* expected one of Background, Extends"):
        variables_of(citation(intent=intent))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text": None}, "'text'"),
        ({"sents_before": None}, "'sents_before'"),
        ({"sents_after": ["words"]}, "'sents_after'"),
        ({"sents_after": [[{"originalText": "a"}]]}, "'sents_after'"),
        ({"sents_after": [[{"originalText": "a", "after": None}]]}, "'sents_after'"),
    ],
)
def test_a_field_of_another_type_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(RecordError, match=f"citation W91-9002_1: field {field}"):
        variables_of(citation(**change))


def test_a_blank_sentence_is_dropped() -> None:
    with pytest.raises(Dropped, match="blank text"):
        variables_of(citation(text=" \0"))


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=5), st.text(min_size=1))
def test_any_text_gives_readable_text(pairs: list[tuple[str, str]], text: str) -> None:
    record = citation(text=f"x{text}", sents_before=[[{"originalText": a, "after": b} for a, b in pairs]])
    variables = variables_of(record)
    for name in ("citation_sentence", "context_before"):
        assert "\0" not in variables[name]
        variables[name].encode()
