"""What the wordings of labels, relations, findings and table cells must say, and whether their examples are right."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from test_wording import render, suite

from sciriff.building.facts import compile_checks
from sciriff.tasks.rendering import Rendered

LABEL_TASKS = [
    "acl_arc_intent_classification",
    "bc7_litcovid_topic_classification",
    "multicite_intent_classification",
]
LABEL_WORDINGS = [(task, template_id) for task in LABEL_TASKS for template_id in range(3)]
RELATION_WORDINGS = [
    *(("chemprot_re", template_id) for template_id in range(3)),
    ("drug_combo_extraction_re", 0),
    ("evidence_inference", 0),
]
COUNTED = "evidence_inference"


def labels_of(task: str) -> list[str]:
    found: list[str] = suite(task)["meta"]["sciriff"]["labels"]
    return found


def arrays_in(text: str) -> list[Any]:
    """All JSON arrays that stand in a text, outermost only."""
    found, at = [], 0
    while (at := text.find("[", at)) >= 0:
        try:
            value, length = json.JSONDecoder().raw_decode(text[at:])
        except json.JSONDecodeError:
            at += 1
        else:
            found.append(value)
            at += length
    return found


@pytest.mark.parametrize(("task", "template_id"), LABEL_WORDINGS)
def test_label_prompts_explain_every_label_in_order(task: str, template_id: int) -> None:
    prompt = render(task, template_id).input
    places = [re.search(rf"^- \"?{re.escape(label)}\"?(:|,| -) ", prompt, re.MULTILINE) for label in labels_of(task)]
    starts = [place.start() for place in places if place]
    assert len(starts) == len(labels_of(task))
    assert starts == sorted(starts)


@pytest.mark.parametrize("template_id", range(3))
def test_intent_prompts_list_the_permitted_labels(template_id: int) -> None:
    prompt = render("acl_arc_intent_classification", template_id).input
    listed = re.search(r'"Background"[^.]*"FutureWork"', prompt)
    assert listed is not None
    assert json.loads(f"[{listed[0]}]") == labels_of("acl_arc_intent_classification")


@pytest.mark.parametrize("template_id", range(3))
def test_intent_prompts_say_where_context_is_missing(template_id: int) -> None:
    rendered = render("acl_arc_intent_classification", template_id, section="", context_before="", context_after="")
    assert rendered.input.count("(none)") == 2
    assert rendered.input.count("(not given)") == 1
    assert "\n\n\n" not in rendered.input


@pytest.mark.parametrize(("template_id", "examples"), [(0, 1), (1, 1), (2, 0)])
def test_multicite_examples_have_two_labels(template_id: int, examples: int) -> None:
    found = arrays_in(render("multicite_intent_classification", template_id).input)
    assert len(found) == examples
    assert all(
        len(example) == 2 and set(example) <= set(labels_of("multicite_intent_classification")) for example in found
    )
    assert "<cite>" in render("multicite_intent_classification", template_id, input_transformed="x").input
    assert "tags are missing" in render("multicite_intent_classification", template_id, input_transformed="x").input
    assert "tags are missing" not in render("multicite_intent_classification", template_id).input


@pytest.mark.parametrize("template_id", range(3))
def test_litcovid_examples_show_the_form_and_no_topic(template_id: int) -> None:
    (example,) = arrays_in(render("bc7_litcovid_topic_classification", template_id).input)
    assert len(example) >= 2
    assert not set(example) & set(labels_of("bc7_litcovid_topic_classification"))


@pytest.mark.parametrize(("task", "template_id"), RELATION_WORDINGS)
def test_relation_prompts_show_valid_examples_of_two(task: str, template_id: int) -> None:
    prompt = render(task, template_id).input
    examples = [array for array in arrays_in(prompt) if array and isinstance(array[0], list)]
    (example,) = examples
    assert len(example) == 2
    answer = Rendered(json.dumps(example), json.dumps(example))
    assert compile_checks(suite(task)).facts(answer, instance_id="x", template_id=0, tokens=1).problem == ""
    text = prompt.replace(json.dumps(example), "")
    assert not any(name in text for names in example for name in names if name and name not in labels_of(task))


@pytest.mark.parametrize("template_id", range(3))
def test_chemprot_prompts_list_the_labels_and_use_each_in_an_explanation(template_id: int) -> None:
    prompt = render("chemprot_re", template_id).input
    labels = labels_of("chemprot_re")
    assert labels in arrays_in(prompt)
    explanation = prompt.replace(json.dumps(labels), "")
    assert all(re.search(rf"(?<![A-Z_-]){re.escape(label)}(?![A-Z_-])", explanation) for label in labels)


@pytest.mark.parametrize(
    ("task", "template_id", "answer"),
    [
        *(("chemprot_re", template_id, "re_triples") for template_id in range(3)),
        ("drug_combo_extraction_re", 0, "relations"),
    ],
)
def test_no_relation_is_an_empty_array_and_the_prompt_says_so(task: str, template_id: int, answer: str) -> None:
    rendered = render(task, template_id, **{answer: []})
    assert rendered.output == "[]"
    assert [] in arrays_in(rendered.input)


def test_drug_prompts_name_the_three_classes() -> None:
    prompt = render("drug_combo_extraction_re", 0).input
    assert re.findall(r'^- "(\w+)": ', prompt, re.MULTILINE) == ["POS", "NEG", "COMB"]
    (example,) = (array for array in arrays_in(prompt) if array)
    assert [len(combination) for combination in example] == [3, 4]


@pytest.mark.parametrize(
    ("count", "stated", "wanted"),
    [
        (0, "states 0 findings.", "Return an empty JSON array, and nothing else."),
        (1, "states 1 finding.", "Return a JSON array of exactly 1 array, and nothing else."),
        (3, "states 3 findings.", "Return a JSON array of exactly 3 arrays, and nothing else."),
    ],
)
def test_finding_prompts_state_the_number_of_findings(count: int, stated: str, wanted: str) -> None:
    rendered = render(COUNTED, 0, evidence=[["a", None, "b", "significantly increased", "c"]] * count)
    assert f"{stated} {wanted}" in rendered.input
    assert len(json.loads(rendered.output)) == count


def test_finding_prompts_define_five_elements_and_three_effects() -> None:
    prompt = render(COUNTED, 0).input
    assert re.findall(r"^(\d)\. The (\w+)", prompt, re.MULTILINE) == [
        ("1", "intervention"),
        ("2", "comparator"),
        ("3", "outcome"),
        ("4", "effect"),
        ("5", "evidence"),
    ]
    assert all(f'"{effect}"' in prompt for effect in labels_of(COUNTED))
    assert prompt.endswith("Findings:")
    assert json.loads(render(COUNTED, 0).output)[0][1] is None


@pytest.mark.parametrize(
    ("task", "types"),
    [
        ("chemtables_te", ["Other", "IC50", "EC50", "CC50", "MIC", "GI50"]),
        ("mltables_te", ["Other", "Data Stat.", "Hyper-parameter/Architecture", "Result"]),
    ],
)
def test_table_prompts_show_each_form_with_its_keys_in_order(task: str, types: list[str]) -> None:
    prompt = render(task, 0).input
    forms = [json.loads(line) for line in prompt.splitlines() if line.startswith("{")]
    assert [form["type"] for form in forms] == types
    checks = compile_checks(suite(task))
    for form in forms:
        facts = checks.facts(Rendered("xx", json.dumps(form)), instance_id="x", template_id=0, tokens=1)
        assert facts.problem == ""
        assert list(form)[:2] == ["value", "type"]
    for form in map(json.loads, render(task, 0).output.splitlines()):
        assert list(form) == list(forms[types.index(form["type"])])
