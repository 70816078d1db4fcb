"""How large what an operation makes can become at most, known before it is made.

Only for operations that make much of little: everything else is weighed when it is there.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sized
from typing import Any

from sciriff.sandbox.budget import ELEMENT, LARGEST_VALUE, BoundError, weight

_MOST_BITS = 1 << 16
WIDEST_FIELD = 10_000
_WIDEST_INDENT = 64
_MOST_DIGITS = 400
_TOO_LARGE = LARGEST_VALUE + 1

_PERCENT = re.compile(r"%(?:\([^)]*\))?[-#0 +]*(?P<width>\*|\d*)(?:\.(?P<digits>\*|\d*))?[hlL]?.", re.DOTALL)
_WIDE = re.compile(r"[\d*]")
_NUMBER = re.compile(r"\d+")


def of_product(left: Any, right: Any) -> int:
    """Of ``left * right``."""
    if isinstance(left, int) and isinstance(right, int):
        return _of_bits(left.bit_length() + right.bit_length())
    for repeated, times in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(repeated, str | bytes | list | tuple):
            return weight(repeated) * max(times, 0)
    return 0


def of_power(base: Any, exponent: Any) -> int:
    """Of ``base ** exponent``."""
    if isinstance(base, int) and isinstance(exponent, int):
        return _of_bits(base.bit_length() * abs(exponent))
    return 0


def of_remainder(left: Any, right: Any) -> int:
    """Of ``left % right``, which fills in a text."""
    return of_percent_format(left, right) if isinstance(left, str | bytes) else 0


def _of_bits(bits: int) -> int:
    return bits if bits <= _MOST_BITS else _TOO_LARGE


def of_percent_format(pattern: str | bytes, values: Any) -> int:
    """Of ``pattern % values``."""
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    if not _WIDE.search(text):
        return len(text) + text.count("%") * weight(values)
    fields = list(_PERCENT.finditer(text))
    widths = sum(_width(field["width"]) + _width(field["digits"] or "") for field in fields)
    return len(text) + widths + (len(fields) * weight(values) if fields else 0)


def of_brace_format(pattern: str, values: Any) -> int:
    """Of ``pattern.format(values)``."""
    total = len(pattern)
    weighed = weight(values)
    for _, name, spec, _ in string.Formatter().parse(pattern):
        if name is None:
            continue
        if "{" in (spec or ""):
            raise BoundError("a format takes its width from a value; write the width itself")
        total += weighed + sum(map(_width, _NUMBER.findall(spec or "")))
    return total


def _width(written: str) -> int:
    if written == "*":
        raise BoundError("a format takes its width from a value; write the width itself")
    width = int(written[:20]) if written else 0
    if width > WIDEST_FIELD:
        raise BoundError(f"a format asks for a width of {width:,}; {WIDEST_FIELD:,} is the most allowed")
    return width


def _length(value: Any) -> int:
    return len(value) if isinstance(value, Sized) else 0


def _padded(text: Any, width: int = 80, *_: Any) -> int:
    return _length(text) + int(width)


def _replaced(text: Any, old: Any, new: Any, count: Any = None) -> int:
    del count
    whole = str(text)
    return len(whole) + whole.count(str(old)) * len(str(new))


def _joined(items: Any, between: Any = "", attribute: Any = None) -> int:
    del attribute
    if type(items) is list and set(map(type, items)) == {str}:
        return sum(map(len, items)) + len(items) * len(str(between))
    return weight(items) + _length(items) * (ELEMENT + len(str(between)))


def _indented(text: Any, width: Any = 4, first: bool = False, blank: bool = False) -> int:
    del first, blank
    whole = str(text)
    return len(whole) + (whole.count("\n") + 1) * (len(width) if isinstance(width, str) else int(width))


def _wrapped(
    text: Any, width: int = 79, break_long_words: bool = True, wrapstring: Any = None, break_on_hyphens: bool = True
) -> int:
    del width, break_long_words, break_on_hyphens
    return len(str(text)) * (8 + len(wrapstring or "\n"))


def _grouped(items: Any, size: int, *_: Any) -> int:
    return _length(items) + ELEMENT * abs(int(size))


def _formatted(pattern: Any, *values: Any, **named: Any) -> int:
    return of_percent_format(str(pattern), named or values)


def _rounded(value: Any, precision: int = 0, method: str = "common") -> int:
    del value, method
    return 0 if abs(precision) <= _MOST_DIGITS else _TOO_LARGE


def _as_json(value: Any, indent: Any = None, **_: Any) -> int:
    del value
    width = len(indent) if isinstance(indent, str) else int(indent or 0)
    return 0 if width <= _WIDEST_INDENT else _TOO_LARGE


def _summed(items: Any, attribute: Any = None, start: Any = 0) -> int:
    """Lists are added by copying what is there so far for each."""
    del attribute
    return 0 if isinstance(start, int | float) else weight(start) + weight(items) * max(_length(items), 1)


def _untagged(text: Any) -> int:
    """Comments are taken out one by one, each with a copy of the rest."""
    whole = str(text)
    return len(whole) + whole.count("<!--") * len(whole) // 64


OF_FILTERS: Mapping[str, Callable[..., int]] = {
    "batch": _grouped,
    "center": _padded,
    "format": _formatted,
    "indent": _indented,
    "join": _joined,
    "replace": _replaced,
    "round": _rounded,
    "slice": _grouped,
    "striptags": _untagged,
    "sum": _summed,
    "tojson": _as_json,
    "wordwrap": _wrapped,
}
"""Filter -> bound, by the filter's own arguments."""


def _expanded(text: str, tabsize: int = 8) -> int:
    return len(text) + text.count("\t") * int(tabsize)


def _translated(text: str, table: Any) -> int:
    longest = max((len(to) for to in table.values() if isinstance(to, str)), default=1) if table else 1
    return len(text) * max(longest, 1)


_GROWING_METHODS: Mapping[str, Callable[..., int]] = {
    "center": _padded,
    "expandtabs": _expanded,
    "join": lambda between, items: _joined(items, between),
    "ljust": _padded,
    "replace": _replaced,
    "rjust": _padded,
    "translate": _translated,
    "zfill": _padded,
}

_TAME_METHODS = (
    *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii", "isdecimal"),
    *("isdigit", "isidentifier", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper", "lower"),
    *("lstrip", "partition", "removeprefix", "removesuffix", "rfind", "rindex", "rpartition", "rsplit", "rstrip"),
    *("split", "splitlines", "startswith", "strip", "swapcase", "title", "upper"),
)

OF_TEXT_METHODS: Mapping[str, Callable[..., int] | None] = {**dict.fromkeys(_TAME_METHODS), **_GROWING_METHODS}
"""Method of a text -> bound, None where it makes little more than the text; others are refused."""
