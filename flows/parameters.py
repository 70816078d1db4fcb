"""Parameter types of the flows: what ``--param name=value`` and the form in the UI may hold.

``prefect deployment run --param tasks=a,b`` hands over one string, ``--param windows=4096`` one number and
``--param 'tasks=["a","b"]'`` a list; all three mean a list here. The JSON schemas say so, because the server checks a
value against the deployment's schema before any of our code sees it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema


def split_list(value: Any) -> Any:
    """Turn ``"a, b"`` into ``["a", "b"]`` and a single number into a list; leave everything else to pydantic."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, int):
        return [value]
    return value


def none_if_empty(value: Any) -> Any:
    """As :func:`split_list`, but an empty string or list means that nothing was chosen."""
    return split_list(value) or None


def none_if_all(value: Any) -> Any:
    """Turn ``"all"`` into None, the library's word for no limit."""
    return None if value == "all" else value


def _list_schema(item: str, *others: str) -> WithJsonSchema:
    choices: list[dict[str, Any]] = [{"type": "array", "items": {"type": item}}]
    return WithJsonSchema({"anyOf": [*choices, *({"type": other} for other in others)]})


Names = Annotated[list[str], BeforeValidator(split_list), _list_schema("string", "string")]
"""One or more names."""

SomeNames = Annotated[list[str] | None, BeforeValidator(none_if_empty), _list_schema("string", "string", "null")]
"""Names, or None for all there are."""

Integers = Annotated[tuple[int, ...], BeforeValidator(split_list), _list_schema("integer", "integer", "string")]
"""One or more whole numbers."""

JudgeMode = Literal["live", "batch", "off"]
"""How a judge is asked."""

JudgeSamples = Annotated[int, Field(ge=1)] | Literal["all"] | None
"""How many samples of a task are judged at most; None for the task's own number."""

Limit = Annotated[
    int | None,
    BeforeValidator(none_if_all),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "enum": ["all"]}, {"type": "null"}]}
    ),
]
"""A count, or None (also written ``all``) for no limit."""

RunnerName = Literal["local", "dask", "ray"]
"""Who does the work: the flow's own machine, or a cluster."""

Hours = Annotated[float, Field(gt=0)]
"""How long something may take."""
