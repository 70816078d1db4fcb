"""Having runs judged: one queue over all runs, through the judge's own ledger, and judgements as facts.

Nothing else waits for the judge. What keeps it from being asked (no key, no money, a server that is down) is told and
stands in the facts; its replies so far are in the ledger, and the next evaluation asks for the others only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sciriff.building.progress import Progress
from sciriff.errors import BlockedError, SciriffError, UsageError
from sciriff.models.ask_model import Asking, ask_model
from sciriff.models.budget import Purse
from sciriff.models.dialect import dialect_of
from sciriff.models.instances import InstanceSet
from sciriff.models.ledger import Ledger, open_ledger
from sciriff.models.openai_batch import PendingError
from sciriff.models.openai_live import LiveBackend
from sciriff.models.openai_server import Server, find_server, require_access
from sciriff.models.plan import AskOptions
from sciriff.models.predictions import ReplacedError, read_predictions
from sciriff.models.quote import Quote, estimate_for, quote
from sciriff.models.registry import ModelSpec
from sciriff.models.requests import Answer, Prompt, Request, make_request
from sciriff.results.facts import Run
from sciriff.results.judge_facts import (
    Judge,
    JudgeReport,
    JudgeState,
    earlier_judgements,
    kept_judgements,
    write_judgements,
    write_unjudged,
)
from sciriff.results.judge_options import JudgeOptions, find_judge
from sciriff.scoring.judge import (
    JUDGE_SAMPLING,
    JUDGED_TASKS,
    Case,
    conclude,
    first_question,
    make_case,
    sampled,
    second_question,
)
from sciriff.scoring.judge_prompts import prompts_digest
from sciriff.scoring.tasks import EvalTask, eval_task
from sciriff.settings import Settings
from sciriff.store import Store

Confirm = Callable[[Sequence[Quote]], bool]
"""Asks whether to go on, given what is going to be asked."""

REPLY_TOKENS = 120
"""About so many tokens has a judge's reply, for quotes."""


@dataclass(frozen=True)
class Judged:
    """What became of a run.

    Attributes:
        report: as in the facts.
        error: what went wrong while the judge was being asked; None if it was not even tried, or all went well.
    """

    report: JudgeReport
    error: SciriffError | None = None


@dataclass(frozen=True)
class _Questions:
    """What the judge is asked (:class:`sciriff.models.plan.Questions`)."""

    spec: ModelSpec
    backend: LiveBackend
    server: Server
    requests: Mapping[str, Request]


@dataclass(frozen=True)
class _OpenRun:
    """A run that is being judged; requests stand beside their cases, None where nothing is asked."""

    run: Run
    task: EvalTask
    judge: Judge
    cases: tuple[Case, ...]
    first: tuple[Request | None, ...]


def judge_runs(
    runs: Sequence[Run],
    options: JudgeOptions,
    asking: AskOptions,
    purse: Purse,
    store: Store,
    settings: Settings,
    progress: Progress,
    *,
    confirm: Confirm | None = None,
    before_asking: Callable[[], object] = lambda: None,
) -> dict[str, Judged]:
    """Have runs judged, and write what came of it.

    Args:
        runs: runs whose replies are in the store; those of tasks that no judge rates are left out.
        options: how they are judged.
        asking: how the judge is asked, apart from server and batches.
        purse: what everything together may cost.
        store: the artifacts.
        settings: whether the network may be used.
        progress: where to tell how far it is.
        confirm: asked once before the first request; None to go on.
        before_asking: called once if the judge has to be asked anything.

    Returns:
        Run id -> what became of it.

    Raises:
        UsageError: if there is no such judge.
        StoreError: if the store cannot be read or written.
    """
    chosen = [run for run in runs if run.task in JUDGED_TASKS]
    if options.mode == "off":
        return {run.run_id: _leave(run, Judge(), JudgeState.OFF, "the judge is off", store) for run in chosen}
    spec = find_judge(options, settings)
    if not chosen:
        return {}
    server = find_server(spec.base_url, spec.api_key_variable)
    backend = LiveBackend(server, dialect_of(spec), most_at_once=asking.most_at_once, patience=asking.patience)
    with open_ledger(store, backend.identity, spec.name, settings.cache) as ledger:
        if asking.retry_errors:
            ledger.forget_errors()
        judging = _Judging(options, asking, purse, store, settings, progress, spec, server, backend, ledger, confirm)
        for run in chosen:
            judging.take(run)
        if judging.questions():
            before_asking()
        judging.ask()
        return judging.done


