"""Judging replies by a model: which are judged, what the judge is asked, and what becomes of what it says. Pure.

A judge rates from 1 to 5 how similar a reply is to the reference; the score is (rating - 1) / 4. A reply without an
answer is rated 1 without asking. A judge's reply that gives no rating is asked again once, and is never turned into a
score: then the judge failed, and the sample counts in no mean of ratings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from sciriff.models.requests import Answer, Prompt, Sampling
from sciriff.scoring.judge_papers import paper_of, question_of
from sciriff.scoring.judge_prompts import first_prompt, opening, second_prompt
from sciriff.scoring.judge_replies import original_decision, original_rating, points, rating_of
from sciriff.scoring.metrics.values import NotUnderstood, as_text, field, leaves
from sciriff.scoring.outcome import ParseStatus
from sciriff.scoring.parsing import Shape, clean, parse
from sciriff.scoring.tasks import EvalTask

SEED = 42
"""The original's seed of the sample that is judged."""

JUDGE_SAMPLING = Sampling(max_tokens=1024, temperature=0.0, top_p=1.0, seed=1234)
"""Greedy, so that a judgement can be repeated; the original left everything to the server."""

WORST, BEST = 1, 5


class Verdict(StrEnum):
    """How the judging of one sample ended."""

    RATED = "rated"
    """The judge gave a rating."""
    NO_ANSWER = "no_answer"
    """There is no answer to compare (or none was to be given), so the rating is known without asking."""
    JUDGE_FAILED = "judge_failed"
    """There is no rating. A failure of the pipeline, not of the model."""


