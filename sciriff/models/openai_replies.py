"""Replies in the words of the OpenAI API: bodies of live responses, and lines of batch output and error files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from sciriff.models.lines import load_json
from sciriff.models.openai_requests import MOST_STOPS
from sciriff.models.requests import Answer, FinishReason, Sampling
from sciriff.redaction import redacted

_FINISH: Mapping[str, FinishReason] = {"length": "length", "content_filter": "content_filter"}
"""Every other reason, or none, is a reply that ended by itself."""

_SECRET = re.compile(r"\b(sk|hf)[-_][\w*-]{4,}|\bBearer\s+\S+", re.IGNORECASE)
_LONGEST_MESSAGE = 500


class MalformedReplyError(Exception):
    """A response that says it went well and holds no reply: cut, not JSON, no choices. The same request may pass."""


class ServerError(NamedTuple):
    """What a server says went wrong.

    Attributes:
        message: in its own words, without secrets.
        code: its name for it, e.g. ``context_length_exceeded``; empty if it gives none.
    """

    message: str
    code: str = ""


def read_reply(data: bytes, key: str, sampling: Sampling) -> Answer:
    """Read the body of a successful response, of chat completions or completions.

    Args:
        data: the body.
        key: the request's key.
        sampling: its parameters; the reply ends before the first of the stop strings, also of those that the server
            was not told.

    Raises:
        MalformedReplyError: if there is no reply in it.
    """
    try:
        completion = load_json(data)
    except ValueError as error:
        raise MalformedReplyError(f"the reply is not JSON: {error}") from error
    return reply_of(completion, key, sampling)


def reply_of(completion: Any, key: str, sampling: Sampling) -> Answer:
    """Read a completion object. Raises as :func:`read_reply`."""
    if not isinstance(completion, dict):
        raise MalformedReplyError(f"the reply is not a JSON object but {_short(completion)}")
    choices = completion.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        problem = f": {error_of(completion).message}" if completion.get("error") else ""
        raise MalformedReplyError(f"the reply has no choices{problem}")
    text, refused = _text(choices[0])
    finish: FinishReason = "content_filter" if refused else _FINISH.get(str(choices[0].get("finish_reason")), "stop")
    cut = cut_at_stops(text, sampling.stop)
    usage = completion.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Answer(
        key=key,
        text=cut,
        finish_reason=finish if cut == text else "stop",
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        served_model=str(completion.get("model") or ""),
    )


def _text(choice: Mapping[str, Any]) -> tuple[str, bool]:
    """The text of a choice, and whether the model says that it refuses."""
    message = choice.get("message")
    if isinstance(message, dict):
        content, refusal = message.get("content"), message.get("refusal")
        if isinstance(refusal, str) and refusal and not content:
            return refusal, True
    elif "text" in choice:
        content = choice["text"]
    else:
        raise MalformedReplyError("the first choice of the reply has neither a message nor a text")
    if content is None:
        return "", False
    if not isinstance(content, str):
        raise MalformedReplyError(f"the text of the reply is {_short(content)}")
    return content, False


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def cut_at_stops(text: str, stops: tuple[str, ...]) -> str:
    """Cut a reply before the first stop string that the server was not told of, as it would have been cut."""
    ends = [text.find(stop) for stop in stops[MOST_STOPS:]]
    found = [end for end in ends if end >= 0]
    return text[: min(found)] if found else text


def error_of(body: Any) -> ServerError:
    """What an error body says, in the shapes that servers of this API use."""
    said = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(said, dict):
        message = said.get("message") or said.get("detail") or said.get("error") or ""
        code = said.get("code") or said.get("type") or ""
        return ServerError(without_secrets(message if isinstance(message, str) else _short(message)), str(code))
    return ServerError(without_secrets(said if isinstance(said, str) else _short(said)))


def filtered(key: str) -> Answer:
    """The answer to a request that a filter of the server's refuses: as if the model had, not a failure of ours."""
    return Answer(key, "", "content_filter")


def read_error(data: bytes) -> ServerError:
    """What the body of a response with an error status says; never raises."""
    try:
        return error_of(load_json(data))
    except ValueError:
        return ServerError(without_secrets(" ".join(data.decode("utf-8", "replace").split())))


def without_secrets(message: str, *secrets: str) -> str:
    """A server's words, shortened and with everything that looks like a key blotted out."""
    for secret in filter(None, secrets):
        message = message.replace(secret, "***")
    return _SECRET.sub("***", redacted(message))[:_LONGEST_MESSAGE]


def _short(value: Any) -> str:
    return repr(value)[:60]
