"""Where the numbers of a report come from: how models were asked, and what scored them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sciriff import __version__
from sciriff.reporting.content import Asked, Usage
from sciriff.store import Store

_COUNTED = ("replies", "counted", "input_tokens", "output_tokens")
_OF_WHAT = ("name", "digest")
"""Parts that say nothing without what they are of."""
_DETAILS = ("prompts",)
"""Parts of a manifest's ``prompts`` that differ by task and say nothing of how a model was asked."""


def asked(runs: Sequence[Mapping[str, Any]], order: Sequence[str], store: Store) -> Iterator[Asked]:
    """How each model was asked; once for all tasks that it was asked on in the same way."""
    found: dict[tuple[str, str, tuple[tuple[str, str], ...]], list[tuple[str, Mapping[str, Any]]]] = {}
    for run in sorted(runs, key=lambda run: (order.index(run["model"]), run["task"])):
        folder = run["predictions"].rpartition("/")[0]
        manifest = store.read_manifest(folder) or {}
        entry = manifest.get("files", {}).get(run["predictions"].rpartition("/")[2], {})
        is_same = entry.get("sha256") == run["predictions_sha256"]
        how = _how(manifest.get("prompts") or {}) if is_same else {}
        usage = manifest.get("usage") or {} if is_same else {}
        found.setdefault((run["model"], run["model_identity"], tuple(how.items())), []).append((run["task"], usage))
    for (model, identity, parts), tasks in found.items():
        yield Asked(model, identity, dict(parts), tuple(task for task, _ in tasks), _usage([each for _, each in tasks]))


def _usage(parts: Sequence[Mapping[str, Any]]) -> Usage | None:
    """The sum over tasks; None if it is not recorded of all of them."""
    if not all(parts):
        return None
    dollars = [part["dollars"] for part in parts]
    return Usage(
        **{name: sum(part[name] for part in parts) for name in _COUNTED},
        dollars=None if None in dollars else sum(dollars),
        served_models=tuple(sorted({name for part in parts for name in part["served_models"]})),
    )


def _how(prompts: Mapping[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in prompts.items():
        if name in _DETAILS:
            continue
        for part, inner in value.items() if isinstance(value, Mapping) else ((name, value),):
            if inner not in (None, "", []) and not isinstance(inner, Mapping):
                flat[f"{name} {part}" if part in _OF_WHAT else part] = str(inner)
    return dict(sorted(flat.items()))


def versions(runs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What scored the replies."""
    scorers = sorted({run["scorer"] for run in runs})
    return {"sciriff": __version__, "scoring code": ", ".join(scorers)}
