"""``create-mixture``: make a training mixture of built tasks and the Tulu v2 mixture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from prefect import flow, task
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.tasks import exponential_backoff

from flows.parameters import Limit
from flows.runs import link_to, retry_if_it_can_pass, run_name, settings_with
from flows.states import end_state, error_state
from sciriff.errors import ExitCode, SciriffError

if TYPE_CHECKING:
    from sciriff.mixture import MixtureOutcome

_SEED = 76


# No Prefect cache: the library finds an unchanged mixture by its manifest, without writing it again.
@task(
    task_run_name="mix",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=3,
    retry_delay_seconds=exponential_backoff(4),
    retry_jitter_factor=0.5,
    retry_condition_fn=retry_if_it_can_pass,
)
def mix(**choices: Any) -> MixtureOutcome:
    """Write the mixture and its manifest."""
    from sciriff import api

    return api.mix(**choices)


@flow(name="create-mixture", flow_run_name=run_name)
def create_mixture(
    instances_per_task: Limit = 1000,
    tulu: Literal["match", "all", "none"] = "match",
    include_eval_tasks: bool = False,
    window: int = 4096,
    seed: int = _SEED,
    store: str | None = None,
) -> State[Any]:
    """Make a training mixture of built tasks and the Tulu v2 mixture.

    Args:
        instances_per_task: training instances taken of each task; "all" for no limit, 0 for none.
        tulu: "match" takes as many Tulu entries as science instances, "all" takes all, "none" none.
        include_eval_tasks: whether the tasks held out for evaluation may be trained on.
        window: context window, in tokens, whose instances are taken.
        seed: seed of the order.
        store: root of the artifacts, a path on the worker or an fsspec URL; SCIRIFF_STORE if empty.
    """
    from sciriff.store import Store

    settings = settings_with(store=store)
    try:
        shelf = Store(settings.store)
        outcome = mix(
            instances_per_task=instances_per_task,
            tulu=tulu,
            include_eval_tasks=include_eval_tasks,
            window=window,
            seed=seed,
            settings=settings,
        )
    except SciriffError as error:
        return error_state(error)
    create_table_artifact(
        mixture_table(outcome), key="mixture-parts", description=f"Records in {outcome.path}, {outcome.state}"
    )
    create_link_artifact(link_to(shelf, outcome.path), link_text=outcome.path, key="mixture-file")
    parts = f"{outcome.science:,} science and {outcome.tulu:,} Tulu records"
    held_out = f"; held out for evaluation: {', '.join(outcome.held_out)}" if outcome.held_out else ""
    return end_state(ExitCode.DONE, f"{parts} {outcome.state} in {shelf.path(outcome.path)}{held_out}")


def mixture_table(outcome: MixtureOutcome) -> list[dict[str, Any]]:
    """One line per part of the mixture, and one per reason for which Tulu records were left out."""
    science = [_part("science", name, count) for name, count in outcome.tasks.items()]
    left_out = [_part("left out of Tulu", reason, count) for reason, count in outcome.dropped.items()]
    return [*science, _part("general", "Tulu v2", outcome.tulu), *left_out]


def _part(kind: str, part: str, records: int) -> dict[str, Any]:
    return {"kind": kind, "part": part, "records": records}
