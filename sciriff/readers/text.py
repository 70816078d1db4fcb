"""Small steps that several text formats share: lines, decoding, fragments of discontinuous mentions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from sciriff.errors import RecordError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def numbered_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines of a binary stream, counted from 1, without their LF or CRLF and without a byte order mark at the start.

    Only LF ends a line: U+0085, U+2028 and the like occur inside scientific text.
    """
    return ((number, line) for number, _, line in placed_lines(stream))


def placed_lines(stream: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Lines as :func:`numbered_lines` gives them, each with its offset in the stream: (number, offset, line)."""
    at = 0
    for number, line in enumerate(stream, start=1):
        text = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        yield number, at + len(line) - len(text), text.rstrip(b"\r\n")
        at += len(line)


def decode(raw: bytes, where: str) -> str:
    """Decode UTF-8, leaving newlines as they are and dropping a byte order mark at the start.

    Raises:
        RecordError: if it is not UTF-8, with the offset of the first wrong byte.
    """
    try:
        return raw.removeprefix(BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as error:
        raise RecordError(where, f"not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}") from error


def offset(value: str, where: str) -> int:
    """Read a character offset or length.

    Raises:
        RecordError: if it is anything but ASCII digits.
    """
    try:
        return whole_number(value)
    except ValueError as error:
        raise RecordError(where, str(error)) from None


def whole_number(value: str) -> int:
    """Read a character offset or length.

    Raises:
        ValueError: if it is anything but ASCII digits with blanks around them.
    """
    digits = value.strip()
    if digits.isascii() and digits.isdigit():
        return int(digits)
    raise ValueError(f"expected a whole number as offset, found {value!r}")


def fragments(text: str, spans: Sequence[tuple[int, int]], surface: str) -> tuple[str, ...]:
    """Surface strings of the parts of a mention.

    Corpora hold a few spans that do not fit their text, so a mention's own surface string is trusted over its offsets:
    the parts are cut from ``text`` only where they add up to ``surface`` (blanks aside).

    Args:
        text: what the offsets count in.
        spans: ``(start, end)``, end exclusive, in the order of the annotation.
        surface: the mention as the annotation writes it.
    """
    if len(spans) > 1:
        parts = tuple(text[start:end].strip() for start, end in spans)
        if all(parts) and " ".join(parts).split() == surface.split():
            return parts
    return (surface,)
