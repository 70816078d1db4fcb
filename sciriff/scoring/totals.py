"""Adding samples up: the sums that a task's metrics are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sciriff.scoring.metrics.statistics import KINDS, Vector, add
from sciriff.scoring.outcome import Outcome, ParseStatus, Profile, SampleScore

Setting = Literal["valid_json", "all"]
SETTINGS: tuple[Setting, ...] = ("valid_json", "all")
"""``all``: every sample that got a reply; ``valid_json``: only those whose reply was parsed."""


@dataclass(frozen=True)
class Totals:
    """Sums over the samples of one run in one profile.

    Attributes:
        profile: the profile.
        vectors: (setting, metric) -> summed statistics.
        statuses: how many replies had each parse status.
        outcomes: how many samples ended in each class.
        misfits: replies that are JSON, but not the JSON that the task asks for (``corrected`` only; model failures).
    """

    profile: Profile
    vectors: Mapping[tuple[Setting, str], Vector]
    statuses: Mapping[ParseStatus, int] = field(default_factory=dict)
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    misfits: int = 0

    def get(self, setting: Setting, metric: str) -> Any:
        """Summed statistics of a metric."""
        return self.vectors[setting, metric]

    def is_empty(self, setting: Setting) -> bool:
        """Whether no sample counts in a setting; what is said of none is null, not perfect."""
        failures = self.statuses.get(ParseStatus.EXTRACT_FAILURE, 0) if setting == "valid_json" else 0
        return sum(self.statuses.values()) == failures


def total(scores: Iterable[SampleScore], metrics: Iterable[tuple[str, str]], profile: Profile) -> Totals:
    """Add samples up.

    Args:
        scores: scores of one profile.
        metrics: (metric, kind) of the task.
        profile: the profile of the scores.
    """
    kept = list(scores)
    replied = [score for score in kept if score.outcome is not Outcome.SYSTEM_FAILED]
    vectors: dict[tuple[Setting, str], Vector] = {}
    for metric, kind in metrics:
        zero: Any = KINDS[kind]()
        vectors["all", metric] = add((score.vectors[metric] for score in replied), zero)
        vectors["valid_json", metric] = add((score.vectors[metric] for score in replied if score.parsed), zero)
    return Totals(
        profile,
        vectors,
        statuses=Counter(score.status for score in replied),
        outcomes=Counter(score.outcome for score in kept),
        misfits=sum(is_misfit(score) for score in replied) if profile is Profile.CORRECTED else 0,
    )


def merged(one: Totals, other: Totals) -> Totals:
    """The totals of two sets of samples in one profile; metrics that only ``one`` has stay as they are."""
    vectors: dict[tuple[Setting, str], Vector] = dict(one.vectors)
    for key, vector in other.vectors.items():
        before: Any = vectors.get(key)
        vectors[key] = vector if before is None else add([vector], before)
    return Totals(
        one.profile,
        vectors,
        statuses=Counter(one.statuses) + Counter(other.statuses),
        outcomes=Counter(one.outcomes) + Counter(other.outcomes),
        misfits=one.misfits + other.misfits,
    )


def is_misfit(score: SampleScore) -> bool:
    """Whether a reply was JSON, but not of the type or with the keys that the task asks for."""
    parsed = score.status in (ParseStatus.VALID_JSON, ParseStatus.EXTRACT_SUCCESS)
    return parsed and score.outcome is Outcome.MODEL_FAILED
