"""The biomedical studies and some abstracts with difficult names as the DyGIE copy of ChemProt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from samples.tool import corpus
from samples.tool.biomedical import chemprot_pairs
from samples.tool.markup import join_marked, parse_markup
from samples.tool.packing import pack_tar_gz
from samples.tool.studies import DEV, TRAIN, Study, load_studies

_TYPES = {"C": "CHEMICAL", "G": "GENE", "F": "GENE"}
_SPLITS = {"train": "train", "dev": "validation", "test": "test"}
_TOKEN = re.compile(r"\([^\s()]+\)-\w+(?:-\w+)*|\w+(?:[-.,'/+]+\w+)*|\S")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z(])")

_Span = tuple[int, int]


class _Abstract(NamedTuple):
    """A text, what its title is, and where its entities and relations stand, in characters."""

    pmid: int
    title: str
    text: str
    entities: dict[_Span, str]
    relations: dict[tuple[_Span, _Span], str]


def chemprot_dygie() -> bytes:
    """ChemProt as DyGIE lines: numbers as keys, no clusters; what does not fit the tokens or a sentence is left out."""
    members: dict[str, bytes] = {}
    hard = corpus.load("chemical_relations")
    for split, part in corpus.cut(load_studies(), TRAIN, DEV).items():
        abstracts = [*map(_of_study, part), *(_of_text(source) for source in hard if source["split"] == split)]
        lines = (json.dumps(_document(abstract)) + "\n" for abstract in abstracts)
        members[f"chemprot/{_SPLITS[split]}.json"] = "".join(lines).encode()
    return pack_tar_gz(members)


def _of_study(study: Study) -> _Abstract:
    entities = {
        (mention.start, mention.end): _TYPES[mention.code] for mention in study.mentions if mention.code in _TYPES
    }
    relations = {
        ((first.start, first.end), (second.start, second.end)): label for label, first, second in chemprot_pairs(study)
    }
    return _Abstract(int(study.pmid), study.title, study.text, entities, relations)


def _of_text(source: dict[str, Any]) -> _Abstract:
    """An abstract whose relations hold for every pair of mentions of the two names; pairs across sentences fall out."""
    title, body = parse_markup(source["title"]), parse_markup(source["abstract"])
    marked = join_marked([title, body], " ")
    named: dict[str, list[_Span]] = {}
    for span in marked.spans:
        named.setdefault(span.code, []).append((span.start, span.end))
    relations = {
        (first, second): label
        for chemical, label, gene in map(str.split, source["relations"])
        for first in named[chemical]
        for second in named[gene]
    }
    entities = {(span.start, span.end): _TYPES[span.code[0]] for span in marked.spans}
    return _Abstract(source["pmid"], title.text, marked.text, entities, relations)


def _document(abstract: _Abstract) -> dict[str, Any]:
    sentences: list[list[str]] = []
    ner: list[list[list[Any]]] = []
    relations: list[list[list[Any]]] = []
    done = 0
    for begin, end in _sentences(abstract):
        tokens = list(_TOKEN.finditer(abstract.text, begin, end))
        first_at = {match.start(): done + place for place, match in enumerate(tokens)}
        last_at = {match.end(): done + place for place, match in enumerate(tokens)}
        spans = {
            span: (first_at[span[0]], last_at[span[1]])
            for span in sorted(abstract.entities)
            if span[0] in first_at and span[1] in last_at
        }
        sentences.append([match.group() for match in tokens])
        ner.append([[*spans[span], abstract.entities[span]] for span in spans])
        relations.append(
            [
                [*spans[first], *spans[second], label]
                for (first, second), label in abstract.relations.items()
                if first in spans and second in spans
            ]
        )
        done += len(tokens)
    return {
        "doc_key": abstract.pmid,
        "dataset": "chemprot",
        "sentences": sentences,
        "ner": ner,
        "relations": relations,
    }


def _sentences(abstract: _Abstract) -> Iterator[_Span]:
    """Begin and end of the title and of each sentence of the abstract."""
    begin = len(abstract.title) + 1
    yield 0, begin - 1
    for match in _SENTENCE_END.finditer(abstract.text, begin):
        yield begin, match.start()
        begin = match.end()
    yield begin, len(abstract.text)
