"""Entities and relations of a tokenised document (DyGIE++ lines, e.g. SciERC), one entity per coreference cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sciriff.errors import Dropped, RecordError
from sciriff.readers.records import DygieDocument
from sciriff.tasks.formatters.mentions import Mentions, Span
from sciriff.tasks.formatters.scierc_original import Annotation, annotation_of_the_original
from sciriff.tasks.rendering import Fidelity

_UNKNOWN = "Unknown"
"""Type of a cluster whose first mention is no annotated entity; such a cluster gives no entity."""


def _entities(document: DygieDocument, mentions: Mentions, clustered: set[str]) -> list[tuple[str, str]]:
    """Distinct (name, type) pairs in document order: every cluster's first mention and all unclustered mentions."""
    type_of: dict[Span, str] = {(start, end): label for start, end, label in document.ner}
    named = {(cluster[0], type_of.get(cluster[0], _UNKNOWN)) for cluster in document.clusters if cluster}
    named |= {((start, end), label) for start, end, label in document.ner if mentions[start, end] not in clustered}
    pairs = ((mentions[span], label) for span, label in sorted(named) if label != _UNKNOWN)
    return list(dict.fromkeys(pairs))


def format_dygie(
    record: DygieDocument, *, types: Sequence[str], fidelity: Fidelity = "corrected"
) -> Iterator[dict[str, Any]]:
    """Yield the variables of the entity and the relation task.

    - ``org_text`` (str): the detokenised text;
    - ``ner_dict``: type -> distinct names; ``ner_answer``: the same as a list of ``[name, type]``;
      ``ner_pipe_str``: the same as ``name: type`` joined by `` || ``;
    - ``re_answer``: distinct ``[entity_A, entity_B, RELATION]``;
    - ``coref``: clusters of more than one mention, as lists of strings.

    Mentions of one cluster count as one entity, named by the cluster's first mention; arguments of relations are
    renamed likewise. The lookup is by string, as in the published task, so different entities with equal strings merge.
    Relations of an entity with itself, which that renaming makes, are left out. All lists are in document order, and
    every name occurs in ``org_text``. For ``original`` see :mod:`sciriff.tasks.formatters.scierc_original`.

    Args:
        record: a document.
        types: entity types, the keys of ``ner_dict``.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if the document has no text, or if a mention cannot be found in it.
        RecordError: at an entity of a type not in ``types``.
    """
    mentions = Mentions(record)
    if not mentions.text.strip():
        raise Dropped("blank text")
    if fidelity == "original":
        annotation = annotation_of_the_original(record, mentions.text)
    else:
        annotation = _annotation(record, mentions)

    ner_dict: dict[str, list[str]] = {label: [] for label in types}
    for name, label in annotation.entities:
        if label not in ner_dict:
            raise RecordError(
                f"document {record.id}", f"entity {name!r} has type {label!r}, expected one of {', '.join(types)}"
            )
        ner_dict[label].append(name)
    yield {
        "org_text": mentions.text,
        "ner_dict": ner_dict,
        "ner_answer": [list(pair) for pair in annotation.entities],
        "ner_pipe_str": " || ".join(f"{name}: {label}" for name, label in annotation.entities),
        "re_answer": [list(triple) for triple in annotation.relations],
        "coref": annotation.coref,
        "_document_id": record.id,
    }


def _annotation(record: DygieDocument, mentions: Mentions) -> Annotation:
    names: dict[str, str] = {}  # a cluster mention's string -> its cluster's first mention
    for cluster in record.clusters:
        names.update({mentions[span]: mentions[cluster[0]] for span in cluster})

    relations: dict[tuple[str, str, str], None] = {}
    for start_1, end_1, start_2, end_2, label in record.relations:
        head, tail = (mentions[span] for span in ((start_1, end_1), (start_2, end_2)))
        head, tail = names.get(head, head), names.get(tail, tail)
        if head != tail:
            relations.setdefault((head, tail, label))

    return Annotation(
        _entities(record, mentions, set(names)),
        list(relations),
        [[mentions[span] for span in cluster] for cluster in record.clusters if len(cluster) > 1],
    )
