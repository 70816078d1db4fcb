"""``build-sciriff``: fetch the sources, build every task, combine what is built.

One Prefect task per source, one per task build (all windows) and one for the last step; what they share (worker
processes, tokenizer, acquired files) is the library's ``Build``.

Caching: the cache key of a task build is the library's build key, and its Prefect result the small outcome. What was
remembered counts only while the artifacts in the store are whole under that very key; otherwise the task has no cache
key and the library is asked, which looks at the same manifests. So a lost or stale Prefect cache costs a look, never a
wrong artifact.

Sources that the user must fetch by hand block their tasks; all others are built, combined and published all the same.
With ``wait_for_manual_minutes`` the run then looks for the files now and again, and goes on with what waits for them as
soon as they are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.futures import as_completed
from prefect.states import Completed
from prefect.utilities.annotations import NotSet
from pydantic import Field, TypeAdapter

from flows.build_artifacts import publish_build, publish_leakage, undone
from flows.parameters import Hours, Integers, Limit, RunnerName, SomeNames
from flows.progress import ArtifactProgress
from flows.runs import run_name, settings_with
from flows.states import CACHED, end_state, error_state, naming
from flows.waiting import wait_for_files
from flows.work import RETRIED, Crew, GivenUpError, alone, done_or_told, time_limit, within
from sciriff.building.options import DEFAULT_CAP, DEFAULT_SEED, DEFAULT_WINDOWS, BuildOptions
from sciriff.building.outcome import TaskOutcome, exit_code_of
from sciriff.building.task import folder
from sciriff.building.validate import read_result
from sciriff.errors import ExitCode, SciriffError

if TYPE_CHECKING:
    from prefect.context import TaskRunContext
    from prefect.futures import PrefectFuture

    from sciriff.building.build import Build

_FETCHES_AT_ONCE = 4
_OUTCOME = TypeAdapter(TaskOutcome)


@task(task_run_name="fetch {source}", **RETRIED)
def fetch_source(source: str, build: Build, hours: float) -> Any:
    """Get one source onto the worker's disk; the library resumes, checks hashes and knows the mirrors."""

    def fetch() -> State[Any]:
        acquired = build.acquire(source)
        if isinstance(acquired, SciriffError):
            raise acquired
        size = sum(file.bytes for file in acquired.files.values())
        return Completed(message=f"{len(acquired.files)} files, {size / 1e6:,.1f} MB")

    return done_or_told(f"fetch {source}", fetch, hours, "run the same again: downloads go on where they stopped")


def whole_key(_context: TaskRunContext, parameters: Mapping[str, Any]) -> str | None:
    """``cache_key_fn``: the build key if the store holds whole artifacts of it, else None: nothing is remembered."""
    build, name = parameters["build"], parameters["name"]

    def look() -> str | None:
        key: str = "" if parameters["force"] else build.key(name)
        windows = parameters["options"].windows
        whole = key and all(build.store.intact(folder(window, name), key) for window in windows)
        return key if whole and read_result(build.store, name) is not None else None

    try:
        return within(parameters["hours"], f"look for {name}", look, "")
    except (SciriffError, GivenUpError):  # the task itself tells what is wrong, and is tried again where that may help
        return None


@task(
    task_run_name="build {name}",
    **{**RETRIED, "cache_policy": NotSet, "persist_result": True},
    cache_key_fn=whole_key,
    result_serializer="json",
)
def build_task(name: str, build: Build, options: BuildOptions, force: bool, hours: float) -> Any:  # noqa: ARG001
    """Build one task in all windows and publish it, unless the store already has it."""

    def build_it() -> State[Any]:
        outcome = build.build_task(name)
        message = outcome.message or f"build key {outcome.key}"
        if outcome.state == "cached":
            return Completed(name=CACHED, message=message, data=_OUTCOME.dump_python(outcome, mode="json"))
        if not outcome.done:
            message = naming(name, message)
        return end_state(exit_code_of([outcome]), message, _OUTCOME.dump_python(outcome, mode="json"))

    return done_or_told(f"build {name}", build_it, hours, "run the same again, with more task_hours if it has to be")


@task(task_run_name="combine", **RETRIED)
def combine_tasks(build: Build, options: BuildOptions, hours: float) -> Any:
    """Write the combined dataset of every window, of all tasks that are built in the store."""
    from sciriff.building.build import combine_built

    work = partial(combine_built, build.store, options.windows, build.progress.log)
    return done_or_told("combine", work, hours, "run the same again, with more task_hours if it has to be")


