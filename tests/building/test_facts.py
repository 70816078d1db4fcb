from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciriff.building.facts import Checks, InstanceFacts, compile_checks
from sciriff.errors import TaskFileError
from sciriff.resources import resource_dir
from sciriff.tasks.rendering import Rendered

SUITES = sorted(path.stem for path in resource_dir("expectations").glob("*.json"))


@cache
def bundled(task: str) -> Checks:
    return compile_checks(json.loads((resource_dir("expectations") / f"{task}.json").read_text(encoding="utf-8")))


def promised(**promise: Any) -> Checks:
    return compile_checks({"name": "some_task", "meta": {"sciriff": promise}})


def look(checks: Checks, text: str, output: str) -> InstanceFacts:
    return checks.facts(Rendered(text, output), instance_id="some_task:train:1", template_id=0, tokens=12)


def dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def test_sizes_and_names_are_carried_along() -> None:
    facts = look(promised(output="text"), "größer", "née")
    assert facts == ("some_task:train:1", 0, 12, 6, 3, True, 0, 0, 0, "")


TEXT = "Aspirin lowers fever. The beta-1  receptor\nwas blocked; ocular and auditory toxicity was seen. 5 > 3."


@pytest.mark.parametrize(
    ("output", "conforms", "unknown", "missing", "problem"),
    [
        ({"Chemical": ["Aspirin"], "Disease": ["fever"]}, True, 0, 0, ""),
        ({"Chemical": [], "Disease": []}, True, 0, 0, ""),
        ({"Chemical": ["aspirin"], "Disease": ["fever"]}, True, 0, 1, "not in the input: 'aspirin'"),
        ({"Chemical": ["beta-1 receptor was"], "Disease": []}, True, 0, 0, ""),
        ({"Chemical": [], "Disease": ["ocular toxicity", "auditory toxicity"]}, True, 0, 0, ""),
        ({"Chemical": [], "Disease": ["toxicity ocular"]}, True, 0, 1, "not in the input"),
        ({"Chemical": [], "Disease": [], "Drug": ["fever"]}, True, 1, 0, "unknown label 'Drug'"),
        ({"Chemical": []}, False, 0, 0, "output: "),
        ({"Chemical": [], "Disease": ["fever", "fever"]}, False, 0, 0, "output: "),
        ({"Chemical": [], "Disease": [""]}, False, 0, 0, "output: "),
        ({"Chemical": [], "Disease": "fever"}, False, 0, 0, "output: "),
        ([], False, 0, 0, "output: "),
        (None, False, 0, 0, "output: "),
    ],
)
def test_entities(output: Any, conforms: bool, unknown: int, missing: int, problem: str) -> None:
    facts = look(bundled("cdr_ner"), TEXT, dumped(output))
    assert (facts.output_conforms, facts.unknown_labels, facts.mentions_missing) == (conforms, unknown, missing)
    assert facts.problem.startswith(problem) if problem else facts.problem == ""


def test_only_tasks_with_discontinuous_mentions_accept_pieces() -> None:
    output = dumped({"AnatomicalEntity": ["ocular toxicity"]})
    assert look(bundled("anat_em_ner"), TEXT, output).mentions_missing == 1


def test_pieces_must_be_near_each_other() -> None:
    output = dumped({"Chemical": [], "Disease": ["ocular toxicity"]})
    assert look(bundled("cdr_ner"), "ocular and auditory toxicity", output).mentions_missing == 0
    assert look(bundled("cdr_ner"), "ocular " + "x" * 200 + " toxicity", output).mentions_missing == 1


def test_long_mentions_of_small_words_are_looked_up_as_well() -> None:
    text = "a or b of c or d of a or b " * 40
    words = ["or", "of"] * 12
    for last, missing in (("d", 0), ("zebra", 1)):
        output = dumped({"Chemical": [], "Disease": [" ".join([*words, last])]})
        assert look(bundled("cdr_ner"), text, output).mentions_missing == missing


