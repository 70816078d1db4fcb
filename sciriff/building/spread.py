"""Building tasks on other machines: a whole task, all of its windows, is one unit of work.

A worker gets the task's plan (task file, binding, suite), so a folder of task files need not be on every machine; the
options; the settings that decide the result (:mod:`sciriff.building.travel`); and the entries of the client's
``sources.lock`` for the files that it needs, so that all workers hold the same bytes. It gets the source itself, by its
own mirror and cache, and puts the artifacts into the store. What comes back is the outcome, and what the lock lacked.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sciriff.building.build import Build
from sciriff.building.options import BuildOptions
from sciriff.building.outcome import TaskOutcome, outcome_of_error
from sciriff.building.plan import TaskPlan
from sciriff.building.progress import Progress, Silent
from sciriff.building.runner import Runner, unwanted
from sciriff.building.task import folder
from sciriff.building.tokenizer import bundled_tokenizer, find_tokenizer
from sciriff.building.tokens import TokenizerFile
from sciriff.building.travel import worker_settings
from sciriff.errors import SciriffError, SourceError
from sciriff.settings import DEFAULT_TOKENIZER, Settings
from sciriff.sources import catalogue
from sciriff.sources.lock import LockEntry, read_lock, write_lock

_SECONDS_OF_A_TURN = 1.0


@dataclass(frozen=True, slots=True)
class BuildUnit:
    """One task to build on another machine.

    Attributes:
        plan: the task.
        options: the build's parameters.
        settings: those that go along.
        tokenizer: what the client counts with, or why it found nothing; the same is wanted on the worker.
        locked: address -> entry of the client's lock, for the files of the task's source.
        force: build also what is there.
        update_lock: accept source files that differ from the lock.
    """

    plan: TaskPlan
    options: BuildOptions
    settings: Mapping[str, Any]
    tokenizer: TokenizerFile | str
    locked: Mapping[str, LockEntry]
    force: bool
    update_lock: bool

    @property
    def label(self) -> str:
        """The name of the task."""
        return f"build-{self.plan.name}"


@dataclass(frozen=True, slots=True)
class BuiltUnit:
    """What became of a unit.

    Attributes:
        outcome: of its task.
        tokenizer: name of what it was counted with; empty if it came to no counting.
        locked: entries that the client's lock lacks, or has otherwise.
    """

    outcome: TaskOutcome
    tokenizer: str
    locked: Mapping[str, LockEntry]


def build_unit(unit: BuildUnit) -> BuiltUnit:
    """Build one task where this is called, in this process alone: the cluster says how many there are.

    Raises:
        StoreError: if the store cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="sciriff-lock-") as place:
        lock = Path(place) / "sources.lock"
        if unit.locked:
            write_lock(lock, unit.locked)
        settings = worker_settings({**unit.settings, "lock": lock, "workers": 1})
        name = unit.plan.name
        build = Build(
            [name],
            unit.options,
            settings,
            Silent(),
            force=unit.force,
            update_lock=unit.update_lock,
            plans={name: unit.plan},
            find=partial(_same_tokenizer, unit.tokenizer),
        )
        with _stopped_if_unwanted(build):
            for source in (*build.fetched, *build.by_hand):
                build.acquire(source)
            outcome = build.build_task(name)
        news = {url: entry for url, entry in read_lock(lock).items() if unit.locked.get(url) != entry}
        return BuiltUnit(outcome, ", ".join(build.tokenizers), news)


