"""How the prompts of summaries show what is to be summarised, and that they ask for the form of the reference."""

from __future__ import annotations

import pytest
from test_wording import LAY_SUMMARY, STUDIES, VARIABLES, load, render

LAY_TASKS = [f"scientific_lay_summarisation_{name}_single_doc_summ" for name in ("elife", "plos")]
COCHRANE, MS2 = (f"mslr2022_{name}_multidoc_summarization" for name in ("cochrane", "ms2"))
PAPERS = [f"scientific_papers_summarization_single_doc_{name}" for name in ("arxiv", "pubmed")]


@pytest.mark.parametrize(("task", "template_id"), [(task, number) for task in (COCHRANE, MS2) for number in range(2)])
def test_studies_stand_one_after_the_other_with_their_numbers(task: str, template_id: int) -> None:
    prompt = render(task, template_id).input
    assert (
        "\n\nTitle 1:\nSalt for sore throats\nAbstract 1:\nPain was gone\nafter a day.\n\n"
        "Title 2:\nGargling after surgery\nAbstract 2:\nNothing <changed>.\n\n"
    ) in prompt
    assert "background" not in load(task).compile(template_id).variables


@pytest.mark.parametrize("task", [COCHRANE, MS2])
@pytest.mark.parametrize("template_id", range(2))
def test_a_study_without_title_or_abstract_is_said_to_lack_it(task: str, template_id: int) -> None:
    absent = {**STUDIES, "title": ["", "Gargling"], "abstract": ["It helps.", ""]}
    assert (
        "\n\nTitle 1:\n(not available)\nAbstract 1:\nIt helps.\n\nTitle 2:\nGargling\nAbstract 2:\n(not available)\n\n"
    ) in render(task, template_id, **absent).input
    assert "\nNone\n" in render(task, template_id, **{**absent, "title": [None, "Gargling"]}).input, (
        "as the original had"
    )


def test_the_two_wordings_of_reviews_change_places() -> None:
    first, second = (load(COCHRANE).templates[number].jinja for number in range(2))
    assert [load(MS2).templates[number].jinja for number in range(2)] == [second, first]
    assert render(COCHRANE, 0).input.startswith("Below are the title and abstract of every study")
    assert "conclusion of the review" in render(MS2, 0).input.lower()


@pytest.mark.parametrize("template_id", range(3))
def test_lay_prompts_show_the_title_without_a_stray_brace(template_id: int) -> None:
    for task in LAY_TASKS:
        prompt = render(task, template_id).input
        assert "Small mice\n" in prompt
        assert "}" not in prompt
        assert load(task).templates[template_id] == load(LAY_TASKS[0]).templates[template_id]
    assert "metadata" in LAY_SUMMARY


@pytest.mark.parametrize("template_id", range(3))
def test_related_work_is_to_be_cited_by_numbers_in_brackets(template_id: int) -> None:
    prompt = render("multixscience_multidoc_summarization", template_id).input
    assert "brackets" in prompt or "bracketed" in prompt
    shown = prompt.replace(VARIABLES["multixscience_multidoc_summarization"]["cited_abstracts_transformed"], "")
    assert "[1]" in shown


@pytest.mark.parametrize("template_id", range(3))
def test_chapters_are_to_be_cited_by_labels(template_id: int) -> None:
    prompt = render("scireviewgen_multidoc_summarization", template_id).input
    shown = prompt.replace(VARIABLES["scireviewgen_multidoc_summarization"]["input_transformed"], "")
    assert "label" in shown
    assert "BIB001" in shown


@pytest.mark.parametrize("task", PAPERS)
@pytest.mark.parametrize("template_id", range(2))
def test_abstracts_are_to_be_written_as_the_source_has_them(task: str, template_id: int) -> None:
    prompt = render(task, template_id).input.lower()
    for part in ("lower", "abstract", "sentence", "line"):
        assert part in prompt.replace("lower-case", "lower case")
    assert ("@xcite stands for citations" in prompt or "@xcite in place of citations" in prompt) == (task == PAPERS[0])


def test_the_first_summary_is_the_reference() -> None:
    rendered = render("scitldr_aic", 0)
    assert "\nWe parse.\nIt works.\n" in rendered.input
    assert rendered.output == "A parser."