@task(task_run_name="leakage", **RETRIED)
def check_leakage(build: Build, options: BuildOptions, limit: float, hours: float) -> Any:
    """Compare all built tasks at the largest window; fails if more than the limit of an evaluation split leaks."""
    from sciriff.building.progress import Silent
    from sciriff.dataset.leakage_report import report_leakage

    def check() -> State[Any]:
        report = report_leakage(build.store, window=max(options.windows), progress=Silent())
        publish_leakage(build.store, report)
        over = [f"{share:.1%} of {task}/{split}" for (task, split), share in report.over(limit).items()]
        message = f"stands in training data, more than the {limit:.1%} of max_leakage: {', '.join(over)}"
        return end_state(
            ExitCode.FAILED if over else ExitCode.DONE, message if over else "no evaluation split leaks more"
        )

    return done_or_told("leakage", check, hours, "run the same again, with more task_hours if it has to be")


@flow(name="build-sciriff", flow_run_name=run_name)
def build_sciriff(
    tasks: SomeNames = None,
    windows: Integers = DEFAULT_WINDOWS,
    n_instances: Limit = DEFAULT_CAP,
    template_ids: Integers = (0,),
    templates_dir: str | None = None,
    seed: int = DEFAULT_SEED,
    fidelity: Literal["corrected", "original"] = "corrected",
    split_by: Literal["document", "instance"] | None = None,
    tokenizer: str | None = None,
    workers: Annotated[int, Field(ge=1)] | None = None,
    runner: RunnerName | None = None,
    cluster: str | None = None,
    store: str | None = None,
    force: bool = False,
    wait_for_manual_minutes: Annotated[float, Field(ge=0)] = 0.0,
    max_leakage: Annotated[float, Field(ge=0, le=1)] | None = None,
    task_hours: Hours = 6.0,
    run_hours: Hours = 48.0,
) -> State[Any]:
    """Rebuild SciRIFF from the primary sources.

    Args:
        tasks: names of tasks, as a list or separated by commas; all if empty.
        windows: context windows in tokens, as a list or separated by commas.
        n_instances: most instances kept per split and window; "all" for no limit.
        template_ids: templates to apply to each record.
        templates_dir: folder of task files on the worker, in place of the bundled ones.
        seed: global seed of the build.
        fidelity: "corrected" puts right what is wrong in instances of the original SciRIFF, "original" leaves it.
        split_by: what stays together where a missing split is carved out of another, "document" or "instance"; by
            document if empty, or by instance where fidelity is "original".
        tokenizer: Hub name, or path of a tokenizer.json on the worker.
        workers: worker processes; all cores of the worker if empty.
        runner: who builds the tasks: "local" (this worker), or an existing "dask" or "ray" cluster, whose workers then
            get the sources as well; SCIRIFF_RUNNER if empty.
        cluster: address of the cluster; SCIRIFF_CLUSTER if empty.
        store: root of the artifacts, a path on the worker or an fsspec URL; SCIRIFF_STORE if empty.
        force: build also what is there and intact.
        wait_for_manual_minutes: how long to wait, once all else is built, for files that you must fetch by hand; the
            run goes on by itself when they are there.
        max_leakage: the run fails if a larger share of any evaluation split stands in training data; not looked at if
            empty.
        task_hours: how long a single source, task or last step may take; what takes longer is given up and fails by
            name, and everything else goes on.
        run_hours: how long the whole run may take.
    """
    from sciriff.building.spread import plan_build
    from sciriff.runners import open_runner

    try:
        with time_limit("build-sciriff", run_hours), ExitStack() as machines:
            settings = settings_with(
                store=store,
                tokenizer=tokenizer,
                workers=workers,
                templates_dir=templates_dir,
                runner=runner,
                cluster=cluster,
            )
            options = BuildOptions.checked(windows, n_instances, template_ids, seed, fidelity, split_by)
            progress = ArtifactProgress("build-progress")
            elsewhere = machines.enter_context(open_runner(settings, progress))
            build = plan_build(tasks, options, settings, progress, elsewhere, force=force)
            progress.expect(len(build.fetched) + len(build.by_hand) + len(build.tasks) + 1)
            for sources in (build.fetched, build.by_hand):
                _fetch(sources, build, task_hours, progress)
            shared = {"build": build, "options": options, "force": force, "hours": task_hours}
            with build.undisturbed():
                outcomes = _build(build.tasks, build, shared, progress)
                combining = _combine(outcomes, build, options, task_hours, progress)
            if wait_for_manual_minutes and (waiting := _waiting(outcomes, build)):
                names = ", ".join(sorted(set(waiting.values())))
                given = {"sources": names, "build": build, "minutes": wait_for_manual_minutes, "progress": progress}
                alone(wait_for_files, given)
                ready = [name for name, source in waiting.items() if build.lack_of(source) is None]
                if ready:
                    progress.expect_more(len(ready) + 1)
                    with build.undisturbed():
                        outcomes |= _build(ready, build, shared, progress)
                        combining = _combine(outcomes, build, options, task_hours, progress)
            checks = {"combining": combining}
            if max_leakage is not None and combining is not None:
                given = {"build": build, "options": options, "limit": max_leakage, "hours": task_hours}
                checks["leakage"] = alone(check_leakage, given)
    except SciriffError as error:
        return error_state(error)
    return _end(list(outcomes.values()), checks)


