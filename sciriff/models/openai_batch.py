"""Ask in batches: the OpenAI Batch API, at half the price and within a day.

What was submitted is in the ledger before and after; a run that was killed finds its batches again, by id or by the
metadata that every batch of ours carries, and never submits a request that sits in one. A request that a batch brings
no line for, or an error that may pass, is submitted once more, and is an error after that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, NamedTuple

from sciriff.errors import BlockedError
from sciriff.models.ledger import Ledger
from sciriff.models.ledger_events import Submission
from sciriff.models.lines import load_json
from sciriff.models.openai_files import Batch, BatchServer
from sciriff.models.openai_replies import MalformedReplyError, error_of, filtered, reply_of
from sciriff.models.openai_requests import Dialect, batch_line, endpoint, identity_of
from sciriff.models.openai_server import Patience, Server, refusal
from sciriff.models.requests import Answer, Request

MOST_REQUESTS, MOST_BYTES = 10_000, 100_000_000
"""What goes into one batch; the API takes 50,000 requests and 200 MB."""

_MOST_SUBMISSIONS = 2
_IDENTITY, _SUBMISSION = "sciriff_identity", "sciriff_submission"
_TOO_MUCH_AT_ONCE = "token_limit_exceeded"


class PendingError(BlockedError):
    """Batches are under way, and nobody wanted to wait for them."""


@dataclass(frozen=True, slots=True)
class Looks:
    """How often a batch is looked at.

    Attributes:
        first, longest: seconds between two looks; they double from the first to the longest.
        grace: seconds after which a batch that a killed run was about to make must stand in the server's list.
        wait: how to wait.
    """

    first: float = 5.0
    longest: float = 60.0
    grace: float = 5.0
    wait: Callable[[float], None] = time.sleep


class BatchBackend:
    """Answers requests by batches (a :class:`sciriff.models.requests.Backend`)."""

    def __init__(
        self,
        server: Server,
        dialect: Dialect,
        ledger: Ledger,
        *,
        tell: Callable[[str], None] | None = None,
        stay: bool = True,
        patience: Patience | None = None,
        looks: Looks | None = None,
    ) -> None:
        """Name the server; nothing is sent yet.

        Args:
            server: who is asked.
            dialect: what it wants to be told.
            ledger: of this backend's identity: what was submitted.
            tell: where to tell how batches stand; None: nowhere.
            stay: whether to wait for batches; if not, PendingError is raised once everything is submitted.
            patience: how long a call is tried for.
            looks: how often a batch is looked at.
        """
        self._dialect, self._ledger, self._stay = dialect, ledger, stay
        self._listener, self._told = tell, dict[str, str]()
        self._looks = looks or Looks()
        self._server, self._batches = server, BatchServer(server, patience or Patience(), self._looks.wait)

    @property
    def identity(self) -> str:
        """The same as of the live backend: replies of one serve the other."""
        return identity_of(self._server.url, self._dialect)

    def submit(self, requests: Iterable[Request]) -> None:
        """Submit what sits in no batch yet. Raises ModelError or BlockedError if that cannot be done."""
        wanted = {request.key: request for request in requests}
        self.find_lost(wanted)
        pending = self._pending(wanted)
        self._submit([request for key, request in wanted.items() if key not in pending])

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Submit what sits in no batch yet, then yield the answers of each batch that ends.

        Closing the iterator leaves the batches to themselves; the next run finds them.

        Raises:
            BlockedError: if the server wants a (different) key, or money; or there is waiting to be done and nobody
                wanted to wait (PendingError).
            ModelError: if batches cannot be used.
        """
        wanted = {request.key: request for request in requests}
        if wanted:
            self.submit(wanted.values())
            yield from self.collect(wanted, again=True)

    def collect(self, wanted: Mapping[str, Request], *, again: bool) -> Iterator[Answer]:
        """Yield what the open batches bring for these requests, as they end.

        Whoever takes the answers must put each into the ledger before taking the next.

        Args:
            wanted: key -> request.
            again: whether what they do not bring is submitted once more; else it gets no answer.

        Raises:
            ModelError, BlockedError: as :meth:`ask`.
        """
        left = dict(wanted)
        done: set[str] = set()
        pause = self._looks.first
        while pending := [each for each in self._open(left) if each.id not in done]:
            ended = self._ended(pending)
            for submission, batch in ended:
                yield from self._collected(submission, batch, left, again=again)
                done.add(submission.id)
                if all(key in wanted or self._ledger.is_settled(key) for key in submission.keys):
                    self._ledger.note_collected(submission, batch.status)
            if ended:
                pause = self._looks.first
            elif self._stay:
                self._looks.wait(pause)
                pause = min(2 * pause, self._looks.longest)
            else:
                raise PendingError(
                    f"{sum(map(len, (each.keys for each in pending))):,} requests are in "
                    f"{', '.join(each.batch for each in pending)}; run the same command again to collect the replies"
                )

    def _open(self, wanted: Mapping[str, Request]) -> list[Submission]:
        """Batches under way with any of the requests in them."""
        return [each for each in self._ledger.submissions if each.batch and not wanted.keys().isdisjoint(each.keys)]

    def _ended(self, pending: Sequence[Submission]) -> list[tuple[Submission, Batch]]:
        """Those that have ended; one that failed only because too much was under way waits for the others to end."""
        looked = [(submission, self._batches.get(submission.batch)) for submission in pending]
        for _, batch in looked:
            if not batch.has_ended:
                told = f", {batch.processed:,} of {batch.total:,} done" if batch.total else ""
                self._tell(batch.id, f"{batch.status}{told}")
        ended = [(submission, batch) for submission, batch in looked if batch.has_ended]
        too_much = [each for each in ended if each[1].problem_code == _TOO_MUCH_AT_ONCE]
        others = [each for each in ended if each not in too_much]
        return others or (too_much[:1] if len(ended) == len(looked) else [])

    def _tell(self, batch: str, how_it_stands: str) -> None:
        if self._listener is not None and self._told.get(batch) != how_it_stands:
            self._told[batch] = how_it_stands
            self._listener(f"{batch}: {how_it_stands}")

    # Submitting

    def _submit(self, requests: Sequence[Request]) -> None:
        for path, of_path in groupby(sorted(requests, key=endpoint), key=endpoint):
            for chunk in _chunks(of_path, self._dialect):
                submission = self._ledger.note_submission(chunk.keys)
                file = self._batches.upload(b"".join(chunk.lines), f"sciriff-{submission.id}.jsonl")
                metadata = {_IDENTITY: self.identity, _SUBMISSION: submission.id}
                batch = self._batches.create(file, path, metadata)
                self._ledger.note_batch(submission, batch.id)
                self._tell(batch.id, f"{len(chunk.keys):,} requests submitted")

    def _pending(self, wanted: Iterable[str], but: Submission | None = None) -> set[str]:
        """Which of the requests sit in batches (other than one) that are not collected."""
        others = (each for each in self._ledger.submissions if but is None or each.id != but.id)
        return {key for each in others for key in each.keys}.intersection(wanted)

    def find_lost(self, wanted: Mapping[str, Request]) -> None:
        """Find, in the server's list, batches with any of these requests whose ids the ledger lacks."""
        # What others of this machine are about to submit is theirs: they claimed its requests.
        open_ones = self._ledger.submissions
        lost = {each.id: each for each in open_ones if not each.batch and not wanted.keys().isdisjoint(each.keys)}
        ours = self._ours()
        if lost.keys() - ours.keys():
            self._looks.wait(self._looks.grace)
            ours = self._ours()
        for submission in lost.values():
            if submission.id in ours:
                self._ledger.note_batch(submission, ours[submission.id].id)
            else:
                self._ledger.note_collected(submission, "never submitted")
        known = {each.batch for each in self._ledger.submissions} | self._ledger.collected
        for name, batch in ours.items():
            if batch.id not in known:
                self._adopt(name, batch, wanted)

    def _ours(self) -> dict[str, Batch]:
        mine = (batch for batch in self._batches.list() if batch.metadata.get(_IDENTITY) == self.identity)
        return {batch.metadata.get(_SUBMISSION, batch.id): batch for batch in mine}

    def _adopt(self, name: str, batch: Batch, wanted: Mapping[str, Request]) -> None:
        """Take over a batch that another ledger submitted, if there are replies in it that we want."""
        if batch.status in ("cancelled", "failed") and not batch.output_file:
            return
        keys = [str(line["custom_id"]) for line in read_lines(self._batches.download(batch.input_file))]
        if not wanted.keys().isdisjoint(keys):
            self._ledger.note_batch(Submission(name, tuple(keys)), batch.id)
            self._tell(batch.id, f"found on the server with {len(keys):,} requests of this model")

    # Collecting

    def _collected(
        self, submission: Submission, batch: Batch, left: dict[str, Request], *, again: bool
    ) -> Iterator[Answer]:
        """Yield what an ended batch brought for the requests that are left, and submit the others once more."""
        lines = self._lines(batch)
        missing = {}
        for key in [key for key in submission.keys if key in left]:
            answer = _answer(lines.get(key), left[key], self._server, batch)
            if answer.text is not None or answer.final:
                del left[key]
                yield replace(answer, lost_tries=max(0, self._ledger.times_submitted(key) - 1))
            else:
                missing[key] = answer
        self._tell(batch.id, f"{batch.status}; {len(missing):,} of {len(submission.keys):,} requests without a reply")
        if again:
            elsewhere = self._pending(missing, but=submission)
            once_more = [key for key in missing if key not in elsewhere and self._may_be_submitted(key)]
            self._submit([left[key] for key in once_more])
            for key in missing.keys() - elsewhere - set(once_more):
                del left[key]
                yield replace(missing[key], lost_tries=self._ledger.times_submitted(key))
        else:
            for key in missing:
                del left[key]

    def _may_be_submitted(self, key: str) -> bool:
        return self._ledger.times_submitted(key) < _MOST_SUBMISSIONS

    def _lines(self, batch: Batch) -> dict[str, Mapping[str, Any]]:
        """Custom id -> what the batch's files say of it; a reply wins over an error, the first line over a second."""
        found: dict[str, Mapping[str, Any]] = {}
        for file in filter(None, (batch.output_file, batch.error_file)):
            for line in read_lines(self._batches.download(file)):
                found.setdefault(str(line["custom_id"]), line)
        return found


