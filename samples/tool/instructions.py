"""General instructions in the shape of the Tulu V2 mixture (three Parquet files)."""

from __future__ import annotations

import io
from typing import Any

from samples.tool import corpus

PARTS = 3


def tulu() -> dict[str, bytes]:
    """The Parquet files of the mixture, by file key."""
    return {f"train_{part}": _part(part) for part in range(PARTS)}


def _part(part: int) -> bytes:
    """One of the three Parquet files: every third row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    schema = pa.schema([("dataset", pa.string()), ("id", pa.string()), ("messages", pa.list_(message))])
    rows = tulu_rows()
    third = -(-len(rows) // PARTS)
    buffer = io.BytesIO()
    # Uncompressed and without version-dependent extras; the writer's name in the footer is the one thing left.
    pq.write_table(
        pa.Table.from_pylist(rows[part * third : (part + 1) * third], schema),
        buffer,
        compression="none",
        store_schema=False,
        write_statistics=False,
    )
    return buffer.getvalue()


def tulu_rows() -> list[dict[str, Any]]:
    """All rows: ``dataset``, ``id``, ``messages``."""
    rows = []
    for number, (dataset, talk, *answer) in enumerate(corpus.load("instructions")):
        turns = talk if isinstance(talk, list) else [["user", talk], ["assistant", answer[0]]]
        identifier = f"science_{number}" if dataset.startswith("science.") else f"{dataset}_{number}"
        messages = [{"role": role, "content": content} for role, content in turns]
        rows.append({"dataset": dataset, "id": identifier, "messages": messages})
    return rows