@contextmanager
def _stopped_if_unwanted(build: Build) -> Iterator[None]:
    """Stop a build, which then frees what it holds, when nobody waits for it any more."""
    event = unwanted.get(threading.Event())
    over = threading.Event()

    def watch() -> None:
        event.wait()
        if not over.is_set():
            build.stop()

    threading.Thread(target=watch, name="unwanted", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        event.set()


def _same_tokenizer(wanted: TokenizerFile | str, settings: Settings) -> TokenizerFile:
    """The tokenizer of the client, found on this machine."""
    if isinstance(wanted, str):
        raise SourceError(wanted)
    if wanted.sha256 == bundled_tokenizer().sha256:
        return bundled_tokenizer()
    name = settings.tokenizer or DEFAULT_TOKENIZER
    found = find_tokenizer(settings.model_copy(update={"tokenizer": name}))
    if found.sha256 != wanted.sha256:
        raise SourceError(
            f"tokenizer {name}: the worker's has sha256 {found.sha256[:12]}, the client's {wanted.sha256[:12]}; all "
            "must count with the same: bring them to the same revision"
        )
    return found


def plan_build(
    names: Sequence[str] | None,
    options: BuildOptions,
    settings: Settings,
    progress: Progress,
    runner: Runner | None = None,
    *,
    force: bool = False,
    update_lock: bool = False,
) -> Build:
    """Plan a build on this machine, or one whose tasks a runner has built elsewhere.

    Raises:
        UsageError: if a task name is unknown.
        StoreError: if the store cannot be written.
    """
    if runner is None:
        return Build(names, options, settings, progress, force=force, update_lock=update_lock)
    return SpreadBuild(names, options, settings, progress, runner, force=force, update_lock=update_lock)


class SpreadBuild(Build):
    """A build whose tasks are built by a runner. Sources are the workers' business.

    Those that the user must fetch by hand can be acquired all the same, to see whether they have come: a worker looks
    into ``manual/`` of the store, too.
    """

    def __init__(
        self,
        names: Sequence[str] | None,
        options: BuildOptions,
        settings: Settings,
        progress: Progress,
        runner: Runner,
        *,
        force: bool = False,
        update_lock: bool = False,
    ) -> None:
        """Plan the build. Raises as :class:`Build`."""
        super().__init__(names, options, settings, progress, force=force, update_lock=update_lock)
        self.fetched = ()
        self._runner = runner
        self._force = force
        self._told: dict[str, Future[TaskOutcome]] = {}
        self._counted_with: set[str] = set()

    def start(self, names: Sequence[str]) -> int:
        """Have tasks built; :meth:`build_task` then waits for each, and may do so for all at a time."""
        told: dict[str, Future[TaskOutcome]] = {name: Future() for name in names}
        self._told |= told
        threading.Thread(target=self._fill, args=(told,), daemon=True, name="spread").start()
        return max(1, len(names))

    def build_task(self, name: str) -> TaskOutcome:
        """Wait for a task that was started; one that was not, or was told of before, is started now.

        Raises:
            SciriffError: if the cluster went away.
        """
        if name not in self._told:
            self.start([name])
        future = self._told.pop(name)
        while not future.done():  # in short turns: a thread is interrupted only between two steps of Python
            with suppress(TimeoutError):
                return future.result(_SECONDS_OF_A_TURN)
        return future.result()

    def key(self, name: str) -> str:  # noqa: ARG002 - as of Build
        """Empty: what the workers' sources are is not known here, so nobody but them can tell what is done."""
        return ""

    @property
    def tokenizers(self) -> tuple[str, ...]:
        """Names of the tokenizers that workers counted with."""
        return tuple(sorted(self._counted_with))

    def outcomes(self) -> Iterator[TaskOutcome]:
        """Have all tasks built, and yield each as it ends.

        Raises:
            SciriffError: if the cluster goes away.
        """
        return self._outcomes(self.tasks)

    def _outcomes(self, names: Sequence[str]) -> Iterator[TaskOutcome]:
        units = []
        for name in names:
            plan = self._plans[name]
            if isinstance(plan, SciriffError):
                yield outcome_of_error(name, plan)
            else:
                units.append(plan)
        tokenizer, locked = self._own_tokenizer(), read_lock(self._settings.lock)
        work = [self._unit(plan, tokenizer, locked) for plan in units]
        for unit, ended in self._runner.run(build_unit, work):
            if isinstance(ended, SciriffError):
                yield outcome_of_error(unit.plan.name, ended)
            else:
                yield self._taken_in(ended)

    def _unit(self, plan: TaskPlan, tokenizer: TokenizerFile | str, locked: Mapping[str, LockEntry]) -> BuildUnit:
        try:
            urls = {file.url for file in catalogue.source(plan.binding.source).files.values()}
        except SciriffError:
            urls = set()  # the worker says what is wrong with the entry
        return BuildUnit(
            plan,
            self.options,
            self._runner.along,
            tokenizer,
            {url: entry for url, entry in locked.items() if url in urls},
            self._force,
            self._update_lock,
        )

    def _own_tokenizer(self) -> TokenizerFile | str:
        if self._settings.tokenizer is None and self._settings.samples == "always":
            return bundled_tokenizer()
        try:
            return find_tokenizer(self._settings)
        except SourceError as error:
            return str(error)  # of tasks that need it; bundled samples have their own

    def _taken_in(self, built: BuiltUnit) -> TaskOutcome:
        """The outcome, once its artifacts are seen here and the lock knows what it was made of."""
        outcome = built.outcome
        if outcome.done:
            manifest = self.store.read_manifest(folder(self.options.windows[-1], outcome.task))
            if manifest is None or manifest.get("key") != outcome.key:
                return replace(
                    outcome,
                    state="failed",
                    message=f"{outcome.task}: a worker says that it is {outcome.state}, but the store {self.store.url} "
                    "does not show it; every worker must reach the store at this very address",
                )
        if built.tokenizer:
            self._counted_with.add(built.tokenizer)
        if built.locked:
            lock = self._settings.lock
            known = {} if self._update_lock else read_lock(lock)
            write_lock(lock, {**read_lock(lock), **built.locked, **known})
        return outcome

    def _fill(self, told: Mapping[str, Future[TaskOutcome]]) -> None:
        problem: BaseException = SciriffError("the runner has not come to this task")
        try:
            for outcome in self._outcomes(list(told)):
                told[outcome.task].set_result(outcome)
        except BaseException as error:
            problem = error
        for future in told.values():
            if not future.done():
                future.set_exception(problem)
