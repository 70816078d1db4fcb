"""Research questions answered by yes, no or maybe (PubMedQA)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped


def format_pubmedqa(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield ``context`` (one line ``(LABEL) text`` per section of the abstract), ``question`` and ``answer``.

    ``answer`` is ``YES``, ``NO`` or ``MAYBE``.

    Args:
        record: ``pmid``, ``QUESTION``, ``CONTEXTS``, ``LABELS`` (one per context) and ``final_decision``.

    Raises:
        Dropped: if the abstract is blank.
    """
    contexts: list[str] = record["CONTEXTS"]
    if not any(context.strip() for context in contexts):
        raise Dropped("blank text")
    yield {
        "context": "\n".join(f"({label}) {text}" for label, text in zip(record["LABELS"], contexts, strict=True)),
        "question": record["QUESTION"],
        "answer": record["final_decision"].upper(),
        "_document_id": record["pmid"],
    }
