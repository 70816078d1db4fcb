"""Entities and relations of SciERC as the original SciRIFF made them, for builds under fidelity ``original``.

Unlike in :mod:`sciriff.tasks.formatters.dygie`, mentions have the spacing of their tokens, which the text does not
have. Where a mention is therefore not found in the text, one spelling is tried that closes it up, and a document with a
mention that is not found even so is left out. Relations take the closed-up spelling, entities keep the other one.
Lists are in document order, where the original had the order of a set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sciriff.errors import Dropped
from sciriff.readers.records import DygieDocument
from sciriff.tasks.formatters.detokenise import fix_surface

_UNKNOWN = "Unknown"
_CLOSED_UP = ((" - ", "-"), (" , ", ", "), (" 's", "'s"))


class Annotation(NamedTuple):
    """What a document is annotated with.

    Attributes:
        entities: (name, type) of the first mention of every cluster, and of all mentions outside clusters.
        relations: (entity, entity, type), the entities named by the first mention of their cluster.
        coref: clusters of more than one mention.
    """

    entities: list[tuple[str, str]]
    relations: list[tuple[str, str, str]]
    coref: list[list[str]]


def annotation_of_the_original(document: DygieDocument, text: str) -> Annotation:
    """Read the annotation of a document with the given text.

    Raises:
        Dropped: if a mention is not found in the text.
    """
    tokens = [token for sentence in document.sentences for token in sentence]

    def spelled(span: tuple[int, int]) -> str:
        return " ".join(tokens[span[0] : span[1] + 1])

    type_of = {(start, end): label for start, end, label in document.ner}
    first_mention = {spelled(span): spelled(cluster[0]) for cluster in document.clusters for span in cluster}
    spans = {cluster[0] for cluster in document.clusters if cluster}
    spans |= {span for span in type_of if spelled(span) not in first_mention}
    entities = dict.fromkeys((spelled(span), type_of.get(span, _UNKNOWN)) for span in sorted(spans))
    relations = dict.fromkeys(
        (_renamed(spelled((start, end)), first_mention), _renamed(spelled((other, other_end)), first_mention), label)
        for start, end, other, other_end, label in document.relations
    )
    named = [(fix_surface(name), label) for name, label in entities if label != _UNKNOWN]
    for name, _ in named:
        _as_in_text(name, text)  # only to find out whether the document stays
    return Annotation(
        named,
        [
            (_as_in_text(fix_surface(head), text), _as_in_text(fix_surface(tail), text), label)
            for head, tail, label in relations
        ],
        [[fix_surface(spelled(span)) for span in cluster] for cluster in document.clusters if len(cluster) > 1],
    )


def _renamed(mention: str, first_mention: Mapping[str, str]) -> str:
    return first_mention.get(mention, mention)


def _as_in_text(mention: str, text: str) -> str:
    """The mention, closed up by the one rule that applies first if that is how the text has it."""
    if mention in text:
        return mention
    for apart, together in _CLOSED_UP:
        if apart in mention:
            closed_up = mention.replace(apart, together)
            if closed_up in text:
                return closed_up
            break
    raise Dropped("a mention is not found in the text")
