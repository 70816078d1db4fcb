"""Claims checked against an abstract, with the sentences that decide (SciFact, CovidFact, HealthVer)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sciriff.errors import Dropped
from sciriff.readers.claims import NOT_ENOUGH_INFORMATION
from sciriff.tasks.rendering import Fidelity


def format_entailment(
    record: Mapping[str, Any], *, verdicts: Sequence[str], fidelity: Fidelity = "corrected"
) -> Iterator[dict[str, Any]]:
    """Yield one instance: the record's fields, and

    - ``abstract_with_newlines`` (str): the sentences, one a line;
    - ``abstract_with_ids`` (str): the sentences behind their numbers, ``[0] first [1] second``;
    - ``output_json_with_sentences`` (str): JSON object of ``verdict`` and ``evidence``, the sentences that decide, in
      the order of the abstract;
    - ``output_json_with_ids`` (str): the same with the numbers of the sentences.

    Evidence that the abstract does not have, or that is named twice, is left out. Under ``original`` the numbers stay
    as they are annotated, a verdict without evidence is let through, and both outputs are ASCII.

    Args:
        record: ``claim``, ``abstract_id``, ``abstract`` (list of sentences), ``verdict``, ``evidence`` (list of int).
        verdicts: the verdicts that the task knows.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if the verdict is none of the task's; if claim or abstract are blank; if a verdict other than NEI has
            no evidence in the abstract.
    """
    abstract: list[str] = record["abstract"]
    verdict: str = record["verdict"]
    if verdict not in verdicts:
        raise Dropped(f"verdict {verdict}")
    if not record["claim"].strip() or not any(abstract):
        raise Dropped("blank text")
    cited = frozenset(record["evidence"])
    places = [place for place, sentence in enumerate(abstract) if place in cited and sentence]
    original = fidelity == "original"
    if not (places or original or verdict == NOT_ENOUGH_INFORMATION):
        raise Dropped("verdict without evidence in the abstract")
    yield {
        **record,
        "abstract_with_newlines": "\n".join(abstract),
        "abstract_with_ids": " ".join(f"[{place}] {sentence}" for place, sentence in enumerate(abstract)),
        "output_json_with_sentences": _json(verdict, [abstract[place] for place in places], ascii_only=original),
        "output_json_with_ids": _json(verdict, record["evidence"] if original else places, ascii_only=original),
        "_document_id": str(record["abstract_id"]),
    }


def _json(verdict: str, evidence: Sequence[str | int], *, ascii_only: bool) -> str:
    return json.dumps({"verdict": verdict, "evidence": evidence}, ensure_ascii=ascii_only)
