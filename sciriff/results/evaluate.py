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

from sciriff.building.fingerprint import code_digest
from sciriff.building.progress import Progress, Silent
from sciriff.building.runner import Runner
from sciriff.errors import ExitCode, SciriffError, UsageError
from sciriff.leases import tidy
from sciriff.models.ask_model import Asking, ask_model, submit_batches
from sciriff.models.budget import Purse
from sciriff.models.data import BUILT, load_data, require_data
from sciriff.models.instances import InstanceSet, NotBuiltError
from sciriff.models.ledger import open_ledger
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
    if not models:
        raise UsageError("no model to evaluate; give at least one, e.g. gold")
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit} is not a positive number of samples")
    specs = find_models(models, settings)
    judge = judge or JudgeOptions(mode="off")
    if judge.mode != "off":
        find_judge(judge, settings)
    names = [eval_task(name).name for name in tasks] if tasks is not None else [task.name for task in EVAL_TASKS]
    progress = progress or Silent()
    require_data(data, window, split, settings, progress)
    store.check_writable()
    tidy(store)

    options = options or AskOptions()
    evaluation = _Evaluation(store, settings, data, window, split, limit, options, judge, progress, runner)
    evaluation.load(dict.fromkeys(names))
    with ExitStack() as stack:
        asked = evaluation.prepare([spec for spec in specs if spec.backend != "baseline"], stack)
        evaluation.agree(asked, confirm)
        if len(asked) > 1:
            for asking in asked.values():
                submit_batches(asking)
        for spec in specs:
            evaluation.predict(spec, asked.get(spec.name))
    recorded = evaluation.score()
    judged = evaluation.have_judged(recorded, confirm)
    return evaluation.report(recorded, judged, tuple(asking.quote for asking in asked.values()))


@dataclass
class _Evaluation:
    """What an evaluation has come to so far."""

    store: Store
    settings: Settings
    data: str
    window: int
    split: str
    limit: int | None
    options: AskOptions
    judge: JudgeOptions
    progress: Progress
    runner: Runner | None = None
    instances: dict[str, InstanceSet] = field(default_factory=dict)
    not_built: dict[str, str] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    waiting: dict[tuple[str, str], str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    purse: Purse = field(default_factory=Purse)
    is_agreed: bool = False

    def load(self, tasks: Iterable[str]) -> None:
        """Read the instances of tasks."""
        for task in tasks:
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

    def prepare(self, specs: Iterable[ModelSpec], stack: ExitStack) -> dict[str, Asking[ModelPlan]]:
        """Decide what models are asked, and count what that comes to. Model -> what it is about to be asked."""
        self.purse.most = self.options.max_cost
        found = {}
        for spec in specs if self.instances else ():
            try:
                found[spec.name] = self._prepare(spec, stack)
            except SciriffError as error:
                self._failed(spec.name, "", error)
        return found

    def _prepare(self, spec: ModelSpec, stack: ExitStack) -> Asking[ModelPlan]:
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

    def agree(self, asked: Mapping[str, Asking[ModelPlan]], confirm: Confirm | None) -> None:
        """Tell what it comes to, and make sure that it is wanted.

        Raises:
            UsageError: if it is not.
        """
        quotes = [each.quote for each in asked.values()]
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
            self.is_agreed = True

    def predict(self, spec: ModelSpec, asking: Asking[ModelPlan] | None) -> None:
        """Ask a model, and note its runs."""
        if spec.backend == "baseline":
            for task, instances in self.instances.items():
                try:
                    self._note(spec.name, instances, predict_baseline(spec.name, instances, self.store))
                except SciriffError as error:
                    self._failed(spec.name, task, error)
        elif asking is not None:
            try:
                self._ask(spec.name, asking)
            except SciriffError as error:
                self._failed(spec.name, "", error)

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

    def _note(self, model: str, instances: InstanceSet, predictions: Predictions) -> None:
        self.runs.append(
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

    def score(self) -> list[Recorded]:
        """Score what was predicted."""
        recorded = []
        with self.progress.stage("score", len(self.runs)) as stage:
            for done in record_all(self.runs, self.store, self.settings.workers, self.runner):
                if isinstance(done, NotRecorded):
                    self._failed(done.run.model, done.run.task, done.error)
                else:
                    recorded.append(done)
                stage.advance(note=f"{done.run.task} {done.run.model}")
        order = {run.run_id: place for place, run in enumerate(self.runs)}
        return sorted(recorded, key=lambda each: order[each.run.run_id])

    def have_judged(self, recorded: Sequence[Recorded], confirm: Confirm | None) -> dict[tuple[str, str], JudgeReport]:
        """Have the judge rate what it rates. All that needs no judge is published before the judge is asked."""
        runs = [each.run for each in recorded]
        judged = judge_runs(
            runs,
            self.judge,
            self.options,
            self.purse,
            self.store,
            self.settings,
            self.progress,
            confirm=None if self.is_agreed else confirm,
            before_asking=lambda: self._publish(recorded),
        )
        reports, errors = by_model_and_task(runs, judged)
        for (model, task), error in errors.items():
            self._failed(model, task, error)
        return reports

    def _publish(self, recorded: Sequence[Recorded]) -> Published:
        return publish(recorded, [(self.window, self.split)], self.store, self.settings)

    def report(
        self,
        recorded: Sequence[Recorded],
        judged: Mapping[tuple[str, str], JudgeReport],
        quotes: tuple[Quote, ...],
    ) -> EvaluationReport:
        """Publish what was scored, and say what was done."""
        published = self._publish(recorded)
        return EvaluationReport(
            window=self.window,
            split=self.split,
            results=published.results,
            not_built=self.not_built,
            failures=self.failures,
            waiting=self.waiting,
            judged=judged,
            missing_columns=published.missing_columns,
            index=published.index,
            summaries={profile: paths[0] for profile, paths in published.summaries.items() if paths},
            quotes=quotes,
            cost=self.purse.spent,
        )
