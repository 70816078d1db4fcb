"""SciFact: F1 of verdicts other than NEI, of evidence sentences and of their tokens, micro-averaged.

The three are scored independently of each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from sciriff.scoring.metrics.original_values import OriginalCrash, opened
from sciriff.scoring.metrics.statistics import MatchCounts, MeanParts, set_counts
from sciriff.scoring.metrics.token_f1 import common_tokens, token_counts
from sciriff.scoring.metrics.values import NotUnderstood, as_text, field, has_any, leaves, normalise_mention

NOT_ENOUGH_INFORMATION = "NEI"


class Claim(NamedTuple):
    """An answer on a claim.

    Attributes:
        verdict: the label; None if there is none. The original puts NEI in its place, and keeps values of any type.
        sentences: the different evidence sentences, normalised.
        tokens: tokens of the evidence.
        has_evidence: whether there is evidence, if only an empty list.
        is_object: whether it is an object at all. The original passes over anything else, with its reference.
        has_verdict: whether the verdict was given.
    """

    verdict: Any = None
    sentences: frozenset[str] = frozenset()
    tokens: Mapping[str, int] = MappingProxyType({})
    has_evidence: bool = False
    is_object: bool = True
    has_verdict: bool = False


class ClaimParts(NamedTuple):
    """Statistics of one sample.

    Attributes:
        label: verdicts other than NEI.
        evidence_sentences, evidence_tokens: the evidence.
        verdict_parsed, evidence_parsed: share of answers that have this part.
        not_object: share of replies that are no object.
    """

    label: MatchCounts
    evidence_sentences: MatchCounts
    evidence_tokens: MatchCounts
    verdict_parsed: MeanParts
    evidence_parsed: MeanParts
    not_object: MeanParts


def read_claim(value: Any) -> Claim:
    """Read an answer: labels and keys without regard to case, evidence by its text, a single sentence as a list of one.

    Raises:
        NotUnderstood: if it is no object, or has neither a verdict nor evidence.
    """
    if not isinstance(value, dict) or not has_any(value, ("verdict", "evidence")):
        raise NotUnderstood
    verdict, evidence = field(value, "verdict"), field(value, "evidence")
    label = as_text(verdict).strip().upper() or None
    sentences = list(filter(None, dict.fromkeys(map(normalise_mention, leaves(evidence)))))
    tokens = token_counts(" ".join(sentences))
    return Claim(label, frozenset(sentences), tokens, evidence is not None, has_verdict=label is not None)


def read_claim_original(value: Any) -> Claim:
    """Read an answer as the original does.

    Raises:
        OriginalCrash: if the evidence holds anything but strings.
    """
    if not isinstance(value, dict):
        return Claim(is_object=False)
    verdict, evidence = value.get("verdict"), value.get("evidence")
    sentences = list(opened(evidence)) if evidence is not None else []
    if not all(isinstance(sentence, str) for sentence in sentences):
        raise OriginalCrash("only strings can be stripped")
    return Claim(
        NOT_ENOUGH_INFORMATION if verdict is None else verdict,
        frozenset(sentence.strip().lower() for sentence in sentences),
        token_counts(" ".join(sentences)),
        evidence is not None,
        has_verdict=verdict is not None,
    )


def claim_parts(prediction: Claim, reference: Claim) -> ClaimParts:
    """Statistics of one sample. A missing verdict is wrong, whatever the right one is."""
    if not prediction.is_object:
        none, nothing = MatchCounts(), MeanParts()
        return ClaimParts(none, none, none, nothing, nothing, MeanParts(1.0, 1))
    return ClaimParts(
        label=_label_counts(prediction, reference),
        evidence_sentences=set_counts(prediction.sentences, reference.sentences),
        evidence_tokens=MatchCounts(
            common_tokens(prediction.tokens, reference.tokens),
            sum(prediction.tokens.values()),
            sum(reference.tokens.values()),
        ),
        verdict_parsed=MeanParts(float(prediction.has_verdict), 1),
        evidence_parsed=MeanParts(float(prediction.has_evidence), 1),
        not_object=MeanParts(0.0, 1),
    )


def _label_counts(prediction: Claim, reference: Claim) -> MatchCounts:
    expected = reference.verdict != NOT_ENOUGH_INFORMATION
    if prediction.verdict is None:
        return MatchCounts(0, 0, 1) if expected else MatchCounts(0, 1, 0)
    predicted = prediction.verdict != NOT_ENOUGH_INFORMATION
    return MatchCounts(int(expected and prediction.verdict == reference.verdict), int(predicted), int(expected))
