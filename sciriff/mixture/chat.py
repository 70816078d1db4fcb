"""Chat records as Open Instruct's trainer reads them: ``{dataset, id, messages: [{role, content}]}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ROLES = ("system", "user", "assistant")


def chat_record(task: str, instance: Mapping[str, Any]) -> dict[str, Any]:
    """Return a built instance as a chat record.

    ``id`` is ``science.<task>.<row>``: the split named in ``_instance_id`` is left out, so ids need not be unique
    (catalogue, templating 11).
    """
    row = instance["_instance_id"].split(":", 2)[2]
    return {
        "dataset": f"science.{task}",
        "id": f"science.{task}.{row}",
        "messages": [
            {"role": "user", "content": instance["input"]},
            {"role": "assistant", "content": instance["output"]},
        ],
    }


def fault(record: object) -> str | None:
    """Return why a trainer could not use a chat record, or None if it could."""
    if not isinstance(record, dict):
        return "not an object"
    messages = record.get("messages")
    if not isinstance(messages, list) or not messages:
        return "no messages"
    for message in messages:
        if not isinstance(message, dict):
            return "a message is not an object"
        if message.get("role") not in ROLES:
            return f"a role is not one of {', '.join(ROLES)}"
        content = message.get("content")
        if not isinstance(content, str) or not content.strip():
            return "a message has no text"
    if all(message["role"] != "assistant" for message in messages):
        return "no assistant message"
    return None


def is_science(record: Mapping[str, Any]) -> bool:
    """Whether a general record repeats science tasks: the first dotted part of its ``dataset`` is ``science``."""
    return str(record.get("dataset") or "").split(".", 1)[0] == "science"
