"""``evaluate-model``: predict with models over the built evaluation tasks, score the replies, index the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from flows.evaluation_artifacts import publish_results, scored_lines, unscored_lines
from flows.parameters import Hours, JudgeMode, JudgeSamples, Limit, Names, RunnerName, SomeNames
from flows.progress import ArtifactProgress
from flows.runs import run_name, settings_with
from flows.states import end_state, error_state, naming, passed_on
from flows.work import RETRIED, alone, done_or_told, time_limit
from sciriff.errors import ExitCode, SciriffError
from sciriff.results.evaluate import EvaluationReport
from sciriff.results.judge_options import DEFAULT_JUDGE, JudgeOptions
from sciriff.sources.hosts import host_of

if TYPE_CHECKING:
    from prefect.tasks import Task

    from sciriff.results.evaluate import Evaluation
    from sciriff.store import Store


# No Prefect cache: what was predicted and scored is in the store, and every stage goes on from there.
@task(task_run_name="prepare", **RETRIED)
def prepare(evaluation: Evaluation, hours: float) -> Any:
    """Read the instances, and work out what the models are asked and what that costs."""

    def work() -> State[Any]:
        evaluation.prepare()
        found = [f"{task}: {len(each.instances):,}" for task, each in evaluation.instances.items()]
        told = [f"{model or task}: {why}" for (model, task), why in evaluation.failures.items()]
        if missing := ", ".join(evaluation.not_built):
            told.append(f"not built in {evaluation.store.path('')}: {missing}; run build-sciriff for them")
        if not found:
            return Failed(message="\n".join(["nothing to evaluate", *told]))
        return Completed(message="\n".join([f"instances of {', '.join(found)}", *told]))

    return done_or_told("prepare", work, hours, "run the same again")


@task(task_run_name="predict {model}", **RETRIED)
def predict(model: str, evaluation: Evaluation, hours: float) -> Any:
    """Ask one model on all tasks, but for what it has answered before."""

    def work() -> State[Any]:
        done = evaluation.predict(model)
        told = [f"{task or model}: {why}" for task, why in {**done.failures, **done.waiting}.items()]
        cost = f", ${done.cost:,.2f}" if done.cost else ""
        message = "\n".join([f"{done.tasks} tasks answered{cost}", *told])
        code = ExitCode.FAILED if done.failures else ExitCode.BLOCKED if done.waiting else ExitCode.DONE
        return end_state(code, naming(model, message) if told else message, {"may_pass": done.may_pass})

    return done_or_told(f"predict {model}", work, hours, "run the same again: what is answered is not asked again")


@task(task_run_name="score", **RETRIED)
def score(evaluation: Evaluation, hours: float) -> Any:
    """Score all replies and write the facts."""

    def work() -> State[Any]:
        message = f"{evaluation.score()} of {len(evaluation.runs)} models x tasks scored"
        return _whole(evaluation, [message])

    return done_or_told("score", work, hours, "run the same again: what is scored is not scored again")


@task(task_run_name="judge", **RETRIED)
def have_judged(evaluation: Evaluation, hours: float) -> Any:
    """Have the judge rate summaries and answers."""

    def work() -> State[Any]:
        judged = evaluation.have_judged()
        told = sorted({f"{task} of {model}: {report}" for (model, task), report in judged.items()})
        return _whole(evaluation, told or ["nothing to judge"])

    return done_or_told("judge", work, hours, "run the same again: what is judged is not judged again")


def _whole(evaluation: Evaluation, told: Sequence[str]) -> State[Any]:
    """The state of a stage that went through; failed, and tried again, if something may go better at the next try."""
    if not evaluation.is_worth_another_try:
        return Completed(message="\n".join(told))
    failed = [f"{model} {task}: {why}" for (model, task), why in evaluation.failures.items()]
    return Failed(message="\n".join([*told, *failed]), data={"may_pass": True})


@task(task_run_name="index and report", **RETRIED)
def publish(evaluation: Evaluation, hours: float) -> Any:
    """Bring the index, the tables of all models and the report up to date."""
    from sciriff.api import report_on

    def work() -> EvaluationReport:
        report = evaluation.report()
        report_on(report.results, evaluation.settings, evaluation.progress)
        return report

    return done_or_told("index and report", work, hours, "run the same again")


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
    task_hours: Hours = 168.0,
    run_hours: Hours = 336.0,
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
        task_hours: how long one stage of the work may take, such as asking one model; what takes longer is given up and
            fails by name. A batch may take a day.
        run_hours: how long the whole run may take.
    """
    from sciriff.models.openai_server import Patience
    from sciriff.models.plan import AskOptions
    from sciriff.models.prompts import PromptOptions
    from sciriff.results.evaluate import Evaluation
    from sciriff.runners import open_runner
    from sciriff.scoring.answer_schemas import answer_schemas
    from sciriff.store import Store

    try:
        with time_limit("evaluate-model", run_hours):
            settings = settings_with(store=store, runner=runner, cluster=cluster)
            progress = ArtifactProgress("evaluation-progress", one_by_one=True)
            options = AskOptions(
                prompts=PromptOptions(chat_format, shots, shots_from, too_long, max_tokens, add_bos),
                batch=batch,
                stay=not no_wait,
                max_cost=max_cost,
                base_url=base_url,
                most_at_once=max_concurrency,
                gpus=gpus,
                retry_errors=retry_errors,
                patience=Patience(reply_seconds=request_timeout),
                schemas=answer_schemas() if json_schema else {},
            )
            with (
                open_runner(settings, progress) as who,
                Evaluation(
                    model,
                    store=Store.of(settings),
                    settings=settings,
                    tasks=tasks,
                    data=data,
                    window=window,
                    split=split,
                    limit=limit,
                    options=options,
                    judge=JudgeOptions(judge, judge_model, judge_base_url, judge_samples),
                    runner=who,
                    progress=progress,
                ) as evaluation,
            ):
                return _evaluate(evaluation, progress, task_hours)
    except SciriffError as error:
        return error_state(error)


