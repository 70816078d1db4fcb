"""The sentences on drugs as JSON lines of the drug combination corpus."""

from __future__ import annotations

import json
from typing import Any

from samples.tool import corpus
from samples.tool.identifiers import hex_id
from samples.tool.markup import Marked, Span, parse_markup

TRAIN = 14
_RELATION = dict[str, Any]


def drug_combo() -> dict[str, bytes]:
    """Drug combinations: a doubled relation, a drug named twice, a span cut wrongly, null sources; two splits."""
    lines = [json.dumps(_record(source)) + "\n" for source in corpus.load("drug_combinations")]
    return {"train": "".join(lines[:TRAIN]).encode(), "test": "".join(lines[TRAIN:]).encode()}


def _record(source: dict[str, Any]) -> dict[str, Any]:
    marked = parse_markup(source["sentence"])
    ids = {span.code: number for number, span in enumerate(marked.spans)}
    return {
        "doc_id": hex_id("sentence", marked.text)[:32],
        "sentence": marked.text,
        "spans": [_span(marked, span, ids[span.code], source.get("cut") == span.code) for span in marked.spans],
        "rels": [_relation(relation, ids) for relation in source["rels"]],
        "paragraph": f"{source['before']} {marked.text} {source['after']}",
        "source": source["pmid"] and f"https://pubmed.ncbi.nlm.nih.gov/{source['pmid']}/",
    }


def _span(marked: Marked, span: Span, number: int, cut: bool) -> dict[str, Any]:
    """One drug; the text of a span that is cut wrongly begins and ends four characters early."""
    text = marked.text[span.start - 4 : span.end - 4] if cut else marked.surface(span)
    first = marked.text[: span.start].count(" ")
    return {
        "span_id": number,
        "text": text,
        "start": span.start,
        "end": span.end,
        "token_start": first,
        "token_end": first + marked.surface(span).count(" ") + 1,
    }


def _relation(relation: str, ids: dict[str, int]) -> _RELATION:
    label, *names = relation.split()
    return {
        "class": label.removesuffix("*"),
        "spans": [ids[name] for name in names],
        "is_context_needed": label.endswith("*"),
    }
