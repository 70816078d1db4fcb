"""One prediction that exists already, as whoever wrote it wrote it down -> prompt, reply, reference.

Known are the samples of lm-evaluation-harness, ``{prompt, pred, ref}``, and lines of this pipeline's own predictions.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ROLES = {"role", "content"}


class NoPredictionError(Exception):
    """A value is no prediction; says why."""


@dataclass(frozen=True, slots=True)
class Given:
    """A prediction.

    Attributes:
        reply: what the model said; None if no reply came.
        prompt: what the model got; empty if that is not known.
        reference: the right answer; None if that is not known.
        input: the instance's own text, where the prompt may be more than that; None if that is not known.
        instance_id, document_id: of what it answers; None if they are not known.
        finish_reason: why the reply ended; None if that is not known.
        filter: the harness's name for how it cut the reply; of others empty.
    """

    reply: str | None
    prompt: str = ""
    reference: str | None = None
    input: str | None = None
    instance_id: str | None = None
    document_id: str | None = None
    finish_reason: str | None = None
    filter: str = ""


def read_given(record: Any) -> Given:
    """Read one prediction, by the fields that it has.

    Raises:
        NoPredictionError: if it is none.
    """
    if not isinstance(record, Mapping):
        raise NoPredictionError(f"expected a JSON object, found {_kind(record)}")
    if "filtered_resps" in record or "resps" in record:
        return _of_harness(record)
    if "pred" in record:
        return _given(record, reply="pred", reference="ref")
    if "reply" in record:
        return _given(record, reply="reply", reference="reference")
    raise NoPredictionError("none of the fields of a prediction: filtered_resps (lm-evaluation-harness), pred, reply")


def _given(record: Mapping[str, Any], *, reply: str, reference: str) -> Given:
    return Given(
        reply=_text(record, reply),
        prompt=_prompt(record.get("prompt")),
        reference=_text(record, reference),
        input=_text(record, "input"),
        instance_id=_text(record, "_instance_id") or _text(record, "instance_id"),
        document_id=_text(record, "_document_id") or _text(record, "document_id"),
        finish_reason=_text(record, "finish_reason"),
    )


def _text(record: Mapping[str, Any], field: str) -> str | None:
    value = record.get(field)
    if value is not None and not isinstance(value, str):
        raise NoPredictionError(f"field {field}: expected text or null, found {_kind(value)}")
    return value


# --- lm-evaluation-harness ------------------------------------------------------------------------------------------


def _of_harness(record: Mapping[str, Any]) -> Given:
    doc = record.get("doc")
    row = doc if isinstance(doc, Mapping) else {}
    name = "filtered_resps" if "filtered_resps" in record else "resps"
    own_filter = record.get("filter")
    return Given(
        reply=_first_reply(record[name], name),
        prompt=_prompt(_first_argument(record.get("arguments"))),
        reference=_reference(record.get("target"), row.get("output")),
        input=_text(row, "input"),
        instance_id=_text(row, "_instance_id"),
        document_id=_text(row, "_document_id"),
        filter=own_filter if isinstance(own_filter, str) else "",
    )


def _first_reply(replies: Any, field: str) -> str | None:
    """The first of the replies, which may be lists of repeats; None if there is none."""
    value = replies
    while isinstance(value, list):
        value = value[0] if value else None
    if value is not None and not isinstance(value, str):
        raise NoPredictionError(f"field {field}: expected text, found {_kind(value)} (is this no generation task?)")
    return value


def _first_argument(arguments: Any) -> Any:
    """The prompt among a request's arguments: ``{gen_args_0: {arg_0: prompt}}``, before 0.4.3 ``[[prompt, ...]]``."""
    if isinstance(arguments, Mapping):
        first = arguments.get("gen_args_0")
        return first.get("arg_0") if isinstance(first, Mapping) else None
    while isinstance(arguments, list) and arguments and isinstance(arguments[0], list):
        arguments = arguments[0]
    return arguments[0] if isinstance(arguments, list) and arguments else None


def _reference(target: Any, output: Any) -> str | None:
    """The right answer.

    The harness reads a target that looks like a Python list as one and writes it down in Python's spelling, which is
    not JSON; then the dataset row has it as it was.
    """
    if isinstance(output, str) and target is not None and target != output and _in_python(output) == str(target):
        return output
    if target is None:
        return output if isinstance(output, str) else None
    return target if isinstance(target, str) else json.dumps(target, ensure_ascii=False)


def _in_python(text: str) -> str | None:
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        return str(ast.literal_eval(text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


# --- prompts --------------------------------------------------------------------------------------------------------


def _prompt(value: Any) -> str:
    """A prompt as text: of a conversation of one message its content, of a longer one the messages as JSON.

    With a chat template the harness hands an API the messages as JSON text, and logs that as a list of one.
    """
    if isinstance(value, str):
        return value
    messages = value
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        messages = _messages(value[0])
        if messages is None:
            return value[0]
    if not _is_conversation(messages):
        return ""
    if len(messages) == 1 and isinstance(messages[0]["content"], str):
        return str(messages[0]["content"])
    return json.dumps(messages, ensure_ascii=False)


def _messages(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if _is_conversation(value) else None


def _is_conversation(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(message, Mapping) and set(message) >= _ROLES for message in value)
    )


def _kind(value: Any) -> str:
    """What a JSON value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
    return "an object"
