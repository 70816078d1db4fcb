"""Relations between chemicals and genes in tokenised abstracts (ChemProt as DyGIE++ lines)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sciriff.errors import Dropped, RecordError
from sciriff.readers.records import DygieDocument
from sciriff.tasks.formatters.detokenise import fix_surface
from sciriff.tasks.formatters.mentions import Mentions
from sciriff.tasks.rendering import Fidelity


def format_chemprot_relations(
    record: DygieDocument, *, labels: Sequence[str], fidelity: Fidelity = "corrected"
) -> Iterator[dict[str, Any]]:
    """Yield one instance.

    - ``org_text`` (str): the detokenised text;
    - ``re_triples``: distinct ``[chemical, LABEL, gene]`` in document order, names as they stand in the text;
    - ``re_answer`` (list of str): the same as ``(chemical, LABEL, gene)``, for templates that take such strings apart,
      stripping parentheses and splitting at ``, ``. Relations with names that this would mangle are left out.

    Under ``original`` names are spaced as their tokens are, all relations are among the strings, and ``re_triples`` is
    what is left of the strings when they are taken apart: some have more than three parts.

    Args:
        record: a document.
        labels: the relation types.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if the document has no text, or if a name cannot be found in it.
        RecordError: at a relation of a type not in ``labels``.
    """
    for *_, label in record.relations:
        if label not in labels:
            raise RecordError(
                f"document {record.id}", f"a relation has type {label!r}, expected one of {', '.join(labels)}"
            )
    mentions = Mentions(record)
    if not mentions.text.strip():
        raise Dropped("blank text")
    if fidelity == "original":
        strings = _original_strings(record)
        triples = [_taken_apart(text) for text in strings]
    else:
        triples = _triples(record, mentions)
        strings = [text for triple in triples if _taken_apart(text := _as_string(*triple)) == triple]
    yield {"org_text": mentions.text, "re_triples": triples, "re_answer": strings, "_document_id": record.id}


def _triples(document: DygieDocument, mentions: Mentions) -> list[list[str]]:
    found = (
        (mentions[start, end], label, mentions[other, other_end])
        for start, end, other, other_end, label in document.relations
    )
    return [list(triple) for triple in dict.fromkeys(found)]


def _original_strings(document: DygieDocument) -> list[str]:
    tokens = [token for sentence in document.sentences for token in sentence]
    found = (
        _as_string(" ".join(tokens[start : end + 1]), label, " ".join(tokens[other : other_end + 1]))
        for start, end, other, other_end, label in document.relations
    )
    return [fix_surface(text) for text in dict.fromkeys(found)]


def _as_string(chemical: str, label: str, gene: str) -> str:
    return f"({chemical}, {label}, {gene})"


def _taken_apart(text: str) -> list[str]:
    return text.strip("()").split(", ")