def _evaluate(evaluation: Evaluation, progress: ArtifactProgress, hours: float) -> State[Any]:
    """Stage by stage; a model that fails stops no other."""
    given = {"evaluation": evaluation, "hours": hours}
    progress.expect(len(evaluation.models) + 4)

    def stage(task: Task[Any, Any], name: str, url: str = "", **more: Any) -> State[Any]:
        state = alone(task, {**given, **more}, tags=[f"endpoint:{host_of(url)}"] if url else ())
        progress.finished(name)
        return state

    if not (prepared := stage(prepare, "prepared")).is_completed():
        return passed_on(prepared)
    asked = {
        model: stage(predict, f"asked {model}", evaluation.endpoint(model), model=model) for model in evaluation.models
    }
    evaluation.close()
    if not _went_through(scored := stage(score, "scored")):
        return passed_on(scored)
    judged = stage(have_judged, "judged", evaluation.judge_endpoint)
    published = stage(publish, "index and report made")
    report = published.result(raise_on_failure=False)
    if not isinstance(report, EvaluationReport):
        return passed_on(published)
    publish_evaluation(evaluation.store, report)
    lost = [str(state.message) for state in (*asked.values(), judged) if not _went_through(state)]
    code = ExitCode.FAILED if lost else report.exit_code
    return end_state(code, "\n".join([summary_of(report), *lost]))


def _went_through(state: State[Any]) -> bool:
    """Whether a stage came to its end; what failed in it is in the report then."""
    return state.is_completed() or isinstance(state.result(raise_on_failure=False), Mapping)


def publish_evaluation(store: Store, report: EvaluationReport) -> None:
    """Create the artifacts of an evaluation. Call it inside its flow run."""
    create_table_artifact(
        results_table(report), key="evaluation-results", description=f"Window {report.window}, split {report.split}"
    )
    publish_results(store, report.results, report.summaries, report.index, "evaluation-outputs")


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
    cost = f" for ${report.cost:,.2f}" if report.cost else ""
    head = f"{len(models)} models scored on {len(tasks)} tasks{cost}; tables, index and report updated"
    if not report.results:
        head = "nothing was scored: " + ("; ".join(report.not_built.values()) or "see the failures")
    return "\n".join([head, *(f"{model} {task} failed: {why}" for (model, task), why in report.failures.items())])
