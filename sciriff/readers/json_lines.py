"""JSON lines: one object a line.

Options:
    ``unique_key``: name of a field; of the records that share its value only the first is kept, the others are told as
    passed over, and rows are numbered without them (SciCite's ``unique_id``). Without it no line is parsed before it is
    wanted.

Tolerated: a byte order mark, CRLF, blank lines, no newline at the end, and what
:func:`~sciriff.readers.json_text.load_json` accepts beyond the standard.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from sciriff.errors import RecordError
from sciriff.readers.json_text import load_json_object
from sciriff.readers.records import PassedOver, Row, SplitSpec
from sciriff.readers.text import placed_lines

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row | PassedOver]:
    """Yield the lines that are not blank, in file order; ``raw`` is the line."""
    split.check_options("json_lines", "unique_key")
    seen: set[bytes] = set()
    index = 0
    for where, at, line in _lines(view, split.path):
        if "unique_key" in split.options:
            key = _key(line, where, str(split.options["unique_key"]))
            if key is not None and key in seen:
                yield PassedOver(f"repeated {split.options['unique_key']}", f"{where} ({key.decode()})")
                continue
            if key is not None:
                seen.add(key)
        yield Row(index, where, line, at)
        index += 1


def lines(view: ArchiveView, path: str) -> Iterator[tuple[str, bytes]]:
    """Yield ``(path:line number, line)`` for each line that is not blank."""
    return ((where, line) for where, _, line in _lines(view, path))


def _lines(view: ArchiveView, path: str) -> Iterator[tuple[str, int, bytes]]:
    with view.open(path) as stream:
        for number, at, line in placed_lines(stream):
            if line and not line.isspace():
                yield f"{path}:{number}", at, line


def parse(row: Row, _split: SplitSpec) -> dict[str, Any]:
    """Parse one line.

    Raises:
        RecordError: if it is not a JSON object.
    """
    return load_json_object(row.raw, row.where)


def _key(line: bytes, where: str, name: str) -> bytes | None:
    """Value of the unique field, or None where the line is broken or lacks it: ``parse`` will say what is wrong."""
    try:
        record = load_json_object(line, where)
    except RecordError:
        return None
    return orjson.dumps(record[name]) if name in record else None
