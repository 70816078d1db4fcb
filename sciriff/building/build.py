"""The story of a build, top to bottom.

A :class:`Build` holds what its steps share. :func:`build_tasks` calls the steps in order; the flow ``build-sciriff``
runs each of them as a Prefect task.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from sciriff.building.by_hand import Acquired, acquire_source, last_by_hand
from sciriff.building.combine import CombineOutcome, combine
from sciriff.building.fingerprint import code_digest
from sciriff.building.options import BuildOptions
from sciriff.building.outcome import TaskOutcome, exit_code_of, outcome_of_error
from sciriff.building.plan import TaskPlan, plan_tasks
from sciriff.building.pool import WorkerPool, stop_workers
from sciriff.building.progress import Progress
from sciriff.building.status import source_of
from sciriff.building.task import Workshop, build_task, folder, is_sample
from sciriff.building.tokenizer import bundled_tokenizer, find_tokenizer
from sciriff.building.tokens import TokenizerFile
from sciriff.building.validate import publish_docs
from sciriff.errors import ExitCode, SciriffError
from sciriff.hashing import digest
from sciriff.leases import BusyError, lease, tidy
from sciriff.settings import Settings
from sciriff.sources.fetch import AcquiredSource
from sciriff.sources.hosts import hosts_asked
from sciriff.sources.manual import ByHandError
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


def build_tasks(build: Build, *, combining: bool = True) -> BuildReport:
    """Get the sources, build each task in all windows, combine, publish validation results.

    Raises:
        StoreError: if the store cannot be read or written.
        SciriffError: if the tasks are built on a cluster, and it goes away.
    """
    started = time.monotonic()
    outcomes = []
    with build.undisturbed():
        with build.progress.stage("tasks", len(build.tasks)) as stage:
            for outcome in build.outcomes():
                outcomes.append(outcome)
                stage.advance(note=f"{outcome.task} {outcome.state}")
        outcomes.sort(key=lambda outcome: outcome.task)
        combined = (
            combine_built(build.store, build.options.windows, build.progress.log)
            if combining and any(outcome.done for outcome in outcomes)
            else None
        )
        docs = publish_docs(build.store, build.progress.log)
    seconds = round(time.monotonic() - started, 3)
    return BuildReport(tuple(outcomes), combined, build.store.path(""), docs, build.tokenizers, seconds)


class Build:
    """One build: its plans, its sources as they are acquired, and what its tasks share.

    Call :meth:`acquire` for a source before building the tasks that need it, and for those of ``by_hand`` after all of
    ``fetched``; both methods may be called from several threads.

    Attributes:
        tasks: names of the tasks to build, in alphabetical order.
        fetched: ids of the sources they need, but for those of ``by_hand``, in alphabetical order.
        by_hand: ids of the sources they need that the user must fetch by hand, in alphabetical order.
        source_of: task -> its source, for tasks whose files are in order.
        store: where artifacts go.
        options: the build's parameters.
        progress: where progress goes.
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
        plans: Mapping[str, TaskPlan | SciriffError] | None = None,
        find: Callable[[Settings], TokenizerFile] = find_tokenizer,
    ) -> None:
        """Plan the build and make sure that the store can be written.

        Args:
            names: task names; None for all.
            options: the build's parameters.
            settings: places and permissions.
            progress: where progress goes.
            force: build also what is there and intact.
            update_lock: accept source files that differ from ``sources.lock``.
            plans: the plans of the named tasks, where they are made already.
            find: finds the tokenizer of sources that are not bundled samples.

        Raises:
            UsageError: if a task name is unknown.
            StoreError: if the store cannot be written.
        """
        self._plans = plan_tasks(names, settings.templates_dir) if plans is None else plans
        self._find = find
        self.options, self.progress = options, progress
        self._settings = settings
        self._update_lock = update_lock
        self._acquired: dict[str, Acquired] = {}
        self._tokenizers: dict[bool, TokenizerFile] = {}
        self._choosing = threading.Lock()
        self.store = Store.of(settings)
        self.store.check_writable()
        tidy(self.store)
        self._shop = Workshop(self.store, options, WorkerPool(settings.workers), progress, force)
        self.tasks = tuple(self._plans)
        self._files = files_needed(self._plans)
        self.fetched, self.by_hand = last_by_hand(self._files)
        self.source_of = {name: plan.binding.source for name, plan in self._plans.items() if isinstance(plan, TaskPlan)}

    def acquire(self, source: str) -> Acquired:
        """Get the files of a source onto local disk; an error is remembered and becomes that of the source's tasks.

        It may be called again for a source that was not to be had.
        """
        self._acquired[source] = acquire_source(
            source,
            self._files[source],
            self._settings,
            self.progress,
            others=[self._acquired[other] for other in self.fetched if other in self._acquired],
            update_lock=self._update_lock,
        )
        return self._acquired[source]

    def hosts(self, source: str) -> list[str]:
        """The hosts that :meth:`acquire` is going to ask for a source, as far as that can be told without asking."""
        return hosts_asked(source, self._files[source], self._settings)

    def lack_of(self, source: str) -> SciriffError | None:
        """What keeps a source away that was asked for; None if it is there."""
        acquired = self._acquired[source]
        return acquired if isinstance(acquired, SciriffError) else None

    def start(self, names: Sequence[str]) -> int:  # noqa: ARG002 - for builds that are spread
        """Say which tasks are going to be built. Returns for how many :meth:`build_task` may be called at a time."""
        return self._settings.workers

    def build_task(self, name: str) -> TaskOutcome:
        """Build one task, or wait for another run that does. What stops it becomes its outcome and touches no other."""
        outcome = self._build_task(name)
        assert outcome is not None
        return outcome

    def _build_if_free(self, name: str) -> TaskOutcome | None:
        """Build one task; None if another run is building it."""
        return self._build_task(name, waiting=False)

    def _build_task(self, name: str, *, waiting: bool = True) -> TaskOutcome | None:
        started = time.monotonic()
        try:
            plan, source, tokenizer = self._ready(name)
            return build_task(plan, source, tokenizer, self._shop, waiting=waiting)
        except BusyError:
            return None
        except SciriffError as error:
            return outcome_of_error(name, error, time.monotonic() - started)
        except Exception as error:  # a defect of ours must not take the other tasks down
            logger.exception("building %s failed", name)
            defect = SciriffError(f"{name}: internal error, please report it: {type(error).__name__}: {error}")
            return outcome_of_error(name, defect, time.monotonic() - started)

    def outcomes(self) -> Iterator[TaskOutcome]:
        """Acquire all sources, then build all tasks side by side; their rows share the worker processes.

        Yields:
            Each task, in alphabetical order; at the end those that another run was building when their turn came.
        """
        with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE, thread_name_prefix="fetch") as threads:
            for sources in (self.fetched, self.by_hand):
                list(threads.map(self.acquire, sources))
        with ThreadPoolExecutor(self._settings.workers, thread_name_prefix="task") as threads:
            try:
                busy = []
                for name, outcome in zip(self.tasks, threads.map(self._build_if_free, self.tasks), strict=True):
                    if outcome is None:
                        busy.append(name)
                    else:
                        yield outcome
                yield from threads.map(self.build_task, busy)
            except BaseException:  # Ctrl-C, or nobody wants the rest
                self.stop()
                raise

    def stop(self) -> None:
        """End what is under way within seconds; nothing half done is published, and no lease stays behind."""
        self._shop.stop.set()
        stop_workers(at_once=True)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Keep builds with other options out of the store, waiting for one that is under way there.

        They would replace each other's artifacts, and what is combined at the end would be of both. Builds with the
        same options share the work.
        """
        alike = {
            "options": self.options.describe(),
            "tokenizer": self._settings.tokenizer,
            "samples": self._settings.samples,
            "templates": str(self._settings.templates_dir or ""),
            "code": code_digest(["sciriff.building.task"]),
        }
        doing = "tasks are being built with other options"
        with lease(
            self.store, "builds", doing=doing, alike=digest(alike), tell=self.progress.log, stop=self._shop.stop
        ):
            yield

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
        return plan.key(source, tokenizer, self.options)

    def _ready(self, name: str) -> tuple[TaskPlan, AcquiredSource, TokenizerFile]:
        plan = self._plans[name]
        if isinstance(plan, SciriffError):
            raise plan
        source = self._acquired[plan.binding.source]
        if isinstance(source, ByHandError):
            source = self._built_from(plan) or source
        if isinstance(source, SciriffError):
            raise source
        return plan, source, self._tokenizer(source)

    def _built_from(self, plan: TaskPlan) -> AcquiredSource | None:
        """The real files that the artifacts at hand were made of, if a build would make the same of them today.

        So a task stays done when the files that its user fetched by hand are gone, or lie on another machine.
        """
        folders = [folder(window, plan.name) for window in self.options.windows]
        manifest = self.store.read_manifest(folders[0])
        if self._shop.force or manifest is None or manifest["inputs"]["sample"]:
            return None
        source = source_of(plan, manifest)
        key = plan.key(source, self._tokenizer(source), self.options)
        return source if all(self.store.intact(each, key) for each in folders) else None

    def _tokenizer(self, source: AcquiredSource) -> TokenizerFile:
        """The tokenizer of the settings; for a bundled sample the one bundled with it, unless another is asked for."""
        bundled = self._settings.tokenizer is None and is_sample(source)
        with self._choosing:
            if bundled not in self._tokenizers:
                found = bundled_tokenizer() if bundled else self._find(self._settings)
                self.progress.log(f"tokens are counted with {found.name}, sha256 {found.sha256[:12]}")
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
    found: dict[str, Acquired] = {}
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE, thread_name_prefix="fetch") as threads:
        for sources in last_by_hand(needed):
            get = partial(_fetch, needed, settings, progress, list(found.values()), update_lock)
            found |= zip(sources, threads.map(get, sources), strict=True)
    return {source: found[source] for source in needed}


def files_needed(plans: Mapping[str, TaskPlan | SciriffError]) -> dict[str, list[str]]:
    """Source id -> keys of the files that the planned tasks need, both in alphabetical order."""
    needed: dict[str, set[str]] = {}
    for plan in plans.values():
        if isinstance(plan, TaskPlan):
            needed.setdefault(plan.binding.source, set()).update(plan.files())
    return {source: sorted(needed[source]) for source in sorted(needed)}


def _fetch(
    needed: Mapping[str, Sequence[str]],
    settings: Settings,
    progress: Progress,
    others: Sequence[Acquired],
    update_lock: bool,
    source: str,
) -> Acquired:
    return acquire_source(source, needed[source], settings, progress, others=others, update_lock=update_lock)


def combine_built(store: Store, windows: Sequence[int], tell: Callable[[str], None] | None = None) -> CombineOutcome:
    """Combine every task that has a manifest in the store, at each window; see :func:`combine`."""
    return combine(store, windows=windows, tell=tell)
