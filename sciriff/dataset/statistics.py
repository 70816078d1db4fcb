"""What a dataset paper tells of its data: instances, documents, token quantiles and labels per task, split and window.

Everything is read off the built instances and their manifests, so it holds for whatever was built.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from sciriff.building.facts import Checks
from sciriff.store import Store

SPLITS = ("train", "validation", "test")
QUANTILES = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


class TokenQuantiles(NamedTuple):
    """The distribution of a number of tokens: extremes, five quantiles (nearest rank) and the sum."""

    min: int
    p5: int
    p25: int
    p50: int
    p75: int
    p95: int
    max: int
    total: int


class LabelCount(NamedTuple):
    """In how many instances a label occurs, and how often in all (mentions of a type, relations of a kind)."""

    instances: int
    occurrences: int


@dataclass(frozen=True)
class SplitStatistics:
    """One split of one task at one window.

    Attributes:
        task: task name.
        window: context window in tokens.
        split: ``train``, ``validation`` or ``test``.
        instances: how many it has.
        documents: distinct documents behind them.
        input_tokens, output_tokens: their distributions; None if the split is empty.
        labels: label or entity type -> how often it occurs, the most frequent first.
    """

    task: str
    window: int
    split: str
    instances: int
    documents: int
    input_tokens: TokenQuantiles | None
    output_tokens: TokenQuantiles | None
    labels: Mapping[str, LabelCount] = field(default_factory=dict)


def quantiles(values: Sequence[int]) -> TokenQuantiles | None:
    """The distribution of some numbers; None if there are none.

    Quantile q is the ceil(q * n)-th smallest number (nearest rank), so it is always one of them.
    """
    if not values:
        return None
    ordered = sorted(values)
    at = {name: ordered[max(0, math.ceil(share * len(ordered)) - 1)] for name, share in QUANTILES.items()}
    return TokenQuantiles(min=ordered[0], max=ordered[-1], total=sum(ordered), **at)


def describe(
    task: str, window: int, split: str, instances: Iterable[Mapping[str, Any]], checks: Checks
) -> SplitStatistics:
    """Describe the instances of one split.

    Args:
        task, window, split: what they are.
        instances: built instances, as they stand in the task's file.
        checks: the compiled suite of the task, which knows where labels stand in an output.
    """
    inputs: list[int] = []
    outputs: list[int] = []
    documents: set[str] = set()
    holding: Counter[str] = Counter()
    occurrences: Counter[str] = Counter()
    for instance in instances:
        inputs.append(instance["_input_toks"])
        outputs.append(instance["_output_toks"])
        documents.add(instance["_document_id"])
        found = checks.label_counts(instance["output"])
        occurrences.update(found)
        holding.update(label for label, count in found.items() if count)
    labels = {
        label: LabelCount(holding[label], count)
        for label, count in sorted(occurrences.items(), key=lambda item: (-item[1], item[0]))
    }
    return SplitStatistics(
        task, window, split, len(inputs), len(documents), quantiles(inputs), quantiles(outputs), labels
    )


def read_instances(store: Store, window: int, task: str, split: str) -> Iterator[dict[str, Any]]:
    """Yield the built instances of a split.

    Raises:
        StoreError: if the file cannot be read.
    """
    with store.open_read(f"instructions/{window}/{task}/{split}.jsonl") as stream:
        for line in stream:
            yield orjson.loads(line)
