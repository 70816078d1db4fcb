"""Lines of TSV and CSV that a spreadsheet shows and does not run.

A cell that begins with ``=``, ``+``, ``-`` or ``@`` is a formula to a spreadsheet, and a formula can start a program or
send what stands beside it away. Names of models and texts of replies are written by strangers, so text that would be
one gets an apostrophe in front, which spreadsheets read as "this is text". Numbers stay as they are, negative ones too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

_FORMULA = re.compile(r"[\s\"'\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?%?")


def lines(rows: Iterable[Sequence[Any]], separator: str) -> str:
    """Rows as text, each with its line feed.

    Args:
        rows: cells; None is empty.
        separator: ``\\t`` or ``,``. A cell that holds it, a line end or a quote is put in quotes, as in RFC 4180.
    """
    return "".join(separator.join(_cell(value, separator) for value in row) + "\n" for row in rows)


def _cell(value: Any, separator: str) -> str:
    text = "" if value is None else str(value)
    if not isinstance(value, int | float):
        text = inert(text)
    if any(each in text for each in (separator, '"', "\n", "\r")):
        text = '"' + text.replace('"', '""') + '"'
    return text


def inert(text: str) -> str:
    """A text that no spreadsheet takes for a formula; a number, or a lone dash, is none."""
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text) and text != "-":
        return f"'{text}"
    return text
