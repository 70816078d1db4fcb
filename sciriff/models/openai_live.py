"""Ask a server that speaks the OpenAI protocol, many requests at once, each until it is answered.

:meth:`LiveBackend.ask` runs an event loop whenever it is asked for the next answer, in the thread that asks: no thread
waits for another, so whoever takes answers must not let it wait for minutes.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace

from sciriff.errors import ModelError, TransientModelError
from sciriff.models.concurrency import AdaptiveLimit
from sciriff.models.loops import has_running_loop, in_thread, new_loop
from sciriff.models.openai_replies import filtered
from sciriff.models.openai_requests import Dialect, identity_of
from sciriff.models.openai_server import Failure, Patience, Server
from sciriff.models.openai_try import open_client, send
from sciriff.models.requests import Answer, Request

DEFAULT_CONCURRENCY = 128


class LiveBackend:
    """Answers requests one by one, many at once (a :class:`sciriff.models.requests.Backend`)."""

    def __init__(
        self,
        server: Server,
        dialect: Dialect,
        *,
        most_at_once: int = DEFAULT_CONCURRENCY,
        patience: Patience | None = None,
    ) -> None:
        """Name the server; nothing is sent yet.

        Args:
            server: who is asked.
            dialect: what it wants to be told.
            most_at_once: requests under way at once, at most.
            patience: how long a request is tried for.
        """
        self._server, self._dialect, self._most_at_once = server, dialect, most_at_once
        self._patience = patience or Patience()

    @property
    def identity(self) -> str:
        """See :func:`identity_of`."""
        return identity_of(self._server.url, self._dialect)

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Yield one answer per request, as they arrive. A request is taken from ``requests`` right before it is sent.

        Closing the iterator ends the requests under way.

        Raises:
            BlockedError: if the server wants a (different) key, or money.
            ModelError: if it cannot be reached, does not know the model, or fails every request.
        """
        conversation = _Conversation(self._server, self._dialect, self._most_at_once, self._patience, iter(requests))
        answers = conversation.answers()
        return in_thread(answers, conversation.stop) if has_running_loop() else answers


@dataclass(slots=True, eq=False)
class _Job:
    """A request and how it has fared: failures, times it was told to wait, tries that may have been billed."""

    request: Request
    failures: int = 0
    waits: int = 0
    lost: int = 0


