"""``build-sciriff``: fetch the sources, build every task, combine what is built.

One Prefect task per source, one per task build (all windows) and one for the last step; what they share (worker
processes, tokenizer, acquired files) is the library's ``Build``.

Nothing is cached by Prefect. A remembered result could be trusted only after the look at keys and files that the library
takes anyway, so it would save nothing and be a second record that can disagree with the store. The library says by its
own build key whether the artifacts in the store will do; such a task run ends as ``Cached``, and the table of the build
says why others did not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff
from pydantic import Field

from flows.build_artifacts import publish_build
from flows.parameters import Integers, Limit, SomeNames
from flows.progress import ArtifactProgress
from flows.runs import retry_if_it_can_pass, run_name, settings_with
from flows.states import CACHED, end_state, error_state
from sciriff.building.options import DEFAULT_CAP, DEFAULT_SEED, DEFAULT_WINDOWS, BuildOptions
from sciriff.building.outcome import TaskOutcome, exit_code_of
from sciriff.errors import BlockedError, ExitCode, SciriffError

if TYPE_CHECKING:
    from sciriff.building.build import Build
    from sciriff.building.combine import CombineOutcome

_FETCHES_AT_ONCE = 4


@task(
    task_run_name="fetch {source}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=3,
    retry_delay_seconds=exponential_backoff(4),
    retry_jitter_factor=0.5,
    retry_condition_fn=retry_if_it_can_pass,
)
def fetch_source(source: str, build: Build) -> Any:
    """Get one source onto the worker's disk; the library resumes, checks hashes and knows the mirrors."""
    acquired = build.acquire(source)
    if isinstance(acquired, BlockedError):
        return error_state(acquired)
    if isinstance(acquired, SciriffError):
        raise acquired
    size = sum(file.bytes for file in acquired.files.values())
    return Completed(message=f"{len(acquired.files)} files, {size / 1e6:,.1f} MB")


@task(task_run_name="build {name}", cache_policy=NO_CACHE, persist_result=False)
def build_task(name: str, build: Build) -> Any:
    """Build one task in all windows and publish it, unless the store already has it."""
    outcome = build.build_task(name)
    if outcome.state == "cached":
        return Completed(name=CACHED, message=f"build key {outcome.key}", data=outcome)
    return end_state(exit_code_of([outcome]), outcome.message or f"build key {outcome.key}", outcome)


@task(task_run_name="combine", cache_policy=NO_CACHE, persist_result=False)
def combine_tasks(build: Build) -> CombineOutcome:
    """Write the combined dataset of every window, of all tasks that are built in the store."""
    return build.combine()


@flow(name="build-sciriff", flow_run_name=run_name)
def build_sciriff(
    tasks: SomeNames = None,
    windows: Integers = DEFAULT_WINDOWS,
    n_instances: Limit = DEFAULT_CAP,
    template_ids: Integers = (0,),
    templates_dir: str | None = None,
    seed: int = DEFAULT_SEED,
    fidelity: Literal["corrected", "original"] = "corrected",
    tokenizer: str | None = None,
    workers: Annotated[int, Field(ge=1)] | None = None,
    store: str | None = None,
    force: bool = False,
) -> State[Any]:
    """Rebuild SciRIFF from the primary sources.

    Args:
        tasks: names of tasks, as a list or separated by commas; all if empty.
        windows: context windows in tokens, as a list or separated by commas.
        n_instances: most instances kept per split and window; "all" for no limit.
        template_ids: templates to apply to each record.
        templates_dir: folder of task files on the worker, in place of the bundled ones.
        seed: global seed of the build.
        fidelity: how JSON answers are spelled; "original" as the original SciRIFF did.
        tokenizer: Hub name, or path of a tokenizer.json on the worker.
        workers: worker processes; all cores of the worker if empty.
        store: root of the artifacts, a path on the worker or an fsspec URL; SCIRIFF_STORE if empty.
        force: build also what is there and intact.
    """
    from sciriff.building.build import Build

    progress = ArtifactProgress("build-progress")
    try:
        settings = settings_with(store=store, tokenizer=tokenizer, workers=workers, templates_dir=templates_dir)
        options = BuildOptions.checked(windows, n_instances, template_ids, seed, fidelity)
        with Build(tasks, options, settings, progress, force=force) as build:
            progress.expect(len(build.sources) + len(build.tasks) + 1)
            _each(fetch_source, "source", build.sources, build, _FETCHES_AT_ONCE, progress)
            states = _each(build_task, "name", build.tasks, build, settings.workers, progress)
            outcomes = [_outcome(name, state) for name, state in states.items()]
            docs = build.publish_docs()
            combining = combine_tasks(build, return_state=True) if any(each.done for each in outcomes) else None
    except SciriffError as error:
        return error_state(error)
    combined = combining.result() if combining is not None and combining.is_completed() else None
    publish_build(build.store, outcomes, combined, docs)
    progress.finished("combined" if combined is not None else "nothing combined")
    return _end(outcomes, combining)


def _each(
    what: Any, parameter: str, names: Sequence[str], build: Build, at_once: int, progress: ArtifactProgress
) -> dict[str, State[Any]]:
    """Run a task for every name, so many at once in threads; a failed one stops no other. Name -> final state."""
    with ThreadPoolTaskRunner(max_workers=at_once) as runner:
        futures = {name: runner.submit(what, {parameter: name, "build": build}) for name in names}
        for name, future in futures.items():
            future.wait()
            progress.finished(name)
        return {name: future.state for name, future in futures.items()}


def _outcome(name: str, state: State[Any]) -> TaskOutcome:
    """The outcome in the state of a task build; a run that crashed has none, and failed."""
    result = state.result(raise_on_failure=False)
    return result if isinstance(result, TaskOutcome) else TaskOutcome(name, "failed", state.message or repr(result))


def _end(outcomes: Sequence[TaskOutcome], combining: State[Any] | None) -> State[Any]:
    """The state of the whole run: failed and blocked tasks by name, each with its message."""
    code = exit_code_of(outcomes)
    parts = [f"{outcome.task} {outcome.state}: {outcome.message}" for outcome in outcomes if not outcome.done]
    if combining is not None and not combining.is_completed():
        code = ExitCode.FAILED
        parts.append(f"combining failed: {combining.message}")
    counts = Counter(outcome.state for outcome in outcomes)
    head = f"{counts['built']} of {len(outcomes)} tasks built, {counts['cached']} already there"
    return end_state(code, "\n".join([head, *parts]))
