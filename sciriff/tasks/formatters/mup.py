"""Reviewers' summaries of papers, with the number of their sentences (MuP)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.rendering import Fidelity
from sciriff.tasks.sentences import split_sentences

_COLUMNS = ("paper_id", "paper_name", "text", "summary")


def format_mup(record: Mapping[str, str], *, fidelity: Fidelity = "corrected") -> Iterator[dict[str, Any]]:
    """Yield ``paper_id``, ``paper_name`` on one line, ``text``, ``summary`` and ``summary_sentences`` (int).

    Under ``original``, ``paper_name`` keeps its line ends.

    Args:
        record: ``paper_id``, ``paper_name``, ``text`` (the beginning of the paper) and ``summary``. A paper has several
            summaries, each a record.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if text or summary are blank.
        RecordError: if a column is missing.
    """
    if missing := [name for name in _COLUMNS if name not in record]:
        raise RecordError(
            f"paper {record.get('paper_id')}", f"no column {', '.join(missing)}; found {', '.join(record)}"
        )
    if not record["text"].strip():
        raise Dropped("blank text")
    if not record["summary"].strip():
        raise Dropped("blank summary")
    yield {
        **record,
        "paper_name": record["paper_name"] if fidelity == "original" else " ".join(record["paper_name"].split()),
        "summary_sentences": len(split_sentences(record["summary"])),
        "_document_id": record["paper_id"],
    }
