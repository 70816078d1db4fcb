"""Claims against abstracts in the JSON lines of SciFact, see https://github.com/allenai/scifact/blob/master/doc/data.md.

Two files make a split. A claim has ``id``, ``claim``, the documents it is held against (``cited_doc_ids`` in SciFact,
``doc_ids`` in data of MultiVerS) and ``evidence``, from document id as a string to groups of ``sentences`` with a
``label``. A document has ``doc_id``, ``title`` and ``abstract``, a list of sentences. One record is one claim with one
document; a claim with several documents gives several, in the order in which it names them.

Options:
    ``corpus``: member path of the documents. Of two with the same id the later one counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers.json_lines import lines
from sciriff.readers.json_text import load_json_object, require_field
from sciriff.readers.records import Row, SplitSpec

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView

_DOCUMENT_FIELDS = ("doc_ids", "cited_doc_ids")
NOT_ENOUGH_INFORMATION = "NEI"


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
    corpus, broken = _load_corpus(view, str(split.options["corpus"]))
    index = 0
    for where, line in lines(view, split.path):
        for document_id, problem in _documents_of(line, where):
            at = where if document_id is None else f"{where}, document {document_id}"
            document = corpus.get(str(document_id))
            if problem is None and document is None:
                problem = f"the corpus {split.options['corpus']} has no document {document_id}{broken}"
            yield Row(index, at, problem or (line, str(document_id), document))
            index += 1


def parse(row: Row, _split: SplitSpec) -> dict[str, Any]:
    """Parse one claim with one document.

    The record has ``claim_id``, ``claim``, ``abstract_id`` (str), ``title``, ``abstract`` (stripped sentences),
    ``verdict`` (label of the first group of evidence in the document; NEI if it has none) and ``evidence`` (indices of
    sentences from 0, of all groups one after the other).

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
    groups = (claim.get("evidence") or {}).get(document_id) or []
    try:
        evidence = [int(sentence) for group in groups for sentence in group["sentences"]]
        verdict = str(groups[0]["label"]) if groups else NOT_ENOUGH_INFORMATION
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(
            row.where, f"field 'evidence': expected groups of sentence numbers with a label ({error!r})"
        ) from error
    return {
        "claim_id": claim.get("id"),
        "claim": require_field(claim, "claim", str, row.where),
        "abstract_id": document_id,
        "title": document.get("title"),
        "abstract": [sentence.strip() for sentence in abstract],
        "verdict": verdict,
        "evidence": evidence,
    }


def _load_corpus(view: ArchiveView, path: str) -> tuple[dict[str, bytes], str]:
    """Document id -> line, and a note on lines that are no documents."""
    corpus: dict[str, bytes] = {}
    broken = []
    for where, line in lines(view, path):
        try:
            corpus[str(load_json_object(line, where)["doc_id"])] = line
        except (RecordError, KeyError):
            broken.append(where.rpartition(":")[2])
    return corpus, f"; line {', '.join(broken[:5])} of it is malformed" if broken else ""


def _documents_of(line: bytes, where: str) -> Iterator[tuple[str | int | None, str | None]]:
    """Yield ``(document id, None)`` of each document of a claim, or ``(None, problem)``."""
    try:
        claim = load_json_object(line, where)
    except RecordError as error:
        yield None, error.reason
        return
    documents = next((claim[name] for name in _DOCUMENT_FIELDS if name in claim), None)
    evidence = claim.get("evidence")
    if not isinstance(documents, list) or not all(isinstance(found, (str, int)) for found in documents):
        yield None, f"expected a list of document ids in field {' or '.join(map(repr, _DOCUMENT_FIELDS))}"
    elif evidence is not None and not isinstance(evidence, dict):
        yield None, "field 'evidence': expected an object"
    else:
        yield from ((found, None) for found in documents)
