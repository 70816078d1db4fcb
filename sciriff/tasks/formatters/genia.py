"""Named entities of tokenised abstracts of molecular biology (GENIA in DyGIE++ lines)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError
from sciriff.readers.records import DygieDocument
from sciriff.tasks.formatters.detokenise import fix_surface
from sciriff.tasks.formatters.document_ids import bare_id
from sciriff.tasks.formatters.mentions import Mentions
from sciriff.tasks.rendering import Fidelity

_ID = r"(.+)_(?:train|dev|test)"
"""Ids of documents carry their split: the corpus was split by sentence, so a document may lie in two splits."""


def format_genia(
    record: DygieDocument, *, types: Mapping[str, str], fidelity: Fidelity = "corrected"
) -> Iterator[dict[str, Any]]:
    """Yield ``ner_type_list`` (list of types), ``abstract`` (detokenised text) and ``ner_dict`` (type -> mentions).

    Types stand in the order of ``types``, mentions in the order of the document, each distinct string once per type.
    A mention is written as in the text. Coreference is not used: what it adds to the annotated entities are pronouns
    and other anaphors (``this gene``). Under ``original`` it is, see :func:`_labelled_with_coreference`; mentions
    keep the spacing of the tokens and lose their colons, and entities of unknown type are left out.

    Args:
        record: a document.
        types: the corpus's type name -> the type asked for.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if the document has no text, or if a mention cannot be found in it; never under ``original``.
        RecordError: at an entity of a type that ``types`` does not name; never under ``original``.
    """
    mentions = Mentions(record)
    if fidelity == "original":
        pairs = _pairs_of_the_original(record, types)
    elif mentions.text.strip():
        pairs = _pairs(record, mentions, types)
    else:
        raise Dropped("blank text")
    found: dict[str, dict[str, None]] = {target: {} for target in types.values()}  # dicts as ordered sets
    for name, label in pairs:
        found[types[label]].setdefault(name)
    yield {
        "ner_type_list": list(found),
        "abstract": mentions.text,
        "ner_dict": {target: list(names) for target, names in found.items()},
        "_document_id": bare_id(record.id, _ID),
    }


def _pairs(document: DygieDocument, mentions: Mentions, types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for start, end, label in document.ner:
        if label not in types:
            raise RecordError(
                f"document {document.id}",
                f"entity {mentions[start, end]!r} has type {label!r}, expected one of {', '.join(types)}",
            )
        yield mentions[start, end], label


def _pairs_of_the_original(document: DygieDocument, types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for labelled in map(fix_surface, _labelled_with_coreference(document)):
        *names, label = labelled.split(":")
        if label.strip() in types:
            yield "".join(names).strip(), label.strip()


def _labelled_with_coreference(document: DygieDocument) -> dict[str, None]:
    """``mention: type`` of all entities, and of the later mentions of each cluster whose first mention is one.

    It is held to be one if its text stands anywhere in a string found so far; where several have it, the original takes
    whichever comes first in a set, and this the first in the document.
    """
    tokens = [token for sentence in document.sentences for token in sentence]

    def text(start: int, end: int) -> str:
        return " ".join(tokens[start : end + 1])

    labelled = dict.fromkeys(f"{text(start, end)}: {label}" for start, end, label in document.ner)
    for cluster in filter(None, document.clusters):
        first, *others = (text(*span) for span in cluster)
        holder = next((candidate for candidate in labelled if first in candidate), None)
        if holder is not None:
            label = holder.split(": ")[1]
            labelled |= dict.fromkeys(f"{other}: {label}" for other in others)
    return labelled
