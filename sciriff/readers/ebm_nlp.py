"""EBM-NLP 2.0: a file of tokens for each abstract, and files of labels for it in three layers, one label a line.

``path`` is a pattern that matches the whole corpus, e.g. ``archive!ebm_nlp_2_00/*``. Used of it are
``documents/<pmid>.tokens`` and, of the aggregated labels of the hierarchy, those of one part.

Options:
    ``part``: folder of the part, ``train`` or ``test/gold``. Required.

A label is a whole number, 0 for a token outside any mention; a mention is a longest run of tokens with one label in
one layer. The corpus's ``README.txt`` names the labels. The documents of a part are those that have a file in the layer
of interventions, others are passed over; a document that has none in another layer has no mention there.

Tolerated: a byte order mark, CRLF, one newline at the end, several or none, and lines that are blank in both files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from string import digits
from typing import TYPE_CHECKING

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers.records import Document, Entity, PassedOver, Row, SplitSpec
from sciriff.readers.text import decode

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView

LAYERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "participants": ("Participant", ("Age", "Sex", "Sample-size", "Condition")),
    "interventions": (
        "Intervention",
        ("Surgical", "Physical", "Pharmacological", "Educational", "Psychological", "Other", "Control"),
    ),
    "outcomes": ("Outcome", ("Physical", "Pain", "Mortality", "Adverse-effects", "Mental", "Other")),
}
"""Folder of a layer -> the beginning of its types, and their names by label, from 1: ``Participant_Age`` is label 1."""

_LISTING = "interventions"
_TOKENS = re.compile(r"documents/(\w+)\.tokens")
_LABELS = re.compile(r"annotations/aggregated/hierarchical_labels/(\w+)/(\w+(?:/\w+)?)/(\w+)\.AGGREGATED\.ann")
_BLANKS = " \t\r\n"

_Layers = dict[str, tuple[str, bytes]]
"""Layer -> member path and content of its labels."""


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row | PassedOver]:
    """Yield the documents of a part by id; ``raw`` is ``(pmid, tokens or None, {layer: (member path, labels)})``.

    The files are read in one pass, because members of a compressed tar cannot be had in any other order.

    Raises:
        TaskFileError: if the option ``part`` is missing.
    """
    split.check_options("ebm_nlp", "part")
    if "part" not in split.options:
        raise TaskFileError(f"{split.path}: reader 'ebm_nlp' needs the option 'part': train or test/gold")
    tokens: dict[str, bytes] = {}
    labels: dict[str, _Layers] = {}
    for path, content in view.members(split.path):
        if found := _TOKENS.search(path):
            tokens[found[1]] = content
        elif (found := _LABELS.search(path)) and found[2] == split.options["part"] and found[1] in LAYERS:
            labels.setdefault(found[3], {})[found[1]] = (path, content)
    index = 0
    for pmid, layers in sorted(labels.items()):
        if _LISTING in layers:
            yield Row(index, layers[_LISTING][0], (pmid, tokens.get(pmid), layers))
            index += 1
        else:
            yield PassedOver(f"no labels of {_LISTING}", next(iter(layers.values()))[0])


def parse(row: Row, _split: SplitSpec) -> Document:
    """Parse one document: the tokens joined by blanks; mentions by layer, each in the order of the text.

    Raises:
        RecordError: if there are no tokens, a file is not UTF-8, a layer has more or fewer labels than there are
            tokens, or a label is unknown.
    """
    pmid, raw_tokens, layers = row.raw
    if raw_tokens is None:
        raise RecordError(row.where, f"there is no file documents/{pmid}.tokens")
    tokens = _lines(raw_tokens, f"documents/{pmid}.tokens")
    entities: list[Entity] = []
    for layer in LAYERS:
        if layer in layers:
            path, raw_labels = layers[layer]
            entities += _mentions(tokens, _labels(raw_labels, path, layer, tokens), layer)
    return Document(id=pmid, passages=(_joined(tokens),), entities=tuple(entities))


def _lines(raw: bytes, where: str) -> list[str]:
    return [line.strip(_BLANKS) for line in decode(raw, where).rstrip(_BLANKS).split("\n")]


def _labels(raw: bytes, where: str, layer: str, tokens: Sequence[str]) -> list[int]:
    """The label of each token; 0 for a token that is blank."""
    lines = _lines(raw, where)
    if len(lines) != len(tokens):
        raise RecordError(where, f"found {len(lines)} labels, expected one for each of the {len(tokens)} tokens")
    pairs = enumerate(zip(tokens, lines, strict=True), start=1)
    return [_label(line, f"{where}:{number}", layer) if token else 0 for number, (token, line) in pairs]


def _label(line: str, where: str, layer: str) -> int:
    highest = len(LAYERS[layer][1])
    if len(line) == 1 and line in digits and int(line) <= highest:
        return int(line)
    raise RecordError(where, f"found label {line[:80]!r}, expected a whole number from 0 to {highest}")


def _mentions(tokens: Sequence[str], labels: Sequence[int], layer: str) -> Iterator[Entity]:
    kind, names = LAYERS[layer]
    for label, run in groupby(zip(labels, tokens, strict=True), key=itemgetter(0)):
        if label:
            yield Entity(f"{kind}_{names[label - 1]}", (_joined(token for _, token in run),))


def _joined(tokens: Iterable[str]) -> str:
    return " ".join(filter(None, tokens))
