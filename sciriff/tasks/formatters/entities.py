"""Named entities of a document as one JSON object: entity type -> distinct mentions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from sciriff.errors import Dropped, RecordError
from sciriff.readers.records import Document
from sciriff.tasks.formatters.document_ids import bare_id
from sciriff.tasks.rendering import Fidelity


def document_text(document: Document, fidelity: Fidelity = "corrected") -> str:
    """Text of a document: its passages, each stripped, joined by one space; line breaks inside a passage stay.

    Raises:
        Dropped: if there is no text; not under ``original``.
    """
    text = " ".join(passage.strip() for passage in document.passages if passage.strip())
    if not text and fidelity != "original":
        raise Dropped("blank text")
    return text


def format_entities(
    record: Document,
    *,
    types: Mapping[str, str],
    other_types: Literal["refuse", "leave_out"] = "refuse",
    id_pattern: str | None = None,
    fidelity: Fidelity = "corrected",
) -> Iterator[dict[str, Any]]:
    """Yield ``ner_type_list`` (list of types), ``abstract`` (text) and ``ner_dict`` (type -> mentions).

    Types stand in the order of ``types``, mentions in the order of annotation, each distinct string once per type. The
    fragments of a discontinuous mention are joined by one space, so such a mention need not occur in the text. Blanks
    around a mention are no part of it.

    Args:
        record: an annotated document.
        types: the corpus's type name -> the type asked for; several may fold into one.
        other_types: what becomes of an entity of a type that ``types`` does not name. ``leave_out`` is for corpora that
            also mark what is no entity, such as errors of the text.
        id_pattern: regular expression whose group 1 is the bare document id, where the corpus's ids hold more.
        fidelity: ``corrected`` or ``original``, which keeps blank texts and the blanks around mentions.

    Raises:
        Dropped: if the document has no text.
        RecordError: if an entity has a type that ``types`` does not name, and such types are refused.
    """
    text = document_text(record, fidelity)
    mentions: dict[str, dict[str, None]] = {target: {} for target in types.values()}  # dicts as ordered sets
    for entity in record.entities:
        if entity.type not in types:
            if other_types == "leave_out":
                continue
            raise RecordError(
                f"document {record.id}",
                f"entity {' '.join(entity.text)!r} has type {entity.type!r}, which the task's type map does not name "
                f"(it names {', '.join(types)})",
            )
        mention = " ".join(entity.text)
        mentions[types[entity.type]].setdefault(mention if fidelity == "original" else mention.strip())
    yield {
        "ner_type_list": list(mentions),
        "abstract": text,
        "ner_dict": {target: list(found) for target, found in mentions.items()},
        "_document_id": record.id if id_pattern is None else bare_id(record.id, id_pattern),
    }
