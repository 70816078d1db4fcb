"""``build-sciriff``: fetch the sources, build every task, combine what is built.

One Prefect task per source, one per task build (all windows) and one for the last step. Sources are fetched side by
side; tasks are built one after the other as their sources come, since within a machine the library's worker processes
share the work of a task.

Caching: a build task's cache key is the library's build key and its Prefect result the small outcome, but a remembered
result counts only while the files in the store are whole under that very key. Otherwise ``refresh_cache`` makes Prefect
ask the library, which looks at the same manifests. A lost or stale Prefect cache costs a look, never a wrong artifact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff
from pydantic import Field

from flows.build_artifacts import publish_build
from flows.parameters import Integers, Limit, SomeNames
from flows.progress import ArtifactProgress
from flows.runs import retry_if_it_can_pass, run_name, settings_with
from flows.states import BLOCKED, CACHED, end_state, error_state
from sciriff.building.options import DEFAULT_CAP, DEFAULT_SEED, DEFAULT_WINDOWS
from sciriff.building.outcome import TaskOutcome, exit_code_of
from sciriff.errors import BlockedError, ExitCode, SciriffError

if TYPE_CHECKING:
    from prefect.context import TaskRunContext
    from prefect.futures import PrefectFuture

    from sciriff.building.combine import CombineOutcome
    from sciriff.building.options import BuildOptions
    from sciriff.settings import Settings
    from sciriff.store import Store

_FETCHES_AT_ONCE = 4


def build_key(_context: TaskRunContext, parameters: Mapping[str, Any]) -> str | None:
    """``cache_key_fn``: the library's build key; None, which is never remembered, if it could not be computed."""
    return parameters["key"] or None


@task(
    task_run_name="fetch {source}",
    retries=3,
    retry_delay_seconds=exponential_backoff(4),
    retry_jitter_factor=0.5,
    retry_condition_fn=retry_if_it_can_pass,
)
def fetch_source(source: str, settings: Settings) -> Any:
    """Get one source onto the worker's disk; the library resumes, checks hashes and knows the mirrors."""
    from sciriff import api

    try:
        acquired = api.fetch_source(source, settings)
    except BlockedError as error:
        return error_state(error)
    return {"files": len(acquired.files), "bytes": sum(file.bytes for file in acquired.files.values())}


@task(task_run_name="build {name}", cache_key_fn=build_key, persist_result=True, result_serializer="json")
def build_task(
    name: str,
    key: str,  # noqa: ARG001 - for build_key
    options: BuildOptions,
    settings: Settings,
    force: bool,
    progress: ArtifactProgress,
) -> Any:
    """Build one task in all windows and publish it, unless the store already has it."""
    from sciriff import api

    outcome = api.build_task(name, options=options, settings=settings, force=force, progress=progress)
    if outcome.done:
        return as_record(outcome)
    return end_state(exit_code_of([outcome]), outcome.message, as_record(outcome))


# No Prefect cache: the library finds an unchanged dataset by its manifests, without writing it again.
@task(task_run_name="combine", cache_policy=NO_CACHE, persist_result=False)
def combine_tasks(options: BuildOptions, settings: Settings) -> CombineOutcome:
    """Write the combined dataset of every window, of all tasks that are built in the store."""
    from sciriff import api

    return api.combine(windows=options.windows, settings=settings)


