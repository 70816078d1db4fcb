"""Models at a window and split: what there is, and what of it can be compared."""

from __future__ import annotations

from pathlib import Path

from sciriff.errors import UsageError
from sciriff.results.query import Answer, sql


def models_at(index: Path, window: int, split: str) -> list[str]:
    """Models with current runs at a window and split, in the order of names."""
    query = "SELECT DISTINCT model FROM runs WHERE is_current AND window_tokens = ? AND split = ? ORDER BY model"
    return [model for (model,) in sql(query, index, [window, split]).rows]


def require_model(model: str, index: Path, window: int, split: str) -> None:
    """Make sure that a model has results.

    Raises:
        UsageError: if it has none at this window and split; says where it has, or lists near names.
    """
    if model in models_at(index, window, split):
        return
    query = "SELECT DISTINCT window_tokens, split FROM runs WHERE is_current AND model = ? ORDER BY ALL"
    elsewhere = [f"--window {at} --split {of}" for at, of in sql(query, index, [model]).rows]
    if elsewhere:
        raise UsageError(f"{model} has no results at window {window}, split {split}; it has at {', '.join(elsewhere)}")
    from difflib import get_close_matches

    everyone = [name for (name,) in sql("SELECT DISTINCT model FROM runs WHERE is_current ORDER BY 1", index).rows]
    near = get_close_matches(model, everyone, n=3) or everyone
    raise UsageError(f"no results of a model {model!r}; did you mean {', '.join(near)}?")


def compare(first: str, second: str, index: Path, window: int = 4096, split: str = "validation") -> Answer:
    """Compare two models on all headlines that both have: the rows of the table macro ``compare``.

    Args:
        first, second: models; differences are first less second.
        index: see :func:`sciriff.results.index.current_index`.
        window, split: what they were asked.

    Raises:
        UsageError: if one has no results there, or they have no task in common.
    """
    if first == second:
        raise UsageError(f"{first} cannot be compared with itself")
    for model in (first, second):
        require_model(model, index, window, split)
    query = "SELECT * EXCLUDE (window_tokens, split) FROM compare(?, ?) WHERE window_tokens = ? AND split = ?"
    answer = sql(query, index, [first, second, window, split])
    if not answer.rows:
        raise UsageError(f"{first} and {second} have no scored sample in common at window {window}, split {split}")
    return answer
