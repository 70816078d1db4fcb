"""``create-mixture``: make a training mixture of built tasks and the Tulu v2 mixture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State

from flows.outputs import Output, publish_outputs
from flows.parameters import Hours, Limit
from flows.runs import run_name, settings_with
from flows.states import end_state, error_state, passed_on
from flows.work import RETRIED, alone, done_or_told
from sciriff.errors import ExitCode, SciriffError
from sciriff.sources.hosts import host_of

if TYPE_CHECKING:
    from sciriff.mixture import MixtureOutcome

_SEED = 76


# No Prefect cache: the library finds an unchanged mixture by its manifest, without writing it again.
@task(task_run_name="mix", **RETRIED)
def mix(hours: float, choices: Mapping[str, Any]) -> Any:
    """Write the mixture and its manifest."""
    from sciriff import api

    return done_or_told("mix", partial(api.mix, **choices), hours, "run the same again: downloads go on")


@flow(name="create-mixture", flow_run_name=run_name)
def create_mixture(
    instances_per_task: Limit = 1000,
    tulu: Literal["match", "all", "none"] = "match",
    include_eval_tasks: bool = False,
    window: int = 4096,
    seed: int = _SEED,
    store: str | None = None,
    task_hours: Hours = 12.0,
) -> State[Any]:
    """Make a training mixture of built tasks and the Tulu v2 mixture.

    Args:
        instances_per_task: training instances taken of each task; "all" for no limit, 0 for none.
        tulu: "match" takes as many Tulu entries as science instances, "all" takes all, "none" none.
        include_eval_tasks: whether the tasks held out for evaluation may be trained on.
        window: context window, in tokens, whose instances are taken.
        seed: seed of the order.
        store: root of the artifacts, a path on the worker or an fsspec URL; SCIRIFF_STORE if empty.
        task_hours: how long it may take, the download of Tulu included.
    """
    from sciriff.mixture import MixtureOutcome
    from sciriff.store import Store

    try:
        settings = settings_with(store=store)
        shelf = Store.of(settings)
    except SciriffError as error:
        return error_state(error)
    choices = {
        "instances_per_task": instances_per_task,
        "tulu": tulu,
        "include_eval_tasks": include_eval_tasks,
        "window": window,
        "seed": seed,
        "settings": settings,
    }
    given = {"hours": task_hours, "choices": choices}
    state = alone(mix, given, tags=[f"host:{host_of(settings.hub_endpoint)}"] if tulu != "none" else ())
    outcome = state.result(raise_on_failure=False)
    if not isinstance(outcome, MixtureOutcome):
        return passed_on(state)
    create_table_artifact(
        mixture_table(outcome), key="mixture-parts", description=f"Records in {outcome.path}, {outcome.state}"
    )
    made = Output("training mixture", outcome.path, outcome.state)
    publish_outputs(shelf, [made], key="mixture-outputs", description="Where the mixture is")
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
