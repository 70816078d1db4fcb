"""BioASQ sample: the training questions, and the golden ones in four batches."""

from __future__ import annotations

import json
import re
from typing import Any

from samples.tool import corpus
from samples.tool.identifiers import hex_id
from samples.tool.markup import parse_markup
from samples.tool.packing import pack_zip
from samples.tool.studies import Study, load_studies

FIRST_GOLDEN, PER_BATCH = 22, 2
"""The first study whose questions are golden ones, and how many studies a batch has."""

_SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z]|p\.|rs)")
_README = "Questions on invented studies, written for the samples of this project.\n"
_SPELLINGS = {4: "Yes.", 7: "No", 11: "Yes"}
"""How old editions spell the answer of some yes/no questions, by their number."""


def bioasq() -> dict[str, bytes]:
    """Both zips by file key. Old shapes of answers, missing snippets and broken lines are among them."""
    studies = load_studies()
    sources = corpus.load("bioasq") + _yes_no(studies)
    questions: dict[int, list[dict[str, Any]]] = {}
    for number, source in enumerate(sources):
        questions.setdefault(source[0], []).append(_question(number, studies[source[0]], *source[1:]))
    in_order = [(study, question) for study in sorted(questions) for question in questions[study]]
    training = [question for study, question in in_order if study < FIRST_GOLDEN]
    batches = enumerate(range(FIRST_GOLDEN, len(studies), PER_BATCH), start=1)
    backwards = reversed(list(batches))  # so that the zip does not list the batches by their names
    return {
        "training": pack_zip(
            {
                "BioASQ-training11b/": b"",
                "BioASQ-training11b/readme.txt": _README.encode(),
                "BioASQ-training11b/training11b.json": _file(training),
            }
        ),
        "golden": pack_zip(
            {
                f"Task11BGoldenEnriched/11B{number}_golden.json": _file(
                    [question for study, question in in_order if first <= study < first + PER_BATCH]
                )
                for number, first in backwards
            }
        ),
    }


def _file(questions: list[dict[str, Any]]) -> bytes:
    return json.dumps({"questions": questions}, indent=2).encode()


def _yes_no(studies: list[Study]) -> list[list[Any]]:
    """The studies' own yes/no questions, in the form of the text file."""
    found: list[list[Any]] = []
    for place, study in enumerate(studies):
        for number, (ask, decision, *answer) in enumerate(study.source["questions"]):
            if decision in ("yes", "no"):
                snippets = ["results:0-", "background:0-" if number else "conclusion:0-"]
                spelled = _SPELLINGS.get(len(found), decision)
                ideal = [answer[0] if answer else parse_markup(study.source["conclusion"]).text]
                found.append([place, "yesno", ask, snippets, spelled, ideal])
    return found


def _question(
    number: int, study: Study, kind: str, body: str, snippets: list[str], exact: Any, ideal: Any
) -> dict[str, Any]:
    address = f"http://www.ncbi.nlm.nih.gov/pubmed/{study.pmid}"
    question: dict[str, Any] = {
        "body": body,
        "documents": [address],
        "ideal_answer": ideal,
        "concepts": [],
        "type": kind,
        "id": hex_id("bioasq", body)[:24],
        "snippets": [_snippet(study, place, address) for place in snippets],
    }
    if exact is not None:
        question["exact_answer"] = exact
    if not snippets:
        del question["snippets"]
    if number % 3 == 1:
        del question["concepts"]
    if number % 9 == 5:  # a line break in the middle of a snippet
        question["snippets"][0]["text"] = question["snippets"][0]["text"].replace(" in ", "\nin ", 1)
    return question


def _snippet(study: Study, place: str, address: str) -> dict[str, Any]:
    """A stretch of whole sentences, with its place in the title or the abstract."""
    section, _, numbers = place.partition(":")
    first, dash, last = numbers.partition("-")
    whole = parse_markup(study.source[section]).text
    sentences = _SENTENCE_END.split(whole)
    end = int(last) + 1 if last else len(sentences) if dash else int(first) + 1
    text = " ".join(sentences[int(first) : end])
    assert text, f"{place} of {study.title!r} names no sentence"
    field = "title" if section == "title" else "abstract"
    start = (study.title if field == "title" else study.abstract).index(text)
    return {
        "offsetInBeginSection": start,
        "offsetInEndSection": start + len(text),
        "text": text,
        "beginSection": field,
        "document": address,
        "endSection": field,
    }
