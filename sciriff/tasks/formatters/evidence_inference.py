"""Findings of randomised trials (Evidence Inference, in the linearised form of Wadhwa et al., 2023)."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError

LABELS = ("significantly increased", "significantly decreased", "no significant difference")
"""What a trial found of an outcome under the intervention, relative to the comparator."""

_LABEL = re.compile(r"\[LABEL\] (.*?) \[OUT\]", re.DOTALL)
_Finding = list[str | None]


def format_evidence_inference(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield ``document`` (str) and ``evidence``: ``[intervention, comparator, outcome, effect, evidence]`` per finding.

    The comparator may be None. Findings stand in the order of the source.

    Args:
        record: ``X`` (the abstract) and ``Y`` (a literal of Python: a list of findings, each a list of intervention,
            outcome, comparator, evidence, and a last string that holds ``[LABEL] effect [OUT]``).

    Raises:
        Dropped: if the abstract is blank.
        RecordError: if a column is missing, ``Y`` is no such literal, or an effect is unknown.
    """
    if not {"X", "Y"} <= record.keys():
        raise RecordError("record", f"expected the columns 'X' and 'Y', found {', '.join(map(repr, record))}")
    text = record["X"]
    where = f"abstract {' '.join(text[:40].split())!r}"
    if not text.strip():
        raise Dropped("blank text")
    findings = _literal(record["Y"], where)
    yield {
        "document": text,
        "evidence": [_finding(item, f"{where}, finding {number}") for number, item in enumerate(findings, start=1)],
        "_document_text": text,
    }


def _literal(source: str, where: str) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of backslashes in strings
        try:
            value = ast.literal_eval(source)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise RecordError(where, f"column 'Y' is not a literal of Python: {error}") from error
    if not isinstance(value, list):
        raise RecordError(where, f"column 'Y': expected a list of findings, found {type(value).__name__}")
    return value


def _finding(item: Any, where: str) -> _Finding:
    if not isinstance(item, list) or len(item) < 5 or not isinstance(item[-1], str):
        raise RecordError(
            where, f"expected a list of four texts and a string with '[LABEL] ... [OUT]', found {item!r:.80}"
        )
    intervention, outcome, comparator, evidence = item[:4]
    for name, text in (("intervention", intervention), ("outcome", outcome), ("evidence", evidence)):
        if not isinstance(text, str):
            raise RecordError(where, f"{name}: expected a string, found {text!r}")
    if comparator is not None and not isinstance(comparator, str):
        raise RecordError(where, f"comparator: expected a string or None, found {comparator!r}")
    effect = _LABEL.search(item[-1])
    if effect is None or effect[1] not in LABELS:
        raise RecordError(where, f"{item[-1]!r:.80}: expected '[LABEL] effect [OUT]' with one of {', '.join(LABELS)}")
    return [intervention, comparator, outcome, effect[1], evidence]
