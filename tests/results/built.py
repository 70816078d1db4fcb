"""Built instances as a build would leave them in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from sciriff.store import Store

_NER_TYPES = {
    "biored_ner": ("CellLine", "Chemical", "Disease", "Gene", "Species", "Variant"),
    "scierc_ner": ("Task", "Method", "Metric", "Material", "OtherScientificTerm", "Generic"),
}


def _entity_instance(task: str, number: int) -> tuple[str, str]:
    types = _NER_TYPES[task]
    answer = {name: [f"{name} mention {number}"] if (number + at) % 3 else [] for at, name in enumerate(types)}
    text = ". ".join(mention for mentions in answer.values() for mention in mentions)
    return f"List the entities.\n\nAbstract:\n{text}.\n", orjson.dumps(answer).decode()


def _table_instance(number: int) -> tuple[str, str]:
    rows = [f'{{"value": "{number + row}.5", "type": "Other"}}' for row in range(3)]
    return f"Read the table.\n\nTable:\n{number} | {number + 1}\n", "\n".join(rows)


def _qasper_instance(number: int) -> tuple[str, str]:
    paragraph = f"Annotators labelled batch {number} first. They met twice."
    answer = None if number == 1 else {"answer": f"batch {number}", "evidence": [paragraph]}
    rule = "-" * 40
    return f"Read.\n\n{rule}\n{paragraph}\n{rule}\n\nQuestion: which batch?\n", orjson.dumps(answer).decode()


INSTANCES: dict[str, Callable[[int], tuple[str, str]]] = {
    "biored_ner": lambda number: _entity_instance("biored_ner", number),
    "discomat_te": _table_instance,
    "qasper_abstractive_qa": _qasper_instance,
    "scierc_ner": lambda number: _entity_instance("scierc_ner", number),
}


def publish_instances(store: Store, task: str, number: int, window: int = 4096, **inputs: Any) -> None:
    """Write a task as a build would: the lines of its validation split, and the manifest."""
    lines = []
    for place in range(number):
        prompt, output = INSTANCES[task](place)
        lines.append({"input": prompt, "output": output, "_instance_id": f"{task}:validation:{place}"})
    write_lines(store, task, lines, window, inputs)


def write_lines(
    store: Store, task: str, lines: list[dict[str, Any]], window: int = 4096, inputs: Mapping[str, Any] | None = None
) -> None:
    data = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    folder = f"instructions/{window}/{task}"
    store.write_bytes(f"{folder}/validation.jsonl", data)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": len(lines)}
    store.write_manifest(
        folder, {"key": f"key of {task}", "inputs": inputs or {}, "files": {"validation.jsonl": entry}}
    )
