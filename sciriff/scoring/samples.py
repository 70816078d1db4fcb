"""One reply against one reference: clean, parse, read, compare, in both profiles; then why the two differ.

Nothing raises here, whatever the texts hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sciriff.scoring.measures import Measure, Vectors
from sciriff.scoring.metrics.bleu import bleu_counts
from sciriff.scoring.metrics.original_values import OriginalCrash
from sciriff.scoring.metrics.values import NotUnderstood
from sciriff.scoring.outcome import Outcome, ParseStatus, Reason, Reply, SampleScore, SampleScores
from sciriff.scoring.parsing import Parsed, Shape, clean, clean_original, parse, parse_original
from sciriff.scoring.rules import CORRECTED, ORIGINAL, Rule, Rules

if TYPE_CHECKING:
    from sciriff.scoring.tasks import EvalTask


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference, read once for all replies to it.

    Attributes:
        text: the reference.
        corrected: what is compared in the profile ``corrected``; None if it cannot be read.
        original: the same in the profile ``original``.
    """

    text: str
    corrected: Any
    original: Any

    def under(self, rules: Rules) -> Any:
        """What is compared under some rules; None if the reference cannot be read."""
        return self.corrected if Rule.VALUES in rules else self.original


def prepare(task: EvalTask, text: str) -> Reference:
    """Read a reference. References are taken as they are: only a whole JSON value of the right type will do."""
    if task.answer is None:
        return Reference(text, text, text)
    return Reference(
        text, _reference(task.measure, task.answer, text), _reference_original(task.measure, task.answer, text)
    )


def _reference(measure: Measure, shape: Shape, text: str) -> Any:
    parsed = parse(text, shape)
    if parsed.status is ParseStatus.VALID_JSON:
        with suppress(NotUnderstood):
            answer = measure.read(parsed.value)
            return answer if measure.is_complete(answer) else None
    return None


def _reference_original(measure: Measure, shape: Shape, text: str) -> Any:
    parsed = parse_original(text, shape)
    if parsed.status is ParseStatus.VALID_JSON and shape.holds(parsed.value):
        with suppress(OriginalCrash):
            return (measure.read_reference_original or measure.read_original)(parsed.value)
    return None


def score(task: EvalTask, reply: Reply, reference: Reference) -> SampleScores:
    """Score a reply in both profiles.

    To go from reference to reference, and from model to model within, is quicker than the other way round: what BLEU
    and ROUGE need of a reference is kept for the next replies.

    Args:
        task: the task.
        reply: what the model sent back.
        reference: the right answer, from :func:`prepare`.
    """
    corrected = score_under(CORRECTED, task, reply, reference)
    original = score_under(ORIGINAL, task, reply, reference)
    if _same(corrected, original, task):
        return SampleScores(corrected, original)
    return SampleScores(corrected, original, tuple(_differences(task, reply, reference, corrected)))


def score_under(rules: Rules, task: EvalTask, reply: Reply, reference: Reference) -> SampleScore:
    """Score a reply under some rules; arguments as of :func:`score`."""
    if reply.text is None:
        status = ParseStatus.NOT_JSON if task.answer is None else ParseStatus.EXTRACT_FAILURE
        return SampleScore(Outcome.SYSTEM_FAILED, Reason.NO_REPLY, status, parsed=False)
    expected = reference.under(rules)
    if expected is None:
        return SampleScore(Outcome.SYSTEM_FAILED, Reason.BAD_REFERENCE, ParseStatus.EXTRACT_FAILURE, parsed=False)
    text = clean(reply.text) if Rule.SPECIAL_TOKENS in rules else clean_original(reply.text)
    if task.answer is None:
        return _score_text(rules, task, text, reference)
    answer, reason, status = _understand(rules, task, task.answer, text, reply)
    vectors = task.measure.compare(answer, expected, rules)
    in_parsed = reason is Reason.NONE if Rule.FAILURES in rules else status is not ParseStatus.EXTRACT_FAILURE
    return _ended(reason, status, {**vectors, "bleu": bleu_counts(text, reference.text)}, parsed=in_parsed)


