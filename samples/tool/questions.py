"""SciCite, PubMedQA and COVID-QA samples."""

from __future__ import annotations

import json
from typing import Any

from samples.tool import corpus
from samples.tool.identifiers import hex_id
from samples.tool.markup import parse_markup
from samples.tool.packing import pack_tar_gz
from samples.tool.studies import SECTIONS, Study, load_studies

SCICITE_TRAIN, SCICITE_DEV = 22, 7
_LABELS = {"m": "method", "b": "background", "r": "result"}


def scicite() -> bytes:
    """SciCite: JSON lines with bare NaN, float offsets beside it, and ``unique_id`` values that occur twice."""
    records: list[dict[str, Any]] = []
    for number, source in enumerate(corpus.load("citations")):
        records.append(_citation(number, source, records))
    members = {
        f"scicite/{split}.jsonl": "".join(json.dumps(record) + "\n" for record in part).encode()
        for split, part in corpus.cut(records, SCICITE_TRAIN, SCICITE_DEV).items()
    }
    return pack_tar_gz(dict(sorted(members.items())))


def _citation(number: int, source: dict[str, Any], earlier: list[dict[str, Any]]) -> dict[str, Any]:
    string, cite = source["string"], source["cite"]
    start: float = string.index(cite) if cite else float("nan")
    end: float = start + len(cite) if cite else float("nan")
    if number % 9 == 4:  # in a column with gaps the real file has floats
        start, end = float(start), float(end)
    citing, cited = hex_id("citing", string), hex_id("cited", string)
    record = {
        "source": "explicit" if cite else float("nan"),
        "citeEnd": end,
        "sectionName": source["section"] if source["section"] is not None else float("nan"),
        "citeStart": start,
        "string": string,
        "label": _LABELS[source["label"]],
        "label_confidence": 1.0,
        "citingPaperId": citing,
        "citedPaperId": cited,
        "isKeyCitation": number % 3 == 0,
        "id": f"{citing}>{cited}",
        "unique_id": f"{citing}>{cited}_{number}",
        "excerpt_index": number,
    }
    if number % 5 == 2:
        del record["label_confidence"]
    if number % 7 == 6:
        record["label2"] = "supportive" if number % 2 else "cant_determine"
    if "repeat" in source:
        original = earlier[source["repeat"]]
        record |= {name: original[name] for name in ("citingPaperId", "citedPaperId", "id", "unique_id")}
    return record


def pubmedqa() -> bytes:
    """PubMedQA: two questions on each study; every study gives its sections but for the conclusion."""
    records: dict[str, Any] = {}
    for number, study in enumerate(load_studies()):
        for place, question in enumerate(study.source["questions"]):
            records[f"{19000003 + 7919 * (2 * number + place)}"] = _research_question(
                2 * number + place, study, question
            )
    return json.dumps(records, indent=4).encode()


def _research_question(number: int, study: Study, question: list[str]) -> dict[str, Any]:
    ask, decision, *answer = question
    labels = list(SECTIONS[:-1])
    # The second question of a study comes with the sections that bear on it, so that no context occurs twice.
    kept = labels if number % 2 == 0 else labels[1:]
    names = {mention.text for mention in study.mentions if mention.code in "CDG"}
    return {
        "QUESTION": ask,
        "CONTEXTS": [parse_markup(study.source[label]).text for label in kept],
        "LABELS": [label.upper() for label in kept],
        "MESHES": ["Humans", *sorted(name.capitalize() for name in names)],
        "YEAR": None if number % 17 == 5 else str(2003 + number % 14),
        "reasoning_required_pred": decision,
        "reasoning_free_pred": decision if number % 6 else "maybe",
        "final_decision": decision,
        "LONG_ANSWER": answer[0] if answer else parse_markup(study.source["conclusion"]).text,
    }


def covid_qa() -> bytes:
    """COVID-QA: one paragraph for each article; a question id is unique over the file."""
    data = []
    next_id = 9001
    for number, article in enumerate(corpus.load("articles")):
        context = article["text"]
        if article.get("appendix"):
            studies = load_studies()
            context += "".join(f"\n\n{study.title}\n{study.abstract}" for study in studies)
        questions = []
        for question in article["questions"]:
            ask, answer = question
            questions.append(
                {
                    "question": ask,
                    "id": next_id,
                    "answers": [{"text": answer, "answer_start": context.index(answer)}],
                    "is_impossible": False,
                }
            )
            next_id += 1
        data.append({"paragraphs": [{"context": context, "document_id": 700 + 13 * number, "qas": questions}]})
    return json.dumps({"data": data}).encode()
