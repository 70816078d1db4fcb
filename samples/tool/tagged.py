"""The biomedical studies, sentence by sentence, as the tagged tokens of CRAFT."""

from __future__ import annotations

import re
from collections.abc import Iterator

from samples.tool import corpus
from samples.tool.lexicon import find
from samples.tool.markup import parse_markup
from samples.tool.studies import DEV, SECTIONS, TRAIN, Study, load_studies

_FILES = {"train": "train", "dev": "devel", "test": "test"}
_TOKEN = re.compile(r"[^\W_]+|\S")
_SENTENCE_END = re.compile(r"(?<=[.?!]) (?=[A-Z])")
_GENERAL = ("amino acid", "amino acids", "antibiotic", "antibiotics", "protein", "proteins", "vitamin")
"""Chemical classes that the studies do not mark."""


def craft_chem() -> dict[str, bytes]:
    """CRAFT-chem-IOB: headings are sentences of their own; a blank line ends every sentence, the last one too."""
    return {
        _FILES[split]: "".join(f"{sentence}\n" for study in part for sentence in _sentences(study)).encode()
        for split, part in corpus.cut(load_studies(), TRAIN, DEV).items()
    }


def _sentences(study: Study) -> Iterator[str]:
    """The title, then each section below its heading."""
    yield _lines(study, 0, len(study.title))
    yield "Abstract\tO\n"
    headings = _headings(study)
    begin = len(study.title) + 1
    ends = [match.start() for match in _SENTENCE_END.finditer(study.text, begin)]
    for end in [*ends, len(study.text)]:
        if begin in headings:
            yield f"{headings[begin]}\tO\n"
        yield _lines(study, begin, end)
        begin = end + 1


def _headings(study: Study) -> dict[int, str]:
    """Where a section begins in the text -> its heading."""
    headings = {}
    begin = len(study.title) + 1
    for name in SECTIONS:
        headings[begin] = name.title()
        begin += len(parse_markup(study.source[name]).text) + 1
    return headings


def _lines(study: Study, begin: int, end: int) -> str:
    chemicals = [(mention.start, mention.end) for mention in study.mentions if mention.code == "C"]
    marked = [(mention.start, mention.end) for mention in study.mentions]
    general = [(found.start, found.end) for found in find(study.text, dict.fromkeys(_GENERAL, "C"), marked)]
    lines = []
    inside = 0  # end of the chemical that was met last
    for token in _TOKEN.finditer(study.text, begin, end):
        here = [span for span in chemicals + general if span[0] <= token.start() and token.end() <= span[1]]
        tag = "O"
        if here:
            tag = "I-CHEBI" if token.start() < inside else "B-CHEBI"
            inside = max(inside, *(span[1] for span in here))
        lines.append(f"{token.group()}\t{tag}\n")
    return "".join(lines)
