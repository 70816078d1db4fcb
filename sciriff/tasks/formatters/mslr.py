"""Trials and what a systematic review concludes from them (MSLR 2022: Cochrane, MS^2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped
from sciriff.tasks.rendering import Fidelity


def format_mslr(record: Mapping[str, Any], *, fidelity: Fidelity = "corrected") -> Iterator[dict[str, Any]]:
    """Yield the fields of a review as they are: lists ``title``, ``abstract`` and ``pmid``, ``target``, ``review_id``.

    A title or abstract that the source lacks is an empty string; under ``original`` it is None, and a template prints
    that word.

    Args:
        record: a review as the reader ``mslr`` gives it.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if the target is blank, or no study has a title or an abstract (under ``original`` that review stays).
    """
    if not record["target"].strip():
        raise Dropped("blank target")
    if fidelity != "original" and not any(text.strip() for text in (*record["title"], *record["abstract"])):
        raise Dropped("blank text")
    absent = None if fidelity == "original" else ""
    yield {
        **record,
        "title": [title or absent for title in record["title"]],
        "abstract": [abstract or absent for abstract in record["abstract"]],
        "_document_id": record["review_id"],
    }
