"""Every template of every task, rendered with every record of the bundled samples, and its wording as plain text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from contract import CONTRACT
from test_contract import FIDELITIES, sample_variables
from test_wording import ENTITY_TASKS, ROLES_DIFFER, load, suite

from sciriff.building.facts import compile_checks
from sciriff.tasks.rendering import BlankInstanceError, Fidelity, Rendered, compile_template

WORDINGS = [(task, template_id) for task in CONTRACT for template_id in load(task).templates]
NOTHING_ELSE = re.compile(
    r"nothing|\balone\b|\binvalid\b|\bitself\b|besides|anything else|\bany (other|further) text\b"
    r"|without (any|explanation)\b|(only|not contain|not add|before or after|consist of|whole response)\b"
)
BRITISH = re.compile(
    r"\b(?:\w*(?:colour|tumour|behaviour|labour|favour|centre|litre|aemi)\w*|(?:label|model)l(?:ed|ing)"
    r"|(?:categori|characteri|generali|normali|organi|randomi|recogni|standardi|summari|synthesi|tokeni)s(?:e|ed|es|ing))\b",
    re.IGNORECASE,
)


def wording(task: str, template_id: int) -> str:
    """The prompt of a template as people edit it, with ``…`` for what Jinja puts in."""
    prompt = load(task).templates[template_id].jinja.partition("|||")[0]
    return re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "…", prompt, flags=re.DOTALL)


def most_missing(task: str) -> float:
    """The largest share of instances whose mentions the suite lets be absent from the input."""
    shares = [
        expectation["kwargs"].get("mostly", 1.0)
        for expectation in suite(task)["expectations"]
        if expectation["kwargs"].get("column") == "mentions_missing"
    ]
    (share,) = shares
    return 1.0 - float(share)


def rendered_samples(task: str, fidelity: Fidelity) -> list[dict[int, Rendered]]:
    """For each record of the task's sample, what its templates make of it. What is missing there was blank."""
    templates = {
        template_id: compile_template(
            template.jinja, template.answer_choices, f"{task}, template {template_id}", fidelity
        )
        for template_id, template in load(task).templates.items()
    }
    found = []
    for number, variables in enumerate(sample_variables(task, fidelity)):
        by_template: dict[int, Rendered] = {}
        for template_id, template in templates.items():
            try:
                by_template[template_id] = template.render({**variables, "_id": number})
            except BlankInstanceError:
                assert fidelity == "original", "what is blank must have been left out before"
        found.append(by_template)
    return found


@pytest.mark.parametrize("fidelity", FIDELITIES)
@pytest.mark.parametrize("task", CONTRACT)
def test_every_template_renders_every_sample_as_the_suite_promises(task: str, fidelity: Fidelity) -> None:
    checks = compile_checks(suite(task), fidelity)
    template_ids = set(load(task).templates)
    total = incomplete = 0
    for by_template in rendered_samples(task, fidelity):
        assert by_template.keys() in (set(), template_ids), "a record is blank for all wordings, or for none"
        for template_id, rendered in by_template.items():
            facts = checks.facts(rendered, instance_id=task, template_id=template_id, tokens=1)
            assert facts.output_conforms, (template_id, facts.problem)
            assert not facts.unknown_labels, (template_id, facts.problem)
            assert rendered.output not in ("None", "Undefined")
            total += 1
            incomplete += facts.mentions_missing > 0
        if by_template and task not in ROLES_DIFFER:
            assert len({rendered.output for rendered in by_template.values()}) == 1, "wordings have one answer"
        assert len({rendered.input for rendered in by_template.values()}) == len(by_template)
    assert total >= 3 * len(template_ids)
    assert incomplete <= most_missing(task) * total


@pytest.mark.parametrize(("task", "template_id"), WORDINGS)
def test_every_prompt_says_that_nothing_but_the_answer_is_wanted(task: str, template_id: int) -> None:
    assert NOTHING_ELSE.search(wording(task, template_id))


@pytest.mark.parametrize(("task", "template_id"), WORDINGS)
def test_wordings_are_clean_text(task: str, template_id: int) -> None:
    text = wording(task, template_id)
    assert not re.search(r"\b(\w+) \1\b", text), "a word stands twice"
    assert not re.search(r"[^\S\n]{2}|[^\S\n]$|^[^\S\n]|\n{3}", text, re.MULTILINE), "stray white space"
    assert not re.search(r"[\w)] [,.;:!?](?=\s|$)", text), "a space before a punctuation mark"
    assert not re.search(r"\ba [aeio][a-z]|\b[Aa]n [bcdfgjklmnpqrstvwxyz][a-z]", text), "a or an"
    assert text.count('"') % 2 == 0
    assert all(text.count(opening) == text.count(closing) for opening, closing in ("()", "[]"))
    assert not re.search(r"\bdata sets?\b", text), "prompts say dataset"
    assert not BRITISH.search(text), "prompts are in American spelling"


@pytest.mark.parametrize("task", ENTITY_TASKS)
def test_one_type_is_spoken_of_in_the_singular(task: str) -> None:
    variables: dict[str, Any] = next(sample_variables(task, "corrected"))
    several = len(variables["ner_dict"]) > 1
    for template_id in load(task).templates:
        plural = re.search(r"\b(types|categories|class names)\b", wording(task, template_id))
        assert bool(plural) == several, template_id
