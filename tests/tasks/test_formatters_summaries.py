"""Trials, papers, articles and chapters with their summaries: rules of the task catalogue, in both fidelities."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.lay_summary import format_lay_summary
from sciriff.tasks.formatters.mslr import format_mslr
from sciriff.tasks.formatters.multixscience import format_multixscience
from sciriff.tasks.formatters.scientific_papers import format_scientific_paper
from sciriff.tasks.formatters.scireviewgen import format_scireviewgen
from sciriff.tasks.formatters.scitldr import format_scitldr
from sciriff.tasks.rendering import Fidelity

FIDELITIES: tuple[Fidelity, ...] = ("corrected", "original")

REVIEW = {
    "review_id": "CD1",
    "pmid": ["11", "12"],
    "title": ["First", ""],
    "abstract": ["", "It helps."],
    "target": "It may help.",
}
ARTICLE: dict[str, Any] = {
    "id": "elife-12345-v2",
    "year": 2019,
    "title": "Mice",
    "headings": ["Introduction", "Results", "Discussion", "Methods"],
    "abstract": ["Mice are small .", "Are they ?"],
    "sections": [
        ["We weigh ( all ) mice — twice ."],
        ["They weigh little ."],
        ["So they do ; see [ 3 ] ."],
        ["Scales ."],
    ],
    "summary": ["Mice , we find , are small ."],
    "keywords": ["mouse", "weight"],
}
WORDS = "one " * 50
PAPER: dict[str, Any] = {
    "article_id": "astro-ph0703123v2",
    "article_text": [WORDS.strip(), "two @xcite ."],
    "abstract_text": [f"<S> {WORDS}</S>", "<S> two . </S>"],
    "section_names": ["introduction", "results"],
    "sections": [],
    "labels": None,
}
CITING: dict[str, Any] = {
    "aid": "cs9912018",
    "mid": "7",
    "abstract": "We test.",
    "related_work": "See @cite_12 and @cite_1, not @cite_123 or @cite_5.",
    "ref_abstract": {
        "@cite_1": {"mid": "1", "abstract": "First."},
        "@cite_12": {"mid": "2", "abstract": ""},
        "@cite_3": {"mid": "3", "abstract": "Third."},
    },
}
CHAPTER: dict[str, Any] = {
    "reference": (
        "A review  <s> A chapter <s> Abstract one . <s> BIB001 </s> "
        "A review  <s> A chapter <s> Abstract two . <s> BIB002 </s> "
        "A review  <s> A chapter <s> Abstract three . <s> BIB003"
    ),
    "target": "BIB001 came before BIB003 .",
}
TLDR: dict[str, Any] = {"source": ["One.", "Two."], "target": ["Short.", "Other."], "paper_id": "SyAb", "title": "T"}


def mslr(fidelity: Fidelity = "corrected", **changes: Any) -> dict[str, Any]:
    (variables,) = format_mslr({**REVIEW, **changes}, fidelity=fidelity)
    return variables


def lay(fidelity: Fidelity = "corrected", **changes: Any) -> dict[str, Any]:
    (variables,) = format_lay_summary({**ARTICLE, **changes}, fidelity=fidelity)
    return variables


def paper(fidelity: Fidelity = "corrected", **changes: Any) -> dict[str, Any]:
    (variables,) = format_scientific_paper({**PAPER, **changes}, fidelity=fidelity)
    return variables


def citing(fidelity: Fidelity = "corrected", **changes: Any) -> dict[str, Any]:
    (variables,) = format_multixscience({**CITING, **changes}, fidelity=fidelity)
    return variables


def chapter(fidelity: Fidelity = "corrected", **changes: Any) -> dict[str, Any]:
    (variables,) = format_scireviewgen({**CHAPTER, **changes}, fidelity=fidelity)
    return variables


def test_reviews_keep_their_fields_and_absent_texts_are_empty_and_were_none() -> None:
    assert mslr() == {**REVIEW, "_document_id": "CD1"}
    assert mslr("original") == {
        **REVIEW,
        "title": ["First", None],
        "abstract": [None, "It helps."],
        "_document_id": "CD1",
    }
    assert mslr(background="Unknown.")["background"] == "Unknown."


def test_reviews_without_target_or_text_are_left_out() -> None:
    for fidelity in FIDELITIES:
        with pytest.raises(Dropped, match="blank target"):
            mslr(fidelity, target=" \n")
    with pytest.raises(Dropped, match="blank text"):
        mslr(title=["", " "], abstract=["", ""])
    assert mslr("original", title=["", ""], abstract=["", ""])["title"] == [None, None]


def test_lay_articles_show_abstract_introduction_and_discussion() -> None:
    assert lay() == {
        "input_transformed": (
            "Abstract:\nMice are small. Are they?\nIntroduction:\nWe weigh ( all) mice — twice.\n"
            "Discussion:\nSo they do; see [ 3]."
        ),
        "summary": "Mice , we find , are small .",
        "metadata": {"title": "Mice", "year": "2019", "keywords": "mouse, weight"},
        "_document_id": "10.7554/elife.12345",
        "_document_text": "Mice",
    }


def test_the_original_also_closed_up_opening_brackets_and_dashes() -> None:
    assert lay("original")["input_transformed"] == (
        "Abstract:\nMice are small. Are they?\nIntroduction:\nWe weigh( all) mice— twice.\n"
        "Discussion:\nSo they do; see[ 3]."
    )
    closing, others = ".,;:!?)]}…", "([{—-"
    text = [f"a {mark} b" for mark in closing + others]
    corrected, original = (lay(fidelity, abstract=text)["input_transformed"] for fidelity in FIDELITIES)
    shown = [f"a{mark} b" for mark in closing]
    assert corrected.startswith(f"Abstract:\n{' '.join([*shown, *text[len(closing) :]])}\n")
    assert original.startswith(f"Abstract:\n{' '.join([*shown, *(f'a{mark} b' for mark in others)])}\n")


@pytest.mark.parametrize("fidelity", FIDELITIES)
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"headings": ["Introduction", "Methods", "Results", "Discussion"]},
            "no introduction or discussion in its usual",
        ),
        ({"headings": ["Introduction", "Results"], "sections": [["a"], ["b"]]}, "no introduction or discussion"),
        ({"headings": ["Background", "Results", "Discussion", "Methods"]}, "no introduction or discussion"),
        ({"headings": ["Introduction", "Results", "Discussion"]}, "headings and sections differ in number"),
        ({"summary": []}, "blank summary"),
    ],
)
def test_lay_articles_of_another_shape_are_left_out(changes: dict[str, Any], reason: str, fidelity: Fidelity) -> None:
    with pytest.raises(Dropped, match=reason):
        lay(fidelity, **changes)


def test_four_headings_do() -> None:
    three = lay(headings=["Introduction", "Results", "Discussion"], sections=ARTICLE["sections"][:3])
    assert three["input_transformed"] == lay()["input_transformed"]


@pytest.mark.parametrize(
    ("name", "doi"),
    [
        ("elife-00013-v1", "10.7554/elife.00013"),
        ("journal.pcbi.1004820", "10.1371/journal.pcbi.1004820"),
        ("something", None),
        ("", None),
    ],
)
def test_lay_articles_are_known_by_doi(name: str, doi: str | None) -> None:
    assert lay(id=name)["_document_id"] == doi


def test_papers_are_lines_of_sentences_without_sentence_marks() -> None:
    assert paper() == {
        "article": f"{WORDS.strip()}\ntwo @xcite .",
        "abstract": f" {WORDS}\n two . ",
        "section_names": "introduction\nresults",
        "_document_id": "astro-ph/0703123",
    }
    assert paper(article_id="PMC3872579")["_document_id"] == "3872579"


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_papers_with_short_articles_are_left_out(fidelity: Fidelity) -> None:
    forty_nine = ["<S> " + "one " * 49 + "</S>"]
    with pytest.raises(Dropped, match="article of fewer than 50 words"):
        paper(fidelity, article_text=["one " * 49])
    assert paper(fidelity, article_text=["one " * 50])
    if fidelity == "original":
        assert paper(fidelity, abstract_text=forty_nine)["abstract"].split() == ["one"] * 49
        assert paper(fidelity, abstract_text=[])["abstract"] == ""
    else:
        with pytest.raises(Dropped, match="abstract of fewer than 50 words"):
            paper(fidelity, abstract_text=forty_nine)


@pytest.mark.parametrize("field", ["article_text", "abstract_text", "section_names"])
@pytest.mark.parametrize("value", [None, "text", [1], {"a": "b"}])
def test_papers_without_lists_of_strings_are_malformed(field: str, value: Any) -> None:
    with pytest.raises(RecordError, match=f"paper astro-ph0703123v2: field '{field}': expected a list of strings"):
        paper(**{field: value})


def test_cited_works_are_numbered_and_marks_become_their_numbers() -> None:
    assert citing() == {
        "main_abstract": "We test.",
        "cited_abstracts_transformed": "[1]: First.\n\n[2]: \n\n[3]: Third.",
        "related_work_transformed": "See [2] and [1], not @cite_123 or @cite_5.",
        "_document_id": "cs/9912018",
    }


def test_the_original_spoiled_marks_that_begin_alike() -> None:
    assert citing("original")["related_work_transformed"] == "See [1]2 and [1], not [1]23 or @cite_5."


@given(st.lists(st.integers(0, 150), unique=True, max_size=12), st.lists(st.integers(0, 150), max_size=12))
def test_each_mark_becomes_its_own_number_or_stays(listed: list[int], cited: list[int]) -> None:
    works = {f"@cite_{number}": {"abstract": "x"} for number in listed}
    text = "Work " + " ".join(f"@cite_{number}" for number in cited) + "."
    places = {number: place for place, number in enumerate(listed, start=1)}
    wanted = " ".join(f"[{places[number]}]" if number in places else f"@cite_{number}" for number in cited)
    assert citing(ref_abstract=works, related_work=text)["related_work_transformed"] == f"Work {wanted}."


def test_blank_papers_are_left_out() -> None:
    for fidelity in FIDELITIES:
        with pytest.raises(Dropped, match="blank text"):
            citing(fidelity, related_work=" ")
    with pytest.raises(Dropped, match="blank text"):
        citing(abstract="")
    assert citing("original", abstract="")["main_abstract"] == ""
    assert citing(ref_abstract={})["cited_abstracts_transformed"] == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"abstract": None}, "field 'abstract': expected a string"),
        ({"related_work": ["x"]}, "field 'related_work': expected a string"),
        ({"ref_abstract": []}, "field 'ref_abstract': expected an object of objects"),
        ({"ref_abstract": {"@cite_1": "text"}}, "field 'ref_abstract': expected an object of objects"),
        ({"ref_abstract": {"@cite_1": {"mid": "1"}}}, "field 'abstract': expected a string"),
    ],
)
def test_malformed_papers_are_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordError, match=f"paper cs9912018: {reason}"):
        citing(**changes)


def test_a_chapter_lists_every_abstract_under_its_own_label() -> None:
    assert chapter() == {
        "input_transformed": (
            "Review title: A review\nChapter title: A chapter\n"
            "1. (BIB001) Abstract one .\n2. (BIB002) Abstract two .\n3. (BIB003) Abstract three ."
        ),
        "target_transformed": "BIB001 came before BIB003 .",
        "_document_text": "A review",
    }
    assert chapter(reference=CHAPTER["reference"] + " </s> ") == chapter()


def test_the_original_lost_the_first_abstract_and_shifted_the_labels() -> None:
    assert chapter("original")["input_transformed"] == (
        "Review title: A review  \nChapter title:  A chapter \n1. (BIB001) Abstract two .\n2. (BIB002) Abstract three ."
    )


@given(st.lists(st.text("ab c.").map(lambda text: f"a{text}".strip()), min_size=1, max_size=6))
def test_chapters_of_any_length(abstracts: list[str]) -> None:
    units = [f"R <s> C <s> {text} <s> BIB{place:03d}" for place, text in enumerate(abstracts, start=1)]
    lines = chapter(reference=" </s> ".join(units))["input_transformed"].split("\n")[2:]
    assert lines == [f"{place}. (BIB{place:03d}) {text}" for place, text in enumerate(abstracts, start=1)]
    assert len(chapter("original", reference=" </s> ".join(units))["input_transformed"].split("\n")) == 1 + len(
        abstracts
    )


@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_chapters_without_text_or_form_are_told_apart(fidelity: Fidelity) -> None:
    with pytest.raises(Dropped, match="blank target"):
        chapter(fidelity, target=" ")
    with pytest.raises(RecordError, match="expected two strings"):
        chapter(fidelity, reference=None)
    with pytest.raises(
        RecordError, match=r"chapter of 'A review': field 'reference': .* parts; expected title <s> chapter"
    ):
        chapter(fidelity, reference="A review")


def test_a_unit_that_lacks_a_part_is_named() -> None:
    with pytest.raises(RecordError, match="unit 2 has 2 of the 4 parts"):
        chapter(reference="R <s> C <s> A <s> BIB001 </s> R <s> C")


def test_short_summaries_keep_their_fields() -> None:
    assert list(format_scitldr(TLDR)) == [{**TLDR, "_document_id": "SyAb"}]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"source": []}, "blank text"), ({"source": [" "]}, "blank text"), ({"target": []}, "blank summary")],
)
def test_blank_short_summaries_are_left_out(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Dropped, match=reason):
        list(format_scitldr({**TLDR, **changes}))
    with pytest.raises(Dropped, match="blank summary"):
        list(format_scitldr({**TLDR, "target": ["", "Other."]}))


@pytest.mark.parametrize("field", ["source", "target"])
@pytest.mark.parametrize("value", [None, "text", [None]])
def test_short_summaries_without_lists_are_malformed(field: str, value: Any) -> None:
    with pytest.raises(RecordError, match=f"paper SyAb: field '{field}': expected a list of strings"):
        list(format_scitldr({**TLDR, field: value}))
