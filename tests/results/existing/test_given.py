from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.results.existing.given import Given, NoPredictionError, read_given

from .harness import Reply, before_0_4_3, current, v0_4_4

DOC = {"_instance_id": "scierc_ner:validation:3", "input": "Q", "output": "{}", "_document_id": "paper:7"}
CHAT = json.dumps([{"role": "user", "content": "Q ☃"}])


@pytest.mark.parametrize("shape", [current, v0_4_4, before_0_4_3])
def test_samples_of_every_version_are_read(shape: Any) -> None:
    found = read_given(shape(0, Reply("<|user|>Q", "a reply", "{}", DOC)))
    assert found == Given(
        reply="a reply",
        prompt="<|user|>Q",
        reference="{}",
        input="Q",
        instance_id="scierc_ner:validation:3",
        document_id="paper:7",
        filter="none" if shape is current else "",
    )


def test_plain_lines_and_our_own_are_read() -> None:
    assert read_given({"prompt": "Q", "pred": "a", "ref": "b"}) == Given("a", "Q", "b")
    assert read_given({"pred": None}) == Given(None)
    own = {"instance_id": "x", "prompt": "P", "reply": None, "reference": "r", "finish_reason": "length", "input": "Q"}
    found = Given(None, "P", "r", "Q", instance_id="x", document_id="d", finish_reason="length")
    assert read_given({**own, "document_id": "d", "model": "m"}) == found


@pytest.mark.parametrize(
    ("logged", "prompt"),
    [
        ("plain", "plain"),
        ([CHAT], "Q ☃"),
        (json.loads(CHAT), "Q ☃"),
        (["just a text"], "just a text"),
        (["[not json"], "[not json"),
        ([json.dumps(["a", "b"])], '["a", "b"]'),
        (None, ""),
        (5, ""),
        ([], ""),
        ([[1, 2]], ""),
    ],
)
def test_prompts_are_unwrapped(logged: Any, prompt: str) -> None:
    assert read_given(current(0, Reply(logged, "a", "b"))).prompt == prompt


def test_a_conversation_of_several_messages_is_kept_as_it_is() -> None:
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}]
    assert json.loads(read_given(current(0, Reply([json.dumps(messages)], "a", "b"))).prompt) == messages


def test_of_repeated_replies_the_first_counts_and_none_is_no_reply() -> None:
    record = current(0, Reply("Q", "x", "r"))
    assert read_given({**record, "filtered_resps": [["one", "two"]]}).reply == "one"
    assert read_given({**record, "filtered_resps": []}).reply is None
    assert read_given({**record, "filtered_resps": [None]}).reply is None
    del record["filtered_resps"]
    assert read_given(record).reply == "x"


def test_a_list_that_the_harness_spelt_in_python_is_taken_from_the_row() -> None:
    output = '["it\'s", "null"]'
    record = current(0, Reply("Q", "x", str(["it's", "null"]), {"output": output}))
    assert read_given(record).reference == output
    assert read_given({**record, "target": "another"}).reference == "another"
    assert read_given({**record, "target": ["a"]}).reference == '["a"]'
    assert read_given({**record, "target": None}).reference == output
    assert read_given({**record, "target": None, "doc": None}).reference is None


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, "found null"),
        ([1], "found a list"),
        ({"text": "x"}, "none of the fields of a prediction"),
        ({"pred": 5, "ref": "x"}, "field pred: expected text or null, found a number"),
        ({"pred": "x", "ref": ["a"]}, "field ref: expected text or null, found a list"),
        ({"filtered_resps": [[-3.5, False]]}, "no generation task"),
        ({"filtered_resps": {"a": 1}}, "found an object"),
    ],
)
def test_what_is_no_prediction_says_why(record: Any, reason: str) -> None:
    with pytest.raises(NoPredictionError, match=reason):
        read_given(record)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["pred", "ref", "prompt", "reply", "reference", "filtered_resps", "resps", "arguments", "target", "doc"]
records = st.dictionaries(st.sampled_from([*FIELDS, "filter", "input", "instance_id", "finish_reason"]), json_values)
arguments = st.fixed_dictionaries({"gen_args_0": st.fixed_dictionaries({"arg_0": json_values})})


@given(
    json_values | records | records.flatmap(lambda record: arguments.map(lambda args: {**record, "arguments": args}))
)
def test_any_value_is_a_prediction_or_says_why_not(record: Any) -> None:
    found = read_or_reason(record)
    if isinstance(found, str):
        assert found
        return
    assert found.reply is None or isinstance(found.reply, str)
    assert isinstance(found.prompt, str)
    assert found.reference is None or isinstance(found.reference, str)


def read_or_reason(record: Any) -> Given | str:
    try:
        return read_given(record)
    except NoPredictionError as error:
        return str(error)
