"""``score-predictions``: score predictions that exist already, and index the results."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.evaluation_artifacts import publish_results, scored_lines, unscored_lines
from flows.parameters import Hours, JudgeMode, JudgeSamples, RunnerName, SomeNames
from flows.progress import ArtifactProgress
from flows.runs import escaped, run_name, settings_with
from flows.states import end_state, error_state, passed_on
from flows.work import RETRIED, alone, done_or_told, time_limit
from sciriff.errors import SciriffError
from sciriff.results.judge_options import DEFAULT_JUDGE, JudgeOptions, find_judge
from sciriff.results.score import ScoreReport
from sciriff.sources.hosts import host_of

if TYPE_CHECKING:
    from sciriff.settings import Settings
    from sciriff.store import Store


# No Prefect cache: what was scored is in the store, and the next try goes on from there.
@task(task_run_name="score", **RETRIED)
def score(pred_dir: str | None, hours: float, choices: Mapping[str, Any]) -> Any:
    """Score a folder of predictions and write facts, tables, the index and the report."""
    from sciriff import api

    work = partial(api.score, pred_dir, **choices)
    return done_or_told("score", work, hours, "run the same again: what is scored is not scored again")


@flow(name="score-predictions", flow_run_name=run_name)
def score_predictions(
    pred_dir: str | None = None,
    model: str | None = None,
    tasks: SomeNames = None,
    max_instances: Annotated[int | None, Field(ge=1)] = None,
    data: str = "built",
    window: Annotated[int, Field(ge=1)] = 4096,
    split: str = "validation",
    judge: JudgeMode = "live",
    judge_model: str = DEFAULT_JUDGE,
    judge_base_url: str | None = None,
    judge_samples: JudgeSamples = None,
    runner: RunnerName | None = None,
    cluster: str | None = None,
    store: str | None = None,
    task_hours: Hours = 24.0,
    run_hours: Hours = 168.0,
) -> State[Any]:
    """Score predictions that exist already; needs no model, key or network, but for the judge.

    Args:
        pred_dir: folder on the worker with a folder per model, in it a folder per task with samples of
            lm-evaluation-harness; or harness output as it lies; or lines of prompt, pred and ref. It is only read. If
            empty, what evaluations left in the store.
        model: score this model only; if there is one only, what it is called.
        tasks: evaluation tasks, as a list or separated by commas; all that there are if empty.
        max_instances: only the first so many predictions of each file; all if empty.
        data: the instances that ids, references and documents are looked up in: built, published or a path.
        window: context window of the instances, in tokens, where the predictions do not say it.
        split: their split, likewise.
        judge: how the judge of summaries and answers is asked: live, batch (half the price, within a day) or off.
            Without a key it is not asked, and nothing else waits.
        judge_model: who judges: an API model of deployments/models.yaml, openai:NAME or vllm:NAME.
        judge_base_url: the judge's server, if it is not that of its entry or OpenAI's.
        judge_samples: most samples per task that are judged, or "all"; if empty, 100 of MuP and all of Qasper.
        runner: who scores the replies: "local" (this worker), or an existing "dask" or "ray" cluster; SCIRIFF_RUNNER if
            empty.
        cluster: address of the cluster; SCIRIFF_CLUSTER if empty.
        store: root of the artifacts, a path on the worker or an fsspec URL; SCIRIFF_STORE if empty.
        task_hours: how long scoring and judging may take.
        run_hours: how long the whole run may take.
    """
    from sciriff.store import Store

    try:
        with time_limit("score-predictions", run_hours):
            settings = settings_with(store=store, runner=runner, cluster=cluster)
            progress = ArtifactProgress("scoring-progress", one_by_one=True)
            progress.expect(1)
            judging = JudgeOptions(judge, judge_model, judge_base_url, judge_samples)
            choices = {
                "model": model,
                "tasks": tasks,
                "max_instances": max_instances,
                "data": data,
                "window": window,
                "split": split,
                "judge": judging,
                "settings": settings,
                "progress": progress,
            }
            given = {"pred_dir": pred_dir, "hours": task_hours, "choices": choices}
            state = alone(score, given, tags=_endpoints(judging, settings))
            report = state.result(raise_on_failure=False)
            if not isinstance(report, ScoreReport):
                return passed_on(state)
            publish_scores(Store.of(settings), report)
    except SciriffError as error:
        return error_state(error)
    progress.finished(f"{len(report.results)} results")
    return end_state(report.exit_code, summary_of(report))


def _endpoints(judge: JudgeOptions, settings: Settings) -> list[str]:
    """The tag of the judge's server, if there is a judge."""
    from sciriff.models.openai_server import find_server

    if judge.mode == "off":
        return []
    spec = find_judge(judge, settings)
    return [f"endpoint:{host_of(find_server(spec.base_url, spec.api_key_variable).url)}"]


def publish_scores(store: Store, report: ScoreReport) -> None:
    """Create the artifacts of a scoring. Call it inside its flow run."""
    from sciriff.results.score_notes import notes

    failed = ((model, task, reason) for (model, task), reason in report.failures.items())
    create_table_artifact(
        scored_lines(report.results, report.judged) + unscored_lines(failed),
        key="scoring-results",
        description="Headline metrics, percent",
    )
    if told := [f"- {note.kind}: {escaped(f'{note.about}: {note.text}')}" for note in notes(report)]:
        create_markdown_artifact("\n".join(told), key="scoring-notes", description="What does not count, and why")
    summaries = {profile: paths[-1] for profile, paths in report.summaries.items() if paths}
    publish_results(store, report.results, summaries, report.index, "scoring-outputs")


def summary_of(report: ScoreReport) -> str:
    """What the final state says: how much was scored, then every failure by name."""
    models, tasks = ({getattr(each, part) for each in report.results} for part in ("model", "task"))
    head = f"{len(models)} models scored on {len(tasks)} tasks; tables, index and report updated"
    if not report.results:
        head = "nothing was scored"
    return "\n".join([head, *(f"{model} {task} failed: {why}" for (model, task), why in report.failures.items())])
