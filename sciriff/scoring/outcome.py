"""How one sample ended, and its sufficient statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sciriff.scoring.metrics.statistics import Vector
from sciriff.scoring.rules import Rule


class Profile(StrEnum):
    """``original`` reproduces the original SciRIFF scorers, ``corrected`` repairs their defects."""

    CORRECTED = "corrected"
    ORIGINAL = "original"


class Outcome(StrEnum):
    """The one class that every sample ends in."""

    SCORED = "scored"
    """The reply was understood; its score says how right it is."""
    MODEL_FAILED = "model_failed"
    """The reply cannot be understood. It stays in every denominator, as an answer with nothing right."""
    SYSTEM_FAILED = "system_failed"
    """The pipeline failed: no reply, or a reference that cannot be read. It is counted, and is in no denominator."""


class Reason(StrEnum):
    """Why a sample was not scored; ``NONE`` for scored samples."""

    NONE = ""
    EMPTY = "empty"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    UNPARSEABLE = "unparseable"
    WRONG_SHAPE = "wrong_shape"
    NO_REPLY = "no_reply"
    BAD_REFERENCE = "bad_reference"
    CRASHED = "crashed"
    """The original scorer raises on this reply (profile ``original`` only)."""


class ParseStatus(StrEnum):
    """What became of parsing a reply as JSON."""

    VALID_JSON = "valid_json"
    """The whole reply is JSON, of whatever type."""
    NULL_JSON = "null_json"
    """The whole reply is JSON null, or the string "null"."""
    EXTRACT_SUCCESS = "extract_success"
    """A JSON value was found inside other text."""
    EXTRACT_FAILURE = "extract_failure"
    NOT_JSON = "not_json"
    """The task's answers are plain text; nothing is parsed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model sent back.

    Attributes:
        text: the reply; None if there is none (the request failed).
        finish_reason: ``stop``, ``length`` (cut off at the token limit) or ``content_filter``, as the OpenAI API names
            them.
    """

    text: str | None
    finish_reason: str = "stop"


@dataclass(frozen=True, slots=True)
class SampleScore:
    """The score of one sample in one profile.

    Attributes:
        outcome: the class the sample ends in.
        reason: why it was not scored.
        status: what became of parsing the reply.
        parsed: whether the sample belongs to the setting ``valid_json`` (only samples whose reply was parsed).
        vectors: metric name -> sufficient statistics; empty for system failures.
    """

    outcome: Outcome
    reason: Reason
    status: ParseStatus
    parsed: bool
    vectors: Mapping[str, Vector] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SampleScores:
    """The score of one sample in both profiles.

    Attributes:
        corrected: in the profile ``corrected``.
        original: in the profile ``original``.
        differences: the rules that make the difference, in the order of scoring; empty if outcome and statistics are
            the same.
    """

    corrected: SampleScore
    original: SampleScore
    differences: tuple[Rule, ...] = ()

    def __getitem__(self, profile: Profile) -> SampleScore:
        return self.corrected if profile is Profile.CORRECTED else self.original