@given(st.lists(st.sampled_from(["a", "ab", "b", "ba"]), min_size=1, max_size=4), st.text("ab ", max_size=40))
def test_pieces_are_found_where_a_search_with_gaps_finds_them(words: list[str], text: str) -> None:
    flat = " ".join(text.split())
    gapped = ".{1,100}?".join(map(re.escape, words))
    missing = 0 if " ".join(words) in flat or re.search(gapped, flat) else 1
    output = dumped({"Chemical": [" ".join(words)], "Disease": []})
    assert look(bundled("cdr_ner"), text, output).mentions_missing == missing


@pytest.mark.parametrize("output", ["", "{", '{"Chemical": [], "Disease": []} Done.', "NaN", "[1, ]"])
def test_what_is_not_json_does_not_conform(output: str) -> None:
    facts = look(bundled("cdr_ner"), TEXT, output)
    assert not facts.output_conforms
    assert facts.problem.startswith("output: ")


def test_relations() -> None:
    checks = bundled("scierc_re")
    assert look(checks, TEXT, "[]") == look(checks, TEXT, "[]")._replace(problem="", output_conforms=True)
    good = look(checks, TEXT, dumped([["Aspirin", "fever", "USED-FOR"]]))
    assert (good.mentions, good.problem) == (2, "")
    assert look(checks, TEXT, dumped([["Aspirin", "fever", "used-for"]])).unknown_labels == 1
    assert look(checks, TEXT, dumped([["Aspirin", "cough", "USED-FOR"]])).mentions_missing == 1
    for bad in ([["Aspirin", "fever"]], [["Aspirin", "fever", "USED-FOR", ""]], ["USED-FOR"], {}):
        assert not look(checks, TEXT, dumped(bad)).output_conforms


def test_arrays_of_mentions() -> None:
    checks = bundled("craftchem_ner")
    good = look(checks, TEXT, dumped(["Aspirin", "beta-1 receptor"]))
    assert (good.mentions, good.problem) == (2, "")
    assert look(checks, TEXT, "[]").problem == ""
    assert look(checks, TEXT, dumped(["aspirin"])).mentions_missing == 1
    for bad in (["Aspirin", "Aspirin"], [""], [5], {"CHEBI": ["Aspirin"]}, "Aspirin", None):
        assert not look(checks, TEXT, dumped(bad)).output_conforms


def test_under_original_repeated_and_unspaced_mentions_are_let_through() -> None:
    suites = {task: json.loads((resource_dir("expectations") / f"{task}.json").read_bytes()) for task in SUITES}
    repeated = look(compile_checks(suites["craftchem_ner"], "original"), TEXT, dumped(["Aspirin", "Aspirin"]))
    assert (repeated.problem, repeated.mentions) == ("", 2)
    types = suites["genia_ner"]["meta"]["sciriff"]["labels"]
    spaced = dumped({kind: ["beta - 1 receptor"] for kind in types})
    assert look(compile_checks(suites["genia_ner"], "original"), TEXT, spaced).problem == ""
    assert look(compile_checks(suites["genia_ner"]), TEXT, spaced).mentions_missing == len(types)
    other = look(
        compile_checks(suites["genia_ner"], "original"), TEXT, dumped({kind: [] for kind in [*types, "Lipid"]})
    )
    assert not other.output_conforms


def test_events() -> None:
    checks = bundled("annotated_materials_syntheses_events")
    event = {"arguments": [["Aspirin", "Recipe_Target"]], "trigger": "blocked"}
    good = look(checks, TEXT, dumped([event]))
    assert (good.mentions, good.problem) == (2, "")
    assert look(checks, TEXT, dumped([{**event, "arguments": [["Aspirin", "Target"]]}])).unknown_labels == 1
    assert look(checks, TEXT, dumped([{**event, "trigger": "heated"}])).mentions_missing == 1
    for bad in ([{**event, "arguments": []}], [{"trigger": "blocked"}], [{**event, "type": "x"}], event):
        assert not look(checks, TEXT, dumped(bad)).output_conforms