class _Conversation:
    """The work of one call of ``ask``."""

    def __init__(
        self, server: Server, dialect: Dialect, most_at_once: int, patience: Patience, requests: Iterator[Request]
    ) -> None:
        self._server, self._dialect, self._patience = server, dialect, patience
        self._requests: Iterator[Request] | None = requests
        self._limit = AdaptiveLimit(most_at_once)
        self._again: deque[_Job] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._waiting: set[_Job] = set()
        self._paused_until = 0.0
        self._answered = self._replied = False
        self._refused = 0
        self._given_up_in_a_row = 0
        self._failure: BaseException | None = None
        self._is_over = False
        self._arrived: list[Answer] = []
        self._loop = new_loop()
        self._news: asyncio.Future[None] = self._loop.create_future()
        self._resources = AsyncExitStack()

    def answers(self) -> Generator[Answer, None, None]:
        """Run the loop until there are answers, yield them, and so on until all is over."""
        try:
            self._loop.run_until_complete(self._begin())
            while answers := self._next_answers():
                yield from answers
            if self._failure is not None:
                raise self._failure
        finally:
            self._loop.run_until_complete(self._end())
            self._loop.close()

    def stop(self) -> None:
        """End the work at once, from any thread."""
        with suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._finish)

    async def _begin(self) -> None:
        """Open the client and send the first requests."""
        client = open_client(self._server, self._patience.connect_seconds, self._patience.reply_seconds)
        self._client = await self._resources.enter_async_context(client)
        self._pump()

    def _next_answers(self) -> list[Answer]:
        """Run the loop until there are answers, and return them; none when all is over."""
        if not self._arrived and not self._is_over:
            self._news = self._loop.create_future()
            self._loop.run_until_complete(self._news)
        arrived, self._arrived = self._arrived, []
        return arrived

    async def _end(self) -> None:
        """End what is under way and close the client."""
        self._is_over = True
        under_way = list(self._under_way)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._resources.aclose()

    def _arrive(self, answer: Answer) -> None:
        self._arrived.append(answer)
        self._tell()

    def _tell(self) -> None:
        if not self._news.done():
            self._news.set_result(None)

    def _finish(self) -> None:
        """Let the work be over; what waits for another try is known to have brought nothing."""
        if not self._is_over:
            self._is_over = True
            for job in (*self._again, *self._waiting):
                self._give_up(job, f"not asked again: {self._failure}")
            self._tell()

    def _pump(self) -> None:
        """Send as much as may be under way, and notice the end."""
        while self._may_send() and (job := self._next()) is not None:
            task = self._loop.create_task(self._try(job))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        is_done = self._requests is None and not self._again and not self._waiting
        if not self._under_way and (is_done or self._failure is not None):
            self._finish()

    def _may_send(self) -> bool:
        return (
            len(self._under_way) < self._limit.now
            and self._failure is None
            and self._paused_until <= self._loop.time()
            and not self._is_over
        )

    def _next(self) -> _Job | None:
        if self._again:
            return self._again.popleft()
        if self._requests is not None:
            try:
                return _Job(next(self._requests))
            except StopIteration:
                self._requests = None
            except BaseException as error:
                self._requests = None
                self._fail(error)
        return None

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:  # a defect of ours
            self._fail(error)
        self._pump()

    async def _try(self, job: _Job) -> None:
        began = self._loop.time()
        outcome = await send(self._client, self._dialect, job.request, answered=self._answered)
        seconds = self._loop.time() - began
        if isinstance(outcome, Answer):
            self._answered, self._replied, self._given_up_in_a_row = True, True, 0
            self._limit.went_well(seconds / _work(outcome), len(self._under_way))
            self._arrive(replace(outcome, seconds=round(seconds, 3), lost_tries=job.lost))
            return
        if outcome.filtered:
            self._answered, self._given_up_in_a_row = True, 0
            self._arrive(filtered(job.request.key))
            return
        job.lost += outcome.lost
        if outcome.load:
            self._limit.went_badly(began, began + seconds, busy=outcome.load == "busy")
        if outcome.fatal is not None:
            self._give_up(job, outcome.reason)
            self._fail(outcome.fatal)
        elif outcome.may_pass:
            self._try_again(job, outcome)
        else:
            self._refuse(job, outcome.reason)

    def _try_again(self, job: _Job, failure: Failure) -> None:
        patience = self._patience
        told_to_wait = failure.wait is not None and failure.wait <= patience.longest_retry_after
        job.waits += told_to_wait
        job.failures += not told_to_wait
        if not failure.reached and not self._answered and job.failures >= patience.connect_tries:
            self._give_up(job, failure.reason)
            what_to_do = "check the address and that the server runs"
            self._fail(TransientModelError(f"{self._server.url} cannot be reached: {failure.reason}; {what_to_do}"))
        elif job.failures >= patience.tries or job.waits >= patience.waits:
            self._give_up(job, f"given up after {job.failures + job.waits} tries, the last: {failure.reason}")
            self._count_given_up(failure)
        elif told_to_wait:
            self._pause(failure.wait or 0.0, job)
        else:
            self._later(job, patience.backoff(job.failures))

    def _refuse(self, job: _Job, reason: str) -> None:
        """Let a refusal stand; a server that refuses one request after the other from the first on refuses them all."""
        self._answered, self._given_up_in_a_row = True, 0
        self._give_up(job, reason, final=True)
        self._refused += 1
        if not self._replied and self._refused >= self._patience.refused:
            self._fail(
                ModelError(
                    f"{self._server.url} refused the first {self._refused} requests, the last: {reason}; put that "
                    "right, then run the same command with --retry-errors"
                )
            )

    def _give_up(self, job: _Job, reason: str, *, final: bool = False) -> None:
        self._arrive(Answer(job.request.key, None, error=reason, final=final, lost_tries=job.lost))

    def _count_given_up(self, failure: Failure) -> None:
        self._given_up_in_a_row += 1
        if self._given_up_in_a_row >= self._patience.given_up:
            self._fail(
                TransientModelError(
                    f"{self._server.url} failed {self._given_up_in_a_row} requests in a row, the last: "
                    f"{failure.reason}; run the same command again later: no reply is asked for again"
                )
            )

    def _pause(self, seconds: float, job: _Job) -> None:
        """Send nothing for so long, then this first: who is told to wait speaks for all."""
        self._paused_until = max(self._paused_until, self._loop.time() + seconds)
        self._later(job, seconds + random.uniform(0, min(1.0, seconds / 10)))

    def _later(self, job: _Job, seconds: float) -> None:
        def due() -> None:
            self._waiting.discard(job)
            self._again.append(job)
            self._pump()

        self._waiting.add(job)
        self._loop.call_later(seconds, due)

    def _fail(self, error: BaseException) -> None:
        """End the whole work, but for what is under way: it may have been paid for."""
        if self._failure is None:
            self._failure = error
            self._loop.call_later(self._patience.last_seconds, self._finish)


def _work(answer: Answer) -> float:
    """What a reply was to the server, in about the time of one token of output."""
    return 20 + (answer.output_tokens or 0) + (answer.input_tokens or 0) / 50
