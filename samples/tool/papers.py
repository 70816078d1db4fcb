"""The invented papers on language technology as SciERC (DyGIE lines) and QASPER archives."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from samples.tool import corpus
from samples.tool.identifiers import hex_id
from samples.tool.markup import Marked, parse_markup
from samples.tool.packing import pack_tar_gz
from samples.tool.studies import TRAIN as TRAIN_STUDIES
from samples.tool.studies import load_studies

TRAIN, DEV = 13, 5
_TYPES = {
    "Ta": "Task",
    "Me": "Method",
    "Mt": "Metric",
    "Ma": "Material",
    "Ot": "OtherScientificTerm",
    "Ge": "Generic",
}
_TOKEN = re.compile(r"'s\b|\w+(?:(?:[.,](?=\d)|-(?=\w))\w+)*|\S")
_SPLIT_TOKEN = re.compile(r"'s\b|\w+(?:[.,](?=\d)\w+)*|\S")
_ESCAPES = {"(": "-LRB-", ")": "-RRB-"}


def load_papers() -> list[dict[str, Any]]:
    """All papers; the long one with the appendix comes first, so that it is in the training split."""
    return sorted(corpus.load("papers"), key=lambda paper: not paper.get("appendix", False))


def scierc() -> bytes:
    """SciERC: one DyGIE document a line, no newline at the end of a file."""
    members: dict[str, bytes] = {}
    documents = [dygie_document(f"SAMPLE-{number:04d}", paper) for number, paper in enumerate(load_papers())]
    for split, part in corpus.cut(documents, TRAIN, DEV).items():
        members[f"processed_data/json/{split}.json"] = "\n".join(map(json.dumps, part)).encode()
    return pack_tar_gz(dict(sorted(members.items())))


def dygie_document(key: str, paper: dict[str, Any], types: Mapping[str, str] = _TYPES) -> dict[str, Any]:
    """Tokenise an abstract after the Penn Treebank, and write its mentions as spans of token indices.

    Args:
        key: its ``doc_key``.
        paper: ``abstract``, marked up; ``relations`` and ``split_hyphens`` as in ``texts/papers.yaml``.
        types: the first two letters of a mention's name -> its type; a mention that has none is only coreferent.

    Raises:
        ValueError: if a mention cuts a token, or a relation joins two sentences or unknown mentions.
    """
    marked = parse_markup(paper["abstract"].strip())
    pattern = _SPLIT_TOKEN if paper.get("split_hyphens") else _TOKEN
    matches = list(pattern.finditer(marked.text))
    sentences = _sentences(matches)
    spans = _token_spans(marked, {match.start(): n for n, match in enumerate(matches)}, matches, key)
    sentence_of = {index: number for number, sentence in enumerate(sentences) for index in sentence}
    ner: list[list[list[Any]]] = [[] for _ in sentences]
    relations: list[list[list[Any]]] = [[] for _ in sentences]
    clusters: dict[str, list[list[int]]] = {}
    for code, (start, end) in spans.items():
        name, _, leader = code.partition("=")
        if name[:2] in types:
            ner[sentence_of[start]].append([start, end, types[name[:2]]])
        clusters.setdefault(leader or name, []).append([start, end])
    places = {code.partition("=")[0]: span for code, span in spans.items()}
    for relation in paper.get("relations", ()):
        first, label, second = relation.split()
        (start, end), (other, other_end) = places[first], places[second]
        if sentence_of[start] != sentence_of[other]:
            raise ValueError(f"{paper['title']}: {relation} joins two sentences")
        relations[sentence_of[start]].append([start, end, other, other_end, label])
    return {
        "clusters": sorted(cluster for cluster in clusters.values() if len(cluster) > 1),
        "sentences": [[_token(marked.text, matches[index]) for index in sentence] for sentence in sentences],
        "ner": [sorted(mentions) for mentions in ner],
        "relations": relations,
        "doc_key": key,
    }


def _sentences(matches: list[re.Match[str]]) -> list[list[int]]:
    sentences: list[list[int]] = [[]]
    for index, match in enumerate(matches):
        sentences[-1].append(index)
        if match.group() == "." and index + 1 < len(matches):
            sentences.append([])
    return sentences


def _token_spans(
    marked: Marked, begins: dict[int, int], matches: list[re.Match[str]], key: str
) -> dict[str, tuple[int, int]]:
    spans: dict[str, tuple[int, int]] = {}
    ends = {match.end(): number for number, match in enumerate(matches)}
    for span in marked.spans:
        if span.start not in begins or span.end not in ends or span.code in spans:
            raise ValueError(f"{key}: {marked.surface(span)!r} cuts a token, or its name is used twice")
        spans[span.code] = (begins[span.start], ends[span.end])
    return spans


def _token(text: str, match: re.Match[str]) -> str:
    if match.group() == '"':
        return "``" if text[: match.start()].count('"') % 2 == 0 else "''"
    return _ESCAPES.get(match.group(), match.group())


def arxiv_id(number: int) -> str:
    """The arXiv id of a paper, the same in all sources; it looks like one and is none."""
    return f"{2401 + number % 12}.{90000 + 11 * number}"


def qasper() -> dict[str, bytes]:
    """QASPER release 0.3: the archive of training and development papers, and the one of the test papers."""
    papers = {arxiv_id(number): _paper(number, paper) for number, paper in enumerate(load_papers())}
    parts = {
        split: json.dumps(dict(part), separators=(",", ":")).encode()
        for split, part in corpus.cut(list(papers.items()), TRAIN, DEV).items()
    }
    notes = b"Sample written for this project.\n"
    both = {"qasper-train-v0.3.json": parts["train"], "qasper-dev-v0.3.json": parts["dev"], "README.md": notes}
    return {
        "train_dev": pack_tar_gz(both),
        "test": pack_tar_gz({"qasper-test-v0.3.json": parts["test"], "README-test.md": notes}),
    }


def _paper(number: int, source: dict[str, Any]) -> dict[str, Any]:
    sections = {None if name == "~" else name: paragraphs for name, paragraphs in source["sections"].items()}
    full_text = [{"section_name": name, "paragraphs": paragraphs} for name, paragraphs in sections.items()]
    if source.get("appendix"):
        full_text += appendix_sections()
    elif number % 4 == 3:
        full_text.append({"section_name": "Acknowledgments", "paragraphs": [""]})
    return {
        "title": source["title"],
        "abstract": parse_markup(source["abstract"].strip()).text,
        "full_text": full_text,
        "qas": [_question(source, question) for question in source["questions"]],
        "figures_and_tables": [
            {"file": f"{place + 1}-{caption.split()[0]}{caption.split()[1].strip(':')}-1.png", "caption": caption}
            for place, caption in enumerate(source["captions"])
        ],
    }


def appendix_sections() -> list[dict[str, Any]]:
    """An appendix that lists training texts of the other sources: it makes a paper too long for the small window."""
    studies = [f"{study.title}. {study.abstract}" for study in load_studies()[:TRAIN_STUDIES]]
    procedures = [
        parse_markup(source["text"]).text.replace("<?>", "[?]").strip() for source in corpus.load("syntheses")[:14]
    ]
    return [
        {"section_name": "Appendix ::: Biomedical texts", "paragraphs": studies},
        {"section_name": "Appendix ::: Procedures", "paragraphs": procedures},
    ]


def _question(paper: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    ask = source["ask"]
    return {
        "question": ask,
        "question_id": hex_id("question", paper["title"], ask),
        "nlp_background": "five",
        "topic_background": "familiar",
        "paper_read": "no",
        "search_query": "",
        "question_writer": hex_id("writer", paper["title"]),
        "answers": [_answer(paper, ask, number, answer) for number, answer in enumerate(source["answers"])],
    }


def _answer(paper: dict[str, Any], ask: str, number: int, source: dict[str, Any]) -> dict[str, Any]:
    evidence, highlighted = [], []
    if "from" in source:
        section, place = source["from"]
        paragraph = paper["sections"][section][place]
        evidence.append(paragraph)
        highlighted.append(source.get("highlight") or paragraph.partition(". ")[0])
    if "float" in source:
        evidence.append(f"FLOAT SELECTED: {paper['captions'][source['float']]}")
        highlighted.append(evidence[-1])
    return {
        "answer": {
            "unanswerable": source.get("open", False),
            "extractive_spans": source.get("copy", []),
            "yes_no": {"yes": True, "no": False}.get(source.get("decide", "")),
            "free_form_answer": source.get("say", ""),
            "evidence": evidence,
            "highlighted_evidence": highlighted,
        },
        "annotation_id": hex_id("annotation", ask, str(number)),
        "worker_id": hex_id("worker", paper["title"], str(number)),
    }
