"""JSON Schemas of the answers of the held-out tasks, for backends that can constrain a reply to one.

They use only what OpenAI's strict mode knows, but for the root: it must be an object there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sciriff.scoring.tasks import EVAL_TASKS, EvalTask

Schema = Mapping[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_TEXTS: Schema = {"type": "array", "items": _TEXT}

_VALUES: Mapping[str, Mapping[str, Schema]] = {
    "qasper_abstractive_qa": {"answer": _TEXT_OR_NULL, "evidence": {**_TEXTS, "type": ["array", "null"]}},
    "scifact_entailment": {
        "verdict": {"type": "string", "enum": ["SUPPORT", "CONTRADICT", "NEI"]},
        "evidence": _TEXTS,
    },
}
"""Keys of the tasks whose answers are objects with values other than lists of strings."""


def answer_schemas() -> dict[str, Schema]:
    """Task -> schema of its answers; tasks with plain text have none."""
    return {task.name: schema for task in EVAL_TASKS if (schema := _schema(task)) is not None}


def _schema(task: EvalTask) -> Schema | None:
    shape = task.answer
    if shape is None:
        return None
    if shape.container == "list":
        return {"type": "array", "items": {"type": "array", "items": _TEXT_OR_NULL}} if shape.item == "list" else _TEXTS
    properties = _VALUES.get(task.name) or dict.fromkeys(shape.keys, _TEXTS)
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
