"""The evaluation: models x tasks -> predictions -> scores -> facts -> index -> metric files and tables.

Every step keeps what it made under a key of what it was made from, so a second run finds everything done. A model or
task that fails does not stop the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from sciriff.building.fingerprint import code_digest
from sciriff.building.progress import Progress, Silent
from sciriff.building.runner import Runner
from sciriff.errors import ExitCode, SciriffError, UsageError, can_pass
from sciriff.leases import tidy
from sciriff.models.ask_model import Asking, ask_model, submit_batches
from sciriff.models.budget import Purse
from sciriff.models.data import BUILT, load_data, require_data
from sciriff.models.instances import InstanceSet, NotBuiltError
from sciriff.models.ledger import open_ledger
from sciriff.models.openai_server import find_server
from sciriff.models.plan import AskOptions, ModelPlan, plan_model
from sciriff.models.predict import predict_baseline, predict_from_ledger, without_reply
from sciriff.models.predictions import Predictions
from sciriff.models.quote import Quote, estimate_for, quote_model, spell_cost
from sciriff.models.registry import ModelSpec, find_models
from sciriff.results.facts import Run
from sciriff.results.judge_facts import JudgeReport
from sciriff.results.judge_options import JudgeOptions, find_judge
from sciriff.results.judging import Confirm, by_model_and_task, judge_runs, quote_judging
from sciriff.results.record import NotRecorded, Published, Recorded, TaskResult, publish, record_all
from sciriff.results.tables import DEFAULT_SPLIT, DEFAULT_WINDOW
from sciriff.scoring.judge import JUDGED_TASKS
from sciriff.scoring.outcome import Profile
from sciriff.scoring.tasks import EVAL_TASKS, eval_task
from sciriff.settings import Settings
from sciriff.store import Store


@dataclass(frozen=True)
class EvaluationReport:
    """What an evaluation did.

    Attributes:
        window, split: what was evaluated on.
        results: every model and task that was scored.
        not_built: task -> why there are no instances of it.
        failures: (model or "", task or "") -> what went wrong; the others went on.
        waiting: (model, task or "") -> what it waits for: a key, money, batches under way.
        missing_columns: summary columns without a value, as in the leaderboard.
        index: the DuckDB file.
        summaries: profile -> artifact path of ``summary.tsv``.
        judged: (model, task) -> what the judge made of it, or why it was not asked.
        quotes: what models were going to be asked, those that answer for themselves (baselines) left out.
        cost: US dollars that the replies of this run cost, as far as prices are known.
    """

    window: int
    split: str
    results: tuple[TaskResult, ...]
    not_built: Mapping[str, str]
    failures: Mapping[tuple[str, str], str]
    missing_columns: tuple[str, ...]
    index: Path
    summaries: Mapping[Profile, str] = field(default_factory=dict)
    waiting: Mapping[tuple[str, str], str] = field(default_factory=dict)
    judged: Mapping[tuple[str, str], JudgeReport] = field(default_factory=dict)
    quotes: tuple[Quote, ...] = ()
    cost: float = 0.0

    @property
    def exit_code(self) -> ExitCode:
        """FAILED if something failed, or if there was nothing to score; BLOCKED if something waits for the user."""
        if self.failures or not (self.results or self.waiting):
            return ExitCode.FAILED
        return ExitCode.BLOCKED if self.waiting else ExitCode.DONE


def evaluate(
    models: Sequence[str],
    *,
    store: Store,
    settings: Settings,
    tasks: Sequence[str] | None = None,
    data: str = BUILT,
    window: int = DEFAULT_WINDOW,
    split: str = DEFAULT_SPLIT,
    limit: int | None = None,
    options: AskOptions | None = None,
    judge: JudgeOptions | None = None,
    confirm: Confirm | None = None,
    runner: Runner | None = None,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Evaluate models on instances of the held-out tasks.

    Args:
        models: names of models.
        store: where results are written, and built instances are read.
        settings: caches, keys, whether the network may be used.
        tasks: task names; None for all nine.
        data: ``built``, ``published``, or the path of a file or folder of instances.
        window: context window of the instances, in tokens.
        split: their split.
        limit: at most so many samples of each task, the same for every model; None for all.
        options: how models are asked.
        judge: who judges summaries and answers; None for nobody.
        confirm: asked once before the first request; None to go on.
        runner: who scores the replies; None for worker processes of this machine.
        progress: where to tell how far it is.

    Raises:
        UsageError: for an unknown model or task, an impossible limit, or if the quote is above the limit of costs or
            is not confirmed.
        SciriffError: if the data cannot be had.
        StoreError: if the store cannot be written.
    """
    with Evaluation(
        models,
        store=store,
        settings=settings,
        tasks=tasks,
        data=data,
        window=window,
        split=split,
        limit=limit,
        options=options,
        judge=judge,
        runner=runner,
        progress=progress,
    ) as evaluation:
        evaluation.prepare(confirm)
        for model in evaluation.models:
            evaluation.predict(model)
    evaluation.score()
    evaluation.have_judged(confirm)
    return evaluation.report()


