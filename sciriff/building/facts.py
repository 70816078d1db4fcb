"""Facts about one instance, as validation needs them: sizes, whether the output has its promised form, what is amiss.

Computed by the workers right after rendering, so that validation never reads a text again. What to look for stands in
the task's expectation suite, under ``meta.sciriff`` (see :class:`CheckSpec`).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple

import fastjsonschema
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sciriff.errors import TaskFileError
from sciriff.tasks.rendering import Fidelity, Rendered

Output = Literal["json", "jsonlines", "label", "text"]
Shape = Literal[
    "plain",
    "list",
    "mentions",
    "entities",
    "relations",
    "triples",
    "groups",
    "findings",
    "events",
    "cells",
    "evidence",
    "verdict",
    "spans",
    "answer",
]

_LONGEST_GAP = 100  # characters between two pieces of one mention


class CheckSpec(BaseModel):
    """``meta.sciriff`` of an expectation suite: what the outputs of the task promise.

    Attributes:
        output: ``json``: one JSON document; ``jsonlines``: one in each line; ``label``: one of ``labels``; ``text``.
        form: JSON Schema (draft 7, key ``schema``) of the document, or of each line. Leave the closed sets of label
            names to ``labels``, so that a wrong label and a wrong form are told apart.
        shape: where in the output labels and verbatim strings stand:
            ``list``: array of labels.
            ``mentions``: array of verbatim strings.
            ``entities``: object type -> mentions; types are labels, mentions are verbatim.
            ``relations``: array of ``[entity, entity, label]``; entities are verbatim.
            ``triples``: array of ``[entity, label, entity]``; entities are verbatim.
            ``groups``: array of ``[entity, ..., entity, label]``; entities are verbatim.
            ``findings``: array of ``[intervention, comparator, outcome, label, evidence]``; its texts are free.
            ``events``: array of ``{trigger, arguments: [[text, role]]}``; roles are labels, the rest is verbatim.
            ``cells``: objects with ``type`` (a label) and ``value`` (verbatim).
            ``evidence``: object with ``evidence``, an array of verbatim strings; numbers in it point at sentences.
            ``verdict``: object with ``verdict`` (a label), and ``evidence`` as above.
            ``spans``: object with ``answer`` and ``evidence``, arrays of verbatim strings.
            ``answer``: the whole output is verbatim.
            ``plain``: nothing is.
        labels: the label names allowed.
        discontinuous: verbatim strings may be in pieces, joined by one space: their words need only occur in order and
            near each other.

    Under fidelity ``original``, the keys of ``meta.sciriff.original`` take the place of those beside it: what the
    original's defects break cannot be promised.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: Output
    form: dict[str, Any] = Field(default_factory=dict, alias="schema")
    shape: Shape = "plain"
    labels: tuple[str, ...] = ()
    discontinuous: bool = False


class InstanceFacts(NamedTuple):
    """What validation knows of one instance.

    Attributes:
        instance_id: ``_instance_id``.
        template_id: ``_template_id``.
        total_tokens: tokens of input plus output.
        input_chars, output_chars: sizes in characters.
        output_conforms: whether the output parses and has the promised form.
        unknown_labels: labels in the output that are not in the task's set.
        mentions: strings of the output that should occur verbatim in the input.
        mentions_missing: how many of them do not (runs of white space count as one space).
        problem: what is amiss, for messages; empty if nothing is.
    """

    instance_id: str
    template_id: int
    total_tokens: int
    input_chars: int
    output_chars: int
    output_conforms: bool
    unknown_labels: int
    mentions: int
    mentions_missing: int
    problem: str


class Checks:
    """The checks of one suite, compiled; made by :func:`compile_checks`."""

    def __init__(self, spec: CheckSpec) -> None:
        self._parse = _PARSERS[spec.output]
        self._check_form: Callable[[Any], Any] = fastjsonschema.compile(spec.form)
        self._shape = spec.output if spec.output == "label" else spec.shape
        self._labels_of, self._mentions_of = _SHAPES[self._shape]
        self._labels = frozenset(spec.labels)
        self._discontinuous = spec.discontinuous

    def facts(self, rendered: Rendered, *, instance_id: str, template_id: int, tokens: int) -> InstanceFacts:
        """Look at one instance. Never raises: what is wrong becomes a fact.

        Args:
            rendered: its input and output.
            instance_id: its ``_instance_id``.
            template_id: its ``_template_id``.
            tokens: tokens of input plus output.
        """
        unknown: list[str] = []
        mentions: list[str] = []
        missing: list[str] = []
        conforms, problem = True, ""
        try:
            documents = self._parse(rendered.output)
            for document in documents:
                self._check_form(document)
                unknown += [label for label in self._labels_of(document) if label not in self._labels]
                mentions += self._mentions_of(document)
            missing = _missing(mentions, rendered.input, self._discontinuous)
        except (orjson.JSONDecodeError, fastjsonschema.JsonSchemaValueException) as error:
            conforms, problem = False, f"output: {error}"
        except (AttributeError, LookupError, TypeError, ValueError):
            conforms, problem = False, f"output: is not of the shape {self._shape!r}"
        else:
            if unknown:
                problem = f"unknown label {_shortened(unknown[0])!r}"
            elif missing:
                problem = f"not in the input: {_shortened(missing[0])!r}"
        return InstanceFacts(
            instance_id=instance_id,
            template_id=template_id,
            total_tokens=tokens,
            input_chars=len(rendered.input),
            output_chars=len(rendered.output),
            output_conforms=conforms,
            unknown_labels=len(unknown),
            mentions=len(mentions),
            mentions_missing=len(missing),
            problem=problem,
        )

    def label_counts(self, output: str) -> Counter[str]:
        """How often each label occurs in an output: mentions of a type, relations of a kind, the label that it is.

        A type without mentions counts 0. An output of another form than promised has no labels.
        """
        try:
            documents = self._parse(output)
            if self._shape == "entities":
                return Counter({kind: len(mentions) for document in documents for kind, mentions in document.items()})
            return Counter(label for document in documents for label in self._labels_of(document))
        except (orjson.JSONDecodeError, AttributeError, LookupError, TypeError, ValueError):
            return Counter()


