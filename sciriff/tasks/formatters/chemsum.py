"""Abstracts of chemistry papers written from their sections (ChemSum)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError

_SEPARATOR = "<!>"


def format_chemsum(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one instance.

    - ``title`` (str);
    - ``article_text`` (str): each section below its header, with a blank line between sections;
    - ``abstract`` (str), stripped.

    Args:
        record: ``uuid``, ``title``, ``abstract``, and ``headers`` and ``sections``, each one string with ``<!>`` between
            the parts.

    Raises:
        Dropped: if the abstract or all sections are blank.
        RecordError: if a field is missing, or there are more or fewer headers than sections.
    """
    where = f"paper {record.get('uuid')}"
    for name in ("abstract", "headers", "sections"):
        if not isinstance(record.get(name), str):
            raise RecordError(where, f"field {name!r}: expected a string, found {type(record.get(name)).__name__}")
    abstract = record["abstract"].strip()
    if not abstract:
        raise Dropped("blank abstract")
    headers, sections = record["headers"].split(_SEPARATOR), record["sections"].split(_SEPARATOR)
    if len(headers) != len(sections):
        raise RecordError(where, f"{len(headers)} headers but {len(sections)} sections")
    if not any(section.strip() for section in sections):
        raise Dropped("blank text")
    blocks = (f"{header}\n{section}\n" for header, section in zip(headers, sections, strict=True))
    yield {
        "title": record.get("title") or "",
        "article_text": "\n".join(blocks),
        "abstract": abstract,
        "_document_id": str(record["uuid"]) if record.get("uuid") else None,
        "_document_text": record["sections"],
    }
