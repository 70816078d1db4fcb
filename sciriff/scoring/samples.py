"""One reply against one reference: parse, judge the outcome, take the sufficient statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sciriff.scoring.metrics.bleu import bleu_counts
from sciriff.scoring.metrics.entity_f1 import Entities, EntityCounts, entities, entities_original, entity_counts
from sciriff.scoring.metrics.original_values import OriginalCrash
from sciriff.scoring.metrics.qasper import (
    NOTHING_RIGHT,
    QasperAnswer,
    qasper_parts,
    read_answer,
    read_answer_original,
)
from sciriff.scoring.metrics.statistics import MatchCounts, Vector
from sciriff.scoring.outcome import Outcome, ParseStatus, Profile, Reason, Reply, SampleScore
from sciriff.scoring.parsing import Parsed, Shape, clean, clean_original, parse, parse_original

SampleScorer = Callable[[Reply, str, "Shape | None", Profile], SampleScore]
"""(reply, reference text, shape of the answers, profile) -> score. Never raises, whatever the texts hold."""


def score_plain_text(reply: Reply, reference: str, shape: Shape | None, profile: Profile) -> SampleScore:
    """BLEU of the texts."""
    del shape  # answers are plain text
    if reply.text is None:
        return _no_reply(ParseStatus.NOT_JSON)
    text = _cleaned(reply.text, profile)
    reason = Reason.NONE if text.strip() else Reason.EMPTY
    return _ended(reason, ParseStatus.NOT_JSON, parsed=True, vectors={"bleu": bleu_counts(text, reference)})


def score_entities(reply: Reply, reference: str, shape: Shape | None, profile: Profile) -> SampleScore:
    """Typed and untyped entity counts, and BLEU of the texts."""
    assert shape is not None
    return _score_json(reply, reference, shape, profile, _entity_vectors)


def score_qasper(reply: Reply, reference: str, shape: Shape | None, profile: Profile) -> SampleScore:
    """Token F1 of answer and evidence, and BLEU of the texts."""
    assert shape is not None
    return _score_json(reply, reference, shape, profile, _qasper_vectors)


class _NotUnderstood(Exception):  # noqa: N818 - a decision about a sample, not an error
    """The reply's value has the wrong shape for this task."""


_ToVectors = Callable[[Any, Any, Shape, Profile], Mapping[str, Vector]]
"""(value or None, reference value, shape, profile) -> vectors; a value of None is a reply that was not understood."""


def _score_json(reply: Reply, reference: str, shape: Shape, profile: Profile, to_vectors: _ToVectors) -> SampleScore:
    if reply.text is None:
        return _no_reply(ParseStatus.EXTRACT_FAILURE)
    expected = _parse(reference, shape, profile)
    if expected.status is not ParseStatus.VALID_JSON or not shape.holds(expected.value):
        return _bad_reference()
    text = _cleaned(reply.text, profile)
    parsed = _parse(text, shape, profile)
    reason = _reason(text, parsed, shape, reply, profile)
    value = parsed.value
    if profile is Profile.CORRECTED and reason is not Reason.NONE:
        value = None
    if profile is Profile.ORIGINAL and _has_lone_surrogate(text):
        reason, value = Reason.UNPARSEABLE, None
    try:
        vectors = to_vectors(value, expected.value, shape, profile)
    except (_NotUnderstood, OriginalCrash):
        reason = reason if reason is not Reason.NONE else Reason.WRONG_SHAPE
        try:
            vectors = to_vectors(None, expected.value, shape, profile)
        except OriginalCrash:
            return _bad_reference()
    in_parsed = reason is Reason.NONE if profile is Profile.CORRECTED else _kept_by_original(parsed)
    return _ended(reason, parsed.status, parsed=in_parsed, vectors={**vectors, "bleu": bleu_counts(text, reference)})


def _entity_vectors(value: Any, expected: Any, shape: Shape, profile: Profile) -> Mapping[str, Vector]:
    if profile is Profile.ORIGINAL:
        read: Callable[[Any], Entities] = entities_original
    else:
        if value and not ({str(name).strip().lower() for name in value} & {key.lower() for key in shape.keys}):
            raise _NotUnderstood

        def read(answer: Any) -> Entities:
            return entities(answer, shape.keys)

    counts = entity_counts(read(value) if value is not None else frozenset(), read(expected))
    if value is None and profile is Profile.CORRECTED:
        counts = EntityCounts(*(_as_failure(part) for part in counts))
    return {"entity_typed": counts.typed, "entity_untyped": counts.untyped}


def _as_failure(counts: MatchCounts) -> MatchCounts:
    """Where there was nothing to find, finding nothing is right; a reply that says nothing readable is not."""
    return counts if counts.expected else MatchCounts(0, 1, 0)


def _qasper_vectors(value: Any, expected: Any, shape: Shape, profile: Profile) -> Mapping[str, Vector]:
    if profile is Profile.ORIGINAL:
        prediction = QasperAnswer() if value is None else read_answer_original(value)
        return qasper_parts(prediction, read_answer_original(expected), both_empty=0.0)._asdict()
    if value is None:
        return NOTHING_RIGHT._asdict()
    if not any(key in value for key in shape.keys):
        raise _NotUnderstood
    return qasper_parts(read_answer(value), read_answer(expected))._asdict()


def _cleaned(text: str, profile: Profile) -> str:
    return clean_original(text) if profile is Profile.ORIGINAL else clean(text)


def _parse(text: str, shape: Shape, profile: Profile) -> Parsed:
    return parse_original(text, shape) if profile is Profile.ORIGINAL else parse(text, shape)


def _reason(text: str, parsed: Parsed, shape: Shape, reply: Reply, profile: Profile) -> Reason:
    """Why a reply cannot be understood, as far as its text and JSON type tell."""
    if parsed.status is ParseStatus.EXTRACT_FAILURE:
        if not text.strip():
            return Reason.EMPTY
        if reply.finish_reason == "content_filter":
            return Reason.REFUSED
        return Reason.TRUNCATED if reply.finish_reason == "length" else Reason.UNPARSEABLE
    right_type = parsed.status is not ParseStatus.NULL_JSON and shape.holds(parsed.value)
    return Reason.NONE if right_type or profile is Profile.ORIGINAL else Reason.WRONG_SHAPE


def _has_lone_surrogate(text: str) -> bool:
    """Whether a text cannot be encoded, which the original's BLEU does not survive."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _kept_by_original(parsed: Parsed) -> bool:
    return parsed.status is not ParseStatus.EXTRACT_FAILURE


def _ended(reason: Reason, status: ParseStatus, *, parsed: bool, vectors: Mapping[str, Vector]) -> SampleScore:
    outcome = Outcome.SCORED if reason is Reason.NONE else Outcome.MODEL_FAILED
    return SampleScore(outcome, reason, status, parsed, vectors)


def _bad_reference() -> SampleScore:
    return SampleScore(Outcome.SYSTEM_FAILED, Reason.BAD_REFERENCE, ParseStatus.EXTRACT_FAILURE, parsed=False)


def _no_reply(status: ParseStatus) -> SampleScore:
    return SampleScore(Outcome.SYSTEM_FAILED, Reason.NO_REPLY, status, parsed=False)