def by_model_and_task(
    runs: Iterable[Run], judged: Mapping[str, Judged]
) -> tuple[dict[tuple[str, str], JudgeReport], dict[tuple[str, str], SciriffError]]:
    """What became of runs, and what went wrong with some of them, by (model, task)."""
    found = {(run.model, run.task): judged[run.run_id] for run in runs if run.run_id in judged}
    errors = {
        where: type(each.error)(f"judge: {each.report.note}") for where, each in found.items() if each.error is not None
    }
    return {where: each.report for where, each in found.items()}, errors


def quote_judging(
    instances: Iterable[InstanceSet], models: int, options: JudgeOptions, settings: Settings
) -> Quote | None:
    """Estimate what judging new replies comes to, as if each were as long as the reference.

    Args:
        instances: what is evaluated.
        models: how many models.
        options: how they are judged.
        settings: which tokenizer builds count with, and whether the network may be used.

    Returns:
        None if nobody is going to be asked.

    Raises:
        UsageError: if there is no such judge.
    """
    if options.mode == "off":
        return None
    spec = find_judge(options, settings)
    if _no_access(find_server(spec.base_url, spec.api_key_variable), settings):
        return None
    estimate = estimate_for(spec, settings)
    texts = (text for each in instances if each.task in JUDGED_TASKS for text in _likely_questions(each, options))
    tokens = {str(place): estimate.count(text) for place, text in enumerate(texts)}
    tokens = {f"{model} {place}": count for model in range(models) for place, count in tokens.items()}
    if not tokens:
        return None
    said, most = len(tokens) * REPLY_TOKENS, len(tokens) * JUDGE_SAMPLING.max_tokens
    batch, price, asked = options.mode == "batch", spec.price, sum(tokens.values())
    return Quote(
        model=f"judge {spec.name}",
        requests=len(tokens),
        known=0,
        in_batches=0,
        refused=0,
        input_tokens=tokens,
        output_tokens=said,
        most_output_tokens=most,
        estimated_by=estimate.by,
        cost=None if price is None else price.cost(asked, said, batch=batch),
        most_cost=None if price is None else price.cost(asked, most, batch=batch),
        batch=batch,
        in_doubt=0,
        torn_lines=0,
    )


def _likely_questions(instances: InstanceSet, options: JudgeOptions) -> Iterator[str]:
    """What the judge is asked of replies that are the references."""
    task, found = eval_task(instances.task), instances.instances
    for place in sampled(len(found), options.most(task.name), options.seed):
        instance, output = found[place], found[place]["output"]
        line = {"instance_id": instance["_instance_id"], "prompt": instance["input"]}
        yield make_case(task, {**line, "reply": output, "reference": output}).text


def _no_access(server: Server, settings: Settings) -> str:
    """Why a server cannot even be tried; empty if it can."""
    try:
        require_access(server, offline=settings.offline, option="--judge-base-url")
    except SciriffError as error:
        return str(error)
    return ""


def _leave(
    run: Run, judge: Judge, state: JudgeState, note: str, store: Store, error: SciriffError | None = None
) -> Judged:
    """Say why a run is not judged; what a judge made of it earlier stays."""
    if earlier := earlier_judgements(run, store):
        return Judged(replace(earlier, note=f"of an earlier evaluation; now {note}"), error)
    return Judged(write_unjudged(run, judge, state, note, store), error)


