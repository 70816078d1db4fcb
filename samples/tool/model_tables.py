"""The invented tables on machine learning as MLTables tables, in LaTeX, of the schema-to-json archive."""

from __future__ import annotations

import json
import re
from typing import Any

from samples.tool import corpus
from samples.tool.biomedical import RESOURCE_FORK
from samples.tool.packing import pack_zip

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?[MG]?")
_KEYS = {  # in the order of the real annotation, which is not that of the answers
    "Result": (
        "training data/set",
        "test data/set",
        "task",
        "metric",
        "experimental settings",
        "model",
        "model settings",
    ),
    "Data Stat.": ("dataset", "attribute name", "sub-set/group name", "dataset features"),
    "Hyper-parameter/Architecture": ("model", "parameter/architecture name", "dataset"),
    "Other": (),
}
_OBJECTS = ("experimental settings", "model settings", "dataset features")


def mltables() -> bytes:
    """``mltables/{train,dev,test}.json``; passages beside each table, lists of acceptable strings in records."""
    parts: dict[str, dict[str, Any]] = {"train": {}, "dev": {}, "test": {}}
    for number, spec in enumerate(corpus.load("model_tables")):
        table = f"table{number % 4}"
        parts[spec["split"]][f"{spec['paper']}_{table}"] = _table(table, spec)
    return pack_zip(
        {"mltables/": b"", "__MACOSX/._mltables": RESOURCE_FORK}
        | {f"mltables/{split}.json": json.dumps(parts[split]).encode() for split in ("test", "dev", "train")}
    )


def _table(table: str, spec: dict[str, Any]) -> dict[str, Any]:
    code = f"\\begin{{tabular}}{{l|{'c' * len(spec['cells'])}}}\n    {' & '.join(spec['head'])} \\\\ \\hline\n"
    targets, records = [], []
    for row in spec["rows"]:
        code += f"    {row['name']}"
        for raw, cell in zip(row["values"], spec["cells"], strict=True):
            code += " & "
            if found := _NUMBER.search(raw):
                begin = len(code)
                start, end = begin + found.start(), begin + found.end()
                targets.append(
                    {
                        "cell_value": found.group(),
                        "cell_raw": raw,
                        "cell_value_char_idx_start": start,
                        "cell_value_char_idx_end": end,
                        "cell_raw_char_idx_start": begin,
                        "cell_raw_char_idx_end": begin + len(raw),
                    }
                )
                record = _record(found.group(), cell | row.get("is", {}), cell["type"])
                records.append({"cell_char_index": [start, end], "cell_record": json.dumps(record, ensure_ascii=False)})
            code += raw
        code += " \\\\\n"
    return {
        "paper_id": spec["paper"],
        "table_id": table,
        "table_code": f"{code}\\end{{tabular}}",
        "sup_text": "\n\n".join(spec["text"]),
        "target_cells": targets,
        "gold_json_records": records,
    }


def _record(value: str, known: dict[str, Any], kind: str) -> dict[str, Any]:
    unknown = {key: {"xx": "yy"} if key in _OBJECTS else "xx" for key in _KEYS[kind]}
    return {"value": value, "type": kind, **{key: known.get(key, unknown[key]) for key in _KEYS[kind]}}
