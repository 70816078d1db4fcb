"""Claims against abstracts in the JSON lines of SciFact, see https://github.com/allenai/scifact/blob/master/doc/data.md.

Two files make a split. A claim has ``id``, ``claim``, the documents it is held against (``cited_doc_ids`` in SciFact,
``doc_ids`` in data of MultiVerS) and ``evidence``, from document id as a string to groups of ``sentences`` with a
``label``. A document has ``doc_id``, ``title`` and ``abstract``, a list of sentences. One record is one claim with one
document; a claim with several documents gives several, in the order in which it names them.

Options:
    ``corpus``: member path of the documents. Required. Of two documents with the same id the later one counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers.json_lines import lines
from sciriff.readers.json_text import json_type, load_json_object, require_field
from sciriff.readers.records import Row, SplitSpec

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView

NOT_ENOUGH_INFORMATION = "NEI"
"""Verdict on a claim by a document in which nothing is marked as evidence."""

_DOCUMENT_FIELDS = ("doc_ids", "cited_doc_ids")
_SHOWN = 5


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield claims with documents; ``raw`` is ``(claim line, document id, document line)``, or what is wrong.

    A malformed claim is one row. The corpus is held in memory as its lines.

    Raises:
        TaskFileError: if the option ``corpus`` is missing.
    """
    split.check_options("claims", "corpus")
    if "corpus" not in split.options:
        raise TaskFileError(
            f"{split.path}: reader 'claims' needs the option 'corpus', the member path of the documents"
        )
    path = str(split.options["corpus"])
    corpus, malformed = _load_corpus(view, path)
    index = 0
    for where, line in lines(view, split.path):
        try:
            found = _documents_of(line, where)
        except RecordError as error:
            yield Row(index, where, error.reason)
            index += 1
            continue
        for document_id in found:
            document = corpus.get(str(document_id))
            missing = f"the corpus {path} has no document {document_id}{malformed}"
            raw = missing if document is None else (line, document_id, document)
            yield Row(index, f"{where}, document {document_id}", raw)
            index += 1


def parse(row: Row, _split: SplitSpec) -> dict[str, Any]:
    """Parse one claim with one document.

    The record has ``claim_id``, ``claim``, ``abstract_id``, ``title``, ``abstract`` (stripped sentences), ``verdict``
    (label of the first group of evidence in the document; NEI if it has none) and ``evidence`` (indices of sentences
    from 0, of all groups one after the other). Both ids are as in the files: whole numbers in the published ones.

    Raises:
        RecordError: if a field is missing or of another type, or the document is not in the corpus.
    """
    if isinstance(row.raw, str):
        raise RecordError(row.where, row.raw)
    claim_line, document_id, document_line = row.raw
    claim = load_json_object(claim_line, row.where)
    document = load_json_object(document_line, row.where)
    abstract = require_field(document, "abstract", list, row.where)
    if not all(isinstance(sentence, str) for sentence in abstract):
        raise RecordError(row.where, "field 'abstract': expected a list of sentences")
    labels, sentences = _evidence(claim, str(document_id), row.where)
    return {
        "claim_id": claim.get("id"),
        "claim": require_field(claim, "claim", str, row.where),
        "abstract_id": document_id,
        "title": document.get("title"),
        "abstract": [sentence.strip() for sentence in abstract],
        "verdict": labels[0] if labels else NOT_ENOUGH_INFORMATION,
        "evidence": sentences,
    }


def _load_corpus(view: ArchiveView, path: str) -> tuple[dict[str, bytes], str]:
    """Document id -> line, and a remark on lines that are no documents (empty if there are none)."""
    corpus: dict[str, bytes] = {}
    malformed: list[str] = []
    for where, line in lines(view, path):
        try:
            corpus[str(load_json_object(line, where)["doc_id"])] = line
        except (RecordError, KeyError):
            malformed.append(where.rpartition(":")[2])
    shown = ", ".join(malformed[:_SHOWN]) + (", ..." if len(malformed) > _SHOWN else "")
    return corpus, f"; it has lines that are no documents: {shown}" if malformed else ""


def _documents_of(line: bytes, where: str) -> list[int | str]:
    """Ids of the documents that a claim is held against.

    Raises:
        RecordError: if the line is not an object, or names no documents.
    """
    claim = load_json_object(line, where)
    field = next((name for name in _DOCUMENT_FIELDS if name in claim), None)
    if field is None:
        raise RecordError(where, f"field {' or '.join(map(repr, _DOCUMENT_FIELDS))} is missing")
    documents: list[int | str] = require_field(claim, field, list, where)
    for document in documents:
        if type(document) not in (int, str):
            raise RecordError(where, f"field {field!r}: expected document ids, found {json_type(document)} among them")
    return documents


def _evidence(claim: dict[str, Any], document: str, where: str) -> tuple[list[str], list[int]]:
    """The label of each group of evidence in a document, and the sentence numbers of all groups.

    Raises:
        RecordError: if there is evidence of another form.
    """
    by_document = claim.get("evidence") or {}
    groups = by_document.get(document) if isinstance(by_document, dict) else by_document
    try:
        labels = [group["label"] for group in groups or ()]
        sentences = [number for group in groups or () for number in group["sentences"]]
    except (KeyError, TypeError):
        labels, sentences = [None], []
    if all(isinstance(label, str) for label in labels) and all(type(number) is int for number in sentences):
        return labels, sentences
    raise RecordError(where, "field 'evidence': expected, for each document, groups with 'sentences' and 'label'")
