"""JSON as corpora write it: the fast strict parser first, a lenient one where that gives up."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from sciriff.errors import RecordError, SourceError
from sciriff.readers.text import decode

_MIN_READ = 1 << 20
_NOT_BLANK = re.compile(r"[^ \t\r\n]")
_AFTER_VALUE = tuple(" \t\r\n,:]}")
# It finds where values end: a number that is too long to be one is the business of whoever parses its record.
_DECODER = json.JSONDecoder(strict=False, parse_int=str)


def load_json(raw: bytes, where: str) -> Any:
    """Parse one JSON value.

    Accepted beyond the standard, because published corpora hold it: raw control characters in strings, and the
    constants ``NaN``, ``Infinity`` and ``-Infinity``, which stand for a missing value and become ``None``.

    Raises:
        RecordError: if it is not JSON, not UTF-8, nested too deeply, has a number of thousands of digits, or holds half
            of a surrogate pair as an escape (such a string cannot be written as UTF-8).
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _load_lenient(raw, where)


def load_json_object(raw: bytes, where: str) -> dict[str, Any]:
    """Parse one JSON object; as :func:`load_json`, and anything but an object is a RecordError."""
    value = load_json(raw, where)
    if not isinstance(value, dict):
        raise RecordError(where, f"expected a JSON object, found {json_type(value)}")
    return value


def _load_lenient(raw: bytes, where: str) -> Any:
    text = decode(raw, where)
    try:
        value = json.loads(text, strict=False, parse_constant=lambda _name: None)
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise RecordError(where, f"not JSON: {error.msg} at character {error.pos + 1} of {len(text)}") from error
    except UnicodeEncodeError as error:
        raise RecordError(where, "a string holds half of a surrogate pair (an escape \\ud800 to \\udfff)") from error
    except RecursionError as error:
        raise RecordError(where, "JSON nested too deeply") from error
    except ValueError as error:
        raise RecordError(where, f"a number has too many digits: {error}") from error
    return value


def json_type(value: Any) -> str:
    """Name of a parsed value's JSON type, for messages."""
    if value is None:
        return "null"
    for name, kind in (
        ("true or false", bool),
        ("a number", (int, float)),
        ("a string", str),
        ("a list", list),
        ("an object", dict),
    ):
        if isinstance(value, kind):
            return name
    return type(value).__name__


def require_field(record: dict[str, Any], name: str, kind: type, where: str) -> Any:
    """Return ``record[name]`` if it is of the expected type.

    Raises:
        RecordError: naming the field, what was expected and what was found.
    """
    if name not in record:
        raise RecordError(where, f"field {name!r} is missing; found {', '.join(map(repr, record)) or 'no field'}")
    if not isinstance(record[name], kind):
        raise RecordError(where, f"field {name!r}: expected {json_type(kind())}, found {json_type(record[name])}")
    return record[name]


def cut_container(stream: BinaryIO, path: str, under: str | None = None) -> Iterator[tuple[str | None, bytes]]:
    """Cut the members of one large JSON object or array out of a file, in file order, without holding the file.

    Args:
        stream: the file, UTF-8.
        path: its name, for messages.
        under: name of a member of the top-level object; its members are yielded instead of the object's own.

    Yields:
        ``(key, value)`` for an object, ``(None, value)`` for an array; the value as the file's own bytes, not looked at
        beyond finding its end. A key that occurs twice is yielded twice.

    Raises:
        SourceError: where the rest of the file cannot be cut: not a container, truncated, broken JSON, no ``under``.
    """
    text = _Text(stream, path)
    if under is None:
        yield from _members(text)
    else:
        if text.next_char() != "{":
            raise text.error(f"expected a JSON object with a member {under!r}")
        found = False
        for key in text.each_key():
            if key == under:
                found = True
                yield from _members(text)
            else:
                text.skip_value()
        if not found:
            raise text.error(f"the JSON object has no member {under!r}")
    if text.next_char():
        raise text.error("unexpected text after the end of the JSON value")


def _members(text: _Text) -> Iterator[tuple[str | None, bytes]]:
    opening = text.next_char()
    if opening == "{":
        for key in text.each_key():
            yield key, text.take_value()
    elif opening == "[":
        for _ in text.each_item():
            yield None, text.take_value()
    else:
        raise text.error(f"expected a JSON object or array, found {opening!r}" if opening else "the file is empty")


class _Text:
    """A window on the text of a JSON file. Bytes that are not UTF-8 pass through, so that only their record is bad."""

    def __init__(self, stream: BinaryIO, path: str) -> None:
        self._stream = stream
        self._path = path
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._window = ""
        self._at = 0
        self._before = 0
        self._ended = False
        self._last_key = ""

    def error(self, reason: str) -> SourceError:
        after = f", after key {self._last_key!r}" if self._last_key else ""
        return SourceError(
            f"{self._path}: {reason} (character {self._before + self._at + 1}{after}); "
            "the file is damaged or of another format"
        )

    def next_char(self) -> str:
        """Skip blanks and return the next character without passing it; the empty string at the end."""
        while True:
            match = _NOT_BLANK.search(self._window, self._at)
            if match:
                self._at = match.start()
                return match.group()
            self._at = len(self._window)
            if not self._grow():
                return ""

    def each_key(self) -> Iterator[str]:
        """Keys of the object that starts here. The caller takes or skips the value after each."""
        for _ in self._between("}"):
            if self.next_char() != '"':
                raise self.error("expected a key in double quotes")
            self._last_key = str(self._value()[0])
            if self.next_char() != ":":
                raise self.error("expected ':'")
            self._at += 1
            yield self._last_key

    def each_item(self) -> Iterator[None]:
        """Places of the items of the array that starts here. The caller takes each item."""
        return self._between("]")

    def take_value(self) -> bytes:
        return self._value()[1].encode("utf-8", "surrogateescape")

    def skip_value(self) -> None:
        self._value()

    def _between(self, closing: str) -> Iterator[None]:
        self._at += 1
        if self.next_char() == closing:
            self._at += 1
            return
        while True:
            yield
            char = self.next_char()
            if char not in (",", closing):
                raise self.error(f"expected ',' or '{closing}', found {char!r}" if char else "the file ends too early")
            self._at += 1
            if char == closing:
                return

    def _value(self) -> tuple[Any, str]:
        if not self.next_char():
            raise self.error("the file ends too early")
        while True:
            reason = "the file ends too early"
            try:
                value, end = _DECODER.raw_decode(self._window, self._at)
            except (json.JSONDecodeError, RecursionError) as error:
                reason = f"not JSON: {error.msg}" if isinstance(error, json.JSONDecodeError) else "nested too deeply"
            else:
                # A number that the window cuts in two looks like a shorter one.
                if self._window[end : end + 1] in _AFTER_VALUE or self._ended:
                    raw = self._window[self._at : end]
                    self._at = end
                    return value, raw
            if not self._grow():
                raise self.error(reason)

    def _grow(self) -> bool:
        if self._ended:
            return False
        # As much again as could not be parsed: the work stays linear however long one value is.
        data = self._stream.read(max(_MIN_READ, len(self._window) - self._at))
        self._before += self._at
        self._window = self._window[self._at :] + self._decoder.decode(data, final=not data)
        self._at = 0
        self._ended = not data
        return True
