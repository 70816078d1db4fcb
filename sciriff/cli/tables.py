"""Aligned text tables that read the same on a terminal, in a log and in a pipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SPLITS = ("train", "validation", "test")


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows under their headers; columns of numbers are aligned to the right, the last column is not padded."""
    cells = [[_text(value) for value in row] for row in rows]
    numeric = [bool(rows) and all(_is_number(row[column]) for row in rows) for column in range(len(headers))]
    widths = [max(len(line[column]) for line in [list(headers), *cells]) for column in range(len(headers))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in [list(headers), rule, *cells]
    )


def split_counts(rows: Mapping[str, int]) -> str:
    """Return ``train/validation/test`` row counts as one cell."""
    return "/".join(f"{rows.get(split, 0):,}" for split in SPLITS)


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, e.g. ``1 task`` or ``1,200 tasks``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def named(name: str, message: str) -> str:
    """Return a message that begins with the name it is about."""
    return message if message.startswith(name) else f"{name}: {message}"


def told_once(kind: str, messages: Iterable[tuple[str, str]]) -> list[str]:
    """Return ``kind: name: message``; what several have in common is told once, after all their names."""
    names: dict[str, list[str]] = {}
    for name, message in messages:
        names.setdefault(message, []).append(name)
    return [f"{kind}: {named(', '.join(group), message)}" for message, group in names.items()]


def shared_remarks(kind: str, remarks: Iterable[tuple[str, str]]) -> list[str]:
    """Return lines ``kind: name: remark``; what is said several times, but for a leading URL, is told once.

    Args:
        kind: what the lines are, e.g. ``note``.
        remarks: pairs of a name and what is to be said of it.
    """
    pairs = list(remarks)
    names: dict[str, dict[str, None]] = {}
    for name, remark in pairs:
        names.setdefault(_without_url(remark), {})[name] = None
    often = Counter((name, _without_url(remark)) for name, remark in pairs)
    own = [
        f"{kind}: {named(name, remark if often[name, _without_url(remark)] == 1 else _without_url(remark))}"
        for name, remark in pairs
        if len(names[_without_url(remark)]) == 1
    ]
    shared = [f"{kind}: {remark}: {', '.join(group)}" for remark, group in names.items() if len(group) > 1]
    return [*dict.fromkeys(own), *shared]


def _without_url(remark: str) -> str:
    head, _, rest = remark.partition(": ")
    return rest if "://" in head else remark


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value).replace("\n", " ")
