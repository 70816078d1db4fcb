from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.results.existing.identify import Identified, Naming, identify
from sciriff.results.existing.lines import Line

TASK = "scierc_ner"
TAIL = "\n\nAnswer with JSON and nothing else, in the order of the text; leave out what is not there."
WRAPPERS = {
    "general": "{input}",
    "tulu": "<|user|>\n{input}\n<|assistant|>",
    "llama3": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{input}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
}


def instance(number: int, output: str = '{"Task": []}', **fields: str) -> dict[str, str]:
    return {
        "_instance_id": f"{TASK}:validation:{number}",
        "input": f"Find the entities.\n\nText {number} is about parsing.{TAIL}",
        "output": output,
        "_document_id": f"paper:{number}",
        **fields,
    }


INSTANCES = [instance(number, json.dumps({"Task": [f"task {number % 2}"]})) for number in range(4)]


def read(records: list[Any], instances: list[dict[str, str]] | None = None) -> Identified:
    lines = [Line(number, record) for number, record in enumerate(records, start=1)]
    return identify(lines, TASK, INSTANCES if instances is None else instances)


def plain(known: dict[str, str], wrapper: str = "general", **fields: Any) -> dict[str, Any]:
    prompt = WRAPPERS[wrapper].format(input=known["input"])
    return {"prompt": prompt, "pred": "a", "ref": known["output"], **fields}


def ids(found: Identified) -> list[str]:
    return [str(line["instance_id"]) for line in found.lines]


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_instances_are_found_by_their_text_in_whatever_wrapper_and_order(wrapper: str) -> None:
    found = read([plain(known, wrapper) for known in reversed(INSTANCES)])
    assert ids(found) == [known["_instance_id"] for known in reversed(INSTANCES)]
    assert [line["document_id"] for line in found.lines] == ["paper:3", "paper:2", "paper:1", "paper:0"]
    assert (found.naming, found.known, found.answered) == ({Naming.MATCHED: 4}, 4, 4)
    assert (found.bad, found.differing) == ((), ())
    assert ("input" in found.lines[0]) is (wrapper != "general")


def test_an_example_before_the_question_is_not_taken_for_it() -> None:
    shot, question = INSTANCES[0], INSTANCES[1]
    prompt = f"{shot['input']}\n{shot['output']}\n\n\n{question['input']}"
    found = read([plain(question, prompt=prompt), plain(shot, prompt=prompt)])
    assert ids(found) == [question["_instance_id"]] * 1 + [f"{question['_instance_id']}#2"]


def test_of_instances_with_one_text_the_one_with_the_reference_is_meant() -> None:
    twins = [instance(0, "{}"), instance(1, '{"Task": ["x"]}', input=instance(0)["input"])]
    assert ids(read([plain(twins[1]), plain(twins[0])], twins)) == [each["_instance_id"] for each in reversed(twins)]


def test_ids_of_the_file_come_before_texts_and_numbers_last() -> None:
    records = [
        plain(INSTANCES[0], _instance_id="scierc_ner:train:9", document_id="mine"),
        plain(INSTANCES[1]),
        {"prompt": "something else", "pred": "x", "ref": "{}"},
    ]
    found = read(records)
    assert ids(found) == ["scierc_ner:train:9", "scierc_ner:validation:1", "scierc_ner:line:3"]
    assert found.naming == {Naming.GIVEN: 1, Naming.MATCHED: 1, Naming.NUMBERED: 1}
    assert [line.get("document_id") for line in found.lines] == ["mine", "paper:1", None]
    assert (found.known, found.answered) == (4, 1)


def test_a_wrong_reference_is_told_and_one_that_is_laid_out_otherwise_is_not() -> None:
    spread = json.dumps(json.loads(INSTANCES[1]["output"]), indent=2) + "\n"
    found = read([plain(INSTANCES[0], ref='{"Task": ["wrong"]}'), plain(INSTANCES[1], ref=spread)])
    assert found.differing == (INSTANCES[0]["_instance_id"],)
    assert found.lines[0]["reference"] == '{"Task": ["wrong"]}'


def test_a_repeated_answer_is_told_and_another_question_of_the_same_id_is_kept() -> None:
    first = plain(INSTANCES[0], _instance_id="scierc_ner:x", pred="first")
    other = plain(INSTANCES[1], _instance_id="scierc_ner:x")
    found = read([first, {**first, "pred": "again"}, other])
    assert [(line["instance_id"], line["reply"]) for line in found.lines] == [
        ("scierc_ner:x", "first"),
        ("scierc_ner:x#2", "a"),
    ]
    assert found.repeated == (2,)


def test_what_is_missing_comes_from_the_instance_and_what_cannot_be_had_is_told() -> None:
    records = [
        {"instance_id": INSTANCES[2]["_instance_id"], "reply": "r", "finish_reason": "length"},
        {"instance_id": "scierc_ner:none", "reply": "r"},
        {"instance_id": "biored_ner:validation:0", "reply": "r", "reference": "{}"},
        "nonsense",
    ]
    found = read(records)
    assert found.lines == (
        {
            "instance_id": INSTANCES[2]["_instance_id"],
            "prompt": INSTANCES[2]["input"],
            "reply": "r",
            "reference": INSTANCES[2]["output"],
            "finish_reason": "length",
            "document_id": "paper:2",
        },
    )
    assert [(bad.number, bad.reason.partition(",")[0].partition(":")[0]) for bad in found.bad] == [
        (2, "no reference"),
        (3, "it answers biored_ner"),
        (4, "expected a JSON object"),
    ]


def test_one_harness_filter_counts() -> None:
    def sample(name: str, reply: str) -> dict[str, Any]:
        return {"filtered_resps": [reply], "target": "{}", "filter": name, "doc": INSTANCES[0]}

    found = read([sample("strict", "cut"), sample("none", "whole"), sample("strict", "x")])
    assert [line["reply"] for line in found.lines] == ["whole"]
    assert (found.other_filters, found.repeated) == ({"strict": 2}, ())
    assert [line["reply"] for line in read([sample("strict", "cut"), sample("loose", "x")]).lines] == ["cut"]


texts = st.text(st.characters(exclude_categories=[]), max_size=8)
lines = st.fixed_dictionaries(
    {},
    optional={
        "prompt": texts | st.sampled_from([known["input"] for known in INSTANCES]),
        "pred": texts | st.none() | st.integers(),
        "ref": texts | st.none(),
        "_instance_id": texts | st.sampled_from([f"{TASK}:validation:0", "x:y"]),
        "filter": texts,
    },
)


@given(st.lists(lines), st.booleans())
def test_every_line_is_kept_or_told_of(records: list[dict[str, Any]], known: bool) -> None:
    found = read(records, INSTANCES if known else [])
    told = len(found.lines) + len(found.bad) + len(found.repeated) + sum(found.other_filters.values())
    assert told == len(records)
    names = ids(found)
    assert len(names) == len(set(names))
    assert sum(found.naming.values()) == len(found.lines)
    assert all(isinstance(line["reference"], str) and isinstance(line["prompt"], str) for line in found.lines)
