"""YAML as plain data: what every YAML file that people write is read with.

No tag makes an object, no key stands twice, and a small file stays small: an anchor counts as often as it is repeated,
so lists of lists of the same list ("billion laughs") are refused before anything is made of them, and so is nesting
that the parser's own stack would not survive.
"""

from __future__ import annotations

from typing import Any

import yaml

LARGEST_FILE = 1 << 20
"""Bytes. Ours have 8,000 at most."""

MOST_VALUES = 100_000
"""Keys and values of a file, with those of repeated anchors."""

DEEPEST = 100
"""Mappings and lists in each other."""

_LONGEST_NUMBER = 100
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DuplicateKeyError(yaml.YAMLError):
    """A key is written twice; the message names it and both lines."""


class _Loader(_SafeLoader):  # type: ignore[misc,valid-type]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        written: dict[Any, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key, line = self.construct_object(key_node), key_node.start_mark.line + 1
            if key in written:
                raise DuplicateKeyError(f"key {key!r} is written twice, in lines {written[key]} and {line}; remove one")
            written[key] = line
        return super().construct_mapping(node, deep=deep)  # type: ignore[no-any-return]


def _whole_number(loader: Any, node: yaml.ScalarNode) -> int:
    if len(node.value) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(node.value):,} characters")
    number: int = loader.construct_yaml_int(node)
    return number


_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)


def load_yaml(data: bytes) -> Any:
    """Read one YAML document of plain data.

    Args:
        data: UTF-8, with or without a byte order mark.

    Raises:
        UnicodeDecodeError: if it is not UTF-8.
        yaml.YAMLError: if it is no YAML, has a tag that is not of plain data, a key twice, or goes beyond the bounds.
    """
    if len(data) > LARGEST_FILE:
        raise yaml.YAMLError(f"{len(data):,} bytes; {LARGEST_FILE:,} are allowed")
    text = data.decode("utf-8-sig")
    _check_bounds(text)
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        raise
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        # What its constructors raise on dates and numbers that are none.
        raise yaml.YAMLError(f"a value cannot be read ({error}); put it in quotes if it is meant as text") from error


def _check_bounds(text: str) -> None:
    """Count the values of a document from the events of its parser, which needs no stack for that."""
    sizes: dict[str | None, int] = {}
    opened: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=_SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            if len(opened) == DEEPEST:
                raise _excess(f"nested more than {DEEPEST} deep", event)
            opened.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in opened):
                raise _excess(f"*{event.anchor} stands inside of what it names", event)
            total += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        if total > MOST_VALUES:
            raise _excess(f"more than {MOST_VALUES:,} values, with those of repeated anchors", event)


def _excess(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