def test_cells() -> None:
    checks = bundled("discomat_te")
    glass = {"value": "5", "type": "Glass_Compound_Amount", "constituent": "SiO2", "unit": "mol", "material": "xx"}
    other = {"value": "3", "type": "Other"}
    good = look(checks, TEXT, f"{dumped(glass)}\n{dumped(other)}")
    assert (good.mentions, good.problem, good.output_conforms) == (2, "", True)
    assert look(checks, TEXT, dumped({**other, "type": "Density"})).unknown_labels == 1
    assert look(checks, TEXT, dumped({**other, "value": "77"})).mentions_missing == 1
    without_unit = {key: value for key, value in glass.items() if key != "unit"}
    for bad in (
        dumped(without_unit),
        dumped({**other, "unit": "mol"}),
        dumped({**glass, "unit": "kg"}),
        dumped([other]),
    ):
        assert not look(checks, TEXT, bad).output_conforms
    assert not look(checks, TEXT, f"{dumped(other)}\n\n{dumped(other)}").output_conforms
    split_by_a_separator = '{"value": "3", "type": "Ot\u2028her"}'
    assert not look(checks, TEXT, split_by_a_separator).output_conforms


@pytest.mark.parametrize(("task", "label"), [("scicite_classification", "Method"), ("pubmedqa_qa", "MAYBE")])
def test_labels(task: str, label: str) -> None:
    checks = bundled(task)
    assert look(checks, TEXT, label).problem == ""
    for wrong in (label.lower(), f"{label}.", "", "null"):
        assert look(checks, TEXT, wrong).unknown_labels == 1


def test_copied_answers() -> None:
    checks = bundled("covid_deepset_qa")
    assert look(checks, TEXT, "The beta-1 receptor was blocked").problem == ""
    assert look(checks, TEXT, "The receptor was blocked").mentions_missing == 1


def test_answers_with_evidence() -> None:
    checks = bundled("qasper_abstractive_qa")
    good = look(checks, TEXT, dumped({"answer": "It helps.", "evidence": ["Aspirin lowers fever."]}))
    assert (good.mentions, good.problem) == (1, "")
    assert look(checks, TEXT, "null").problem == ""
    assert look(checks, TEXT, dumped({"answer": "It helps.", "evidence": ["Aspirin helps."]})).mentions_missing == 1
    for bad in ({"answer": "", "evidence": ["x"]}, {"answer": "x", "evidence": []}, {"answer": "x"}, "null"):
        assert not look(checks, TEXT, dumped(bad)).output_conforms


def test_verdicts_with_evidence() -> None:
    checks = bundled("scifact_entailment")
    for evidence, mentions in ((["Aspirin lowers fever."], 1), ([0, 2], 0)):
        facts = look(checks, TEXT, dumped({"verdict": "SUPPORT", "evidence": evidence}))
        assert (facts.mentions, facts.problem) == (mentions, "")
    assert look(checks, TEXT, dumped({"verdict": "NEI", "evidence": []})).problem == ""
    assert look(checks, TEXT, dumped({"verdict": "TRUE", "evidence": [0]})).unknown_labels == 1
    assert look(bundled("covidfact_entailment"), TEXT, dumped({"verdict": "NEI", "evidence": []})).unknown_labels == 1
    assert look(checks, TEXT, dumped({"verdict": "SUPPORT", "evidence": ["aspirin"]})).mentions_missing == 1
    for verdict, wrong in (
        ("NEI", [0]),
        ("SUPPORT", []),
        ("SUPPORT", [1, 1]),
        ("SUPPORT", [-1]),
        ("SUPPORT", ["5", 5]),
    ):
        assert not look(checks, TEXT, dumped({"verdict": verdict, "evidence": wrong})).output_conforms


