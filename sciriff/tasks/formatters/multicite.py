"""Excerpts that cite a work, with all intents of the citation (MultiCite)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.rendering import Fidelity

LABELS: Mapping[str, str] = {
    "background": "Background",
    "motivation": "Motivation",
    "uses": "Uses",
    "extends": "Extends",
    "similarities": "Similarities",
    "differences": "Differences",
    "future_work": "FutureWork",
}
"""The corpus's name of an intent -> ours, in the order in which prompts list them."""


def format_multicite(record: Mapping[str, Any], *, fidelity: Fidelity = "corrected") -> Iterator[dict[str, Any]]:
    """Yield one instance.

    - ``input_transformed`` (str): the excerpt; ``<cite>`` and ``</cite>`` stand around the citation;
    - ``output_transformed`` (list of str): its intents in the order of the source, each once;
    - ``metadata``: ``{id}``.

    Under ``original`` an intent that the source repeats stays repeated.

    Args:
        record: ``id`` (paper and number, joined by ``_``), ``x`` (the excerpt; in some records a list that holds it)
            and ``y`` (intents with blanks between them).
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if the excerpt is blank.
        RecordError: if an intent is unknown or there is none, or a field is of another type.
    """
    name, excerpt, intents = record.get("id"), record.get("x"), record.get("y")
    where = f"citation {name}"
    if isinstance(excerpt, list) and len(excerpt) == 1:
        excerpt = excerpt[0]
    if not isinstance(name, str) or not isinstance(excerpt, str) or not isinstance(intents, str):
        raise RecordError(where, "expected strings in 'id' and 'y', and a string, or a list of one, in 'x'")
    found = intents.split()
    if not found or not LABELS.keys() >= set(found):
        raise RecordError(where, f"intents are {intents!r}, expected some of {', '.join(LABELS)}")
    if not excerpt.strip():
        raise Dropped("blank text")
    labels = [LABELS[intent] for intent in found]
    yield {
        "input_transformed": excerpt,
        "output_transformed": labels if fidelity == "original" else list(dict.fromkeys(labels)),
        "metadata": {"id": name},
        "_document_id": name.rpartition("_")[0] or name,
    }
