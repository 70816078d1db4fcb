"""Combinations of drugs that a sentence states (Drug Combination Extraction)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.rendering import Fidelity

LABELS = ("POS", "COMB", "NEG")
"""What is said of a combination: it works better, nothing that follows from the text, it works worse."""

_PUBMED = re.compile(r"https?://pubmed\.ncbi\.nlm\.nih\.gov/(\d+)/?")


def format_drug_combinations(
    record: Mapping[str, Any], *, fidelity: Fidelity = "corrected"
) -> Iterator[dict[str, Any]]:
    """Yield the record's fields, and ``relations``: a list ``[drug, ..., drug, class]`` for each relation.

    Drugs stand in the order of the annotation, relations in that of the record; no drug stands twice in a relation, and
    no relation twice in the list. Under ``original`` they may.

    Args:
        record: a line of the release: ``sentence`` (tokens with blanks between them), the ``paragraph`` that holds it,
            ``spans`` (drugs: ``span_id``, ``text``), ``rels`` (``class``, ``spans``: their ids), ``source`` (address of
            the abstract at PubMed, or null).
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if sentence or paragraph are blank.
        RecordError: if a field is of another type, a relation names a drug that is not there, its class is unknown, or
            it has fewer than two drugs.
    """
    where = f"sentence {record.get('doc_id')}"
    for name in ("sentence", "paragraph"):
        if not isinstance(record.get(name), str):
            raise RecordError(where, f"field {name!r}: expected a string")
        if not record[name].strip():
            raise Dropped("blank text")
    relations = _relations(record, where)
    if fidelity == "corrected":
        relations = [list(relation) for relation in dict.fromkeys(tuple(dict.fromkeys(drugs)) for drugs in relations)]
    found = _PUBMED.fullmatch(str(record.get("source")))
    yield {
        **record,
        "relations": relations,
        "_document_id": found[1] if found else None,
        "_document_text": record["paragraph"],
    }


def _relations(record: Mapping[str, Any], where: str) -> list[list[str]]:
    try:
        drugs: dict[int, str] = {span["span_id"]: span["text"] for span in record["spans"]}
        relations = [[*(drugs[span] for span in relation["spans"]), relation["class"]] for relation in record["rels"]]
    except (KeyError, TypeError) as error:
        raise RecordError(
            where,
            f"expected 'spans' with 'span_id' and 'text', and 'rels' with 'class' and 'spans' (span ids): {error!r}",
        ) from error
    for *names, label in relations:
        if label not in LABELS or len(names) < 2 or not all(isinstance(name, str) for name in names):
            raise RecordError(
                where, f"relation {[*names, label]!r}: expected two drugs or more, then one of {', '.join(LABELS)}"
            )
    return relations
