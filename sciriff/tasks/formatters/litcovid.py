"""Abstracts on COVID-19 with their topics (LitCovid track of BioCreative VII)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.rendering import Fidelity

LABELS = (
    "Epidemic Forecasting",
    "Treatment",
    "Prevention",
    "Mechanism",
    "Case Report",
    "Transmission",
    "Diagnosis",
)
"""The topics, in the order in which prompts list them."""

_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "<na>"})
"""What stands for a missing value in tables written or read by pandas, in lower case."""


def format_litcovid(record: Mapping[str, Any], *, fidelity: Fidelity = "corrected") -> Iterator[dict[str, Any]]:
    """Yield ``text`` (str, the abstract without the title) and ``labels`` (list of str, in the order of the source).

    Under ``original`` an article without abstract has the text ``None``, and topics that the source repeats are
    repeated.

    Args:
        record: a line of the release: ``pmid``, ``abstract``, ``label`` (topics with ``;`` between them) and others.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if the article has no abstract.
        RecordError: if a topic is unknown or there is none, or the file lacks a column.
    """
    where = f"article {record.get('pmid')}"
    for name in ("pmid", "abstract", "label"):
        if not isinstance(record.get(name), str):
            raise RecordError(where, f"column {name!r} is missing; found {', '.join(map(repr, record))}")
    labels = record["label"].split(";")
    if not set(LABELS) >= set(labels):
        raise RecordError(where, f"topics are {record['label']!r}, expected some of {', '.join(LABELS)}")
    text = record["abstract"]
    if text.strip().lower() in _MISSING:
        if fidelity == "corrected":
            raise Dropped("no abstract")
        text = str(None)
    yield {
        "text": text,
        "labels": labels if fidelity == "original" else list(dict.fromkeys(labels)),
        "_document_id": record["pmid"],
    }
