"""Typed and untyped entity F1: exact match of normalised mentions, sets per document, micro-averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sciriff.scoring.metrics.original_values import OriginalCrash, normalise, opened
from sciriff.scoring.metrics.statistics import MatchCounts, PrecisionRecallF1, precision_recall_f1, set_counts
from sciriff.scoring.metrics.values import NotUnderstood, has_any, leaves, normalise_mention

Entities = frozenset[tuple[str, str]]
"""Normalised (type, mention) pairs of one document."""


class EntityCounts(NamedTuple):
    """Counts of (type, mention) pairs, and of mentions whatever their type."""

    typed: MatchCounts
    untyped: MatchCounts


class EntityF1(NamedTuple):
    """Scores of (type, mention) pairs, and of mentions whatever their type."""

    typed: PrecisionRecallF1
    untyped: PrecisionRecallF1


def entities(answer: Any, types: Sequence[str]) -> Entities:
    """Read a task's answer object: entity type -> mentions.

    Types are compared without regard to case; a type the task does not know keeps its name, so that its mentions count
    as wrong predictions. A single value in place of a list is a list of one, nested lists are opened, other values
    count by their text, empty mentions do not count.

    Raises:
        NotUnderstood: if it is no object, or has keys and none of them is a type of the task.
    """
    if not isinstance(answer, dict) or (answer and not has_any(answer, types)):
        raise NotUnderstood
    known = {name.lower(): name for name in types}
    found: set[tuple[str, str]] = set()
    for name, mentions in answer.items():
        entity_type = known.get(name.strip().lower(), str(name))
        found |= {(entity_type, mention) for leaf in leaves(mentions) if (mention := normalise_mention(leaf))}
    return frozenset(found)


def entities_original(answer: Any) -> Entities:
    """Read a task's answer as the original does.

    Raises:
        OriginalCrash: where the original crashes, for example on anything but an object.
    """
    if not isinstance(answer, Mapping):
        raise OriginalCrash("the answer is not an object")
    return frozenset((name, normalise(item)) for name, mentions in answer.items() for item in opened(mentions))


def entity_counts(prediction: Entities, reference: Entities) -> EntityCounts:
    """Matches and totals of one document."""
    return EntityCounts(
        typed=set_counts(prediction, reference),
        untyped=set_counts(frozenset(m for _, m in prediction), frozenset(m for _, m in reference)),
    )


def entity_f1(total: EntityCounts, *, nothing: float = 1.0) -> EntityF1:
    """Micro-averaged scores of summed counts; ``nothing`` as in :func:`precision_recall_f1`."""
    return EntityF1(
        precision_recall_f1(total.typed, nothing=nothing), precision_recall_f1(total.untyped, nothing=nothing)
    )
