"""Which instance each prediction answers, and what that shows: repeated ones, wrong references. Pure functions."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from sciriff.results.existing.given import Given, NoPredictionError, read_given
from sciriff.results.existing.lines import Bad, Line

Instance = Mapping[str, Any]
"""With ``_instance_id``, ``input``, ``output``, and ``_document_id`` where it is known."""


class Naming(StrEnum):
    """How an instance id was found."""

    GIVEN = "given"
    """The file says it."""
    MATCHED = "matched"
    """The text of a known instance stands in the prompt."""
    NUMBERED = "numbered"
    """Nothing says it: the id is the number of the line."""


@dataclass(frozen=True)
class Identified:
    """The predictions of one file for one task.

    Attributes:
        lines: as :mod:`sciriff.models.predictions` keeps them, without the model; in the file's order.
        naming: how instance ids were found -> how often.
        bad: what is no prediction.
        repeated: lines that answer an instance again; the first answer counts.
        other_filters: harness filter that does not count -> how many lines it has.
        differing: ids of instances whose reference is not that of the known instance; the file's own counts.
        known: how many instances of the task are known.
        answered: how many of these the lines answer.
    """

    lines: tuple[Mapping[str, Any], ...]
    naming: Mapping[Naming, int]
    bad: tuple[Bad, ...]
    repeated: tuple[int, ...]
    other_filters: Mapping[str, int]
    differing: tuple[str, ...]
    known: int
    answered: int


def identify(values: Iterable[Line | Bad], task: str, instances: Sequence[Instance] = ()) -> Identified:
    """Read predictions and say which instances they answer.

    Args:
        values: what a file holds.
        task: the task of the file.
        instances: the known instances of the task; empty if none are known.
    """
    bad: list[Bad] = []
    answers, other_filters = _one_filter(list(_answers(values, bad)))
    reading = _Reading(task, {str(instance["_instance_id"]): instance for instance in instances}, bad)
    matcher = _Matcher(instances)
    for answer in answers:
        reading.take(answer, *_identity(answer, task, matcher))
    return Identified(
        lines=tuple(reading.lines),
        naming=reading.naming,
        bad=tuple(sorted(bad)),
        repeated=tuple(reading.repeated),
        other_filters=other_filters,
        differing=tuple(reading.differing),
        known=len(reading.known),
        answered=sum(line["instance_id"] in reading.known for line in reading.lines),
    )


class _Answer(NamedTuple):
    """A prediction and the line it begins at."""

    number: int
    given: Given


@dataclass
class _Reading:
    """What was read so far of a file; fields as of :class:`Identified`."""

    task: str
    known: Mapping[str, Instance]
    bad: list[Bad]
    lines: list[Mapping[str, Any]] = field(default_factory=list)
    naming: Counter[Naming] = field(default_factory=Counter)
    repeated: list[int] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    questions: dict[str, list[tuple[str, str | None]]] = field(default_factory=lambda: defaultdict(list))

    def take(self, answer: _Answer, instance_id: str, how: Naming) -> None:
        """Take in one prediction. Different questions of one id are told apart by ``#2``, ``#3`` and so on."""
        given = answer.given
        earlier = self.questions[instance_id]
        name = f"{instance_id}#{len(earlier) + 1}" if earlier else instance_id
        instance = self.known.get(name)
        question = (given.input or given.prompt, given.reference)
        if question in earlier:
            self.repeated.append(answer.number)
        elif problem := _problem(given, instance_id, how, self.task, instance):
            self.bad.append(Bad(answer.number, problem))
        else:
            earlier.append(question)
            line = _line(given, name, instance)
            if instance is not None and not _same_answer(line["reference"], str(instance["output"])):
                self.differing.append(name)
            self.naming[how] += 1
            self.lines.append(line)


