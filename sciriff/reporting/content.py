"""What a report tells, as plain values: all that the templates get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sciriff.reporting.text import Excerpt
from sciriff.scoring.outcome import Profile
from sciriff.scoring.tasks import Column


class Value(NamedTuple):
    """A metric as a fraction.

    Attributes:
        value: the metric; None over no samples.
        low, high: its 95 % interval; None where there is none.
        at_worst, at_best: what it would be if all replies that never came had been wrong, and right; None if unknown.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    at_worst: float | None = None
    at_best: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it depends on replies, or ratings, that never came."""
        return self.at_worst is not None and self.at_worst != self.at_best


class Counts(NamedTuple):
    """Samples by the class they ended in."""

    samples: int
    scored: int
    model_failed: int
    system_failed: int


class Standing(NamedTuple):
    """A model on the leaderboard.

    Attributes:
        model: its name.
        means: profile -> mean over the headline columns it has; of ``original`` without interval.
        columns: how many columns that is.
        cells: (column name, profile) -> its value.
        counts: over all tasks.
        judge: who judged; empty if nobody did.
        data_note: what a reader should know of the data; else empty.
    """

    model: str
    means: Mapping[Profile, Value]
    columns: int
    cells: Mapping[tuple[str, Profile], Value]
    counts: Counts
    judge: str
    data_note: str


class Pair(NamedTuple):
    """Two models on one headline, the better placed one first. Fields as in the table ``comparisons``."""

    model_a: str
    model_b: str
    metric: str
    value_a: float
    value_b: float
    difference: Value
    p_value: float
    p_holm: float | None
    detectable: float | None
    documents: int
    samples: int
    unpaired: int


class TaskRun(NamedTuple):
    """A model on one task.

    Attributes:
        model: its name.
        counts: samples by the class they ended in.
        reasons: outcome, reason and number of the samples that were not scored.
        metrics: (metric, profile) -> its value.
        documents: documents behind the samples.
        limit: most samples that were asked for; None for all.
    """

    model: str
    counts: Counts
    reasons: tuple[tuple[str, str, int], ...]
    metrics: Mapping[tuple[str, Profile], Value]
    documents: int | None
    limit: int | None


class Sample(NamedTuple):
    """A reply to look at.

    Attributes:
        model, instance_id: which.
        outcome, reason, parse_status, finish_reason: how it ended; empty where there is nothing to say.
        value: score of the sample alone, as a fraction; None if it has none.
        metric: of which metric.
        prompt, reply, reference: the texts; None for a prompt that is not known and a reply that never came.
    """

    model: str
    instance_id: str
    outcome: str
    reason: str
    parse_status: str
    finish_reason: str
    value: float | None
    metric: str
    prompt: Excerpt | None
    reply: Excerpt | None
    reference: Excerpt


class Difference(NamedTuple):
    """A rule that makes the profiles differ.

    Attributes:
        rule, meaning: its name, and what it repairs.
        samples: model -> samples whose score differs by it.
    """

    rule: str
    meaning: str
    samples: Mapping[str, int]


@dataclass(frozen=True)
class TaskContent:
    """One task.

    Attributes:
        name: its name.
        metrics: headline metrics.
        columns: those of them that are columns of the leaderboard.
        runs: the models, in the order of the leaderboard.
        pairs: all two of them, on each headline.
        judges: rows of the table ``judges``, with ``failures``: (reason, number) of samples without a rating.
        differences: why the profiles differ.
        samples: replies to look at.
        build: the row of ``builds``; None for data that was not built here.
    """

    name: str
    metrics: tuple[str, ...]
    columns: tuple[str, ...]
    runs: tuple[TaskRun, ...]
    pairs: tuple[Pair, ...]
    judges: tuple[Mapping[str, Any], ...]
    differences: tuple[Difference, ...]
    samples: tuple[Sample, ...]
    build: Mapping[str, Any] | None


@dataclass(frozen=True)
class Usage:
    """What replies came to.

    Attributes:
        replies: how many there are.
        counted: of how many tokens are known.
        input_tokens, output_tokens: of these.
        dollars: US dollars, at the price for live requests when they were filed; None if it is not known.
        served_models: what servers said they are.
    """

    replies: int = 0
    counted: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: float | None = None
    served_models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """How a model was asked.

    Attributes:
        model: its name.
        identity: digest of all that its replies depend on apart from prompt and sampling.
        how: what stands in its predictions' manifests: chat format, sampling and so on, by name, as text.
        tasks: the tasks it was so asked on.
        usage: what its replies came to; None if that is not recorded.
    """

    model: str
    identity: str
    how: Mapping[str, str]
    tasks: tuple[str, ...]
    usage: Usage | None


@dataclass(frozen=True)
class Content:
    """All that a report tells.

    Attributes:
        window, split: what the models were asked.
        profile: whose numbers come first.
        columns: headline columns of the leaderboard.
        standings: the models, best first.
        left_out: how many more models there are.
        pairs: all two models, on their means.
        tasks: the tasks that there are results of.
        missing_columns: headline columns without a value.
        elsewhere: other windows and splits that there are results of.
        asked: how the models were asked.
        runs: rows of the table ``runs``.
        versions: what the numbers were made with.
    """

    window: int
    split: str
    profile: Profile
    columns: tuple[Column, ...]
    standings: tuple[Standing, ...]
    left_out: int
    pairs: tuple[Pair, ...]
    tasks: tuple[TaskContent, ...]
    missing_columns: tuple[str, ...]
    elsewhere: tuple[tuple[int, str], ...]
    asked: tuple[Asked, ...]
    runs: tuple[Mapping[str, Any], ...]
    versions: Mapping[str, str]
