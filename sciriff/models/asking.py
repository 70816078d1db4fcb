"""Ask through the ledger: what it holds is not asked for, and what is asked is in it before anybody sees it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from sciriff.models.ledger import Ledger
from sciriff.models.requests import Answer, Backend, Request

_SECONDS_BETWEEN_LOOKS = 1.0


class Gate(Protocol):
    """Says whether a request may go out, and learns what became of it. See :class:`sciriff.models.budget.Budget`."""

    def allows(self, request: Request) -> bool:
        """Whether the request may go out now; one that may is counted as under way."""

    def settle(self, answer: Answer) -> None:
        """Take in the answer to a request that was under way."""


class Open:
    """The gate that lets everything through."""

    def allows(self, request: Request) -> bool:  # noqa: ARG002 - the protocol's names
        """Say yes."""
        return True

    def settle(self, answer: Answer) -> None:
        """Learn nothing."""


def ask(
    requests: Iterable[Request],
    backend: Backend,
    ledger: Ledger,
    gate: Gate | None = None,
    *,
    note_sent: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Answer]:
    """Yield one answer per different request, those of the ledger first, then as they arrive.

    Errors of the ledger that may pass are asked for again. Requests that another evaluation is asking for are waited
    for. Closing the iterator ends all work under way.

    Args:
        requests: what is asked; those with equal keys are one.
        backend: who is asked.
        ledger: of the backend's identity.
        gate: which requests may go out; those that may not get no answer.
        note_sent: whether the ledger is told of each request before it goes out, so that one whose reply never arrives
            is counted as perhaps billed. Of no use where nothing is billed, and for batches, which have their own
            events.
        tell: told once if there is nothing left to do but to wait for another evaluation.

    Raises:
        SciriffError: for what stops every request.
        StoreError: if the ledger cannot be written.
    """
    wanted = {request.key: request for request in requests}
    unsettled = {}
    for key, request in wanted.items():
        if ledger.is_settled(key):
            yield ledger.answers[key]
        else:
            unsettled[key] = request
    earlier = {key: ledger.answers.get(key) for key in unsettled}
    told = False
    while unsettled:
        ours = deque(unsettled.pop(key) for key in ledger.claim(list(unsettled)))
        yield from _rounds(ours, backend, ledger, gate or Open(), note_sent)
        if ledger.is_forgotten:  # others may have claimed what is not sent yet
            unsettled |= {request.key: request for request in ours}
        if unsettled and not told and (asked := len(ledger.claimed_by_others() & unsettled.keys())):
            told = True
            tell(f"{asked:,} requests are being asked by another run; waiting for its replies")
        yield from _answered_by_others(unsettled, earlier, ledger)


def _rounds(waiting: deque[Request], backend: Backend, ledger: Ledger, gate: Gate, note_sent: bool) -> Iterator[Answer]:
    """Ask until the gate, with nothing under way, lets nothing through, or our claims are void."""
    labels: dict[str, str] = {}

    def going_out() -> Iterator[Request]:
        while waiting and not ledger.is_forgotten and gate.allows(waiting[0]):
            request = waiting.popleft()
            labels[request.key] = request.label
            if note_sent:
                ledger.note_sent(request.key)
            yield request

    while (before := len(waiting)) > 0:
        for answer in backend.ask(going_out()):
            ledger.record(answer, labels.pop(answer.key, ""))
            gate.settle(answer)
            yield answer
        if len(waiting) == before:
            return


def _answered_by_others(
    waiting: dict[str, Request], earlier: Mapping[str, Answer | None], ledger: Ledger
) -> Iterator[Answer]:
    """Yield what others answer, until none of the requests is asked by others; what they left unanswered stays."""
    while waiting:
        claimed = ledger.claimed_by_others()
        for key in [key for key in waiting if key not in claimed]:
            answer = ledger.answers.get(key)
            if answer is not None and answer is not earlier[key]:
                del waiting[key]
                yield answer
        if not any(key in claimed for key in waiting):
            return
        time.sleep(_SECONDS_BETWEEN_LOOKS)
