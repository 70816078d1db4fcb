"""One reply against one reference: clean, parse, read, compare, in both profiles; then why the two differ.

Nothing raises here, whatever the texts hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from sciriff.scoring.measures import Measure, Vectors
from sciriff.scoring.metrics.bleu import bleu_counts
from sciriff.scoring.metrics.bleu_many import bleu_counts_of
from sciriff.scoring.metrics.original_values import OriginalCrash
from sciriff.scoring.metrics.statistics import BleuCounts
from sciriff.scoring.metrics.values import NotUnderstood
from sciriff.scoring.outcome import Outcome, ParseStatus, Reason, Reply, SampleScore, SampleScores
from sciriff.scoring.parsing import Parsed, Shape, clean, clean_original, parse, parse_original
from sciriff.scoring.rules import CORRECTED, OF_READING, ORIGINAL, Rule, Rules

if TYPE_CHECKING:
    from sciriff.scoring.tasks import EvalTask


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference, read once for all replies to it.

    Attributes:
        text: the reference.
        corrected: what is compared in the profile ``corrected``; None if it cannot be read.
        original: the same in the profile ``original``.
        bleu: BLEU counts that are known, by cleaned reply, see :func:`count_ahead`.
    """

    text: str
    corrected: Any
    original: Any
    bleu: dict[str, BleuCounts] = field(default_factory=dict)


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
        with suppress(OriginalCrash, RecursionError):
            return (measure.read_reference_original or measure.read_original)(parsed.value)
    return None


def count_ahead(replies: Sequence[tuple[Reply, Reference]]) -> None:
    """Take the BLEU counts of many replies at once, which is quicker, and leave them with their references."""
    references = {reference.text: reference for _, reference in replies}
    pairs = {
        (cleaner(reply.text), reference.text): None
        for reply, reference in replies
        if reply.text is not None
        for cleaner in (clean, clean_original)
    }
    for (text, reference), counts in zip(pairs, bleu_counts_of(list(pairs)), strict=True):
        references[reference].bleu[text] = counts


def score(task: EvalTask, reply: Reply, reference: Reference) -> SampleScores:
    """Score a reply in both profiles.

    To go from reference to reference, and from model to model within, is quicker than the other way round: what BLEU
    and ROUGE need of a reference is kept for the next replies.

    Args:
        task: the task.
        reply: what the model sent back.
        reference: the right answer, from :func:`prepare`.
    """
    if reply.text is None:
        status = ParseStatus.NOT_JSON if task.answer is None else ParseStatus.EXTRACT_FAILURE
        failed = SampleScore(Outcome.SYSTEM_FAILED, Reason.NO_REPLY, status, parsed=False)
        return SampleScores(failed, failed)
    asked = _Sample(task, reply.text, reply.finish_reason, reference)
    understood = _understand(CORRECTED, asked)
    corrected = _score(CORRECTED, asked, understood)
    understood_by_original = _understand(ORIGINAL, asked)
    if understood_by_original == understood and not understood.reason and not task.measure.rules:
        return SampleScores(corrected, corrected)
    original = _score(ORIGINAL, asked, understood_by_original)
    if _same(corrected, original, task):
        return SampleScores(corrected, original)
    differences = _differences(asked, understood, understood_by_original, corrected)
    return SampleScores(corrected, original, tuple(differences))


class _Sample(NamedTuple):
    """What is to be scored."""

    task: EvalTask
    reply: str
    finish_reason: str
    reference: Reference


class _Understood(NamedTuple):
    """What a profile makes of a reply, before it compares.

    Attributes:
        text: the cleaned reply.
        answer: what was read of it; None if it was not understood.
        expected: what was read of the reference; None if it cannot be read.
        reason: why it was not understood.
        status: what became of parsing it.
        in_parsed: whether the sample is in the setting ``valid_json``.
    """

    text: str
    answer: Any
    expected: Any
    reason: Reason
    status: ParseStatus
    in_parsed: bool


def _understand(rules: Rules, asked: _Sample) -> _Understood:
    reference = asked.reference
    expected = reference.corrected if Rule.VALUES in rules else reference.original
    text = clean(asked.reply) if Rule.SPECIAL_TOKENS in rules else clean_original(asked.reply)
    if asked.task.answer is not None:
        return _understand_json(rules, asked, asked.task.answer, text, expected)
    if Rule.FAILURES not in rules and _has_lone_surrogate(text):
        return _Understood("", "", expected, Reason.CRASHED, ParseStatus.NOT_JSON, in_parsed=True)
    reason = Reason.NONE if text.strip() else Reason.EMPTY
    return _Understood(text, text, expected, reason, ParseStatus.NOT_JSON, in_parsed=True)


