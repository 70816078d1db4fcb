"""What became of tasks: the values that commands print and flows turn into artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sciriff.errors import BlockedError, ExitCode, SciriffError, can_pass

TaskState = Literal["built", "cached", "blocked", "failed"]


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What became of one task.

    Attributes:
        task: its name.
        state: ``built`` now, ``cached`` (its artifacts were there and intact), ``blocked`` on the user, or ``failed``.
        message: why it is blocked or failed and what to do; else empty.
        rows: window -> split -> instances.
        tokens: window -> tokens of all instances of the window.
        dropped: reason -> rows left out at the largest window, over all source splits.
        notes: what a user should know of a built task: partial sources, records that could not be read, small splits.
        seconds: wall time spent.
        key: build key; empty if it could not be computed.
        reason_to_build: why the artifacts at hand did not do (``no artifacts``, ``inputs changed``, ...); else empty.
        may_pass: whether it failed by something that may pass, so that trying again can help: a store that is away.
    """

    task: str
    state: TaskState
    message: str = ""
    rows: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    tokens: Mapping[int, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    key: str = ""
    reason_to_build: str = ""
    may_pass: bool = False

    @property
    def done(self) -> bool:
        """Whether the task's artifacts are there."""
        return self.state in ("built", "cached")


def outcome_of_error(task: str, error: SciriffError, seconds: float = 0.0) -> TaskOutcome:
    """The outcome of a task that an error stopped."""
    state: TaskState = "blocked" if isinstance(error, BlockedError) else "failed"
    return TaskOutcome(task, state, str(error), seconds=seconds, may_pass=can_pass(error))


def exit_code_of(outcomes: Sequence[TaskOutcome]) -> ExitCode:
    """The exit status that a set of outcomes asks for."""
    states = {outcome.state for outcome in outcomes}
    if "failed" in states:
        return ExitCode.FAILED
    return ExitCode.BLOCKED if "blocked" in states else ExitCode.DONE


def outcome_of_manifests(
    task: str, state: TaskState, manifests: Mapping[int, Mapping[str, Any]], seconds: float, reason: str = ""
) -> TaskOutcome:
    """The outcome of a task whose artifacts are there, read from its manifests (window -> manifest)."""
    largest = manifests[max(manifests)]
    dropped: dict[str, int] = {}
    for reasons in largest["dropped"].values():
        for why, count in reasons.items():
            dropped[why] = dropped.get(why, 0) + count
    return TaskOutcome(
        task=task,
        state=state,
        rows={
            window: {name.removesuffix(".jsonl"): entry["rows"] for name, entry in manifest["files"].items()}
            for window, manifest in manifests.items()
        },
        tokens={window: manifest["tokens"] for window, manifest in manifests.items()},
        dropped=dropped,
        notes=tuple(largest["notes"]),
        seconds=seconds,
        key=largest["key"],
        reason_to_build=reason,
    )
