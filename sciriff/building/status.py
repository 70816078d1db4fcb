"""How each task stands in a store, told without fetching, reading or building anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sciriff.building.by_hand import acquire_source
from sciriff.building.combine import INSTRUCTIONS
from sciriff.building.options import BuildOptions
from sciriff.building.plan import TaskPlan, plan_tasks
from sciriff.building.progress import Silent
from sciriff.building.tokens import TokenizerFile
from sciriff.errors import BlockedError, SciriffError
from sciriff.settings import Settings
from sciriff.sources import catalogue
from sciriff.sources.fetch import AcquiredFile, AcquiredSource
from sciriff.store import Store

State = Literal["built", "stale", "not built", "blocked", "wrong"]


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """How one task stands.

    Attributes:
        task: its name.
        family: the task family of its metadata; empty if the task file cannot be read.
        source: id of its source; empty likewise.
        licence: licence id of the source; empty likewise.
        state: ``built``: artifacts of the present task file and code; ``stale``: of older ones; ``not built``;
            ``blocked``: not built, and its source must be got by hand; ``wrong``: its task file, binding or suite is.
        windows: context windows it is built at.
        remark: the error or what the user must do; else what the artifacts are made of if not of whole primary sources.
    """

    task: str
    family: str
    source: str
    licence: str
    state: State
    windows: tuple[int, ...]
    remark: str = ""


def task_statuses(store: Store, settings: Settings) -> list[TaskStatus]:
    """Return the status of every task that has a task file, in alphabetical order.

    Files are not hashed: a damaged artifact shows in the next build, not here.

    Raises:
        TaskFileError: if there are no task files at all.
        StoreError: if the store cannot be read.
    """
    windows = [int(name) for name in store.folders(INSTRUCTIONS) if name.isdigit()]
    return [
        _status(store, settings, name, plan, sorted(windows))
        for name, plan in plan_tasks(None, settings.templates_dir).items()
    ]


def is_current(plan: TaskPlan, manifest: Mapping[str, Any]) -> bool:
    """Whether the task file and code of today make the very artifacts of a manifest out of the same source files."""
    return bool(plan_key(plan, manifest) == manifest["key"])


def plan_key(plan: TaskPlan, manifest: Mapping[str, Any]) -> str:
    """Return the build key that the plan has for the source files, tokenizer and parameters of a manifest."""
    tokenizer = TokenizerFile(manifest["tokenizer"]["name"], Path(), manifest["tokenizer"]["sha256"])
    return plan.key(source_of(plan, manifest), tokenizer, BuildOptions.checked(**manifest["parameters"]))


def source_of(plan: TaskPlan, manifest: Mapping[str, Any]) -> AcquiredSource:
    """The source files that a manifest names, by hash; they need not be on this machine."""
    inputs = manifest["inputs"]
    files = {
        key: AcquiredFile(key, entry["url"], Path(), entry["sha256"], entry["bytes"], entry["origin"])
        for key, entry in inputs["files"].items()
    }
    return AcquiredSource(catalogue.source(plan.binding.source), files, inputs["missing"])


def _status(
    store: Store, settings: Settings, name: str, plan: TaskPlan | SciriffError, windows: list[int]
) -> TaskStatus:
    found = {window: store.read_manifest(f"{INSTRUCTIONS}/{window}/{name}") for window in windows}
    manifests = {window: manifest for window, manifest in found.items() if manifest is not None}
    if isinstance(plan, SciriffError):
        return TaskStatus(name, "", "", "", "wrong", tuple(manifests), str(plan))
    state, remark = _state(plan, manifests, settings)
    source = catalogue.source(plan.binding.source)
    family = plan.task_file.metadata.task
    return TaskStatus(name, family, source.id, source.licence.id, state, tuple(manifests), remark)


def _state(plan: TaskPlan, manifests: Mapping[int, Mapping[str, Any]], settings: Settings) -> tuple[State, str]:
    if manifests:
        inputs = next(iter(manifests.values()))["inputs"]
        remark = (
            "made of bundled samples" if inputs["sample"] else "made of a partial source" if inputs["partial"] else ""
        )
        return "built" if all(is_current(plan, manifest) for manifest in manifests.values()) else "stale", remark
    if catalogue.source(plan.binding.source).kind == "manual":  # never fetched over the network, so asking is quick
        acquired = acquire_source(plan.binding.source, plan.files(), settings, Silent())
        if isinstance(acquired, BlockedError):
            return "blocked", str(acquired)
    return "not built", ""
