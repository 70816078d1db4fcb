"""Citation sentences with their intent (SciCite)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError

LABELS = ("method", "background", "result")
"""Class names; the template's ``answer_choices`` stand in this order and are indexed by ``label``."""


def format_scicite(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield ``string`` (the citation sentence) and ``label`` (int, index into :data:`LABELS`).

    Args:
        record: a line of the release: ``string``, ``label`` (class name), ``citingPaperId``.

    Raises:
        Dropped: if the sentence is blank.
        RecordError: if the label is none of the three classes.
    """
    label = record.get("label")
    if label not in LABELS:
        where = f"citation {record.get('unique_id')}"
        raise RecordError(where, f"label is {label!r}, expected one of {', '.join(LABELS)}")
    text = record.get("string") or ""
    if not text.strip():
        raise Dropped("blank text")
    yield {"string": text, "label": LABELS.index(label), "_document_id": record.get("citingPaperId")}