@dataclass(frozen=True, slots=True)
class Case:
    """One sample that is to be judged.

    Attributes:
        instance_id, document_id: which sample.
        text: what the judge is asked; empty if it is not asked.
        rating: the rating, if it is known without asking.
        reason: why it is not asked: ``no_answer``, ``no_reply`` (of the model) or ``bad_reference``; else empty.
    """

    instance_id: str
    document_id: str
    text: str = ""
    rating: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a case.

    Attributes:
        case: the case.
        verdict: how it ended.
        rating: from 1 to 5; None if the judge failed.
        original: value from 0 to 1 that the original gives the judge's first reply; None if it leaves it out.
        reason: why there is no rating, or why it is known without asking: ``unparseable``, ``truncated``, ``refused``
            (judge's replies), ``error`` (no reply of the judge), or as :attr:`Case.reason`; else empty.
        error: what went wrong with the request, for people; else empty.
        reply: the judge's last reply; None if there is none.
        first_reply: the reply that was asked again; None if none was.
        may_change: whether asking another time may bring what is missing.
    """

    case: Case
    verdict: Verdict
    rating: int | None
    original: float | None
    reason: str = ""
    error: str = ""
    reply: str | None = None
    first_reply: str | None = None
    may_change: bool = False

    @property
    def value(self) -> float | None:
        """The score from 0 to 1; None if there is none."""
        return None if self.rating is None else points(self.rating)


@dataclass(frozen=True, slots=True)
class JudgedTask:
    """How the replies of a task are judged.

    Attributes:
        most: at most so many samples are judged by default; None for all.
        marker: word in front of the rating.
        shown: (text of the instance, text of the reference) -> variables of the prompt besides both answers.
        original: what the original makes of a judge's reply.
    """

    most: int | None
    marker: str
    shown: Callable[[str, str], dict[str, str]]
    original: Callable[[str], float | None]


def _paper(instance: str, reference: str) -> dict[str, str]:  # noqa: ARG001 - the signature of JudgedTask.shown
    return paper_of(instance)._asdict()


def _question_and_excerpts(instance: str, reference: str) -> dict[str, str]:
    answer = parse(reference, _OBJECT).value
    evidence = field(answer, "evidence") if isinstance(answer, dict) else None
    return {**question_of(instance)._asdict(), "excerpts": "\n".join(map(as_text, leaves(evidence)))}


_OBJECT = Shape("object", default="{}")

JUDGED_TASKS: Mapping[str, JudgedTask] = {
    "mup_single_document_summarization": JudgedTask(100, "Decision", _paper, original_decision),
    "qasper_abstractive_qa": JudgedTask(None, "Rating", _question_and_excerpts, original_rating),
}


def sampled(samples: int, most: int | None, seed: int = SEED) -> list[int]:
    """Places of the samples that are judged, in order: the original's draw.

    Args:
        samples: how many there are.
        most: how many are judged, at most; None for all.
        seed: of the draw.
    """
    if most is None or most >= samples:
        return list(range(samples))
    return sorted(Random(seed).sample(range(samples), most))


def make_case(task: EvalTask, prediction: Mapping[str, Any]) -> Case:
    """What is to be judged in one line of a predictions artifact."""
    ids = prediction["instance_id"], prediction.get("document_id") or prediction["instance_id"]
    if prediction["reply"] is None:
        return Case(*ids, reason="no_reply")
    try:
        expected = _answer(task, prediction["reference"])
    except NotUnderstood:
        return Case(*ids, reason="bad_reference")
    with suppress(NotUnderstood):
        candidate = _answer(task, clean(prediction["reply"]))
        if candidate is not None and expected is not None:
            shown = JUDGED_TASKS[task.name].shown(_instance(prediction), prediction["reference"])
            return Case(*ids, opening(task.name, {**shown, "reference": expected, "candidate": candidate}))
        return Case(*ids, rating=BEST if candidate is expected else WORST, reason="no_answer")
    return Case(*ids, rating=WORST, reason="no_answer")


def _instance(prediction: Mapping[str, Any]) -> str:
    return str(prediction.get("input") or prediction["prompt"])


def _answer(task: EvalTask, text: str) -> str | None:
    """The answer in a reply or reference; None if it gives none.

    Raises:
        NotUnderstood: if it is not what the task asks for.
    """
    if task.answer is None:
        return text.strip() or None
    parsed = parse(text, task.answer)
    if parsed.status in (ParseStatus.EXTRACT_FAILURE, ParseStatus.NULL_JSON):
        raise NotUnderstood
    answer: str | None = task.measure.read(parsed.value).answer
    return (answer or "").strip() or None


def first_question(case: Case) -> Prompt | None:
    """What the judge is asked first; None if it is not asked."""
    return first_prompt(case.text) if case.text else None


def second_question(task: EvalTask, case: Case, first: Answer | None) -> Prompt | None:
    """What it is asked if its first reply gives no rating; None if it does, or there is none."""
    if first is None or first.text is None or rating_of(first.text) is not None:
        return None
    return second_prompt(case.text, first.text, JUDGED_TASKS[task.name].marker)


def conclude(task: EvalTask, case: Case, first: Answer | None, second: Answer | None) -> Judgement:
    """Say what became of a case.

    Args:
        task: the task.
        case: the case.
        first: the judge's answer to :func:`first_question`; None if there is none.
        second: its answer to :func:`second_question`; None if there is none.
    """
    if case.rating is not None:
        return Judgement(case, Verdict.NO_ANSWER, case.rating, points(case.rating), case.reason)
    if not case.text:
        return Judgement(case, Verdict.JUDGE_FAILED, None, None, case.reason)
    if first is None or first.text is None:
        return _failed(case, None, first)
    original = JUDGED_TASKS[task.name].original(first.text)
    if (rating := rating_of(first.text)) is not None:
        return Judgement(case, Verdict.RATED, rating, original, reply=first.text)
    if second is None or second.text is None:
        return _failed(case, original, second, first.text)
    rating = rating_of(second.text)
    verdict = Verdict.JUDGE_FAILED if rating is None else Verdict.RATED
    reason = "" if rating is not None else _why_unrated(second)
    return Judgement(case, verdict, rating, original, reason, reply=second.text, first_reply=first.text)


def _failed(case: Case, original: float | None, answer: Answer | None, first_reply: str | None = None) -> Judgement:
    error = answer.error if answer is not None else "the judge was not asked"
    may_change = answer is None or not answer.final
    return Judgement(
        case, Verdict.JUDGE_FAILED, None, original, "error", error, first_reply=first_reply, may_change=may_change
    )


def _why_unrated(answer: Answer) -> str:
    return {"length": "truncated", "content_filter": "refused"}.get(answer.finish_reason or "", "unparseable")


def bounds(values: Sequence[float | None]) -> tuple[float, float] | None:
    """The mean of all values if those missing were all 0, and if they were all 1; None of no values."""
    if not values:
        return None
    known, missing = sum(value for value in values if value is not None), values.count(None)
    return known / len(values), (known + missing) / len(values)
