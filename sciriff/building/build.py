"""The story of a build, top to bottom.

A :class:`Build` is the story's state: its steps are called in order by :func:`build_tasks` and, each as a Prefect task, by the
flow ``build-sciriff``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

from sciriff.building.combine import CombineOutcome, built_tasks, combine
from sciriff.building.options import BuildOptions
from sciriff.building.outcome import TaskOutcome, exit_code_of, outcome_of_error
from sciriff.building.plan import TaskPlan, plan_tasks
from sciriff.building.pool import WorkerPool
from sciriff.building.progress import Progress, Transfers
from sciriff.building.task import Workshop, build_task
from sciriff.building.tokenizer import bundled_tokenizer, find_tokenizer
from sciriff.building.tokens import TokenizerFile
from sciriff.building.validate import Validator
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
        docs_path: start page of the validation results (Data Docs), relative to the root; empty if nothing was validated.
        tokenizer: what tokens were counted with; empty if nothing could be counted.
        seconds: wall time.
    """

    outcomes: tuple[TaskOutcome, ...]
    combined: CombineOutcome | None
    store_path: str
    docs_path: str
    tokenizer: str
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
    with Build(names, options, settings, progress, force=force, update_lock=update_lock) as build:
        with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE, thread_name_prefix="fetch") as threads:
            list(threads.map(build.acquire, build.sources))
        with (
            progress.stage("tasks", len(build.tasks)) as stage,
            ThreadPoolExecutor(settings.workers, thread_name_prefix="task") as threads,
        ):
            outcomes = []
            for outcome in threads.map(build.build_task, build.tasks):
                outcomes.append(outcome)
                stage.advance(note=f"{outcome.task} {outcome.state}")
        docs = build.publish_docs()
        combined = build.combine() if combining and any(outcome.done for outcome in outcomes) else None
        tokenizer = build.tokenizer_name
    return BuildReport(
        tuple(outcomes), combined, build.store.path(""), docs, tokenizer, round(time.monotonic() - started, 3)
    )


class Build:
    """One build: its plans, its sources as they are acquired, and what its tasks share.

    Use as a context manager. Call :meth:`acquire` for every source before building the tasks that need it; both may be called
    from several threads.

    Attributes:
        tasks: names of the tasks to build, in alphabetical order.
        sources: ids of the sources they need, in alphabetical order.
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
        self._force, self._update_lock = force, update_lock
        self._acquired: dict[str, AcquiredSource | SciriffError] = {}
        self._shop: Workshop | None = None
        self._opening = threading.Lock()
        self.store = Store(settings.store)
        self.store.check_writable()
        self._pool = WorkerPool(settings.workers)
        self._validator = Validator()
        self.tasks = tuple(self._plans)
        self._files = files_needed(self._plans)
        self.sources = tuple(self._files)

    def __enter__(self) -> Build:
        self._pool.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

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
            plan = self._plans[name]
            if isinstance(plan, SciriffError):
                raise plan
            source = self._acquired[plan.binding.source]
            if isinstance(source, SciriffError):
                raise source
            return build_task(plan, source, self._workshop())
        except SciriffError as error:
            return outcome_of_error(name, error, time.monotonic() - started)
        except Exception as error:  # a defect of ours must not take the other tasks down
            logger.exception("building %s failed", name)
            defect = SciriffError(f"{name}: internal error, please report it: {type(error).__name__}: {error}")
            return outcome_of_error(name, defect, time.monotonic() - started)

    def publish_docs(self) -> str:
        """Publish the validation results of the tasks built; returns their start page in the store, or nothing."""
        with self.store.workspace() as workspace:
            return self._validator.publish_docs(self.store, workspace)

    def combine(self) -> CombineOutcome:
        """Combine every built task of the store, at each window."""
        return combine_built(self.store, self._options.windows)

    @property
    def tokenizer_name(self) -> str:
        """What tokens are counted with; empty before the first task."""
        return self._shop.tokenizer.name if self._shop is not None else ""

    def _workshop(self) -> Workshop:
        """What the tasks share; the tokenizer depends on where the sources came from, so it is chosen last."""
        with self._opening:
            if self._shop is None:
                tokenizer = self._choose_tokenizer()
                self._progress.log(f"tokens are counted with {tokenizer.name}, sha256 {tokenizer.sha256[:12]}")
                self._shop = Workshop(
                    self.store, self._options, tokenizer, self._pool, self._validator, self._progress, self._force
                )
            return self._shop

    def _choose_tokenizer(self) -> TokenizerFile:
        acquired = [source for source in self._acquired.values() if isinstance(source, AcquiredSource)]
        if self._settings.tokenizer is None and all(
            file.origin == "sample" for source in acquired for file in source.files.values()
        ):
            return bundled_tokenizer()
        return find_tokenizer(self._settings)


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