def _understand_json(rules: Rules, asked: _Sample, shape: Shape, text: str, expected: Any) -> _Understood:
    parsed = (parse if Rule.JSON_SEARCH in rules else parse_original)(text, shape)
    reason = Reason.CRASHED if parsed.crashed else _why_not_parsed(parsed, text, asked.finish_reason)
    is_strict = Rule.FAILURES in rules
    in_parsed = parsed.status is not ParseStatus.EXTRACT_FAILURE
    if is_strict and parsed.status is ParseStatus.NULL_JSON:
        reason = Reason.WRONG_SHAPE
    elif not is_strict and _has_lone_surrogate(text):
        reason = Reason.CRASHED
    answer = None
    if not reason or (not is_strict and parsed.status is ParseStatus.EXTRACT_FAILURE):  # there the default stands in
        measure = asked.task.measure
        try:
            answer = (measure.read if Rule.VALUES in rules else measure.read_original)(parsed.value)
        except NotUnderstood:
            reason = reason or Reason.WRONG_SHAPE
        except (OriginalCrash, RecursionError):  # the original's parser lets nesting through that is too deep to read
            reason = reason or Reason.CRASHED
    if is_strict:
        in_parsed = not reason
    return _Understood(text, answer, expected, reason, parsed.status, in_parsed)


_REFUSAL = re.compile(
    r"\W*(?:(?:i['’]?m )?sorry|i apologi[sz]e|as an ai"
    r"|i (?:can(?:no|['’])t|am unable|am not able|won['’]t|will not))\b",
    re.IGNORECASE,
)


def _why_not_parsed(parsed: Parsed, text: str, finish_reason: str) -> Reason:
    if parsed.status is not ParseStatus.EXTRACT_FAILURE:
        return Reason.NONE
    if finish_reason == "content_filter":
        return Reason.REFUSED
    if not text.strip():
        return Reason.EMPTY
    if finish_reason == "length":
        return Reason.TRUNCATED
    return Reason.REFUSED if _REFUSAL.match(text) else Reason.UNPARSEABLE


def _has_lone_surrogate(text: str) -> bool:
    """Whether a text cannot be encoded, which the original's BLEU does not survive."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _score(rules: Rules, asked: _Sample, understood: _Understood) -> SampleScore:
    text, answer, expected, reason, status, in_parsed = understood
    reference = asked.reference.text
    if expected is None:
        return SampleScore(Outcome.SYSTEM_FAILED, Reason.BAD_REFERENCE, ParseStatus.EXTRACT_FAILURE, parsed=False)
    if status is ParseStatus.NOT_JSON and reason is Reason.EMPTY and Rule.EMPTY in rules and not reference.strip():
        reason = Reason.NONE
    vectors: Vectors = {
        **asked.task.measure.compare(answer, expected, rules),
        "bleu": _bleu_counts(text, asked.reference),
    }
    outcome = Outcome.MODEL_FAILED if reason else Outcome.SCORED
    return SampleScore(outcome, reason, status, in_parsed, vectors)


def _bleu_counts(text: str, reference: Reference) -> BleuCounts:
    return reference.bleu.get(text) or bleu_counts(text, reference.text)


def _same(one: SampleScore, other: SampleScore, task: EvalTask) -> bool:
    """Whether two scores count the same; the shares, which tell how replies were read, do not matter."""
    if (one.outcome, one.parsed) != (other.outcome, other.parsed):
        return False
    return one.vectors == other.vectors or all(
        one.vectors[metric] == other.vectors[metric] for metric, kind in task.metrics if kind != "share"
    )


def _differences(
    asked: _Sample, understood: _Understood, by_original: _Understood, before: SampleScore
) -> Iterator[Rule]:
    """The rules that make the difference: each is turned off in turn, after those before it."""
    if (understood.expected is None) != (by_original.expected is None):
        yield Rule.REFERENCES
        return
    rules = CORRECTED
    for rule in Rule:
        rules -= {rule}
        if rule in OF_READING:
            again = _understand_without(rule, rules, asked, understood, by_original)
            if again == understood:
                continue
            understood = again
        elif rule not in asked.task.measure.rules and rule is not Rule.EMPTY:
            continue
        after = _score(rules, asked, understood)
        if not _same(before, after, asked.task):
            yield rule
        before = after


def _understand_without(
    rule: Rule, left: Rules, asked: _Sample, understood: _Understood, by_original: _Understood
) -> _Understood:
    """The reply as understood when ``rule`` is turned off and ``left`` are left, with as little work as will do."""
    if left.isdisjoint(OF_READING):
        return by_original
    if rule is Rule.SPECIAL_TOKENS and understood.text == by_original.text:
        return understood
    if rule is Rule.FAILURES and not understood.reason and by_original.reason is not Reason.CRASHED:
        return understood
    return _understand(left, asked)
