"""JSON values of any type as text: what metrics compare.

Models put numbers, lists and objects where a string belongs. Here each has one text, whatever it is, so that a scorer
never fails on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


class NotUnderstood(Exception):  # noqa: N818 - a decision about a sample, not an error
    """The value is not what the task asks for."""


def as_text(value: Any) -> str:
    """The text of a value: strings as they are, whole numbers without a decimal point, objects as JSON, null as ""."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 1e16:
            return str(int(value))
        case int() | float():
            return str(value)
        case list():
            return " ".join(as_text(item) for item in leaves(value))
        case _:
            return json.dumps(value, sort_keys=True, default=str)


def leaves(value: Any) -> list[Any]:
    """The items of a list, with nested lists opened; a value that is not a list is its own only leaf."""
    if not isinstance(value, list):
        return [value]
    if not any(isinstance(item, list) for item in value):
        return value
    found: list[Any] = []
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        else:
            found.append(item)
    return found


def normalise_mention(value: Any) -> str:
    """A value as text, stripped and in lower case."""
    text = value if isinstance(value, str) else as_text(value)
    return text.strip().lower()


def field(answer: Mapping[str, Any], key: str) -> Any:
    """The value under a key, whatever the case of the key; None if there is none."""
    if key in answer:
        return answer[key]
    return next((value for name, value in answer.items() if name.strip().lower() == key), None)


def has_any(answer: Mapping[str, Any], keys: Iterable[str]) -> bool:
    """Whether one of the keys is there, whatever its case."""
    wanted = {key.lower() for key in keys}
    return any(name.strip().lower() in wanted for name in answer)
