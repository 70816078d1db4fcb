"""Papers with one-sentence summaries (SciTLDR)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError


def format_scitldr(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the record's fields as they are.

    Args:
        record: a line of the release: ``source`` (sentences of the paper), ``target`` (one to four summaries; the first
            is the authors' own), ``paper_id`` (of OpenReview), ``title`` and others.

    Raises:
        Dropped: if the text or the first summary is blank.
        RecordError: if ``source`` or ``target`` is not a list of strings.
    """
    for field in ("source", "target"):
        value = record.get(field)
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise RecordError(f"paper {record.get('paper_id')}", f"field {field!r}: expected a list of strings")
    if not "".join(record["source"]).strip():
        raise Dropped("blank text")
    if not "".join(record["target"][:1]).strip():
        raise Dropped("blank summary")
    yield {**record, "_document_id": record.get("paper_id")}