def test_spans_with_evidence() -> None:
    checks = bundled("qasper_extractive_qa")
    good = look(checks, TEXT, dumped({"answer": ["fever", "receptor was"], "evidence": ["Aspirin lowers fever."]}))
    assert (good.mentions, good.problem) == (3, "")
    assert look(checks, TEXT, "null").problem == ""
    assert look(checks, TEXT, dumped({"answer": ["cough"], "evidence": ["cough"]})).mentions_missing == 2
    for bad in (
        {"answer": "fever", "evidence": ["fever"]},
        {"answer": [], "evidence": ["fever"]},
        {"answer": ["fever"]},
    ):
        assert not look(checks, TEXT, dumped(bad)).output_conforms


JSON = st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@pytest.mark.parametrize("task", SUITES)
@settings(max_examples=40)
@given(st.text() | JSON.map(dumped))
def test_no_output_makes_the_checks_raise(task: str, output: str) -> None:
    checks = bundled(task)
    facts = look(checks, TEXT, output)
    assert facts.mentions_missing <= facts.mentions
    assert bool(facts.problem) == (not facts.output_conforms or facts.unknown_labels > 0 or facts.mentions_missing > 0)


def test_a_shape_without_schema_is_still_safe() -> None:
    for shape in ("entities", "relations", "events", "cells", "evidence"):
        facts = look(promised(output="json", shape=shape), TEXT, '[[1, {"a": 5}]]')
        assert not facts.output_conforms
        assert shape in facts.problem


@pytest.mark.parametrize(
    ("shape", "output", "unknown", "missing"),
    [
        ("list", ["a", "b", "c"], 1, 0),
        ("triples", [["Aspirin", "a", "fever"], ["fever", "c", "aspirin"]], 1, 1),
        ("groups", [["Aspirin", "fever", "b"], ["Aspirin", "ocular", "cough", "c"]], 1, 1),
        ("findings", [["x", None, "y", "a", "z"], ["x", "w", "y", "up", "z"]], 1, 0),
    ],
)
def test_where_the_labels_and_names_of_arrays_stand(shape: str, output: Any, unknown: int, missing: int) -> None:
    checks = promised(output="json", shape=shape, labels=["a", "b"])
    facts = look(checks, TEXT, dumped(output))
    assert (facts.output_conforms, facts.unknown_labels, facts.mentions_missing) == (True, unknown, missing)
    assert look(checks, TEXT, "[]").problem == ""


def test_what_the_original_cannot_promise_is_not_asked_of_it() -> None:
    promise = {"output": "json", "shape": "list", "labels": ["a"], "original": {"shape": "plain"}}
    suite = {"name": "some_task", "meta": {"sciriff": promise}}
    corrected, original = compile_checks(suite), compile_checks(suite, "original")
    assert look(corrected, "x", '["b"]').unknown_labels == 1
    assert look(original, "x", '["b"]').unknown_labels == 0
    assert not look(original, "x", "b").output_conforms
    assert promise["original"] == {"shape": "plain"}


@pytest.mark.parametrize(
    ("promise", "message"),
    [
        ({"output": "yaml"}, "meta.sciriff.output"),
        ({"output": "json", "shape": "tuples"}, "meta.sciriff.shape"),
        ({"output": "json", "label": ["x"]}, "meta.sciriff.label"),
        ({}, "meta.sciriff.output"),
        ({"output": "json", "schema": {"type": "strin"}}, "not a JSON Schema"),
    ],
)
def test_a_wrong_promise_is_named(promise: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskFileError, match=message) as caught:
        promised(**promise)
    assert "some_task" in str(caught.value)


def test_a_suite_must_say_what_outputs_look_like() -> None:
    with pytest.raises(TaskFileError, match=r"meta\.sciriff is missing"):
        compile_checks({"name": "some_task", "meta": {}})
