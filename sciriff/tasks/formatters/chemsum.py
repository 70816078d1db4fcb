"""Abstracts of chemistry papers, to be written from their sections (ChemSum)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError

_BETWEEN_PARTS = "<!>"


def format_chemsum(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one instance: the record's fields, with

    - ``title`` (str), empty if there is none;
    - ``article_text`` (str): each section below its header, with a blank line between sections;
    - ``abstract`` (str), stripped.

    Args:
        record: ``uuid``, ``title``, ``abstract``, and ``headers`` and ``sections``, each one string with ``<!>``
            between the parts.

    Raises:
        Dropped: if the abstract or all sections are blank.
        RecordError: if a field is missing, or there are more or fewer headers than sections.
    """
    where = f"paper {record.get('uuid')}"
    for name in ("abstract", "headers", "sections"):
        if not isinstance(record.get(name), str):
            raise RecordError(where, f"field {name!r}: expected a string, found {type(record.get(name)).__name__}")
    headers, sections = record["headers"].split(_BETWEEN_PARTS), record["sections"].split(_BETWEEN_PARTS)
    if len(headers) != len(sections):
        raise RecordError(where, f"expected as many headers as sections, found {len(headers)} and {len(sections)}")
    abstract = record["abstract"].strip()
    if not abstract:
        raise Dropped("blank abstract")
    if not any(section.strip() for section in sections):
        raise Dropped("blank text")
    yield {
        **record,
        "title": record.get("title") or "",
        "article_text": "\n".join(f"{header}\n{section}\n" for header, section in zip(headers, sections, strict=True)),
        "abstract": abstract,
        "_document_id": record.get("uuid"),
        "_document_text": record["sections"],
    }