@dataclass(frozen=True)
class Predicted:
    """What became of one model.

    Attributes:
        tasks: on how many tasks it has replied to everything.
        quote: what it was going to be asked; None for a baseline, which answers for itself.
        cost: US dollars that its replies cost, as far as its price is known.
        failures: what went wrong, by task where it is one task.
        waiting: what it waits for, likewise.
        may_pass: whether it may go better later.
    """

    tasks: int
    quote: Quote | None
    cost: float
    failures: Mapping[str, str]
    waiting: Mapping[str, str]
    may_pass: bool


class Evaluation:
    """One evaluation, stage by stage: prepare, predict with each model, score, have judged, report.

    A stage may be called again, after an error that may pass; what it has done already is not done twice. Ledgers are
    open from :meth:`prepare` on until the ``with`` block ends, which replies belong into: score afterwards.

    Attributes:
        models: names of the models, in the order asked for.
        is_worth_another_try: whether something went wrong in the last stage that may go better later.
    """

    def __init__(
        self,
        models: Sequence[str],
        *,
        store: Store,
        settings: Settings,
        tasks: Sequence[str] | None = None,
        data: str = BUILT,
        window: int = DEFAULT_WINDOW,
        split: str = DEFAULT_SPLIT,
        limit: int | None = None,
        options: AskOptions | None = None,
        judge: JudgeOptions | None = None,
        runner: Runner | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Check what is asked for; parameters and errors as of :func:`evaluate`."""
        if not models:
            raise UsageError("no model to evaluate; give at least one, e.g. gold")
        if limit is not None and limit < 1:
            raise UsageError(f"limit {limit} is not a positive number of samples")
        self._specs = {spec.name: spec for spec in find_models(models, settings)}
        self.judge = judge or JudgeOptions(mode="off")
        if self.judge.mode != "off":
            find_judge(self.judge, settings)
        names = [eval_task(name).name for name in tasks] if tasks is not None else [task.name for task in EVAL_TASKS]
        self._tasks = list(dict.fromkeys(names))
        self.store, self.settings, self.progress = store, settings, progress or Silent()
        self.data, self.window, self.split, self.limit = data, window, split, limit
        self.options, self.runner = options or AskOptions(), runner
        self.instances: dict[str, InstanceSet] = {}
        self.not_built: dict[str, str] = {}
        self.failures: dict[tuple[str, str], str] = {}
        self.waiting: dict[tuple[str, str], str] = {}
        self.purse = Purse()
        self._asked: dict[str, Asking[ModelPlan]] = {}
        self._runs: dict[str, list[Run]] = {}
        self._recorded: list[Recorded] = []
        self._judged: dict[tuple[str, str], JudgeReport] = {}
        self.is_worth_another_try = False
        self._told_before: dict[str, tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]]] = {}
        self._is_agreed = False
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Begin; nothing is open yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is open."""
        self.close()

    def close(self) -> None:
        """Close ledgers, engines and whatever else predicting needs; all is asked that is going to be."""
        self._open.close()

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in the order asked for."""
        return tuple(self._specs)

    def prepare(self, confirm: Confirm | None = None) -> None:
        """Read the instances, decide what models are asked and what that comes to, and make sure that it is wanted.

        Raises:
            UsageError: if the quote is above the limit of costs or is not confirmed.
            SciriffError: if the data cannot be had.
            StoreError: if the store cannot be written.
        """
        self._open.close()
        self.failures.clear()
        self.waiting.clear()
        self.not_built.clear()
        require_data(self.data, self.window, self.split, self.settings, self.progress)
        self.store.check_writable()
        tidy(self.store)
        self._load()
        self._asked = self._prepare_all([spec for spec in self._specs.values() if spec.backend != "baseline"])
        self._agree(confirm)
        if len(self._asked) > 1:
            for asking in self._asked.values():
                submit_batches(asking)

    def endpoint(self, model: str) -> str:
        """Base URL of the server that a model is asked at; empty for what answers here."""
        asking = self._asked.get(model)
        return asking.plan.server.url if asking is not None and asking.plan.server is not None else ""

    @property
    def judge_endpoint(self) -> str:
        """Base URL of the server that the judge is asked at; empty if nobody judges."""
        if self.judge.mode == "off" or not any(run.task in JUDGED_TASKS for run in self.runs):
            return ""
        spec = find_judge(self.judge, self.settings)
        return find_server(spec.base_url, spec.api_key_variable).url

    @property
    def runs(self) -> list[Run]:
        """What was predicted so far, by model and task."""
        return [run for model in self._specs for run in self._runs.get(model, [])]

    def _load(self) -> None:
        """Read the instances of tasks."""
        for task in self._tasks:
            try:
                self.instances[task] = self._instances(task, self.split, self.limit)
            except NotBuiltError as error:
                self.not_built[task] = str(error)
            except SciriffError as error:
                self._failed("", task, error)

    def _instances(self, task: str, split: str, limit: int | None = None) -> InstanceSet:
        return load_data(
            self.data, task, self.window, split, limit, store=self.store, settings=self.settings, progress=self.progress
        )

    def _prepare_all(self, specs: Iterable[ModelSpec]) -> dict[str, Asking[ModelPlan]]:
        """Decide what models are asked, and count what that comes to. Model -> what it is about to be asked."""
        self.purse.most = self.options.max_cost
        found = {}
        for spec in specs if self.instances else ():
            try:
                found[spec.name] = self._prepare(spec)
            except SciriffError as error:
                self._failed(spec.name, "", error)
        return found

    def _prepare(self, spec: ModelSpec) -> Asking[ModelPlan]:
        stack = self._open
        training = partial(self._instances, split="train")
        plan = plan_model(spec, self.instances, self.options, self.settings, training, stack)
        if spec.price is None and self.options.max_cost is not None and spec.backend == "openai":
            raise UsageError(
                f"the price of {spec.name} is not known, so --max-cost cannot be kept; give it an entry with one"
            )
        estimate = estimate_for(spec, self.settings, plan.kit.checkpoint)
        ledger = stack.enter_context(open_ledger(self.store, plan.backend.identity, spec.name, self.settings.cache))
        if self.options.retry_errors:
            ledger.forget_errors()
        quoted = quote_model(plan, ledger, estimate, batch=self.options.batch)
        return Asking(plan, quoted, ledger, self.options, self.purse, self.settings, self.progress)

    def _agree(self, confirm: Confirm | None) -> None:
        """Tell what it comes to, and make sure that it is wanted. Raises UsageError if it is not."""
        quotes = [each.quote for each in self._asked.values()]
        asking = sum(each.to_ask > 0 for each in quotes)
        if asking and (of_judge := quote_judging(self.instances.values(), asking, self.judge, self.settings)):
            quotes.append(of_judge)
        for each in quotes:
            self.progress.log(str(each))
        cost = sum(each.cost or 0.0 for each in quotes)
        if self.purse.most is not None and cost > self.purse.most:
            raise UsageError(
                f"about {spell_cost(cost)} would be more than --max-cost {spell_cost(self.purse.most)}; nothing was "
                "asked. Allow more, or ask less: --limit, --tasks, --batch, --judge off"
            )
        if confirm is not None and asking:
            if not confirm(quotes):
                raise UsageError("nothing was asked")
            self._is_agreed = True

    def predict(self, model: str) -> Predicted:
        """Ask a model, and note its runs. What goes wrong is told of the model or task; the others go on."""
        spec, asking, spent = self._specs[model], self._asked.get(model), self.purse.spent
        self._runs[model] = []
        self.is_worth_another_try = False
        if spec.backend == "baseline":
            self._forget(model)
            for task, instances in self.instances.items():
                try:
                    self._note(model, instances, predict_baseline(model, instances, self.store))
                except SciriffError as error:
                    self._failed(model, task, error)
        elif asking is not None:
            self._forget(model)
            try:
                self._ask(model, asking)
            except SciriffError as error:
                self._failed(model, "", error)
        failures, waiting = (
            {task: why for (of, task), why in told.items() if of == model} for told in (self.failures, self.waiting)
        )
        return Predicted(
            tasks=len({run.task for run in self._runs[model]} - failures.keys()),
            quote=asking.quote if asking is not None else None,
            cost=self.purse.spent - spent,
            failures=failures,
            waiting=waiting,
            may_pass=self.is_worth_another_try,
        )

    def _forget(self, model: str) -> None:
        """Take back what was said of a model."""
        for told in (self.failures, self.waiting):
            for where in [where for where in told if where[0] == model]:
                del told[where]

    def _ask(self, model: str, asking: Asking[ModelPlan]) -> None:
        asked = ask_model(asking)
        found = predict_from_ledger(asking.plan, asked, asking.ledger, self.store)
        if asked.problem is not None and all(isinstance(each, SciriffError) for each in found.values()):
            raise asked.problem
        for task, predictions in found.items():
            if isinstance(predictions, SciriffError):
                self._failed(model, task, predictions)
                continue
            self._note(model, self.instances[task], predictions)
            if problem := without_reply(asking.plan.tasks[task], asking.ledger):
                self.failures[model, task] = problem
                self.is_worth_another_try = True

    def _note(self, model: str, instances: InstanceSet, predictions: Predictions) -> None:
        self._runs.setdefault(model, []).append(
            Run(
                model=model,
                task=instances.task,
                window_tokens=instances.window,
                split=instances.split,
                sample_limit=instances.limit,
                data_note=instances.note,
                build_key=instances.build_key,
                instances_sha256=instances.sha256,
                predictions=predictions.path,
                predictions_sha256=predictions.sha256,
                model_identity=predictions.model_identity,
                scorer=code_digest(["sciriff.scoring.tasks"]),
            )
        )

    def _failed(self, model: str, task: str, error: SciriffError) -> None:
        where = self.waiting if error.exit_code is ExitCode.BLOCKED else self.failures
        where[model, task] = str(error)
        if can_pass(error):
            self.is_worth_another_try = True

    def _begin(self, stage: str) -> None:
        """Take back what an earlier try of the stage has told."""
        self.is_worth_another_try = False
        failures, waiting = self._told_before.setdefault(stage, (dict(self.failures), dict(self.waiting)))
        self.failures, self.waiting = dict(failures), dict(waiting)

    def score(self) -> int:
        """Score what was predicted, and say how many runs are scored. One that fails does not stop the others.

        Raises:
            StoreError: if the store cannot be read.
        """
        self._begin("score")
        recorded: list[Recorded] = []
        with self.progress.stage("score", len(self.runs)) as stage:
            for done in record_all(self.runs, self.store, self.settings.workers, self.runner):
                if isinstance(done, NotRecorded):
                    self._failed(done.run.model, done.run.task, done.error)
                else:
                    recorded.append(done)
                stage.advance(note=f"{done.run.task} {done.run.model}")
        order = {run.run_id: place for place, run in enumerate(self.runs)}
        self._recorded = sorted(recorded, key=lambda each: order[each.run.run_id])
        return len(self._recorded)

    def have_judged(self, confirm: Confirm | None = None) -> Mapping[tuple[str, str], JudgeReport]:
        """Have the judge rate what it rates. All that needs no judge is published before the judge is asked.

        Returns:
            (model, task) -> what the judge made of it, or why it was not asked.

        Raises:
            StoreError: if the store cannot be read or written.
        """
        self._begin("judge")
        runs = [each.run for each in self._recorded]
        judged = judge_runs(
            runs,
            self.judge,
            self.options,
            self.purse,
            self.store,
            self.settings,
            self.progress,
            confirm=None if self._is_agreed else confirm,
            before_asking=self._publish,
        )
        self._judged, errors = by_model_and_task(runs, judged)
        for (model, task), error in errors.items():
            self._failed(model, task, error)
        return self._judged

    def _publish(self) -> Published:
        return publish(self._recorded, [(self.window, self.split)], self.store, self.settings)

    def report(self) -> EvaluationReport:
        """Publish what was scored, and say what was done.

        Raises:
            StoreError: if the store or the index cannot be written.
        """
        published = self._publish()
        self.failures.update(published.replaced)
        return EvaluationReport(
            window=self.window,
            split=self.split,
            results=published.results,
            not_built=self.not_built,
            failures=self.failures,
            waiting=self.waiting,
            judged=self._judged,
            missing_columns=published.missing_columns,
            index=published.index,
            summaries={profile: paths[0] for profile, paths in published.summaries.items() if paths},
            quotes=tuple(asking.quote for asking in self._asked.values()),
            cost=self.purse.spent,
        )