def _fetch(sources: Sequence[str], build: Build, hours: float, progress: ArtifactProgress) -> None:
    with Crew(_FETCHES_AT_ONCE) as fetchers:
        fetching = {
            name: fetchers.give(
                fetch_source,
                {"source": name, "build": build, "hours": hours},
                tags=[f"host:{host}" for host in build.hosts(name)],
            )
            for name in sources
        }
        _wait(fetching, progress)


def _build(
    names: Sequence[str], build: Build, shared: Mapping[str, Any], progress: ArtifactProgress
) -> dict[str, TaskOutcome]:
    with Crew(build.start(names)) as builders:
        building = {name: builders.give(build_task, {"name": name, **shared}) for name in names}
        return {name: _outcome(name, state) for name, state in _wait(building, progress).items()}


def _combine(
    outcomes: Mapping[str, TaskOutcome], build: Build, options: BuildOptions, hours: float, progress: ArtifactProgress
) -> State[Any] | None:
    """Combine what is built and show what became of all tasks; the state of combining, None if there is nothing."""
    from sciriff.building.validate import publish_docs

    done = any(outcome.done for outcome in outcomes.values())
    combining = alone(combine_tasks, {"build": build, "options": options, "hours": hours}) if done else None
    combined = combining.result() if combining is not None and combining.is_completed() else None
    publish_build(build.store, list(outcomes.values()), combined, publish_docs(build.store))
    progress.finished("combined" if combined is not None else "nothing combined")
    return combining


def _waiting(outcomes: Mapping[str, TaskOutcome], build: Build) -> dict[str, str]:
    """Task -> its source, for tasks that are blocked because the user must fetch the source by hand."""
    sources = {name: build.source_of[name] for name, outcome in outcomes.items() if outcome.state == "blocked"}
    return {name: source for name, source in sources.items() if source in build.by_hand}


def _wait(futures: Mapping[str, PrefectFuture[Any]], progress: ArtifactProgress) -> dict[str, State[Any]]:
    """Wait for task runs, of which a failed one stops no other. Name -> final state."""
    names = {future.task_run_id: name for name, future in futures.items()}
    for future in as_completed(list(futures.values())):
        future.wait()  # it has ended; now it keeps its state, with the data, which the server has not
        progress.finished(names[future.task_run_id])
    return {name: future.state for name, future in futures.items()}


def _outcome(name: str, state: State[Any]) -> TaskOutcome:
    """The outcome of a task build; a run that crashed or was given up left none, and failed."""
    data = state.result(raise_on_failure=False)
    if not isinstance(data, Mapping):
        return TaskOutcome(name, "failed", state.message or state.name or "")
    outcome = _OUTCOME.validate_python(data)
    return replace(outcome, state="cached", seconds=0.0) if state.name == CACHED else outcome


def _end(outcomes: Sequence[TaskOutcome], checks: Mapping[str, State[Any] | None]) -> State[Any]:
    """The state of the whole run: failed and blocked tasks, and last steps that failed, each with its message."""
    code = exit_code_of(outcomes)
    parts = [f"{', '.join(names)} {state}: {message}" for (state, message), names in undone(outcomes).items()]
    for step, state in checks.items():
        if state is not None and not state.is_completed():
            code = ExitCode.FAILED
            parts.append(f"{step} failed: {state.message}")
    counts = Counter(outcome.state for outcome in outcomes)
    head = f"{counts['built']} of {len(outcomes)} tasks built, {counts['cached']} already there"
    return end_state(code, "\n".join([head, *parts]))
