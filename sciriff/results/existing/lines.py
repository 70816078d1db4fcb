"""A file's bytes -> its JSON values, one after the other, and what is wrong of those that are none.

Files are JSON lines, or one JSON list as lm-evaluation-harness wrote it before 0.4.3. Such a list is cut where its
indentation says that an element begins, so that one that is broken does not spoil the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

import orjson

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A value of a file.

    Attributes:
        number: the line it begins at, from 1; of several on one line the number is the same.
        value: the value.
    """

    number: int
    value: Any


class Bad(NamedTuple):
    """Something of a file that is no prediction.

    Attributes:
        number: the line it begins at, from 1.
        reason: what is wrong.
    """

    number: int
    reason: str


def json_values(lines: Iterable[bytes]) -> Iterator[Line | Bad]:
    """The values of a file, in order; blank lines are passed over."""
    numbered = ((number, line) for number, line in enumerate(_unmarked(lines), start=1) if line.strip())
    first = next(numbered, None)
    if first is None:
        return
    if first[1].rstrip() == b"[":
        yield from _elements(numbered)
        return
    for number, line in chain([first], numbered):
        yield from _values(number, line)


def _unmarked(lines: Iterable[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(lines):
        yield line if number else line.removeprefix(_BYTE_ORDER_MARK)


_ELEMENT = re.compile(rb"  [^\s}\]]")


def _elements(numbered: Iterator[tuple[int, bytes]]) -> Iterator[Line | Bad]:
    """Elements of an indented list: each from a line that is indented by two up to the next."""
    start, element = 0, bytearray()
    for number, line in numbered:
        ends = line.rstrip() == b"]"
        if element and (ends or _ELEMENT.match(line)):
            yield from _values(start, bytes(element))
            element.clear()
        if not ends:
            start = start if element else number
            element += line
    if element:
        yield from _values(start, bytes(element))


def _values(number: int, text: bytes) -> Iterator[Line | Bad]:
    try:
        value = _load(text.strip().removesuffix(b","))
    except ValueError as error:
        yield Bad(number, f"not JSON: {error}")
        return
    for each in value if isinstance(value, list) else [value]:
        yield Line(number, each)


def _load(text: bytes) -> Any:
    """Read JSON as Python's own writer leaves it, with NaN and lone surrogates.

    Raises:
        ValueError: if it is not JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(text.decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