def _answers(values: Iterable[Line | Bad], bad: list[Bad]) -> Iterator[_Answer]:
    for value in values:
        if isinstance(value, Bad):
            bad.append(value)
            continue
        try:
            yield _Answer(value.number, read_given(value.value))
        except NoPredictionError as error:
            bad.append(Bad(value.number, str(error)))


def _one_filter(answers: Sequence[_Answer]) -> tuple[list[_Answer], dict[str, int]]:
    """Of a reply that the harness cut in several ways, the way that counts: ``none``, else the first."""
    filters = list(dict.fromkeys(answer.given.filter for answer in answers if answer.given.filter))
    counting = "none" if "none" in filters else next(iter(filters), "")
    others = Counter(answer.given.filter for answer in answers if answer.given.filter not in ("", counting))
    return [answer for answer in answers if answer.given.filter in ("", counting)], dict(others)


def _identity(answer: _Answer, task: str, matcher: _Matcher) -> tuple[str, Naming]:
    if answer.given.instance_id:
        return answer.given.instance_id, Naming.GIVEN
    if matched := matcher.match(answer.given):
        return matched, Naming.MATCHED
    return f"{task}:line:{answer.number}", Naming.NUMBERED


def _problem(given: Given, instance_id: str, how: Naming, task: str, instance: Instance | None) -> str:
    """Why a prediction cannot be scored; empty if it can."""
    if how is Naming.GIVEN and ":" in instance_id and instance_id.partition(":")[0] != task:
        return f"it answers {instance_id}, which is no instance of {task}"
    if given.reference is None and instance is None:
        return "no reference, and no known instance that has one"
    return ""


def _line(given: Given, instance_id: str, instance: Instance | None) -> dict[str, Any]:
    known = instance or {}
    text = given.input if given.input is not None else known.get("input")
    prompt = given.prompt or text or ""
    document_id = given.document_id or known.get("_document_id")
    return {
        "instance_id": instance_id,
        "prompt": prompt,
        "reply": given.reply,
        "reference": given.reference if given.reference is not None else known.get("output"),
        "finish_reason": given.finish_reason,
        **({"document_id": document_id} if document_id else {}),
        **({"input": text} if text is not None and text != prompt else {}),
    }


def _same_answer(one: str, other: str) -> bool:
    """Whether two references say the same, however they are laid out."""
    if one.strip() == other.strip():
        return True
    try:
        return bool(json.loads(one) == json.loads(other))
    except (ValueError, RecursionError):
        return False


_TAIL = 60
_LONGEST_WRAPPER = 200
"""Most characters that a chat format puts behind the text of an instance."""


class _Text(NamedTuple):
    """A known instance."""

    instance_id: str
    input: str
    output: str


class _Matcher:
    """Finds instances by their text: the prompt ends with it, but for what a chat format puts behind it.

    Worked examples come before the question, so they do not matter.
    """

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._by_tail: dict[str, list[_Text]] = defaultdict(list)
        for each in instances:
            text = str(each["input"]).strip()
            if text:
                known = _Text(str(each["_instance_id"]), text, str(each["output"]).strip())
                self._by_tail[text[-_TAIL:]].append(known)
        self._tails = sorted({len(tail) for tail in self._by_tail}, reverse=True)

    def match(self, given: Given) -> str | None:
        """The instance that a prediction answers; None if none is found."""
        reference = (given.reference or "").strip()
        found = self._ending((given.input or given.prompt).strip())
        right = [text for text in found if text.output == reference]
        return (right or found)[0].instance_id if found else None

    def _ending(self, prompt: str) -> list[_Text]:
        """Instances whose text stands last in a prompt."""
        for end in range(len(prompt), max(0, len(prompt) - _LONGEST_WRAPPER), -1):
            near = (text for tail in self._tails for text in self._by_tail.get(prompt[max(0, end - tail) : end], ()))
            if there := [text for text in near if prompt.endswith(text.input, 0, end)]:
                longest = max(len(text.input) for text in there)
                return [text for text in there if len(text.input) == longest]
        return []