class Collector:
    """Answers what sits in open batches, and nothing else: for asking live what was once submitted."""

    def __init__(self, batches: BatchBackend) -> None:
        """Collect from the batches of this backend."""
        self._batches = batches

    @property
    def identity(self) -> str:
        """That of the backend."""
        return self._batches.identity

    def ask(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """Yield what the open batches bring; a request that they do not answer gets no answer."""
        wanted = {request.key: request for request in requests}
        self._batches.find_lost(wanted)
        yield from self._batches.collect(wanted, again=False)


def read_lines(data: bytes) -> Iterator[Mapping[str, Any]]:
    """The lines of a batch's output or error file that are whole."""
    for line in data.splitlines():
        with suppress(ValueError):
            value = load_json(line)
            if isinstance(value, dict) and "custom_id" in value:
                yield value


def _answer(line: Mapping[str, Any] | None, request: Request, server: Server, batch: Batch) -> Answer:
    """What a line of a batch's files says; one that says nothing, or nothing that stays, is an error that may pass."""
    if line is None:
        problem = batch.problem or "its files have no line for this request"
        return _failed(request, f"{batch.id} ended as {batch.status}: {problem}")
    response = line.get("response")
    if not isinstance(response, dict):
        return _failed(request, f"{batch.id}: {error_of(line.get('error') or 'no response').message}")
    status, said = response.get("status_code"), response.get("body")
    if status == 200:
        try:
            return reply_of(said, request.key, request.sampling)
        except MalformedReplyError as error:
            return _failed(request, f"{batch.id}: {error}")
    if not isinstance(status, int):
        return _failed(request, f"{batch.id}: a line without a status")
    failure = refusal(status, {}, error_of(said), server, answered=True)
    if failure.filtered:
        return filtered(request.key)
    return _failed(request, failure.reason, final=not failure.may_pass and failure.fatal is None)


def _failed(request: Request, error: str, *, final: bool = False) -> Answer:
    return Answer(request.key, None, error=error, final=final)


class _Chunk(NamedTuple):
    keys: list[str]
    lines: list[bytes]


def _chunks(requests: Iterable[Request], dialect: Dialect) -> Iterator[_Chunk]:
    """Cut requests into what goes into one batch."""
    chunk, size = _Chunk([], []), 0
    for request in requests:
        line = batch_line(request, dialect)
        if chunk.keys and (len(chunk.keys) >= MOST_REQUESTS or size + len(line) > MOST_BYTES):
            yield chunk
            chunk, size = _Chunk([], []), 0
        chunk.keys.append(request.key)
        chunk.lines.append(line)
        size += len(line)
    if chunk.keys:
        yield chunk
