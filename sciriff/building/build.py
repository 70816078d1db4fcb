"""The story of a build, top to bottom.

A :class:`Build` holds what its steps share. :func:`build_tasks` calls the steps in order; the flow ``build-sciriff``
runs each of them as a Prefect task.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sciriff.building.combine import CombineOutcome, built_tasks, combine
from sciriff.building.options import BuildOptions
from sciriff.building.outcome import TaskOutcome, exit_code_of, outcome_of_error
from sciriff.building.plan import TaskPlan, plan_tasks
from sciriff.building.pool import WorkerPool
from sciriff.building.progress import Progress, Transfers
from sciriff.building.task import Workshop, build_task, is_sample
from sciriff.building.tokenizer import bundled_tokenizer, find_tokenizer
from sciriff.building.tokens import TokenizerFile
from sciriff.building.validate import publish_docs
from sciriff.errors import ExitCode, SciriffError
from sciriff.settings import Settings
from sciriff.sources import catalogue
from sciriff.sources.fetch import AcquiredSource, acquire
from sciriff.store import Store

logger = logging.getLogger(__name__)

_DOWNLOADS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What became of a build.

    Attributes:
        outcomes: one per task, in alphabetical order.
        combined: the combined dataset; None if nothing was built or combining was not asked for.
        store_path: root of the artifacts.
        docs_path: start page of the validation results (Data Docs), relative to the root; empty if nothing was
            validated.
        tokenizers: what tokens were counted with.
        seconds: wall time.
    """

    outcomes: tuple[TaskOutcome, ...]
    combined: CombineOutcome | None
    store_path: str
    docs_path: str
    tokenizers: tuple[str, ...]
    seconds: float

    @property
    def exit_code(self) -> ExitCode:
        """0 all done, 3 some blocked on the user, 1 something failed."""
        return exit_code_of(self.outcomes)


def build_tasks(
    names: Sequence[str] | None,
    options: BuildOptions,
    settings: Settings,
    progress: Progress,
    *,
    force: bool = False,
    update_lock: bool = False,
    combining: bool = True,
) -> BuildReport:
    """Build tasks: plan, acquire sources, build each task in all windows, publish validation results, combine.

    Raises:
        UsageError: if a task name, an option or a setting is wrong.
        StoreError: if the store cannot be written.
    """
    started = time.monotonic()
    build = Build(names, options, settings, progress, force=force, update_lock=update_lock)
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE, thread_name_prefix="fetch") as threads:
        list(threads.map(build.acquire, build.sources))
    outcomes = []
    with (
        progress.stage("tasks", len(build.tasks)) as stage,
        ThreadPoolExecutor(settings.workers, thread_name_prefix="task") as threads,
    ):
        for outcome in threads.map(build.build_task, build.tasks):
            outcomes.append(outcome)
            stage.advance(note=f"{outcome.task} {outcome.state}")
    combined = (
        combine_built(build.store, options.windows) if combining and any(task.done for task in outcomes) else None
    )
    docs = publish_docs(build.store)
    seconds = round(time.monotonic() - started, 3)
    return BuildReport(tuple(outcomes), combined, build.store.path(""), docs, build.tokenizers, seconds)


