"""``evaluate-model``: predict with models over the built evaluation tasks, score the replies, index the results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.evaluation_artifacts import publish_tables, scored_lines, unscored_lines
from flows.parameters import JudgeMode, JudgeSamples, Limit, Names, RunnerName, SomeNames
from flows.progress import ArtifactProgress
from flows.runs import run_name, settings_with
from flows.states import end_state, error_state
from sciriff.errors import SciriffError
from sciriff.results.judge_options import DEFAULT_JUDGE, JudgeOptions

if TYPE_CHECKING:
    from sciriff.results.evaluate import EvaluationReport
    from sciriff.store import Store


# No Prefect cache and no retries: what was predicted and scored is in the store, and the next run goes on from there.
@task(task_run_name="evaluate", cache_policy=NO_CACHE, persist_result=False)
def evaluate(models: Sequence[str], **choices: Any) -> EvaluationReport:
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
    data: str = "built",
    chat_format: str | None = None,
    shots: Annotated[int, Field(ge=0)] | None = None,
    shots_from: Literal["evaluated", "train"] = "evaluated",
    too_long: Literal["truncate-left", "truncate-middle", "refuse"] = "truncate-left",
    max_tokens: Annotated[int, Field(ge=1)] = 1024,
    add_bos: bool = False,
    batch: bool = False,
    no_wait: bool = False,
    max_cost: Annotated[float, Field(gt=0)] | None = None,
    base_url: str | None = None,
    max_concurrency: Annotated[int, Field(ge=1)] = 128,
    request_timeout: Annotated[float, Field(gt=0)] = 600.0,
    retry_errors: bool = False,
    json_schema: bool = False,
    gpus: Annotated[int, Field(ge=1)] | None = None,
    judge: JudgeMode = "live",
    judge_model: str = DEFAULT_JUDGE,
    judge_base_url: str | None = None,
    judge_samples: JudgeSamples = None,
    runner: RunnerName | None = None,
    cluster: str | None = None,
    store: str | None = None,
) -> State[Any]:
    """Score models on the held-out tasks.

    Args:
        model: one or more model names, as a list or separated by commas, e.g. gold,empty.
        tasks: evaluation tasks, as a list or separated by commas; all that are built if empty.
        window: context window, in tokens, whose instances are used.
        split: split whose instances are used.
        limit: at most so many instances per task, the same ones for every model; "all" for no limit.
        data: built here, published (allenai/SciRIFF), or the path of a file or folder of instances.
        chat_format: auto, general, tulu, tulu_nl, llama2, llama3, qwen, or a .jinja file; as the model's entry says if
            empty.
        shots: examples in front of each question; if empty, 1 in evidence_inference, else 0.
        shots_from: where examples come from: the evaluated split, as the original, or the training split.
        too_long: what happens to prompts that do not fit the model's context.
        max_tokens: most tokens of a reply.
        add_bos: put the tokenizer's token for the beginning of text in front if it is missing.
        batch: ask APIs by the Batch API: half the price, within a day.
        no_wait: with batch: end once all is submitted; the next run collects.
        max_cost: spend no more than so many US dollars.
        base_url: server that speaks the OpenAI protocol, in place of the model's own.
        max_concurrency: most requests to an API at once; how many it takes well is found out.
        request_timeout: seconds from sending a request to an API to the last byte of its reply.
        retry_errors: ask again for what was refused before, such as prompts too long.
        json_schema: constrain replies to the JSON Schema of the task's answers.
        gpus: GPUs to spread weights over; as the model's entry says if empty.
        judge: how the judge of summaries and answers is asked: live, batch (half the price, within a day) or off.
            Without a key it is not asked, and nothing else waits.
        judge_model: who judges: an API model of deployments/models.yaml, openai:NAME or vllm:NAME.
        judge_base_url: the judge's server, if it is not that of its entry or OpenAI's.
        judge_samples: most samples per task that are judged, or "all"; if empty, 100 of MuP and all of Qasper.
        runner: who scores the replies: "local" (this worker), or an existing "dask" or "ray" cluster; SCIRIFF_RUNNER if
            empty.
        cluster: address of the cluster; SCIRIFF_CLUSTER if empty.
        store: root of the artifacts, a path on the worker or an fsspec URL; SCIRIFF_STORE if empty.
    """
    from sciriff.models.openai_server import Patience
    from sciriff.models.plan import AskOptions
    from sciriff.models.prompts import PromptOptions
    from sciriff.store import Store

    progress = ArtifactProgress("evaluation-progress")
    progress.expect(1)
    try:
        settings = settings_with(store=store, runner=runner, cluster=cluster)
        shelf = Store.of(settings)
        report = evaluate(
            model,
            tasks=tasks,
            window=window,
            split=split,
            limit=limit,
            data=data,
            options=AskOptions(
                prompts=PromptOptions(chat_format, shots, shots_from, too_long, max_tokens, add_bos),
                batch=batch,
                stay=not no_wait,
                max_cost=max_cost,
                base_url=base_url,
                most_at_once=max_concurrency,
                gpus=gpus,
                retry_errors=retry_errors,
                patience=Patience(reply_seconds=request_timeout),
            ),
            constrain=json_schema,
            judge=JudgeOptions(judge, judge_model, judge_base_url, judge_samples),
            settings=settings,
            progress=progress,
        )
        publish_evaluation(shelf, report)
    except SciriffError as error:
        return error_state(error)
    progress.finished(f"{len(report.results)} results")
    return end_state(report.exit_code, summary_of(report))


def publish_evaluation(store: Store, report: EvaluationReport) -> None:
    """Create the artifacts of an evaluation. Call it inside its flow run."""
    create_table_artifact(
        results_table(report), key="evaluation-results", description=f"Window {report.window}, split {report.split}"
    )
    publish_tables(store, report.summaries, report.index)


def results_table(report: EvaluationReport) -> list[dict[str, Any]]:
    """One line per model, task and headline metric, in percent; then what could not be scored and why."""
    return scored_lines(report.results, report.judged) + unscored_lines(unscored(report))


def unscored(report: EvaluationReport) -> list[tuple[str, str, str]]:
    """Model (empty: all of them), task and reason of what has no result."""
    return [
        *((model, task, reason) for (model, task), reason in report.failures.items()),
        *((model, task, f"waits: {reason}") for (model, task), reason in report.waiting.items()),
        *(("", task, reason) for task, reason in report.not_built.items()),
    ]


def summary_of(report: EvaluationReport) -> str:
    """What the final state says: how much was scored, then every failure by name."""
    models, tasks = ({getattr(each, part) for each in report.results} for part in ("model", "task"))
    head = f"{len(models)} models scored on {len(tasks)} tasks; tables and index updated"
    if not report.results:
        head = "nothing was scored: " + ("; ".join(report.not_built.values()) or "see the failures")
    return "\n".join([head, *(f"{model} {task} failed: {why}" for (model, task), why in report.failures.items())])
