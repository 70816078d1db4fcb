"""The verbs, as functions. The command line and the Prefect flows are thin layers over these.

Every argument that is left out takes its value from the settings (``SCIRIFF_*`` variables, ``.env``).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sciriff.building.options import DEFAULT_CAP, DEFAULT_SEED, DEFAULT_WINDOWS, BuildOptions
from sciriff.building.progress import Progress, Silent, Transfers
from sciriff.errors import SciriffError
from sciriff.settings import Settings, load_settings

if TYPE_CHECKING:
    from sciriff.building.build import BuildReport
    from sciriff.building.combine import CombineOutcome
    from sciriff.checkup.finding import Finding
    from sciriff.dataset.leakage_report import LeakageReport
    from sciriff.dataset.push import PushOutcome
    from sciriff.dataset.summary import Summary
    from sciriff.mixture import MixtureOutcome
    from sciriff.models.one_prompt import OnePrompt
    from sciriff.models.plan import AskOptions
    from sciriff.models.prompts import PromptOptions
    from sciriff.reporting.publish import ReportOutcome
    from sciriff.results.check import CheckReport
    from sciriff.results.evaluate import EvaluationReport
    from sciriff.results.explain import Explanation
    from sciriff.results.judge_options import JudgeOptions
    from sciriff.results.judging import Confirm
    from sciriff.results.query import Answer
    from sciriff.results.record import TaskResult
    from sciriff.results.score import ScoreReport
    from sciriff.sources.fetch import AcquiredSource
    from sciriff.verifying.verify import VerifyReport

RunnerName = Literal["local", "dask", "ray"]

logger = logging.getLogger(__name__)

MIXTURE_SEED = 76
TULU = "tulu_v2_sft_mixture"


def fetch(
    tasks: Sequence[str] | None = None,
    *,
    templates_dir: Path | None = None,
    update_lock: bool = False,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> dict[str, AcquiredSource | SciriffError]:
    """Get the source files of tasks (default: all) onto local disk without building.

    Args:
        tasks: task names; None for all.
        templates_dir: folder of task files in place of the bundled ones.
        update_lock: accept files that differ from ``sources.lock``.
        settings: default: from the environment.
        progress: where progress goes; default: nowhere.

    Returns:
        Source id -> the acquired source, or the error that kept it away.

    Raises:
        UsageError: if a task name is unknown.
    """
    from sciriff.building.build import fetch_sources

    settings = _settings(settings, templates_dir=templates_dir)
    return fetch_sources(tasks, settings, progress or Silent(), update_lock=update_lock)


def build(
    tasks: Sequence[str] | None = None,
    *,
    windows: Sequence[int] = DEFAULT_WINDOWS,
    n_instances: int | None = DEFAULT_CAP,
    templates_dir: Path | None = None,
    template_ids: Sequence[int] = (0,),
    seed: int = DEFAULT_SEED,
    fidelity: Literal["corrected", "original"] = "corrected",
    split_by: Literal["document", "instance"] | None = None,
    tokenizer: str | None = None,
    workers: int | None = None,
    runner: RunnerName | None = None,
    cluster: str | None = None,
    store: str | None = None,
    force: bool = False,
    update_lock: bool = False,
    combining: bool = True,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Build tasks in all windows and combine them.

    Tasks whose artifacts are there, intact and of the same inputs, parameters, templates and code are left alone.

    Args:
        tasks: task names; None for all.
        windows: context windows in tokens.
        n_instances: most instances kept per source split and window; None for all.
        templates_dir: folder of task files in place of the bundled ones.
        template_ids: templates to apply to each record.
        seed: global seed.
        fidelity: ``corrected`` puts right what is wrong in instances of the original SciRIFF, ``original`` leaves it as
            it was; ``docs/fidelity.md`` lists what that is.
        split_by: what is kept together where validation and test are carved out of other splits: all of a ``document``
            or single instances (``instance``). Default: by document, under ``original`` by instance.
        tokenizer: Hub name, folder or ``tokenizer.json``.
        workers: worker processes.
        runner: who builds the tasks: ``local``, or an existing ``dask`` or ``ray`` cluster (``docs/scale.md``).
        cluster: address of the cluster.
        store: root of the artifacts, a path or fsspec URL.
        force: build what is there too.
        update_lock: accept source files that differ from ``sources.lock``.
        combining: whether to write the combined dataset at the end.
        settings: default: from the environment.
        progress: where progress goes; default: nowhere.

    Returns:
        The outcome of every task; ``report.exit_code`` sums them up. A task that fails does not raise.

    Raises:
        UsageError: if a task name or an option is wrong.
        StoreError: if the store cannot be written.
    """
    from sciriff.building.build import build_tasks
    from sciriff.building.spread import plan_build
    from sciriff.runners import open_runner

    options = BuildOptions.checked(windows, n_instances, template_ids, seed, fidelity, split_by)
    settings = _settings(
        settings,
        templates_dir=templates_dir,
        tokenizer=tokenizer,
        workers=workers,
        store=store,
        runner=runner,
        cluster=cluster,
    )
    progress = progress or Silent()
    with open_runner(settings, progress) as who:
        planned = plan_build(tasks, options, settings, progress, who, force=force, update_lock=update_lock)
        return build_tasks(planned, combining=combining)


