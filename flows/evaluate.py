"""``evaluate-model``: predict with models over the built evaluation tasks, score the replies, index the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from prefect import flow, task
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.parameters import Limit, Names, SomeNames
from flows.progress import ArtifactProgress
from flows.runs import link_to, run_name, settings_with
from flows.states import end_state, error_state
from sciriff.errors import ExitCode, SciriffError

if TYPE_CHECKING:
    from sciriff.results.evaluate import EvaluationReport


# No Prefect cache and no retries: replies already had are kept in the store, and the next run goes on from there.
@task(task_run_name="evaluate {models}", cache_policy=NO_CACHE, persist_result=False)
def evaluate(models: list[str], **choices: Any) -> EvaluationReport:
    """Score models on the tasks and write facts, tables and the index."""
    from sciriff import api

    return api.evaluate(models, **choices)


@flow(name="evaluate-model", flow_run_name=run_name)
def evaluate_model(
    model: Names,
    tasks: SomeNames = None,
    window: Annotated[int, Field(ge=1)] = 4096,
    split: str = "validation",
    limit: Limit = None,
    store: str | None = None,
) -> State[Any]:
    """Score models on the held-out tasks.

    Args:
        model: one or more model names, as a list or separated by commas, e.g. gold,empty.
        tasks: evaluation tasks, as a list or separated by commas; all that are built if empty.
        window: context window, in tokens, whose instances are used.
        split: split whose instances are used.
        limit: at most so many instances per task, the same ones for every model; "all" for no limit.
        store: root of the artifacts, a path on the worker or an fsspec URL; SCIRIFF_STORE if empty.
    """
