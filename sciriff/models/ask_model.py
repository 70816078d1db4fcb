"""Ask one model everything: one queue over all its tasks, through its ledger, with the cost in view."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from sciriff.building.progress import Progress
from sciriff.errors import ModelError, SciriffError
from sciriff.models.asking import Gate, ask
from sciriff.models.budget import Budget, Purse
from sciriff.models.dialect import dialect_of
from sciriff.models.ledger import Ledger
from sciriff.models.openai_batch import BatchBackend, Collector
from sciriff.models.openai_server import require_access
from sciriff.models.plan import AskOptions, Questions
from sciriff.models.quote import Quote, spell, spell_cost
from sciriff.models.requests import Answer, Request
from sciriff.models.vllm_backend import VllmBackend
from sciriff.settings import Settings


@dataclass(frozen=True)
class Asked:
    """What became of asking a model.

    Attributes:
        unanswered: keys of requests that got neither a reply nor an error.
        problem: why; None if there are none.
    """

    unanswered: frozenset[str]
    problem: SciriffError | None


Plan = TypeVar("Plan", bound=Questions, covariant=True)


@dataclass(frozen=True)
class Asking(Generic[Plan]):
    """A model that is about to be asked.

    Attributes:
        plan: what it is asked.
        quote: what that comes to.
        ledger: where answers are kept.
        options: how it is asked.
        purse: what all models together may cost.
        settings: whether the network may be used.
        progress: where to tell how far it is.
    """

    plan: Plan
    quote: Quote
    ledger: Ledger
    options: AskOptions
    purse: Purse
    settings: Settings
    progress: Progress


def submit_batches(asking: Asking[Questions]) -> None:
    """Submit what a model is asked as batches and wait for none, so that those of several models run at once.

    What goes wrong goes wrong again when the model is asked, and is told there.
    """
    plan, ledger = asking.plan, asking.ledger
    if plan.server is None or not asking.options.batch or asking.purse.most is not None:
        return
    try:
        require_access(plan.server, offline=asking.settings.offline)
        keys = ledger.claim(asking.quote.input_tokens)
        if keys:
            _batches(asking).submit([plan.requests[key] for key in keys])
    except SciriffError as error:
        asking.progress.log(f"{plan.spec.name}: {error}")


def ask_model(asking: Asking[Questions]) -> Asked:
    """Ask everything that is not in the ledger. Replies, and errors in their place, are in the ledger afterwards."""
    plan, ledger = asking.plan, asking.ledger
    requests = [request for key, request in plan.requests.items() if not ledger.is_settled(key)]
    earlier = {request.key: ledger.answers.get(request.key) for request in requests}
    problem: SciriffError | None = None
    try:
        if requests:
            _ask_all(asking, requests)
    except SciriffError as error:
        problem = error
    finally:
        if isinstance(plan.backend, VllmBackend):
            plan.backend.close()  # the next model needs the memory
    ledger.flush()
    if problem is not None:  # errors of an end like this are nothing to file
        return Asked(frozenset(key for key in earlier if not ledger.is_settled(key)), problem)
    unanswered = frozenset(key for key, answer in earlier.items() if ledger.answers.get(key) is answer)
    if unanswered:
        problem = ModelError(
            f"{spell_cost(asking.purse.spent)} of --max-cost {spell_cost(asking.purse.most or 0)} are spent, and the "
            "rest may not be enough for the next reply; run the same command again to go on"
        )
    return Asked(unanswered, problem)


def _ask_all(asking: Asking[Questions], requests: list[Request]) -> None:
    plan, purse = asking.plan, asking.purse
    if plan.server is not None:
        require_access(plan.server, offline=asking.settings.offline)
    if isinstance(plan.backend, VllmBackend):
        asking.progress.log(f"{plan.spec.name}: loading the weights")
        plan.backend.load()
    budget = Budget(purse, plan.spec.price, asking.quote.input_tokens, batch=asking.options.batch)
    meter = _Meter(len(requests), purse, has_price=plan.spec.price is not None)
    try:
        with asking.progress.stage(f"ask {plan.spec.name}", len(requests)) as stage:
            for answer in _answers(asking, requests, budget):
                stage.advance(note=meter.count(answer))
    finally:
        asking.progress.log(f"{plan.spec.name}: {meter}")


def _answers(asking: Asking[Questions], requests: list[Request], gate: Gate) -> Iterator[Answer]:
    """Ask live or in batches; what sits in a batch under way is waited for in any case, never asked twice."""
    plan, ledger = asking.plan, asking.ledger

    def tell(message: str) -> None:
        asking.progress.log(f"{plan.spec.name}: {message}")

    if plan.server is None:
        yield from ask(requests, plan.backend, ledger, gate, note_sent=False, tell=tell)
        return
    if asking.options.batch:
        yield from ask(requests, _batches(asking), ledger, gate, note_sent=False, tell=tell)
        return
    sitting = {key for submission in ledger.submissions for key in submission.keys}
    yield from ask(
        [request for request in requests if request.key not in sitting], plan.backend, ledger, gate, tell=tell
    )
    if waiting := [request for request in requests if request.key in sitting]:
        collected = set()
        for answer in ask(waiting, Collector(_batches(asking)), ledger, note_sent=False, tell=tell):
            collected.add(answer.key)
            yield answer
        yield from ask(
            [request for request in waiting if request.key not in collected], plan.backend, ledger, gate, tell=tell
        )


def _batches(asking: Asking[Questions]) -> BatchBackend:
    plan, options = asking.plan, asking.options
    assert plan.server is not None
    return BatchBackend(
        plan.server,
        dialect_of(plan.spec),
        asking.ledger,
        tell=asking.progress.log,
        stay=options.stay,
        patience=options.patience,
        looks=options.looks,
    )


class _Meter:
    """Counts answers and says how it goes."""

    def __init__(self, total: int, purse: Purse, *, has_price: bool) -> None:
        self._total, self._purse, self._has_price = total, purse, has_price
        self._began = time.monotonic()
        self._spent, self._tokens = purse.spent, purse.tokens
        self._replies = self._errors = 0

    def count(self, answer: Answer) -> str:
        self._replies += answer.text is not None
        self._errors += answer.text is None
        done = self._replies + self._errors
        left = (self._total - done) * self._seconds / done
        return f"{self._pace}, {_spell_seconds(left)} left"

    def __str__(self) -> str:
        errors = f", {self._errors:,} errors" if self._errors else ""
        return f"{self._replies:,} replies{errors} in {_spell_seconds(self._seconds)}: {self._pace}"

    @property
    def _seconds(self) -> float:
        return max(time.monotonic() - self._began, 1e-3)

    @property
    def _pace(self) -> str:
        cost = f", {spell_cost(self._purse.spent - self._spent)}" if self._has_price else ""
        rate = (self._replies + self._errors) / self._seconds
        return f"{rate:.1f}/s, {spell(self._purse.tokens - self._tokens)} tokens{cost}"


def _spell_seconds(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3_600:.1f} h"
