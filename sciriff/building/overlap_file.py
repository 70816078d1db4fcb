"""The overlaps of a combined dataset as a table, one row for each instance and other place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sciriff.building.overlaps import Overlap
from sciriff.hashing import file_sha256

OVERLAPS: Final = "overlaps.parquet"


def write_overlaps(overlaps: Sequence[Overlap], path: Path) -> dict[str, Any]:
    """Write the overlaps in their order.

    Columns: ``task``, ``split``, ``_instance_id``, ``_document_id``: the instance; ``other_task``, ``other_split``:
    where else its text or document stands; ``same_text``, ``same_document``: how many instances there have it;
    ``other_instance_id``: the first of them.

    Returns:
        ``{sha256, bytes, rows}`` of the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("task", "split", "_instance_id", "_document_id")),
            *((name, pa.string()) for name in ("other_task", "other_split")),
            *((name, pa.int32()) for name in ("same_text", "same_document")),
            ("other_instance_id", pa.string()),
        ]
    )
    rows = [
        (*entry.place, entry.instance_id, entry.document, *other, same_text, same_document, other_id)
        for entry, other, same_text, same_document, other_id in overlaps
    ]
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    table = pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
    pq.write_table(table, path, compression="zstd", version="2.6")
    return {"sha256": file_sha256(path), "bytes": path.stat().st_size, "rows": len(rows)}
