"""Tables of Schema-to-JSON: a JSON object of tables by id, see https://github.com/bflashcp3f/schema-to-json.

As :mod:`sciriff.readers.json_object`, and ``gold_json_records`` always is a list of the ``cell_record`` strings (each
the JSON text of one cell), whether the copy keeps objects of ``cell_index`` and ``cell_record`` or columns of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sciriff.errors import RecordError
from sciriff.readers import json_object
from sciriff.readers.json_text import require_field
from sciriff.readers.records import Row, SplitSpec

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield the tables in file order."""
    return json_object.rows(view, split)


def parse(row: Row, split: SplitSpec) -> dict[str, Any]:
    """Parse one table: ``_key``, ``paper_id``, ``table_id``, ``table_code``, ``sup_text``, ``gold_json_records``, ...

    Raises:
        RecordError: if a field is missing or the cell records have neither of the two shapes.
    """
    record = json_object.parse(row, split)
    require_field(record, "table_code", str, row.where)
    return {**record, "gold_json_records": _cell_records(record, row.where)}


def _cell_records(record: dict[str, Any], where: str) -> list[str]:
    if "gold_json_records" not in record:
        raise RecordError(where, "field 'gold_json_records' is missing")
    stored = record["gold_json_records"]
    try:
        cells = stored["cell_record"] if isinstance(stored, dict) else [item["cell_record"] for item in stored]
    except (TypeError, KeyError) as error:
        raise RecordError(
            where, "field 'gold_json_records': expected a list of {cell_index, cell_record} or {cell_record: [...]}"
        ) from error
    if not isinstance(cells, list) or not all(isinstance(cell, str) for cell in cells):
        raise RecordError(where, "field 'gold_json_records': expected every 'cell_record' to be a string of JSON")
    return cells
