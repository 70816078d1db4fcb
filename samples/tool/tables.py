"""The invented glass series as DiSCoMaT tables of the schema-to-json archive."""

from __future__ import annotations

import json
from typing import Any

from samples.tool import corpus
from samples.tool.assay_tables import chemtables
from samples.tool.biomedical import RESOURCE_FORK
from samples.tool.model_tables import mltables
from samples.tool.packing import pack_zip

TRAIN = 25
_Cell = tuple[str, list[dict[str, str]]]


def schema_to_json() -> dict[str, bytes]:
    """The archives of tables, by file key."""
    return {"chemtables": chemtables(), "discomat": discomat(), "mltables": mltables()}


def discomat() -> bytes:
    """``discomat/{train,dev,test}.json``; as in the real archive, dev is a copy of train."""
    tables = {}
    for number, spec in enumerate(corpus.load("tables")):
        paper = f"S99999093{number * 7919 + 20011:07d}"
        tables[f"{paper}::{number % 3}"] = _table(paper, number % 3, spec)
    items = list(tables.items())
    train, test = (json.dumps(dict(part)).encode() for part in (items[:TRAIN], items[TRAIN:]))
    return pack_zip(
        {
            "discomat/": b"",
            "__MACOSX/._discomat": RESOURCE_FORK,
            "discomat/test.json": test,
            "discomat/dev.json": train,
            "discomat/train.json": train,
        }
    )


def _table(paper: str, number: int, spec: dict[str, Any]) -> dict[str, Any]:
    grid = _grid(spec)
    targets, records = [], []
    for i, row in enumerate(grid):
        for j, (_, cells) in enumerate(row):
            for k, record in enumerate(cells):
                targets.append({"i": i, "j": j, "k": k, "cell_value_processed": record["value"]})
                records.append({"cell_index": [i, j, k], "cell_record": json.dumps(record)})
    return {
        "paper_id": paper,
        "table_id": number,
        "table_code": f"{_draw(grid)}\n\nCaption: {spec['caption']}",
        "sup_text": "",
        "target_cells": targets,
        "gold_json_records": records,
    }


def _draw(grid: list[list[_Cell]]) -> str:
    widths = [max(len(row[column][0]) for row in grid) for column in range(len(grid[0]))]
    return "\n".join(
        "| " + " | ".join(text.ljust(width) for (text, _), width in zip(row, widths, strict=True)) + " |"
        for row in grid
    )


def _grid(spec: dict[str, Any]) -> list[list[_Cell]]:
    samples = [_sample(spec, step) for step in spec["steps"]]
    header: list[_Cell] = [("Sample", []), *((name, []) for name in samples[0][1])]
    grid = [header, *([(name, []), *cells.values()] for name, cells in samples)]
    if spec["layout"] == "rows":
        return [list(column) for column in zip(*grid, strict=True)]
    return grid


def _sample(spec: dict[str, Any], step: float) -> tuple[str, dict[str, _Cell]]:
    name = f"{spec['label']}{step:g}"
    amounts = dict(spec["base"])
    giver, taker = spec["swap"]
    amounts[giver] -= step
    amounts[taker] += step
    cells: dict[str, _Cell] = {}
    if spec["layout"] == "ratio":
        text = ":".join(f"{amount:g}" for amount in amounts.values())
        records = [_amount(f"{amount:g}", constituent, spec, name) for constituent, amount in amounts.items()]
        cells[f"{':'.join(amounts)} ({spec['unit']}%)"] = (text, records)
    elif spec["layout"] != "plain":
        for constituent, amount in amounts.items():
            cells[constituent] = (f"{amount:g}", [_amount(f"{amount:g}", constituent, spec, name)])
    for quantity, (start, slope, decimals) in spec["property"].items():
        value = f"{start + slope * step:.{decimals}f}"
        error = spec.get("error", {}).get(quantity)
        cells[quantity] = (f"{value}+-{error}" if error else value, [{"value": value, "type": "Other"}])
    return name, cells


def _amount(value: str, constituent: str, spec: dict[str, Any], material: str) -> dict[str, str]:
    """The record of a composition cell; an amount of nought is no part of the glass and hence ``Other``."""
    if value == "0":
        return {"value": value, "type": "Other"}
    return {
        "value": value,
        "type": "Glass_Compound_Amount",
        "constituent": constituent,
        "unit": spec["unit"],
        "material": material,
    }
