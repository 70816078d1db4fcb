"""JSON records, as one array or one object a line: for files of which it is not known which of the two they are.

No options. What a file holds is told by its first character. Tolerated is what :mod:`sciriff.readers.json_lines` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from sciriff.readers.json_lines import lines
from sciriff.readers.json_text import cut_container, load_json_object
from sciriff.readers.records import Row, SplitSpec
from sciriff.readers.text import BYTE_ORDER_MARK

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView

_AT_ONCE = 1 << 12


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield the records in file order; ``raw`` is the record as bytes.

    Raises:
        SourceError: where the rest of an array cannot be cut into records.
    """
    split.check_options("json_records")
    for index, (where, raw) in enumerate(_items(view, split.path)):
        yield Row(index, where, raw)


def parse(row: Row, _split: SplitSpec) -> dict[str, Any]:
    """Parse one record.

    Raises:
        RecordError: if it is not a JSON object.
    """
    return load_json_object(row.raw, row.where)


def _items(view: ArchiveView, path: str) -> Iterator[tuple[str, bytes]]:
    with view.open(path) as stream:
        is_array = _first_character(stream) == b"["
    if not is_array:
        yield from lines(view, path)
        return
    with view.open(path) as stream:
        for index, (_, raw) in enumerate(cut_container(stream, path)):
            yield f"{path}:[{index}]", raw


def _first_character(stream: BinaryIO) -> bytes:
    """The first byte that is neither blank nor part of a byte order mark; empty if there is none."""
    begin = stream.read(_AT_ONCE).removeprefix(BYTE_ORDER_MARK).lstrip()
    while not begin and (piece := stream.read(_AT_ONCE)):
        begin = piece.lstrip()
    return begin[:1]
