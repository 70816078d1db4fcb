"""The abstracts on COVID-19 and those of trials as CSV files of the LitCovid track and of Evidence Inference."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from samples.tool import corpus
from samples.tool.biomedical import RESOURCE_FORK
from samples.tool.packing import pack_zip

_COLUMNS = ("pmid", "journal", "title", "abstract", "keywords", "pub_type", "authors", "doi", "label")
_EFFECTS = {
    "+": "significantly increased",
    "-": "significantly decreased",
    "=": "no significant difference",
}


def bc7_litcovid() -> dict[str, bytes]:
    """LitCovid: nine columns, quoted fields with commas, quotes and line ends; an article without abstract."""
    rows = [
        (
            f"{98200000 + 31 * number}",
            "J Sample Med",
            article["title"],
            article["abstract"] or "",
            "covid-19;sample" if number % 3 else "",
            "Case Reports;Journal Article" if "Case Report" in article["topics"] else "Journal Article",
            "Sample, Ann;Muster, Max",
            f"10.9999/sample.{number}" if number % 4 else "",
            article["topics"],
        )
        for number, article in enumerate(corpus.load("covid_abstracts"))
    ]
    return {split: _csv(_COLUMNS, part) for split, part in corpus.cut(rows, 8, 4).items()}


def evidence_inference() -> bytes:
    """Evidence Inference: CSV with a byte order mark, a literal of Python in the second column; resource forks."""
    rows = []
    for trial in corpus.load("trial_findings"):
        text = "\n".join(f"ABSTRACT.{name}: {body}" for name, body in trial["sections"].items())
        rows.append((text, repr([_finding(text, *finding) for finding in trial["findings"]])))
    members = {}
    for split, part in corpus.cut(rows, 6, 3).items():
        members[f"{split}_wlabels.csv"] = b"\xef\xbb\xbf" + _csv(("X", "Y"), part)
        members[f"__MACOSX/._{split}_wlabels.csv"] = RESOURCE_FORK
    return pack_zip(members)


def _finding(text: str, intervention: str, outcome: str, comparator: str | None, effect: str, begin: str) -> list[Any]:
    """One finding: four texts and the string that a model was trained to write."""
    start = text.index(begin)
    evidence = text[start : text.find(". ", start) + 1 or None].partition("\n")[0]
    label = _EFFECTS[effect]
    linear = f"[ICO] {intervention} [SEP] {outcome} [SEP] {comparator} [EVIDENCE] {evidence} [LABEL] {label} [OUT]"
    return [intervention, outcome, comparator, evidence, linear]


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()