def _score_text(rules: Rules, task: EvalTask, text: str, reference: Reference) -> SampleScore:
    reason = Reason.NONE
    if Rule.FAILURES not in rules and _has_lone_surrogate(text):
        reason, text = Reason.CRASHED, ""
    elif not text.strip() and (reference.text.strip() or Rule.EMPTY not in rules):
        reason = Reason.EMPTY
    vectors = {**task.measure.compare(text, reference.text, rules), "bleu": bleu_counts(text, reference.text)}
    return _ended(reason, ParseStatus.NOT_JSON, vectors, parsed=True)


class _Understood(NamedTuple):
    """What was read of a reply (None if nothing), why it was not understood, and what became of parsing it."""

    answer: Any
    reason: Reason
    status: ParseStatus


def _understand(rules: Rules, task: EvalTask, shape: Shape, text: str, reply: Reply) -> _Understood:
    parsed = (parse if Rule.JSON_SEARCH in rules else parse_original)(text, shape)
    reason = Reason.CRASHED if parsed.crashed else _why_not_parsed(parsed, text, reply)
    if Rule.FAILURES in rules:
        if parsed.status is ParseStatus.NULL_JSON:
            reason = Reason.WRONG_SHAPE
        if reason is not Reason.NONE:
            return _Understood(None, reason, parsed.status)
    elif _has_lone_surrogate(text):
        return _Understood(None, Reason.CRASHED, parsed.status)
    try:
        read = task.measure.read if Rule.VALUES in rules else task.measure.read_original
        return _Understood(read(parsed.value), reason, parsed.status)
    except NotUnderstood:
        return _Understood(None, reason or Reason.WRONG_SHAPE, parsed.status)
    except OriginalCrash:
        return _Understood(None, reason or Reason.CRASHED, parsed.status)


_REFUSAL = re.compile(
    r"\W*(?:(?:i['’]?m )?sorry|i apologi[sz]e|as an ai"
    r"|i (?:can(?:no|['’])t|am unable|am not able|won['’]t|will not))\b",
    re.IGNORECASE,
)


def _why_not_parsed(parsed: Parsed, text: str, reply: Reply) -> Reason:
    if parsed.status is not ParseStatus.EXTRACT_FAILURE:
        return Reason.NONE
    if reply.finish_reason == "content_filter":
        return Reason.REFUSED
    if not text.strip():
        return Reason.EMPTY
    if reply.finish_reason == "length":
        return Reason.TRUNCATED
    return Reason.REFUSED if _REFUSAL.match(text) else Reason.UNPARSEABLE


def _has_lone_surrogate(text: str) -> bool:
    """Whether a text cannot be encoded, which the original's BLEU does not survive."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _ended(reason: Reason, status: ParseStatus, vectors: Vectors, *, parsed: bool) -> SampleScore:
    outcome = Outcome.SCORED if reason is Reason.NONE else Outcome.MODEL_FAILED
    return SampleScore(outcome, reason, status, parsed, vectors)


def _same(one: SampleScore, other: SampleScore, task: EvalTask) -> bool:
    """Whether two scores count the same; the shares, which tell how replies were read, do not matter."""
    if (one.outcome, one.parsed) != (other.outcome, other.parsed):
        return False
    return one.vectors == other.vectors or all(
        one.vectors[metric] == other.vectors[metric] for metric, kind in task.metrics if kind != "share"
    )


def _differences(task: EvalTask, reply: Reply, reference: Reference, corrected: SampleScore) -> Iterator[Rule]:
    """The rules that make the difference: each is turned off in turn, after those before it."""
    if (reference.corrected is None) != (reference.original is None):
        yield Rule.REFERENCES
        return
    before, rules = corrected, CORRECTED
    for rule in Rule:
        rules -= {rule}
        if rule in task.measure.rules:
            after = score_under(rules, task, reply, reference)
            if not _same(before, after, task):
                yield rule
            before = after
