"""Records whose fields are the template's variables already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def format_identity(record: Mapping[str, Any], *, document_id: str | None = None) -> Iterator[dict[str, Any]]:
    """Hand a record's fields to the template as they are.

    Args:
        record: a JSON object.
        document_id: the field that names the document behind the record.
    """
    yield dict(record) if document_id is None else {**record, "_document_id": str(record[document_id])}
