"""The invented activities as ChemTables tables, in XML, of the schema-to-json archive."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.sax.saxutils import escape

from samples.tool import corpus
from samples.tool.biomedical import RESOURCE_FORK
from samples.tool.packing import pack_zip

_NUMBER = re.compile(r"(?:> )?([-−]?\d+(?:\.\d+)?)")


def chemtables() -> bytes:
    """``chemtables/{train,dev,test}.json``; the file is ASCII, the JSON of the cells in it is not."""
    parts: dict[str, dict[str, Any]] = {"train": {}, "dev": {}, "test": {}}
    for number, spec in enumerate(corpus.load("assay_tables")):
        paper, table = f"PMC{9300017 + 41 * number}", f"tbl{1 + number % 2}"
        parts[spec["split"]][f"{paper}::{table}::0"] = _table(paper, table, 1 + number % 2, spec)
    return pack_zip(
        {"chemtables/": b"", "__MACOSX/._chemtables": RESOURCE_FORK}
        | {f"chemtables/{split}.json": json.dumps(parts[split]).encode() for split in ("test", "dev", "train")}
    )


def _table(paper: str, table: str, number: int, spec: dict[str, Any]) -> dict[str, Any]:
    targets, records = [], []
    for i, (compound, *cells) in enumerate(spec["rows"], start=1):
        # A compound whose name is a number is described, too.
        columns = [("Compound", "Other" if compound.isdigit() else ""), *spec["columns"]]
        for j, (raw, (_, kind, *rest)) in enumerate(zip([compound, *cells], columns, strict=True)):
            found = _NUMBER.match(raw)
            if kind and found:
                record = {"value": found[1], "type": kind}
                if rest:
                    unit, target = rest
                    record |= {"target": target, "treatment": compound, "unit": unit}
                place = f"CA({i},{j})"
                targets.append(
                    {"cell_value": found[1], "cell_raw": raw, "cell_index": place, "cell_row_idx": i, "cell_col_idx": j}
                )
                records.append({"cell_index": place, "cell_record": json.dumps(record, ensure_ascii=False)})
    return {
        "paper_id": paper,
        "table_id": table,
        "table_code": _xml(number, spec),
        "sup_text": "",
        "target_cells": targets,
        "gold_json_records": records,
    }


def _xml(number: int, spec: dict[str, Any]) -> str:
    head = _row("th", ["Compound", *(heading for heading, *_ in spec["columns"])])
    body = "\n".join(_row("td", [cell or "\u00a0" for cell in row]) for row in spec["rows"])
    caption = escape(spec["caption"])
    return (
        f"<table-wrap><label>Table {number}</label><caption><p>{caption}</p></caption><table><thead>\n"
        f"{head}</thead><tbody>\n{body}</tbody></table></table-wrap>"
    )


def _row(tag: str, cells: list[str]) -> str:
    return "\n".join(["<tr>", *(f"\t<{tag}>{escape(cell)}</{tag}>" for cell in cells), "</tr>"])
