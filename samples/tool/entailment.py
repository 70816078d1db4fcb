"""Claims against abstracts: SciFact on the invented studies; CovidFact and HealthVer on abstracts on COVID-19."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from samples.tool import corpus
from samples.tool.markup import parse_markup
from samples.tool.packing import pack_tar_gz
from samples.tool.studies import SECTIONS, Study, load_studies

# Some sentences begin with the name of a variant.
_SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z]|p\.|rs)")


def scifact() -> bytes:
    """SciFact: the corpus, and claims of three splits; those of the test split without documents and verdicts."""
    studies = load_studies()
    ids = {study.title: 990017 + 1009 * number for number, study in enumerate(studies)}
    texts = {study.title: _study_sentences(study) for study in studies}
    documents = [
        {"doc_id": ids[title], "title": title, "abstract": text, "structured": number % 3 == 0}
        for number, (title, text) in enumerate(texts.items())
    ]
    claims: dict[str, list[dict[str, Any]]] = {"train": [], "dev": [], "test": []}
    for number, source in enumerate(corpus.load("claims"), start=1):
        held_against = {
            ids[title]: _groups(verdict, texts[title])
            for title, verdict in ((_title_of(begin, texts), verdict) for begin, verdict in source["cites"].items())
        }
        claim = {"id": number, "claim": source["claim"]}
        if source["split"] != "test":
            claim |= {
                "evidence": {str(doc_id): groups for doc_id, groups in held_against.items() if groups},
                "cited_doc_ids": list(held_against),
            }
        claims[source["split"]].append(claim)
    return pack_tar_gz(
        {
            "data/corpus.jsonl": _lines(documents),
            **{f"data/claims_{split}.jsonl": _lines(part) for split, part in claims.items()},
        }
    )


def _study_sentences(study: Study) -> list[str]:
    texts = (parse_markup(study.source[section]).text for section in SECTIONS)
    return [sentence for text in texts for sentence in _SENTENCE_END.split(text)]


def _title_of(begin: str, titles: Iterable[str]) -> str:
    (title,) = [title for title in titles if title.startswith(begin)]
    return title


def _groups(verdict: Sequence[Any] | None, text: Sequence[str]) -> list[dict[str, Any]]:
    """The groups of evidence of one claim in one abstract.

    Raises:
        ValueError: if no sentence of the abstract, or more than one, begins as the evidence says.
    """
    if verdict is None:
        return []
    label, groups = verdict
    found = []
    for begins in groups:
        places = [[place for place, sentence in enumerate(text) if sentence.startswith(begin)] for begin in begins]
        if any(len(place) != 1 for place in places):
            raise ValueError(f"{begins} are not the beginnings of one sentence each in {text[0]!r}")
        found.append({"sentences": [place for (place,) in places], "label": label})
    return found


def multivers() -> bytes:
    """The archive of MultiVerS: CovidFact (train, test) and HealthVer (train, dev, test), each with its corpus."""
    sources = corpus.load("covid_claims")
    corpora = {"covidfact": _covidfact(sources), "healthver": _healthver(sources)}
    return pack_tar_gz(
        {f"data/{name}/{file}.jsonl": _lines(lines) for name, files in corpora.items() for file, lines in files.items()}
    )


def _covidfact(sources: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    claims: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    for number, source in enumerate(sources, start=1):
        for claim, label, places in source["fact"]:
            claims["test" if source["split"] == "test" else "train"].append(
                {
                    "id": sum(map(len, claims.values())),
                    "claim": claim,
                    "evidence": {str(number): [{"sentences": places, "label": label}]},
                    "doc_ids": [number],
                }
            )
    return _files(sources, range(1, len(sources) + 1), claims)


def _healthver(sources: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    documents = {source["title"]: 33219 + 877 * number for number, source in enumerate(sources)}
    claims: dict[str, list[dict[str, Any]]] = {"train": [], "dev": [], "test": []}
    for source in sources:
        doc_id = documents[source["title"]]
        for claim, label, *rest in source["ver"]:
            groups = [{"sentences": places, "label": label} for places in (rest[0] if rest else [])]
            others = [documents[_title_of(begin, documents)] for begin in rest[1:]]
            claims[source["split"]].append(
                {
                    "id": sum(map(len, claims.values())),
                    "claim": claim,
                    "evidence": {str(doc_id): groups} if groups else {},
                    "doc_ids": [doc_id, *others],
                }
            )
    return _files(sources, documents.values(), claims)


def _files(
    sources: Iterable[Mapping[str, Any]], ids: Iterable[int], claims: Mapping[str, list[dict[str, Any]]]
) -> dict[str, list[dict[str, Any]]]:
    documents = [
        {"doc_id": doc_id, "title": source["title"], "abstract": source["abstract"]}
        for doc_id, source in zip(ids, sources, strict=True)
    ]
    return {"corpus": documents, **{f"claims_{split}": part for split, part in claims.items()}}


def _lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()
