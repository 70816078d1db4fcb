"""A ledger of this pipeline -> predictions by task. It has replies and the ids of the instances that they answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sciriff.models.lines import load_json
from sciriff.tasks.evaluation_tasks import EVAL_TASKS


@dataclass(frozen=True)
class LedgerReplies:
    """What a ledger says.

    Attributes:
        model: name of the model; empty if the ledger does not say it.
        identity: digest of all that the replies depend on apart from prompt and sampling; empty likewise.
        by_task: evaluation task -> predictions (``instance_id``, ``reply``, ``finish_reason``). Of an instance that was
            asked about in several ways the last way counts.
    """

    model: str
    identity: str
    by_task: Mapping[str, tuple[Mapping[str, Any], ...]]


def read_ledger(lines: Iterable[bytes]) -> LedgerReplies:
    """Read the events of a ledger, oldest part first; what is no event was being written when a process was killed."""
    header: Mapping[str, Any] = {}
    ways: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for event in map(_event, lines):
        if "ledger" in event:
            header = event
        elif isinstance(event.get("key"), str) and isinstance(event.get("label"), str):
            _take(ways[event["label"]], event)
    by_task: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for instance_id, answers in ways.items():
        by_task[instance_id.partition(":")[0]].append(list(answers.values())[-1])
    return LedgerReplies(
        model=str(header.get("model", "")),
        identity=str(header.get("identity", "")),
        by_task={task: tuple(by_task[task]) for task in EVAL_TASKS if task in by_task},
    )


def _event(line: bytes) -> Mapping[str, Any]:
    try:
        event = load_json(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _take(answers: dict[str, Mapping[str, Any]], event: Mapping[str, Any]) -> None:
    """Keep an answer by its request; the first reply stays, an error only until there is one."""
    known = answers.get(event["key"])
    if known is None or known["reply"] is None:
        answers[event["key"]] = {
            "instance_id": event["label"],
            "reply": event.get("text"),
            "finish_reason": event.get("finish_reason"),
        }
