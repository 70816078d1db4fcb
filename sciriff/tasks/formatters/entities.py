"""Named entities of a document as one JSON object: entity type -> distinct mentions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError
from sciriff.readers.records import Document


def document_text(document: Document) -> str:
    """Text of a document: its passages, each stripped, joined by one space; line breaks inside a passage stay.

    Raises:
        Dropped: if there is no text.
    """
    text = " ".join(passage.strip() for passage in document.passages if passage.strip())
    if not text:
        raise Dropped("blank text")
    return text


def format_entities(record: Document, *, types: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield ``ner_type_list`` (list of types), ``abstract`` (text) and ``ner_dict`` (type -> mentions).

    Types stand in the order of ``types``, mentions in the order of annotation, each distinct string once per type. The
    fragments of a discontinuous mention are joined by one space, so such a mention need not occur in the text.

    Args:
        record: an annotated document.
        types: the corpus's type name -> the type asked for; several may fold into one.

    Raises:
        Dropped: if the document has no text.
        RecordError: if an entity has a type that ``types`` does not name.
    """
    text = document_text(record)
    mentions: dict[str, dict[str, None]] = {target: {} for target in types.values()}  # dicts as ordered sets
    for entity in record.entities:
        if entity.type not in types:
            raise RecordError(
                f"document {record.id}",
                f"entity {' '.join(entity.text)!r} has type {entity.type!r}, which the task's type map does not name "
                f"(it names {', '.join(types)})",
            )
        mentions[types[entity.type]].setdefault(" ".join(entity.text))
    yield {
        "ner_type_list": list(mentions),
        "abstract": text,
        "ner_dict": {target: list(found) for target, found in mentions.items()},
        "_document_id": record.id,
    }
