"""What a ledger holds, as lines and as values: pure functions between the two.

A part of a ledger is JSON lines, each one event:

- ``{"ledger": 1, "identity": ..., "model": ...}``: the first line; whose replies these are.
- ``{"claim": [key, ...]}``: this evaluation is going to ask these.
- ``{"sent": key}``: the request is about to go out.
- ``{"key": ..., "text": ..., ...}``: the reply that came, or ``"error"`` in place of ``"text"``.
- ``{"submission": id, "keys": [...]}``: these are about to be submitted as a batch.
- ``{"batch": id, "submission": id, "keys": [...]}``: the server took them under that batch id.
- ``{"collected": id, "status": ...}``: the batch has ended and all it brought is in the ledger; or the submission of
  that id never became a batch.

Each ends with ``"crc32"``, eight hex digits over the line without it, so that a reply that a disk has changed is not
taken for what the model said: it counts as none, and is asked for again. Parts of older releases have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

from sciriff.models.lines import dump_line, load_json
from sciriff.models.requests import Answer

VERSION = 1
_CHECKSUM = re.compile(rb',"crc32":"([0-9a-f]{8})"}\n?\Z')

_ANSWER_DEFAULTS: Mapping[str, Any] = {
    "finish_reason": None,
    "input_tokens": None,
    "output_tokens": None,
    "seconds": 0.0,
    "error": "",
    "served_model": "",
    "lost_tries": 0,
}


class Submission(NamedTuple):
    """Requests that were submitted together as a batch, or were about to be.

    Attributes:
        id: our own name for it, which also stands in the batch's metadata on the server.
        keys: the requests.
        batch: the server's name for it; empty if it never came back to us.
    """

    id: str
    keys: tuple[str, ...]
    batch: str = ""


@dataclass
class History:
    """All that the parts of a ledger say.

    Attributes:
        answers: key -> its reply; or, while there is none, its last error.
        claimed: part -> keys that it claimed and that have no answer in it.
        sent: part -> keys that it sent and that have no answer in it.
        submissions: by id, those not collected yet.
        collected: ids of batches that are done with.
        submitted: key -> how often it was put into a batch since it last got an answer.
        lost_tries: tries told of in answers that may have been billed for nothing.
        torn: lines that are no events: what was being written when a process was killed.
        damaged: part -> lines that were events once and were changed or cut since.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    claimed: dict[str, set[str]] = field(default_factory=dict)
    sent: dict[str, set[str]] = field(default_factory=dict)
    submissions: dict[str, Submission] = field(default_factory=dict)
    collected: set[str] = field(default_factory=set)
    submitted: dict[str, int] = field(default_factory=dict)
    lost_tries: int = 0
    torn: int = 0
    damaged: dict[str, int] = field(default_factory=dict)
    _with_checksums: set[str] = field(default_factory=set, compare=False, repr=False)

    def read(self, part: str, lines: Iterable[bytes]) -> None:
        """Take in lines of a part."""
        for line in lines:
            whole = _is_whole(line)
            if whole:
                self._with_checksums.add(part)
            elif whole is not None or (part in self._with_checksums and _is_json(line)):
                self.damaged[part] = self.damaged.get(part, 0) + 1
                continue
            try:
                self.add(part, load_json(line))
            except (ValueError, TypeError, KeyError):
                self.torn += 1

    def add(self, part: str, event: Any) -> None:
        """Take in one event.

        Raises:
            ValueError, TypeError, KeyError: if it is none.
        """
        if not isinstance(event, dict):
            raise ValueError("not an event")
        if "key" in event:
            self._answered(part, _answer(event))
        elif "sent" in event:
            self.sent.setdefault(part, set()).add(event["sent"])
        elif "claim" in event:
            self.claimed.setdefault(part, set()).update(event["claim"])
        elif "batch" in event:
            self._submitted(Submission(event["submission"], tuple(event["keys"]), event["batch"]))
        elif "submission" in event:
            self.submissions.setdefault(event["submission"], Submission(event["submission"], tuple(event["keys"])))
        elif "collected" in event:
            self._collected(event["collected"])
        elif event.get("ledger") != VERSION:
            raise ValueError("not an event")

    def _answered(self, part: str, answer: Answer) -> None:
        known = self.answers.get(answer.key)
        if known is None or known.text is None:  # the first reply stays, whatever comes after it
            self.answers[answer.key] = answer
        self.lost_tries += answer.lost_tries
        for open_keys in (self.sent.get(part), self.claimed.get(part)):
            if open_keys:
                open_keys.discard(answer.key)
        self.submitted.pop(answer.key, None)

    def _submitted(self, submission: Submission) -> None:
        if submission.batch in self.collected:
            return
        known = self.submissions.get(submission.id)
        if known is None or not known.batch:
            self.submissions[submission.id] = submission
            for key in submission.keys:
                self.submitted[key] = self.submitted.get(key, 0) + 1

    def _collected(self, batch: str) -> None:
        self.collected.add(batch)
        for submission in [each for each in self.submissions.values() if batch in (each.batch, each.id)]:
            del self.submissions[submission.id]

    def in_doubt(self, living: Iterable[str] = ()) -> int:
        """Requests that were sent by an evaluation that ended before their answers came.

        Args:
            living: parts whose evaluations still run.
        """
        alive = set(living)
        return sum(len(keys) for part, keys in self.sent.items() if part not in alive)


