"""How the original scorers read JSON values, for the ``original`` profile (catalogue of behaviour, section 5).

Where the original would crash, :class:`OriginalCrash` is raised; the scorer then counts the sample as a model failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


class OriginalCrash(Exception):  # noqa: N818 - not an error of ours: what the original would have done
    """The original scorer raises on this value."""


def opened(values: Any) -> Iterable[Any]:
    """Items of a value with nested lists opened; a string gives its characters, an object its keys.

    Raises:
        OriginalCrash: for a value without items.
    """
    if not isinstance(values, Iterable):
        raise OriginalCrash(f"{type(values).__name__} is not iterable")
    return values if list not in map(type, values) else _opened(values)


def _opened(values: Iterable[Any]) -> Iterator[Any]:
    waiting = [iter(values)]
    while waiting:
        for item in waiting[-1]:
            if isinstance(item, list):
                waiting.append(iter(item))
                break
            yield item
        else:
            waiting.pop()


def joined(values: Any) -> str:
    """Items of a value, nested lists opened, joined by a space.

    Raises:
        OriginalCrash: if one of them is not a string.
    """
    return _join(opened(values))


def normalise(value: Any) -> str:
    """The original's normal form of an entry of a list.

    Raises:
        OriginalCrash: for objects, and for lists that hold anything but strings.
    """
    if isinstance(value, str):
        return value.strip().lower()
    match value:
        case None:
            return ""
        case int():
            return str(value)
        case float():
            return str(round(value, 2))
        case list():
            return joined(value)
        case _:
            raise OriginalCrash(f"unexpected {type(value).__name__}")


def _join(items: Iterable[Any]) -> str:
    texts = list(items)
    if not all(isinstance(text, str) for text in texts):
        raise OriginalCrash("only strings can be joined")
    return " ".join(texts)
