"""The citations in context as ACL-ARC and MultiCite files."""

from __future__ import annotations

import json
import re
from typing import Any

from samples.tool import corpus
from samples.tool.identifiers import hex_id
from samples.tool.packing import pack_tar_gz

TRAIN, DEV = 14, 5
_SPLIT = re.compile(r"\w+(?:[-'.]\w+)*|\S")
_OPENING = re.compile(r"([(\[]) ")
_CLOSING = re.compile(r" ([.,;:)\]])")


def acl_arc() -> bytes:
    """ACL-ARC: contexts as lists of tokens, some with the remains of a bad conversion between them."""
    records = [_acl_citation(number, source) for number, source in enumerate(corpus.load("citing_contexts"))]
    members = {
        f"acl-arc/{split}.jsonl": "".join(json.dumps(record) + "\n" for record in part).encode()
        for split, part in corpus.cut(records, TRAIN, DEV).items()
    }
    return pack_tar_gz(dict(sorted(members.items())))


def _acl_citation(number: int, source: dict[str, Any]) -> dict[str, Any]:
    start = source["sentence"].index("<cite>")
    end = source["sentence"].index("</cite>") - len("<cite>")
    text = source["sentence"].replace("<cite>", "").replace("</cite>", "")
    paper = source["paper"]
    return {
        "text": text,
        "citing_paper_id": paper,
        "cited_paper_id": f"External_{90000 + 17 * number}",
        "citing_paper_year": 1900 + int(paper[1:3]),
        "cited_paper_year": 1990,
        "citing_paper_title": f"sample paper {paper.lower()}",
        "cited_paper_title": f"sample work {number}",
        "cited_author_ids": ["A Sample"],
        "citing_author_ids": None,
        "extended_context": " ".join([*source["before"], text, *source["after"]]),
        "section_number": 1 + number % 6,
        "section_title": source["section"],
        "intent": source["intent"],
        "cite_marker_offset": [start, end],
        "sents_before": _sentences(source["before"], source.get("gap")),
        "sents_after": _sentences(source["after"]),
        "cleaned_cite_text": f"{text[:start]}@@CITATION{text[end:]}",
        "citation_id": f"{paper}_{number}",
        "citation_excerpt_index": 0,
        "section_name": source["name"],
    }


def _sentences(texts: list[str], gap: list[Any] | None = None) -> list[list[dict[str, Any]]]:
    """Sentences as token objects; ``gap`` is [place of a token in the first sentence, what stands behind it]."""
    sentences = []
    for text in texts:
        matches = list(_SPLIT.finditer(text))
        begins = [match.start() for match in matches[1:]] + [len(text)]
        between = [text[match.end() : begin] for match, begin in zip(matches, begins, strict=True)]
        if gap and not sentences:
            between[gap[0]] = gap[1]
        sentences.append(
            [
                _token(place, match, before, after)
                for place, (match, before, after) in enumerate(
                    zip(matches, ["", *between[:-1]], between, strict=True), start=1
                )
            ]
        )
    return sentences


def _token(place: int, match: re.Match[str], before: str, after: str) -> dict[str, Any]:
    return {
        "index": place,
        "word": match.group(),
        "lemma": match.group().lower(),
        "after": after,
        "pos": "NN",
        "characterOffsetEnd": match.end(),
        "segment_span": [0, 1],
        "characterOffsetBegin": match.start(),
        "originalText": match.group(),
        "ArgType": None,
        "before": before,
    }


def multicite() -> dict[str, bytes]:
    """MultiCite: JSON lists, indented by one; some excerpts are in a list, and one has no tags."""
    records: list[dict[str, Any]] = []
    places: dict[str, int] = {}
    for source in corpus.load("citing_contexts"):
        place = places[source["paper"]] = places.get(source["paper"], -1) + 1
        records.append(_multicite_record(source, place))
    parts = corpus.cut(records, TRAIN, DEV)
    return {split: json.dumps(part, indent=1).encode() for split, part in parts.items()}


def _multicite_record(source: dict[str, Any], place: int) -> dict[str, Any]:
    context = source.get("context", "")
    excerpt = " ".join(
        [
            *(source["before"] if context in ("before", "both") else []),
            _closed_up(source["sentence"]),
            *(source["after"] if context in ("after", "both") else []),
        ]
    )
    if source.get("unmarked"):
        excerpt = excerpt.replace("<cite>", "").replace("</cite>", "")
    return {
        "id": f"{hex_id('paper', source['paper'])[:30]}_{place}",
        "x": [excerpt] if source.get("list") else excerpt,
        "y": source["intents"],
    }


def _closed_up(sentence: str) -> str:
    """Undo the blanks around punctuation; a tag before a name swallows the blank, as in the real files."""
    text = _CLOSING.sub(r"\1", _OPENING.sub(r"\1", sentence))
    return re.sub(r" <cite>(?=\w)", "<cite> ", text)
