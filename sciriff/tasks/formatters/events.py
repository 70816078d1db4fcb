"""Events of a document as a JSON array of triggers with their arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import RecordError
from sciriff.readers.records import Document, Event
from sciriff.tasks.formatters.entities import document_text


def _one_fragment(text: tuple[str, ...], what: str, where: str) -> str:
    if len(text) != 1:
        raise RecordError(where, f"{what} {' ... '.join(text)!r} has {len(text)} fragments, expected one")
    return text[0]


def _arguments(event: Event, roles: Mapping[str, str], where: str) -> dict[tuple[str, str], None]:
    """Distinct (text, role) pairs of an event, in annotation order."""
    pairs: dict[tuple[str, str], None] = {}
    for argument in event.arguments:
        if argument.role not in roles:
            raise RecordError(where, f"event argument has role {argument.role!r}, expected one of {', '.join(roles)}")
        pairs.setdefault((_one_fragment(argument.text, "event argument", where), roles[argument.role]))
    return pairs


def format_events(
    record: Document,
    *,
    roles: Mapping[str, str],
    types: Mapping[str, str] | None = None,
    min_arguments: int = 1,
) -> Iterator[dict[str, Any]]:
    """Yield ``abstract`` (text), ``events`` and ``role_types_list``.

    ``events`` is a list of ``{"trigger": str, "arguments": [[text, role], ...]}`` in annotation order. Left out are
    events with fewer than ``min_arguments`` distinct arguments and events in which one argument text has two roles. A
    document without events yields an empty list.

    Args:
        record: an annotated document.
        roles: the corpus's role name -> the role asked for.
        types: the corpus's event type -> the type asked for; if given, every event carries its ``type``.
        min_arguments: least number of arguments of an event that is kept.

    Raises:
        Dropped: if the document has no text.
        RecordError: at an unknown role or type, or a trigger or argument in several fragments.
    """
    where = f"document {record.id}"
    text = document_text(record)
    events: list[dict[str, Any]] = []
    for event in record.events:
        pairs = _arguments(event, roles, where)
        if len(pairs) < min_arguments or len({argument for argument, _ in pairs}) < len(pairs):
            continue
        formatted: dict[str, Any] = {
            "trigger": _one_fragment(event.trigger, "event trigger", where),
            "arguments": [list(pair) for pair in pairs],
        }
        if types is not None:
            if event.type not in types:
                raise RecordError(where, f"event has type {event.type!r}, expected one of {', '.join(types)}")
            formatted["type"] = types[event.type]
        events.append(formatted)
    yield {
        "abstract": text,
        "events": events,
        "role_types_list": list(dict.fromkeys(roles.values())),
        "_document_id": record.id,
    }