def _line(event: Mapping[str, Any]) -> bytes:
    """An event as a line with its checksum."""
    plain = dump_line(event).rstrip(b"\n")
    return b'%b,"crc32":"%08x"}\n' % (plain[:-1], crc32(plain))


def _is_whole(line: bytes) -> bool | None:
    """Whether a line is what its checksum says; None if it has none."""
    found = _CHECKSUM.search(line)
    if found is None:
        return None
    return crc32(line[: found.start()] + b"}") == int(found[1], 16)


def _is_json(line: bytes) -> bool:
    try:
        load_json(line)
    except ValueError:
        return False
    return True


def is_settled(answer: Answer | None) -> bool:
    """Whether asking (again) is of no use: there is a reply, or an error that stays."""
    return answer is not None and (answer.text is not None or answer.final)


def header(identity: str, model: str) -> bytes:
    """The first line of a part."""
    return _line({"ledger": VERSION, "identity": identity, "model": model})


def answer_line(answer: Answer, label: str = "") -> bytes:
    """An answer as an event. ``label`` says what it is about, for people."""
    event: dict[str, Any] = {"key": answer.key}
    if answer.text is None:
        event |= {"error": answer.error or "no reply", "final": answer.final}
    else:
        event["text"] = answer.text
    for name, default in _ANSWER_DEFAULTS.items():
        value = getattr(answer, name)
        if value != default and name not in event:
            event[name] = value
    if label:
        event["label"] = label
    return _line(event)


def _answer(event: Mapping[str, Any]) -> Answer:
    get = event.get
    key, text = event["key"], get("text")
    if not isinstance(key, str) or not isinstance(text, str | None):
        raise TypeError("not an answer")
    return Answer(
        key,
        text,
        get("finish_reason"),
        get("input_tokens"),
        get("output_tokens"),
        get("seconds", 0.0),
        get("error", ""),
        get("final", True),
        get("served_model", ""),
        get("lost_tries", 0),
    )


def sent_line(key: str) -> bytes:
    """The sending of a request as an event."""
    return _line({"sent": key})


def submission_line(submission: Submission) -> bytes:
    """A submission as an event: about to happen, or, with its batch, done."""
    event: dict[str, Any] = {"submission": submission.id, "keys": submission.keys}
    return _line({"batch": submission.batch, **event} if submission.batch else event)


def claim_line(keys: Sequence[str]) -> bytes:
    """The claim of keys as an event."""
    return _line({"claim": keys})


def collected_line(name: str, status: str) -> bytes:
    """The end of a batch or submission as an event."""
    return _line({"collected": name, "status": status})
