"""Requests and replies in the words of the OpenAI API."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.models.openai_replies import MalformedReplyError, error_of, read_error, read_reply, without_secrets
from sciriff.models.openai_requests import Dialect, batch_line, body, endpoint
from sciriff.models.requests import Message, Sampling, make_request

FREE = Sampling()
DIALECT = Dialect("m")


def chat(**sampling: Any) -> Any:
    return make_request("identity", (Message("user", "why?"),), Sampling(**sampling), "t:validation:0")


def test_every_sampling_field_stands_in_the_body() -> None:
    request = chat(max_tokens=7, temperature=0.5, top_p=0.9, seed=3, stop=("a", "b"), json_schema={"type": "array"})
    assert body(request, DIALECT) == {
        "model": "m",
        "messages": [{"role": "user", "content": "why?"}],
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "n": 1,
        "seed": 3,
        "stop": ["a", "b"],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": {"type": "array"}},
        },
    }
    assert endpoint(request) == "/v1/chat/completions"


def test_text_goes_to_completions_and_the_dialect_has_the_last_word() -> None:
    request = make_request("identity", "<|user|>\nwhy?\n<|assistant|>", Sampling(seed=None), "label")
    dialect = Dialect("m", "max_completion_tokens", {"add_special_tokens": False, "temperature": None})
    assert endpoint(request) == "/v1/completions"
    assert body(request, dialect) == {
        "model": "m",
        "prompt": "<|user|>\nwhy?\n<|assistant|>",
        "max_completion_tokens": 1024,
        "top_p": 1.0,
        "n": 1,
        "add_special_tokens": False,
    }


def test_a_batch_line_is_known_again_by_the_key() -> None:
    request = chat()
    line = json.loads(batch_line(request, DIALECT))
    assert line == {
        "custom_id": request.key,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": body(request, DIALECT),
    }


def test_at_most_four_stop_strings_are_sent_and_the_others_cut_here() -> None:
    stops = ("A", "B", "C", "D", "E", "F")
    assert body(chat(stop=stops), DIALECT)["stop"] == ["A", "B", "C", "D"]
    answer = read_reply(completion("one F two E", "length"), "k", Sampling(stop=stops))
    assert (answer.text, answer.finish_reason) == ("one ", "stop")
    assert read_reply(completion("one A", "length"), "k", Sampling(stop=stops)).text == "one A"


def completion(content: Any, finish: str | None = "stop", **message: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13}
    return json.dumps({"model": "m-2024", "choices": [choice], "usage": usage}).encode()


@pytest.mark.parametrize(
    ("data", "text", "finish"),
    [
        (completion("yes"), "yes", "stop"),
        (completion("ye", "length"), "ye", "length"),
        (completion("", "content_filter"), "", "content_filter"),
        (completion(None, refusal="I will not."), "I will not.", "content_filter"),
        (completion(None, "length"), "", "length"),
        (completion("yes", None), "yes", "stop"),
        (completion("yes", "eos_token"), "yes", "stop"),
        (completion("\ud800"), "\ud800", "stop"),
        (b'{"choices": [{"text": "yes", "finish_reason": "stop"}]}', "yes", "stop"),
    ],
)
def test_replies(data: bytes, text: str, finish: str) -> None:
    answer = read_reply(data, "k", FREE)
    assert (answer.key, answer.text, answer.finish_reason) == ("k", text, finish)


def test_tokens_and_model_are_as_the_server_says() -> None:
    answer = read_reply(completion("yes"), "k", FREE)
    assert (answer.input_tokens, answer.output_tokens, answer.served_model) == (11, 2, "m-2024")
    silent = read_reply(b'{"choices": [{"text": ""}], "usage": {"prompt_tokens": "many"}}', "k", FREE)
    assert (silent.input_tokens, silent.output_tokens, silent.served_model) == (None, None, "")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (completion("yes")[:-9], "not JSON"),
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b'{"choices": NaN}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"{}", "no choices"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": null, "error": {"message": "overloaded"}}', "no choices: overloaded"),
        (b'{"choices": [{}]}', "neither a message nor a text"),
        (completion(3), "text of the reply is 3"),
    ],
)
def test_what_is_no_reply_is_named(data: bytes, problem: str) -> None:
    with pytest.raises(MalformedReplyError, match=problem):
        read_reply(data, "k", FREE)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "text", "refusal", "error", "usage", "code"]), inner
        )
    ),
)


@given(st.builds(lambda value: json.dumps(value).encode(), _JSON) | st.binary(max_size=40))
def test_whatever_comes_is_a_reply_or_named(data: bytes) -> None:
    error = read_error(data)
    assert isinstance(error.message, str)
    with suppress(MalformedReplyError):
        assert isinstance(read_reply(data, "k", FREE).text, str)


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"message": "too long", "type": "x", "code": "context_length_exceeded"}}, "too long",
         "context_length_exceeded"),
        ({"error": {"message": "busy", "type": "rate_limit", "code": None}}, "busy", "rate_limit"),
        ({"error": "plain"}, "plain", ""),
        ({"object": "error", "message": "as vLLM", "code": 400}, "as vLLM", "400"),
        ({"detail": "as FastAPI"}, "as FastAPI", ""),
        ("text", "text", ""),
    ],
)  # fmt: skip
def test_errors_in_the_shapes_that_servers_use(body: Any, message: str, code: str) -> None:
    assert error_of(body) == (message, code)
    assert read_error(json.dumps(body).encode()) == (message, code)


def test_secrets_are_blotted_out() -> None:
    said = "Incorrect API key provided: sk-proj-abc***xyz. My password is hunter2. Bearer abc.def"
    told = without_secrets(said, "hunter2")
    assert told == "Incorrect API key provided: ***. My password is ***. ***"
    assert len(without_secrets("x" * 9999)) == 500