def compile_checks(suite: Mapping[str, Any], fidelity: Fidelity = "corrected") -> Checks:
    """Compile the checks that an expectation suite describes under ``meta.sciriff``.

    Args:
        suite: the suite.
        fidelity: what the outputs are built with, see :class:`CheckSpec`.

    Raises:
        TaskFileError: if the description is missing or wrong; names the suite and the key.
    """
    name = suite.get("name", "?")
    meta = suite.get("meta") or {}
    if "sciriff" not in meta:
        raise TaskFileError(f"expectation suite {name}: meta.sciriff is missing; it says what the outputs look like")
    promise = dict(meta["sciriff"])
    original = promise.pop("original", {})
    try:
        return Checks(CheckSpec.model_validate(promise | original if fidelity == "original" else promise))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(["meta.sciriff", *(str(part) for part in first["loc"])])
        raise TaskFileError(f"expectation suite {name}: {key}: {first['msg']}, found {first['input']!r}") from None
    except fastjsonschema.JsonSchemaDefinitionException as error:
        raise TaskFileError(f"expectation suite {name}: meta.sciriff.schema is not a JSON Schema: {error}") from error


def _missing(mentions: list[str], text: str, discontinuous: bool) -> list[str]:
    missing = []
    at = 0
    for mention in mentions:  # mostly in the order of the text
        found = text.find(mention, at)
        if found < 0:
            found = text.find(mention)
        if found < 0:
            missing.append(mention)
        else:
            at = found
    if missing:
        flat = " ".join(text.split())
        missing = [mention for mention in missing if " ".join(mention.split()) not in flat]
        if discontinuous:
            missing = [mention for mention in missing if not _occurs_in_pieces(mention, flat)]
    return missing


def _occurs_in_pieces(mention: str, flat: str) -> bool:
    """Whether the words of a mention occur in order, each at most the longest gap behind the one before it.

    All places that a word can have are carried on to the next word: trying them one after the other, as a regular
    expression would, takes exponential time on long mentions with small words.
    """
    ends: list[int] | None = None  # where the word before can end, ascending
    for word in mention.split():
        places = [found.start() for found in re.finditer(f"(?={re.escape(word)})", flat)]
        ends = [place + len(word) for place in places if ends is None or _follows(place, ends)]
    return bool(ends)


def _follows(place: int, ends: list[int]) -> bool:
    nearest = bisect_left(ends, place) - 1
    return nearest >= 0 and place - ends[nearest] <= _LONGEST_GAP


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _json_lines(text: str) -> list[Any]:
    # str.splitlines also cuts at U+2028 and its like, as readers of the original's files do
    return [orjson.loads(line) for line in text.splitlines()]


_PARSERS: Mapping[Output, Callable[[str], list[Any]]] = {
    "json": lambda text: [orjson.loads(text)],
    "jsonlines": _json_lines,
    "label": lambda text: [text],
    "text": lambda text: [text],
}


def _none(_document: Any) -> tuple[str, ...]:
    return ()


def _each(document: list[list[str]], positions: tuple[int, ...]) -> list[str]:
    return [item[position] for item in document for position in positions]


def _event_roles(document: list[dict[str, Any]]) -> list[str]:
    return [role for event in document for _, role in event["arguments"]]


def _event_texts(document: list[dict[str, Any]]) -> list[str]:
    return [
        text for event in document for text in (event["trigger"], *(argument[0] for argument in event["arguments"]))
    ]


def _strings(items: list[Any]) -> list[str]:
    return [item for item in items if not isinstance(item, int)]


_Finder = Callable[[Any], Any]
_SHAPES: Mapping[str, tuple[_Finder, _Finder]] = {
    "plain": (_none, _none),
    "label": (lambda document: [document], _none),
    "list": (list, _none),
    "mentions": (_none, list),
    "entities": (list, lambda document: [mention for mentions in document.values() for mention in mentions]),
    "relations": (partial(_each, positions=(2,)), partial(_each, positions=(0, 1))),
    "triples": (partial(_each, positions=(1,)), partial(_each, positions=(0, 2))),
    "groups": (partial(_each, positions=(-1,)), lambda document: [name for *names, _ in document for name in names]),
    "findings": (partial(_each, positions=(3,)), _none),
    "events": (_event_roles, _event_texts),
    "cells": (lambda document: [document["type"]], lambda document: [document["value"]]),
    "evidence": (_none, lambda document: _strings(document["evidence"]) if document is not None else ()),
    "verdict": (lambda document: [document["verdict"]], lambda document: _strings(document["evidence"])),
    "spans": (_none, lambda document: [*document["answer"], *document["evidence"]] if document is not None else ()),
    "answer": (_none, lambda document: [document]),
}