class Build:
    """One build: its plans, its sources as they are acquired, and what its tasks share.

    Call :meth:`acquire` for a source before building the tasks that need it; both may be called from several threads.

    Attributes:
        tasks: names of the tasks to build, in alphabetical order.
        sources: ids of the sources they need, in alphabetical order.
        source_of: task -> its source, for tasks whose files are in order.
        store: where artifacts go.
    """

    def __init__(
        self,
        names: Sequence[str] | None,
        options: BuildOptions,
        settings: Settings,
        progress: Progress,
        *,
        force: bool = False,
        update_lock: bool = False,
    ) -> None:
        """Plan the build and make sure that the store can be written.

        Raises:
            UsageError: if a task name is unknown.
            StoreError: if the store cannot be written.
        """
        self._plans = plan_tasks(names, settings.templates_dir)
        self._options, self._settings, self._progress = options, settings, progress
        self._update_lock = update_lock
        self._acquired: dict[str, AcquiredSource | SciriffError] = {}
        self._tokenizers: dict[bool, TokenizerFile] = {}
        self._choosing = threading.Lock()
        self.store = Store(settings.store)
        self.store.check_writable()
        self._shop = Workshop(self.store, options, WorkerPool(settings.workers), progress, force)
        self.tasks = tuple(self._plans)
        self._files = files_needed(self._plans)
        self.sources = tuple(self._files)
        self.source_of = {name: plan.binding.source for name, plan in self._plans.items() if isinstance(plan, TaskPlan)}

    def acquire(self, source: str) -> AcquiredSource | SciriffError:
        """Get the files of a source onto local disk; an error is remembered and becomes that of the source's tasks."""
        self._acquired[source] = _acquire(
            source, self._files[source], self._settings, self._progress, update_lock=self._update_lock
        )
        return self._acquired[source]

    def build_task(self, name: str) -> TaskOutcome:
        """Build one task. What stops it becomes its outcome and touches no other task."""
        started = time.monotonic()
        try:
            plan, source, tokenizer = self._ready(name)
            return build_task(plan, source, tokenizer, self._shop)
        except SciriffError as error:
            return outcome_of_error(name, error, time.monotonic() - started)
        except Exception as error:  # a defect of ours must not take the other tasks down
            logger.exception("building %s failed", name)
            defect = SciriffError(f"{name}: internal error, please report it: {type(error).__name__}: {error}")
            return outcome_of_error(name, defect, time.monotonic() - started)

    @property
    def tokenizers(self) -> tuple[str, ...]:
        """Names of the tokenizers in use."""
        return tuple(sorted(tokenizer.name for tokenizer in self._tokenizers.values()))

    def key(self, name: str) -> str:
        """Build key of a task whose source is acquired; empty if something stands in the way of building it."""
        try:
            plan, source, tokenizer = self._ready(name)
        except SciriffError:
            return ""
        return plan.key(source, tokenizer, self._options)

    def _ready(self, name: str) -> tuple[TaskPlan, AcquiredSource, TokenizerFile]:
        plan = self._plans[name]
        if isinstance(plan, SciriffError):
            raise plan
        source = self._acquired[plan.binding.source]
        if isinstance(source, SciriffError):
            raise source
        return plan, source, self._tokenizer(source)

    def _tokenizer(self, source: AcquiredSource) -> TokenizerFile:
        """The tokenizer of the settings; for a bundled sample the one bundled with it, unless another is asked for."""
        bundled = self._settings.tokenizer is None and is_sample(source)
        with self._choosing:
            if bundled not in self._tokenizers:
                found = bundled_tokenizer() if bundled else find_tokenizer(self._settings)
                self._progress.log(f"tokens are counted with {found.name}, sha256 {found.sha256[:12]}")
                self._tokenizers[bundled] = found
            return self._tokenizers[bundled]


def fetch_sources(
    names: Sequence[str] | None, settings: Settings, progress: Progress, *, update_lock: bool = False
) -> dict[str, AcquiredSource | SciriffError]:
    """Get the source files of tasks without building: source id -> acquired source, or what kept it away.

    Raises:
        UsageError: if a task name is unknown.
    """
    needed = files_needed(plan_tasks(names, settings.templates_dir))
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE, thread_name_prefix="fetch") as threads:
        found = threads.map(
            lambda source: _acquire(source, needed[source], settings, progress, update_lock=update_lock), needed
        )
        return dict(zip(needed, found, strict=True))


def files_needed(plans: Mapping[str, TaskPlan | SciriffError]) -> dict[str, list[str]]:
    """Source id -> keys of the files that the planned tasks need, both in alphabetical order."""
    needed: dict[str, set[str]] = {}
    for plan in plans.values():
        if isinstance(plan, TaskPlan):
            needed.setdefault(plan.binding.source, set()).update(plan.files())
    return {source: sorted(needed[source]) for source in sorted(needed)}


def _acquire(
    source: str, files: Sequence[str], settings: Settings, progress: Progress, *, update_lock: bool
) -> AcquiredSource | SciriffError:
    try:
        return acquire(
            catalogue.source(source), settings, files=files, progress=Transfers(progress), update_lock=update_lock
        )
    except SciriffError as error:
        return error


def combine_built(store: Store, windows: Sequence[int]) -> CombineOutcome:
    """Combine every task that has a manifest in the store, at each window."""
    tasks = sorted({task for window in windows for task in built_tasks(store, window)})
    return combine(store, windows=windows, tasks=tasks)
