"""The ledger: every reply that was ever paid for, durable when it arrives, never asked for again.

``results/ledger/{identity}/`` of the store, where the identity (shortened) is the digest of all that a reply depends on
apart from prompt and sampling. Any number of evaluations may run at once: each writes a part of its own and reads those
of all. What a part holds is defined in :mod:`sciriff.models.ledger_events`, how it is kept in
:mod:`sciriff.models.ledger_parts`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sciriff.hashing import digest
from sciriff.models import ledger_events as events
from sciriff.models.ledger_events import History, Submission
from sciriff.models.ledger_parts import LocalShelf, Part, RemoteShelf, Shelf, new_part_name
from sciriff.models.requests import Answer
from sciriff.store import Store

logger = logging.getLogger(__name__)

LEDGER = "results/ledger"
_SHORT = 16


@contextmanager
def open_ledger(store: Store, identity: str, model: str, cache: Path) -> Iterator[Ledger]:
    """Open the ledger of a model identity.

    Nothing is written until there is something to tell. At the end everything is durable in the store.

    Args:
        store: the artifacts.
        identity: digest of all that a reply depends on apart from prompt and sampling.
        model: the model's name, for people.
        cache: local folder where replies are kept until they are in a store that is not local.

    Raises:
        StoreError: if the store, or the cache for one that is not local, cannot be read or written.
    """
    folder = f"{LEDGER}/{identity[:_SHORT]}"
    shelf: Shelf
    if store.is_local:
        shelf = LocalShelf(Path(store.path(folder)))
    else:
        shelf = RemoteShelf(store, folder, cache / "ledger" / digest(store.url)[:_SHORT] / identity[:_SHORT])
    ledger = Ledger(shelf, identity, model)
    if ledger.damage:
        logger.warning(ledger.damage)
    try:
        yield ledger
    finally:
        ledger.close()


class Ledger:
    """The ledger of one model identity, read and open for writing. Safe to use from several threads."""

    def __init__(self, shelf: Shelf, identity: str, model: str) -> None:
        """Read what is there; use :func:`open_ledger`."""
        self.identity = identity
        self._model = model
        self._shelf = shelf
        self._name = ""
        self._part: Part | None = None
        self._lock = threading.RLock()
        self._history = History()
        self.refresh()
        self._name = new_part_name(after=shelf.newest())

    def refresh(self) -> None:
        """Read what others wrote since the last look."""
        with self._lock:
            for part, lines in self._shelf.new_lines(but=self._name):
                self._history.read(part, lines)

    def close(self) -> None:
        """Make everything durable and end the writing. Raises StoreError if that cannot be."""
        with self._lock:
            part, self._part = self._part, None
        if part is not None:
            part.close()

    def flush(self) -> None:
        """Wait until all that was told is durable. Raises StoreError if that cannot be."""
        if self._part is not None:
            self._part.flush()

    @property
    def answers(self) -> Mapping[str, Answer]:
        """Key -> its reply; or, while there is none, its last error."""
        return self._history.answers

    def is_settled(self, key: str) -> bool:
        """Whether asking for a request (again) is of no use."""
        return events.is_settled(self.answers.get(key))

    def forget_errors(self) -> None:
        """Take every request without a reply for one that was never asked, so that it is asked again."""
        with self._lock:
            for key in [key for key, answer in self.answers.items() if answer.text is None]:
                del self._history.answers[key]

    @property
    def torn_lines(self) -> int:
        """Lines that were being written when a process was killed."""
        return self._history.torn

    @property
    def damage(self) -> str:
        """What is to be said of lines that were changed or cut after they were written; empty if there are none."""
        if not self._history.damaged:
            return ""
        parts = ", ".join(f"{part} ({number:,})" for part, number in sorted(self._history.damaged.items()))
        return (
            f"{self._shelf.place} is damaged: lines that are not as they were written, in {parts}; they count as "
            "never written, so a reply that stood there is asked for again"
        )

    @property
    def in_doubt(self) -> int:
        """How many requests, at most, were billed without a reply reaching us.

        Those under way when an evaluation was killed, and tries that hung, were reset or were cut off.
        """
        with self._lock:
            running = self._shelf.living(set(self._history.sent) - {self._name})
            return self._history.in_doubt({*running, self._name}) + self._history.lost_tries

    def record(self, answer: Answer, label: str = "") -> None:
        """Keep an answer; ``label`` says what it is about. Raises StoreError if it cannot be kept."""
        self._tell(events.answer_line(answer, label))

    def note_sent(self, key: str) -> None:
        """Tell that a request is about to go out: if no answer follows, it may have been billed."""
        self._tell(events.sent_line(key))

    def note_submission(self, keys: Sequence[str]) -> Submission:
        """Tell that a batch is about to be submitted. The name returned goes into the batch's metadata."""
        submission = Submission(uuid4().hex, tuple(keys))
        self._tell(events.submission_line(submission), durably=True)
        return submission

    def note_batch(self, submission: Submission, batch: str) -> Submission:
        """Tell under which id the server took a batch."""
        taken = submission._replace(batch=batch)
        self._tell(events.submission_line(taken), durably=True)
        return taken

    def note_collected(self, submission: Submission, status: str) -> None:
        """Tell that all a batch brought is in the ledger, or that the submission never became a batch."""
        self._tell(events.collected_line(submission.batch or submission.id, status), durably=True)

    @property
    def submissions(self) -> tuple[Submission, ...]:
        """Those that are not collected yet, the eldest first."""
        return tuple(self._history.submissions.values())

    @property
    def collected(self) -> frozenset[str]:
        """Ids of the batches that are done with."""
        return frozenset(self._history.collected)

    def times_submitted(self, key: str) -> int:
        """How often a request was put into a batch since it last got an answer."""
        return self._history.submitted.get(key, 0)

    def claim(self, keys: Collection[str]) -> list[str]:
        """Say which requests this evaluation is going to ask. Of evaluations that run at once no two get the same key.

        Returns:
            Those of the keys that are ours now. The others are settled, or asked by an evaluation that still runs.

        Raises:
            StoreError: if the store cannot be read or written.
        """
        with self._lock:
            while True:
                with self._shelf.claiming() as is_alone:
                    ours = self._free(keys)
                    if not ours:
                        return []
                    self._tell(events.claim_line(ours)).share()
                    if is_alone():
                        return ours
                # Taken for dead meanwhile: who claimed the same in that time keeps it.

    def _free(self, keys: Collection[str]) -> list[str]:
        others = self.claimed_by_others()
        return [key for key in keys if key not in others and not self.is_settled(key)]

    @property
    def is_forgotten(self) -> bool:
        """Whether others may have taken this evaluation for dead: what it claimed must be claimed again."""
        part = self._part
        return part is not None and part.is_forgotten

    def claimed_by_others(self) -> set[str]:
        """Keys that evaluations which still run said they would ask, and have not answered yet."""
        with self._lock:
            self.refresh()
            claims = self._history.claimed
            running = self._shelf.living(part for part in claims if part != self._name and claims[part])
            return set().union(*(claims[part] for part in running))

    def _tell(self, line: bytes, *, durably: bool = False) -> Part:
        with self._lock:
            if self._part is None:
                self._part = self._shelf.new_part(self._name)
                self._part.append(events.header(self.identity, self._model))
            part = self._part
            part.append(line)
            self._history.read(self._name, [line])
        if durably:
            part.flush()
        return part