@flow(name="build-sciriff", flow_run_name=run_name, task_runner=ThreadPoolTaskRunner(max_workers=_FETCHES_AT_ONCE))
def build_sciriff(
    tasks: SomeNames = None,
    windows: Integers = DEFAULT_WINDOWS,
    n_instances: Limit = DEFAULT_CAP,
    template_ids: Integers = (0,),
    templates_dir: str | None = None,
    seed: int = DEFAULT_SEED,
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
        tokenizer: Hub name, or path of a tokenizer.json on the worker.
        workers: worker processes; all cores of the worker if empty.
        store: root of the artifacts, a path on the worker or an fsspec URL; SCIRIFF_STORE if empty.
        force: build also what is there and intact.
    """
    from sciriff import api
    from sciriff.building.options import BuildOptions
    from sciriff.store import Store

    try:
        settings = settings_with(store=store, tokenizer=tokenizer, workers=workers, templates_dir=templates_dir)
        options = BuildOptions.checked(windows, n_instances, template_ids, seed)
        shelf = Store(settings.store)
        shelf.check_writable()
        plan = api.plan_build(tasks, options=options, settings=settings)
    except SciriffError as error:
        return error_state(error)

    progress = ArtifactProgress("build-progress", steps=len(plan.sources) + len(plan.tasks) + 1)
    fetching = {source: fetch_source.submit(source, settings) for source in plan.sources}
    source_of = {name: source for source, names in plan.source_tasks.items() for name in names}
    outcomes: list[TaskOutcome] = []
    for name in plan.tasks:
        stopped = _wait_for(fetching.get(source_of.get(name, "")), name)
        outcome = stopped or _build(name, _key_of(plan.key, name), shelf, options, settings, force, progress)
        outcomes.append(outcome)
        progress.finished(f"{name} {outcome.state}")

    combining = None
    if any(outcome.done for outcome in outcomes):
        combining = combine_tasks(options, settings, return_state=True)
    combined = combining.result() if combining is not None and combining.is_completed() else None
    progress.finished("combined" if combined is not None else "not combined")
    publish_build(shelf, outcomes, combined)
    return _end(outcomes, combining)


def _wait_for(fetching: PrefectFuture[Any] | None, name: str) -> TaskOutcome | None:
    """The outcome of a task whose source did not come; None if the task can be built (or fails for its own reasons)."""
    if fetching is None:
        return None
    fetching.wait()
    state = fetching.state
    if state.name == BLOCKED:
        return TaskOutcome(name, "blocked", state.message or "")
    return TaskOutcome(name, "failed", _message_of(state)) if state.is_failed() or state.is_crashed() else None


def _key_of(key: Callable[[str], str], name: str) -> str:
    try:
        return key(name)
    except SciriffError:
        return ""  # the build itself meets the same error and reports it


def _build(
    name: str,
    key: str,
    store: Store,
    options: BuildOptions,
    settings: Settings,
    force: bool,
    progress: ArtifactProgress,
) -> TaskOutcome:
    """Run one build task; whatever goes wrong in it becomes its outcome."""
    whole = bool(key) and not force and all(store.intact(f"instructions/{w}/{name}", key) for w in options.windows)
    run = build_task.with_options(refresh_cache=not whole)
    state = run(name, key, options, settings, force, progress, return_state=True)
    if state.is_failed() or state.is_crashed():
        return TaskOutcome(name, "failed", _message_of(state), key=key)
    outcome = from_record(state.result())
    if state.name == CACHED:
        return replace(outcome, state="cached", seconds=0.0, reason_to_build="")
    return outcome


def _message_of(state: State[Any]) -> str:
    error = state.result(raise_on_failure=False)
    return str(error) if isinstance(error, SciriffError) else state.message or str(error)


def _end(outcomes: Sequence[TaskOutcome], combining: State[Any] | None) -> State[Any]:
    """The state of the whole run: failed and blocked tasks by name, each with its message."""
    code = exit_code_of(outcomes)
    parts = [f"{outcome.task} {outcome.state}: {outcome.message}" for outcome in outcomes if not outcome.done]
    if combining is not None and not combining.is_completed():
        code = ExitCode.FAILED
        parts.append(f"combining failed: {_message_of(combining)}")
    counts = Counter(outcome.state for outcome in outcomes)
    head = f"{counts['built']} of {len(outcomes)} tasks built, {counts['cached']} already there"
    return end_state(code, "\n".join([head, *parts]))


def as_record(outcome: TaskOutcome) -> dict[str, Any]:
    """An outcome as plain JSON data, which is what Prefect remembers."""
    record = asdict(outcome)
    record["rows"] = {str(window): dict(splits) for window, splits in outcome.rows.items()}
    record["tokens"] = {str(window): tokens for window, tokens in outcome.tokens.items()}
    return record


def from_record(record: Mapping[str, Any]) -> TaskOutcome:
    """Undo :func:`as_record`."""
    return TaskOutcome(
        **{
            **record,
            "rows": {int(window): splits for window, splits in record["rows"].items()},
            "tokens": {int(window): tokens for window, tokens in record["tokens"].items()},
            "notes": tuple(record["notes"]),
        }
    )
