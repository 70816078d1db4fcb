"""One JSON file that holds all records: an object of records by key (QASPER's papers), or an array of records.

Options:
    ``under``: name of the top-level member that holds them, e.g. ``questions``; without it they are the top level.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sciriff.readers.json_text import cut_container, load_json_object
from sciriff.readers.records import Row, SplitSpec

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield the records in file order; ``raw`` is ``(key or None, value as bytes)``.

    Raises:
        SourceError: where the rest of the file cannot be cut into records.
    """
    split.check_options("json_object", "under")
    with view.open(split.path) as stream:
        for index, (key, raw) in enumerate(cut_container(stream, split.path, split.options.get("under"))):
            yield Row(index, f"{split.path}:{f'[{index}]' if key is None else key}", (key, raw))


def parse(row: Row, _split: SplitSpec) -> dict[str, Any]:
    """Parse one record; its key is added as ``_key``.

    Raises:
        RecordError: if it is not a JSON object.
    """
    key, raw = row.raw
    record = load_json_object(raw, row.where)
    return record if key is None else {"_key": key, **record}
