"""Which rows belong together because they are of one document."""

from __future__ import annotations

from collections.abc import Mapping, Set

Rows = Mapping[int, Set[str]]
"""Row -> ids of the documents behind its instances; nearly always one."""


def document_of_rows(rows: Rows) -> dict[int, str]:
    """Row -> the document that it belongs to.

    Rows that share a document belong together, and so, where a row names several, do all rows of these; such a group
    has the name of its least id.
    """
    leader: dict[str, str] = {}
    for names in rows.values():
        leaders = sorted({_leader(name, leader) for name in names})
        leader.update(dict.fromkeys(leaders, leaders[0]))
    return {row: _leader(min(names), leader) for row, names in rows.items()}


def _leader(name: str, leader: dict[str, str]) -> str:
    """The least id of the group; shortens the way to it."""
    way = []
    while (following := leader.setdefault(name, name)) != name:
        way.append(name)
        name = following
    leader.update(dict.fromkeys(way, name))
    return name