def combine(
    *, windows: Sequence[int] = DEFAULT_WINDOWS, store: str | None = None, settings: Settings | None = None
) -> CombineOutcome:
    """Combine all built tasks of a store into one dataset per window.

    Raises:
        StoreError: if the store cannot be read or written.
    """
    from sciriff.building.build import combine_built
    from sciriff.store import Store

    options = BuildOptions.checked(windows)
    return combine_built(Store.of(_settings(settings, store=store)), options.windows)


def stats(
    tasks: Sequence[str] | None = None,
    *,
    windows: Sequence[int] | None = None,
    store: str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Describe built tasks: instances, documents, token quantiles, labels, licences.

    Args:
        tasks: task names; None for all that are built.
        windows: context windows in tokens; None for all that are built.
        store: root of the artifacts, where the tables are written too.
        settings: default: from the environment.
        progress: where progress goes; default: nowhere.

    Raises:
        UsageError: if nothing is built, or a task that was asked for is not.
        StoreError: if the store cannot be read or written.
    """
    from sciriff.dataset.summary import summarise
    from sciriff.store import Store

    settings = _settings(settings, store=store)
    return summarise(
        Store.of(settings),
        windows=windows,
        tasks=tasks,
        templates_dir=settings.templates_dir,
        progress=progress or Silent(),
    )


def leakage(
    *,
    window: int = 4096,
    mixture: str | None = None,
    threshold: float = 0.5,
    store: str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> LeakageReport:
    """Compare all built tasks and splits, and a training mixture, by document, text and nearly equal text.

    Args:
        window: context window whose instances are compared.
        mixture: name of a training mixture of the store, without ``.jsonl``.
        threshold: least similarity of near-duplicates.
        store: root of the artifacts, where the report is written too.
        settings: default: from the environment.
        progress: where progress goes; default: nowhere.

    Raises:
        UsageError: if nothing is built at the window, there is no such mixture, or the threshold is out of range.
        StoreError: if the store cannot be read or written.
    """
    from sciriff.dataset.leakage_report import report_leakage
    from sciriff.store import Store

    settings = _settings(settings, store=store)
    return report_leakage(
        Store.of(settings), window=window, mixture=mixture, threshold=threshold, progress=progress or Silent()
    )


def push(
    repository: str,
    *,
    private: bool = False,
    revision: str | None = None,
    include_restricted: bool = False,
    include_samples: bool = False,
    store: str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> PushOutcome:
    """Upload the combined dataset to a dataset repository of the Hub, without the tasks that may not be passed on.

    Args:
        repository: ``owner/name``; made if it does not exist.
        private: whether a repository made by this call is private.
        revision: branch to upload to; None for the main one.
        include_restricted: upload tasks, too, whose licence does not allow it as far as it is stated.
        include_samples: upload tasks, too, that were built from bundled samples.
        store: root of the artifacts.
        settings: default: from the environment.
        progress: where progress goes; default: nowhere.

    Raises:
        UsageError: if nothing may be uploaded.
        BlockedError: if the server wants a (different) token.
        SciriffError: if the server refuses or cannot be reached, or the network is forbidden.
    """
    from sciriff.dataset.push import push as push_dataset
    from sciriff.store import Store

    settings = _settings(settings, store=store)
    if settings.offline:
        raise SciriffError("an upload needs the network, which SCIRIFF_OFFLINE forbids; unset it")
    return push_dataset(
        Store.of(settings),
        repository,
        endpoint=settings.hub_endpoint,
        private=private,
        revision=revision,
        include_restricted=include_restricted,
        include_samples=include_samples,
        progress=progress or Silent(),
    )


def mix(
    *,
    instances_per_task: int | None,
    tulu: Literal["match", "all", "none"],
    include_eval_tasks: bool = False,
    window: int = 4096,
    seed: int = MIXTURE_SEED,
    store: str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> MixtureOutcome:
    """Make a training mixture of built tasks and the Tulu v2 mixture.

    Args:
        instances_per_task: training instances taken of each task; None for all, 0 for none.
        tulu: ``match`` takes as many Tulu entries as science instances, ``all`` takes all, ``none`` none.
        include_eval_tasks: whether the nine evaluation tasks may be trained on.
        window: context window whose instances are taken.
        seed: seed of the keyed order.
        store: root of the artifacts.
        settings: default: from the environment.
        progress: where progress goes; default: nowhere.

    Raises:
        SciriffError: if nothing is built, or the Tulu mixture cannot be had.
    """
    from sciriff.mixture import create_mixture
    from sciriff.sources import catalogue
    from sciriff.sources.fetch import acquire
    from sciriff.store import Store

    settings = _settings(settings, store=store)
    files: list[Path] | None = None
    if tulu != "none":
        acquired = acquire(catalogue.source(TULU), settings, progress=Transfers(progress or Silent()))
        files = [acquired.files[key].path for key in sorted(acquired.files)]
    return create_mixture(
        Store.of(settings),
        instances_per_task=instances_per_task,
        tulu=tulu,
        include_eval_tasks=include_eval_tasks,
        window=window,
        seed=seed,
        tulu_files=files,
        progress=progress,
    )


def prompt(
    task: str,
    instance_id: str,
    model: str,
    *,
    data: str = "built",
    window: int = 4096,
    split: str = "validation",
    options: PromptOptions | None = None,
    store: str | None = None,
    settings: Settings | None = None,
) -> OnePrompt:
    """Make the prompt that a model gets for one instance in an evaluation.

    Args:
        task: evaluation task.
        instance_id: the instance.
        model: model name, as for :func:`evaluate`.
        data: ``built``, ``published``, or the path of a file or folder of instances.
        window: context window whose instances are used.
        split: split whose instances are used.
        options: chat format, examples, length; default: as the original.
        store: root of the artifacts.
        settings: default: from the environment.

    Raises:
        UsageError: if there is no such model, task or instance.
        SciriffError: if instances or files of the model cannot be had.
    """
    from sciriff.models.one_prompt import one_prompt
    from sciriff.models.prompts import PromptOptions
    from sciriff.store import Store

    settings = _settings(settings, store=store)
    return one_prompt(
        task,
        instance_id,
        model,
        data=data,
        window=window,
        split=split,
        options=options or PromptOptions(),
        store=Store.of(settings),
        settings=settings,
    )


def evaluate(
    models: Sequence[str],
    *,
    tasks: Sequence[str] | None = None,
    data: str = "built",
    window: int = 4096,
    split: str = "validation",
    limit: int | None = None,
    options: AskOptions | None = None,
    judge: JudgeOptions | None = None,
    constrain: bool = False,
    confirm: Confirm | None = None,
    runner: RunnerName | None = None,
    cluster: str | None = None,
    store: str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Predict with models over evaluation tasks, score the replies and index the results.

    Args:
        models: model names: entries of ``deployments/models.yaml``, Hub repositories, folders, ``openai:NAME``.
        tasks: evaluation tasks; None for all that there are.
        data: ``built``, ``published``, or the path of a file or folder of instances.
        window: context window whose instances are used.
        split: split whose instances are used.
        limit: at most so many instances per task, a keyed sample that is the same for every model; None for all.
        options: how models are asked; default: as the original asked them, live.
        judge: who judges summaries and answers, and how; default: as the original, live.
        constrain: whether replies are constrained to the JSON Schema of their task's answers, where the backend can.
        confirm: asked, with what is going to be asked, before the first request; None to go on.
        runner: who scores the replies: ``local``, or an existing ``dask`` or ``ray`` cluster (``docs/scale.md``).
        cluster: address of the cluster.
        store: root of the artifacts.
        settings: default: from the environment.
        progress: where progress goes; default: nowhere.

    Raises:
        UsageError: if a model or task is unknown, the quote is above ``options.max_cost``, or it is not confirmed.
        SciriffError: if the data cannot be had.
    """
    from dataclasses import replace

    from sciriff.models.plan import AskOptions
    from sciriff.results.evaluate import evaluate as evaluate_models
    from sciriff.results.judge_options import JudgeOptions
    from sciriff.runners import open_runner
    from sciriff.scoring.answer_schemas import answer_schemas
    from sciriff.store import Store

    settings = _settings(settings, store=store, runner=runner, cluster=cluster)
    options = options or AskOptions()
    progress = progress or Silent()
    with open_runner(settings, progress) as who:
        done = evaluate_models(
            models,
            store=Store.of(settings),
            tasks=tasks,
            data=data,
            window=window,
            split=split,
            limit=limit,
            options=replace(options, schemas=answer_schemas()) if constrain else options,
            judge=judge or JudgeOptions(),
            confirm=confirm,
            runner=who,
            settings=settings,
            progress=progress,
        )
    report_on(done.results, settings, progress)
    return done


def score(
    pred_dir: Path | str | None = None,
    *,
    model: str | None = None,
    tasks: Sequence[str] | None = None,
    max_instances: int | None = None,
    data: str = "built",
    window: int = 4096,
    split: str = "validation",
    judge: JudgeOptions | None = None,
    wait: bool = True,
    max_cost: float | None = None,
    confirm: Confirm | None = None,
    runner: RunnerName | None = None,
    cluster: str | None = None,
    store: str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> ScoreReport:
    """Score predictions that exist already: no model, key, network or GPU is needed.

    Only the judge of summaries and answers needs a key; without one its metrics are empty.

    Args:
        pred_dir: folder (or file, or URL of one) of predictions, which is only read: samples of lm-evaluation-harness,
            lines of prompt, pred and ref, or what :func:`evaluate` keeps; ``docs/evaluation.md`` says how it may be
            laid out. None for what :func:`evaluate` left in the store, also if that is remote.
        model: score this model only; if there is one only, what it is called.
        tasks: evaluation tasks; None for all that there are.
        max_instances: the first so many predictions of each file; None for all.
        data: the instances that ids, references and documents are looked up in: ``built``, ``published``, or the path
            of a file or folder.
        window: context window of the instances, in tokens, where the predictions do not say it.
        split: their split, likewise.
        judge: who judges summaries and answers, and how; default: as the original, live.
        wait: whether to wait for batches of the judge; if not, the next scoring collects them.
        max_cost: US dollars that the judge may cost; None for no limit.
        confirm: asked, with what the judge is going to be asked, before its first request; None to go on.
        runner: who scores the replies: ``local``, or an existing ``dask`` or ``ray`` cluster (``docs/scale.md``).
        cluster: address of the cluster.
        store: root of the artifacts, where results are written.
        settings: default: from the environment.
        progress: where progress goes; default: nowhere.

    Returns:
        What was scored, what does not count and why. A file that cannot be read does not raise.

    Raises:
        UsageError: if there are no predictions, or an option is wrong.
        StoreError: if the store cannot be written.
    """
    from sciriff.models.plan import AskOptions
    from sciriff.results.existing.own import local_predictions
    from sciriff.results.judge_options import JudgeOptions
    from sciriff.results.score import score_predictions
    from sciriff.runners import open_runner
    from sciriff.store import Store

    settings = _settings(settings, store=store, runner=runner, cluster=cluster)
    progress = progress or Silent()
    with open_runner(settings, progress) as who, local_predictions(pred_dir, settings) as place:
        done = score_predictions(
            place,
            store=Store.of(settings),
            settings=settings,
            model=model,
            tasks=tasks,
            max_instances=max_instances,
            data=data,
            window=window,
            split=split,
            judge=judge or JudgeOptions(),
            asking=AskOptions(stay=wait, max_cost=max_cost),
            confirm=confirm,
            runner=who,
            progress=progress,
        )
    report_on(done.results, settings, progress)
    return done


def report(
    *,
    models: Sequence[str] | None = None,
    window: int = 4096,
    split: str = "validation",
    profile: Literal["corrected", "original"] = "corrected",
    store: str | None = None,
    settings: Settings | None = None,
) -> ReportOutcome:
    """Write the results as HTML pages into the store, unless they are there; ``evaluate`` and ``score`` do so too.

    Args:
        models: only these; None for all.
        window: context window of what the models were asked.
        split: split of it.
        profile: whose numbers come first; those of the other stand beside them.
        store: root of the artifacts, where the pages are written.
        settings: default: from the environment.

    Raises:
        UsageError: if nothing is evaluated there, or a model has no results.
        StoreError: if the store cannot be read or written.
    """
    from sciriff.reporting.publish import write_report
    from sciriff.scoring.outcome import Profile
    from sciriff.store import Store

    settings = _settings(settings, store=store)
    return write_report(
        Store.of(settings), settings, models=models, window=window, split=split, profile=Profile(profile)
    )


def publish_index(*, store: str | None = None, settings: Settings | None = None) -> str:
    """Bring the DuckDB file with the scores up to date and put it into the store, whole or not at all.

    A local store has it already.

    Args:
        store: root of the artifacts.
        settings: default: from the environment.

    Returns:
        Its place in the store: a path or URL.

    Raises:
        UsageError: if nothing is evaluated yet.
        StoreError: if the results cannot be read or the store cannot be written.
    """
    from sciriff.results.index import publish_index as publish
    from sciriff.store import Store

    settings = _settings(settings, store=store)
    return publish(Store.of(settings), settings)


def sql(query: str, *, store: str | None = None, settings: Settings | None = None) -> Answer:
    """Ask the results in SQL, read-only; the tables and views are told of in ``docs/sql.md``.

    Args:
        query: SQL in DuckDB's dialect, e.g. ``from leaderboard``.
        store: root of the artifacts.
        settings: default: from the environment.

    Raises:
        UsageError: if nothing is evaluated yet, or the query is wrong or would change something.
    """
    from sciriff.results.index import current_index
    from sciriff.results.query import sql as ask
    from sciriff.store import Store

    settings = _settings(settings, store=store)
    shelf = Store.of(settings)
    return ask(query, current_index(shelf, settings), store=shelf)


def compare(
    first: str,
    second: str,
    *,
    window: int = 4096,
    split: str = "validation",
    store: str | None = None,
    settings: Settings | None = None,
) -> Answer:
    """Compare two models on all headlines, over the samples that both have a score of.

    Args:
        first: a model.
        second: another; differences are first less second, times 100.
        window: context window of what they were asked.
        split: split of it.
        store: root of the artifacts.
        settings: default: from the environment.

    Raises:
        UsageError: if one has no results there, or they have nothing in common.
    """
    from sciriff.results.index import current_index
    from sciriff.results.standing import compare as compare_models
    from sciriff.store import Store

    settings = _settings(settings, store=store)
    return compare_models(first, second, current_index(Store.of(settings), settings), window, split)


def check(
    baseline: Sequence[str],
    *,
    models: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    alpha: float = 0.05,
    window: int = 4096,
    split: str = "validation",
    store: str | None = None,
    settings: Settings | None = None,
) -> CheckReport:
    """Say whether models are significantly worse than a baseline.

    Args:
        baseline: a model, or ids of runs, of superseded ones too.
        models: which models; None for all others (of superseded runs, for the model that they are of).
        tasks: evaluation tasks; None for all that the baseline has.
        alpha: probability of a false alarm.
        window: context window of what the models were asked.
        split: split of it.
        store: root of the artifacts.
        settings: default: from the environment.

    Raises:
        UsageError: if there is no such baseline, model or task, or nothing that can be compared.
    """
    from sciriff.results.check import check as check_models
    from sciriff.store import Store

    settings = _settings(settings, store=store)
    return check_models(
        baseline,
        store=Store.of(settings),
        settings=settings,
        models=models,
        tasks=tasks,
        alpha=alpha,
        window=window,
        split=split,
    )


def explain(
    model: str,
    task: str,
    instance: str,
    *,
    window: int = 4096,
    split: str = "validation",
    store: str | None = None,
    settings: Settings | None = None,
) -> Explanation:
    """Tell how one reply got its score.

    Args:
        model: who replied.
        task: evaluation task.
        instance: id of the instance, or the end of it.
        window: context window of the instance.
        split: its split.
        store: root of the artifacts.
        settings: default: from the environment.

    Raises:
        UsageError: if there is no such run or instance.
    """
    from sciriff.results.explain import explain as explain_reply
    from sciriff.store import Store

    settings = _settings(settings, store=store)
    return explain_reply(model, task, instance, store=Store.of(settings), settings=settings, window=window, split=split)


def doctor(*, store: str | None = None, settings: Settings | None = None) -> tuple[Finding, ...]:
    """Look whether everything is there that the pipeline needs. What breaks is a finding; nothing is raised.

    Args:
        store: root of the artifacts, which is written to and left as it was.
        settings: default: from the environment.
    """
    from sciriff.checkup.run import examine

    return examine(_settings(settings, store=store))


def verify(
    tasks: Sequence[str] | None = None,
    *,
    sample: float = 0.05,
    seed: int = 0,
    store: str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Hash all artifacts against their manifests, and make a sample of the records anew from their sources.

    Args:
        tasks: tasks whose records are made anew; None for all that are built. Files are hashed all the same.
        sample: share of each task's source rows, above 0 and at most 1.
        seed: another seed draws other rows.
        store: root of the artifacts; nothing in it is written.
        settings: default: from the environment; sources come from its mirror and cache, nothing is downloaded.
        progress: where progress goes; default: nowhere.

    Raises:
        UsageError: if a task is not built, the share is out of range, or there is nothing to verify.
        StoreError: if the store cannot be read.
    """
    from sciriff.store import Store
    from sciriff.verifying.verify import verify_store

    settings = _settings(settings, store=store)
    return verify_store(Store.of(settings), settings, progress or Silent(), tasks=tasks, share=sample, seed=seed)


def report_on(results: Sequence[TaskResult], settings: Settings, progress: Progress) -> None:
    """Bring the reports on the windows and splits of results up to date. One that cannot be written fails nothing."""
    from sciriff.reporting.publish import write_report
    from sciriff.store import Store

    for window, split in dict.fromkeys((result.window, result.split) for result in results):
        try:
            write_report(Store.of(settings), settings, window=window, split=split)
        except SciriffError as error:
            progress.log(f"the report on window {window}, split {split} could not be written: {error}")
        except Exception as error:  # a defect of ours must not take away what was evaluated
            logger.exception("the report failed")
            kind = type(error).__name__
            progress.log(
                f"the report on window {window}, split {split}: internal error, please report it: {kind}: {error}"
            )


def _settings(settings: Settings | None, **given: Any) -> Settings:
    """The settings with what the caller gave on top."""
    chosen = {name: value for name, value in given.items() if value is not None}
    return (settings or load_settings()).model_copy(update=chosen)
