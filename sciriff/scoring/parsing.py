"""From a model's reply to a JSON value: the original's way, and a way that finds the answer inside other text.

Neither raises, whatever the text: deep nesting, numbers of thousands of digits and lone surrogates included.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from sciriff.scoring.outcome import ParseStatus

_BRACKETS = {"object": ("{", "}"), "list": ("[", "]")}
_OPENINGS = {
    "object": re.compile(r'\{\s*["}]'),
    "list": re.compile(r'\[\s*["\[{\]\-0-9tfnNI]'),
}
"""An opening bracket with what may follow it; trying the decoder in vain is slow."""

_PYTHON_TYPES: dict[str, type] = {"object": dict, "list": list}

MAX_DEPTH = 100
"""Levels of nesting that the corrected parser accepts; answers have three at most."""

MAX_DIGITS = 1000
"""Longer whole numbers stay text (Python refuses to print them from 4,300 digits on)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a task's answers look like.

    Attributes:
        container: JSON type of the answer.
        keys: of an object, the keys the task asks for.
        item: of a list, the JSON type of its items.
        nullable: whether JSON null is an answer (Qasper: nothing in the paper answers the question).
        default: JSON text of the value that stands in where nothing can be parsed.
        closing_brace_is_bracket: the original's mend for evidence inference: a final ``}`` is read as ``]``.
    """

    container: Literal["object", "list"]
    default: str
    keys: tuple[str, ...] = ()
    item: Literal["string", "list"] = "string"
    nullable: bool = False
    closing_brace_is_bracket: bool = False

    def default_value(self) -> Any:
        """A fresh copy of the default."""
        return json.loads(self.default)

    def holds(self, value: Any) -> bool:
        """Whether a value has the right container type."""
        return isinstance(value, _PYTHON_TYPES[self.container])


class Parsed(NamedTuple):
    """A parsed reply.

    Attributes:
        value: the JSON value, or the shape's default where there is none.
        status: how it was found.
        crashed: the original would raise on this text (only from :func:`parse_original`).
    """

    value: Any
    status: ParseStatus
    crashed: bool = False


# --- cleaning -------------------------------------------------------------------------------------------------------

_START_OF_TEXT, _END_OF_TEXT = "<s>", "</s>"


def clean_original(text: str) -> str:
    """Strip the characters ``<``, ``/``, ``s``, ``>`` from both ends, as the original does: "results" -> "result"."""
    return text.strip("</s>")


def clean(text: str) -> str:
    """Strip whitespace and the literal special tokens ``<s>`` in front and ``</s>`` at the end."""
    text = text.strip()
    while text.startswith(_START_OF_TEXT):
        text = text.removeprefix(_START_OF_TEXT).lstrip()
    while text.endswith(_END_OF_TEXT):
        text = text.removesuffix(_END_OF_TEXT).rstrip()
    return text


# --- the original's way ---------------------------------------------------------------------------------------------


def parse_original(text: str, shape: Shape) -> Parsed:
    """Parse a cleaned reply as the original does: whole text, else the first balanced bracket pair that parses.

    Brackets inside strings count, and so does a stray closing bracket, which hides all that follows.
    """
    try:
        return _parse_original(text, shape)
    except (RecursionError, ValueError):  # a plain ValueError: too many digits
        return Parsed(shape.default_value(), ParseStatus.EXTRACT_FAILURE, crashed=True)


def _parse_original(text: str, shape: Shape) -> Parsed:
    if shape.closing_brace_is_bracket:
        text = text.strip()
        text = text[:-1] + "]" if text.endswith("}") else text
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return _first_balanced(text, shape)
    if value is None or value == "null":
        return Parsed(shape.default_value(), ParseStatus.NULL_JSON)
    return Parsed(value, ParseStatus.VALID_JSON)


def _first_balanced(text: str, shape: Shape) -> Parsed:
    opening, closing = _BRACKETS[shape.container]
    depth, start = 0, None
    for match in re.finditer(f"[{re.escape(opening + closing)}]", text):
        if match[0] == opening:
            if depth == 0:
                start = match.start()
            depth += 1
            continue
        depth -= 1
        if depth == 0 and start is not None:
            try:
                return Parsed(json.loads(text[start : match.end()]), ParseStatus.EXTRACT_SUCCESS)
            except json.JSONDecodeError:
                start = None
    return Parsed(shape.default_value(), ParseStatus.EXTRACT_FAILURE)


# --- our way --------------------------------------------------------------------------------------------------------


def parse(text: str, shape: Shape) -> Parsed:
    """Parse a cleaned reply: the whole text, else the JSON value in it that fits the task best.

    Inside other text a decoder is tried at each opening bracket of the right kind, so brackets in prose or in strings
    do no harm. Of several values the one with most of the keys that the task asks for wins (of lists: the first
    non-empty one with items of the right type), then the first: an example before the answer is empty or has other
    keys, a repetition comes after it. Raw control characters in strings are accepted there. A key given twice with
    lists has the items of both, otherwise the last value.
    Broken JSON (cut off, trailing comma, single quotes) is not mended, and the tuples of a broken list of tuples are no
    answer. Only a last ``}`` in place of ``]`` is, for tasks whose answers often end so.
    """
    try:
        value = _decode(text, shape)
    except (ValueError, RecursionError):
        candidates = list(_embedded(text, shape))
        if not candidates:
            return Parsed(shape.default_value(), ParseStatus.EXTRACT_FAILURE)
        return Parsed(max(candidates, key=lambda candidate: _fit(candidate, shape)), ParseStatus.EXTRACT_SUCCESS)
    if _can_be_too_deep(text) and _too_deep(value):
        return Parsed(shape.default_value(), ParseStatus.EXTRACT_FAILURE)
    if value is None or value == "null":
        status = ParseStatus.VALID_JSON if shape.nullable else ParseStatus.NULL_JSON
        return Parsed(shape.default_value(), status)
    return Parsed(value, ParseStatus.VALID_JSON)


def _decode(text: str, shape: Shape) -> Any:
    try:
        return _STRICT.decode(text)
    except ValueError:
        if shape.closing_brace_is_bracket and text.startswith("[") and text.endswith("}"):
            return _STRICT.decode(text[:-1] + "]")
        raise


_LIST_IN_LIST = re.compile(r"\[\s*\[")


def _embedded(text: str, shape: Shape) -> Iterator[Any]:
    """Values of the right container type in a text, in order, none inside another."""
    opening = _OPENINGS[shape.container]
    broken = False
    place, can_be_too_deep = opening.search(text), _can_be_too_deep(text)
    while place:
        try:
            value, end = _LENIENT.raw_decode(text, place.start())
        except RecursionError:
            end = _end_of_run(text, place.start())  # else a reply of brackets only would take quadratic time
        except ValueError:
            end = place.start() + 1
            broken = broken or (shape.item == "list" and _LIST_IN_LIST.match(text, place.start()) is not None)
        else:
            if not (can_be_too_deep and _too_deep(value)) and not (broken and _is_flat(value)):
                yield value
        place = opening.search(text, end)


def _is_flat(value: Any) -> bool:
    return not any(isinstance(item, list) for item in value)


_NESTING = re.compile(r'(?:[\[{]\s*|"[^"\\]*"\s*:\s*)+')


def _end_of_run(text: str, position: int) -> int:
    """Where the text next stops opening brackets for good: behind its last opening bracket of the nesting too deep."""
    run = _NESTING.match(text, position)
    return run.end() if run else position + 1


def _fit(value: Any, shape: Shape) -> int:
    if shape.container == "object":
        names = {str(name).strip().lower() for name in value}
        return sum(key.lower() in names for key in shape.keys)
    right = (str, int, float) if shape.item == "string" else (list,)
    wrong_kind = shape.item == "string" and not any(isinstance(item, str) for item in value)
    return int(bool(value) and not wrong_kind and all(isinstance(item, right) for item in value))


def _can_be_too_deep(text: str) -> bool:
    """Whether a text has brackets enough; to look through its value takes longer."""
    return text.count("[") + text.count("{") > MAX_DEPTH


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _whole_number(digits: str) -> int | str:
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key, value in pairs:
        earlier = merged.get(key)
        merged[key] = [*earlier, *value] if isinstance(earlier, list) and isinstance(value, list) else value
    return merged


_STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole_number, parse_constant=_refuse_constant)
_LENIENT = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole_number, parse_constant=lambda _: None, strict=False
)