@dataclass
class _Judging:
    """Runs on their way to being judged.

    Attributes:
        done: run id -> what became of it.
    """

    options: JudgeOptions
    asking: AskOptions
    purse: Purse
    store: Store
    settings: Settings
    progress: Progress
    spec: ModelSpec
    server: Server
    backend: LiveBackend
    ledger: Ledger
    confirm: Confirm | None
    done: dict[str, Judged] = field(default_factory=dict)
    _open: list[_OpenRun] = field(default_factory=list)

    def take(self, run: Run) -> None:
        """Look at a run: what is known of it already, or what has to be asked."""
        judge = Judge(
            name=self.spec.api_model or self.spec.name,
            identity=self.ledger.identity,
            prompts=prompts_digest(run.task),
            most=self.options.most(run.task),
            seed=self.options.seed,
            sampling=JUDGE_SAMPLING.describe(),
        )
        kept = kept_judgements(run, judge, self.store)
        if kept and not (kept.judge_failed and self.asking.retry_errors):
            self.done[run.run_id] = Judged(kept)
        elif not self.ledger.answers and (why := self._no_access()):
            self.done[run.run_id] = _leave(run, judge, JudgeState.STOPPED, why, self.store)
        else:
            try:
                self._open.append(self._opened(run, judge))
            except ReplacedError as error:
                self.done[run.run_id] = _leave(run, judge, JudgeState.STOPPED, str(error), self.store, error)

    def _no_access(self) -> str:
        """Why the judge cannot even be tried; empty if it can."""
        return _no_access(self.server, self.settings)

    def _opened(self, run: Run, judge: Judge) -> _OpenRun:
        task = eval_task(run.task)
        predictions = list(read_predictions(self.store, run.predictions, sha256=run.predictions_sha256))
        places = sampled(len(predictions), judge.most, judge.seed)
        cases = tuple(make_case(task, predictions[place]) for place in places)
        first = tuple(self._request(run, case, first_question(case)) for case in cases)
        return _OpenRun(run, task, judge, cases, first)

    def _request(self, run: Run, case: Case, prompt: Prompt | None) -> Request | None:
        if prompt is None:
            return None
        return make_request(self.ledger.identity, prompt, JUDGE_SAMPLING, f"judge {run.model} {case.instance_id}")

    def _second(self, each: _OpenRun) -> list[Request | None]:
        """What is to be asked again, as far as first replies are there."""
        return [
            self._request(each.run, case, second_question(each.task, case, self._answer(first)))
            for case, first in zip(each.cases, each.first, strict=True)
        ]

    def _answer(self, request: Request | None) -> Answer | None:
        return None if request is None else self.ledger.answers.get(request.key)

    def questions(self) -> dict[str, Request]:
        """Key -> what the judge has to be asked now."""
        asked = (request for each in self._open for request in (*each.first, *self._second(each)))
        return {request.key: request for request in asked if request and not self.ledger.is_settled(request.key)}

    def ask(self) -> None:
        """Ask what has to be asked, then what has to be asked again, and write what came of it."""
        problem: SciriffError | None = None
        asked: set[str] = set()
        has_access = not self._no_access()
        while problem is None:
            questions = {key: request for key, request in self.questions().items() if key not in asked}
            if not questions:
                break
            problem = self._ask(questions) if has_access else BlockedError(self._no_access())
            asked |= questions.keys()
        for each in self._open:
            self._conclude(each, problem, has_access)

    def _ask(self, questions: Mapping[str, Request]) -> SciriffError | None:
        """Ask one round; returns why it could not be asked to the end."""
        options = replace(self.asking, batch=self.options.mode == "batch", schemas={})
        named = self.spec.model_copy(update={"name": f"judge {self.spec.name}"})
        plan = _Questions(named, self.backend, self.server, questions)
        estimate = estimate_for(self.spec, self.settings)
        quoted = quote(plan, self.ledger, estimate, lambda _: REPLY_TOKENS, batch=options.batch)
        self.progress.log(str(quoted))
        if self.purse.most is not None:
            left = self.purse.most - self.purse.spent
            if quoted.cost is None:
                return UsageError(f"the price of {self.spec.name} is not known, so --max-cost cannot be kept")
            if quoted.cost > left:
                return UsageError(
                    f"about ${quoted.cost:,.2f} for the judge would be more than the ${left:,.2f} that are left of "
                    "--max-cost; allow more, or judge less: --judge-samples, --judge batch"
                )
        if self.confirm is not None and quoted.to_ask:
            confirm, self.confirm = self.confirm, None
            if not confirm([quoted]):
                return UsageError("the judge was not wanted at that price")
        asking = Asking(plan, quoted, self.ledger, options, self.purse, self.settings, self.progress)
        return ask_model(asking).problem

    def _conclude(self, each: _OpenRun, problem: SciriffError | None, has_access: bool) -> None:
        second = self._second(each)
        asked = [request.key for request in (*each.first, *second) if request is not None]
        missing = sum(not self.ledger.is_settled(key) for key in asked)
        if problem is not None and missing:
            state = JudgeState.WAITING if isinstance(problem, PendingError) else JudgeState.STOPPED
            note = f"{missing:,} of {len(asked):,} questions are not answered: {problem}"
            error = problem if has_access else None
            self.done[each.run.run_id] = _leave(each.run, each.judge, state, note, self.store, error)
            return
        judgements = [
            conclude(each.task, case, self._answer(first), self._answer(again))
            for case, first, again in zip(each.cases, each.first, second, strict=True)
        ]
        report = write_judgements(each.run, each.task, each.judge, judgements, self.store)
        self.done[each.run.run_id] = Judged(report)
