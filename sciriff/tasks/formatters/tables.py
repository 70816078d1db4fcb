"""Numeric cells of a table as JSON lines, in the attribute schemas of Schema-to-JSON (S2J).

Source: Bai, Kang, Stanovsky, Freitag and Ritter, "Schema-Driven Information Extraction from Heterogeneous Tables".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.document_ids import arxiv_id, pmc_id

Schema = Literal["chemtables", "discomat", "mltables"]

_OTHER = ("value", "type")
_MEASUREMENT = ("value", "type", "unit", "treatment", "target")

ATTRIBUTES: Mapping[Schema, Mapping[str, tuple[str, ...]]] = {
    "chemtables": {
        "IC50": _MEASUREMENT,
        "EC50": _MEASUREMENT,
        "CC50": _MEASUREMENT,
        "MIC": _MEASUREMENT,
        "GI50": _MEASUREMENT,
        "Other": _OTHER,
    },
    "discomat": {
        "Glass_Compound_Amount": ("value", "type", "constituent", "unit", "material"),
        "Other": _OTHER,
    },
    "mltables": {
        "Result": (
            "value",
            "type",
            "task",
            "metric",
            "training data/set",
            "test data/set",
            "model",
            "model settings",
            "experimental settings",
        ),
        "Data Stat.": ("value", "type", "dataset", "attribute name", "sub-set/group name", "dataset features"),
        "Hyper-parameter/Architecture": ("value", "type", "model", "parameter/architecture name", "dataset"),
        "Other": _OTHER,
    },
}
"""Schema -> cell type -> its attributes, in the order in which the answer gives them."""

_BARE_ID: Mapping[Schema, Callable[[str], str]] = {"chemtables": pmc_id, "discomat": str, "mltables": arxiv_id}


def _best_alternative(alternatives: Sequence[str], table: str) -> str:
    """Pick the alternative most of whose words occur in the (lower-cased) table as substrings; of equals the first."""

    def share_found(alternative: str) -> float:
        words = alternative.lower().split()
        return sum(word in table for word in words) / len(words) if words else 0.0

    return max(alternatives, key=share_found)


def _cell(serialised: str, schema: Schema, table: str, where: str) -> dict[str, Any]:
    try:
        stored: dict[str, Any] = json.loads(serialised)
        attributes = ATTRIBUTES[schema][stored["type"]]
        cell = {attribute: stored[attribute] for attribute in attributes}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        known = ", ".join(ATTRIBUTES[schema])
        raise RecordError(
            where,
            f"cell {serialised!r} is not JSON, lacks an attribute, or is not of a type of {schema} ({known}): {error}",
        ) from error
    for attribute, value in cell.items():
        if isinstance(value, list):
            if not value or not all(isinstance(alternative, str) for alternative in value):
                raise RecordError(
                    where, f"attribute {attribute!r} of cell {serialised!r} must list at least one string"
                )
            cell[attribute] = _best_alternative(value, table)
    return cell


def format_table_cells(
    record: Mapping[str, Any], *, schema: Schema, ascii_only: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield ``table_code_text`` (supplementary text, blank line, table) and ``json_records`` (one JSON object a line).

    Cells come in reading order, with exactly the attributes of their type. Where the annotation gives several
    acceptable strings for an attribute, the one whose words best match the table is taken.

    Args:
        record: ``_key`` (table id), ``paper_id``, ``table_code``, ``sup_text``, ``gold_json_records`` (JSON texts).
        schema: which attribute table holds.
        ascii_only: write non-ASCII characters as ``\\uXXXX`` (the published DiSCoMaT task does, its siblings do not).

    Raises:
        Dropped: if no cell is annotated or the table is blank.
        RecordError: if a cell does not follow its schema.
    """
    table, supplement, serialised = record["table_code"], record.get("sup_text"), record["gold_json_records"]
    if not table.strip():
        raise Dropped("blank table")
    if not serialised:
        raise Dropped("no annotated cell")
    where, lowered = f"table {record['_key']}", table.lower()
    cells = (_cell(one, schema, lowered, where) for one in serialised)
    yield {
        "table_code_text": f"{supplement}\n\n{table}" if supplement and supplement.strip() else table,
        "json_records": "\n".join(json.dumps(cell, ensure_ascii=ascii_only) for cell in cells),
        "_document_id": _BARE_ID[schema](str(record.get("paper_id") or "")),
        "_document_text": table,
    }
