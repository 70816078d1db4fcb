"""What ``evaluate`` and ``score`` print of their results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sciriff.cli.tables import table, told_once

if TYPE_CHECKING:
    from sciriff.results.judge_facts import JudgeReport
    from sciriff.results.record import TaskResult
    from sciriff.store import Store


def results_table(results: Sequence[TaskResult]) -> str:
    """Return a line per model and task."""
    rows = [
        (result.model, result.task, "already done" if result.reused else "scored", *_samples(result), _scores(result))
        for result in results
    ]
    return table(("model", "task", "state", "samples", "ended as", "scores x 100"), rows)


def _samples(result: TaskResult) -> tuple[int, str]:
    """Return how many samples there were, and by class how they ended."""
    from sciriff.scoring.outcome import Outcome

    ended = {outcome.value: count for outcome in Outcome if (count := result.outcomes.get(outcome))}
    return sum(ended.values()), ", ".join(f"{count:,} {name}" for name, count in ended.items())


def _scores(result: TaskResult) -> str:
    values = (f"{name} {'-' if value is None else f'{100 * value:.2f}'}" for name, value in result.summary.items())
    return ", ".join(values)


def failure_lines(failures: Iterable[tuple[tuple[str, str], str]]) -> list[str]:
    """Return what went wrong, by model (empty: all of them) and task."""
    return [f"FAILED: {' on '.join(filter(None, (model, task)))}: {reason}" for (model, task), reason in failures]


def waiting_lines(waiting: Iterable[tuple[tuple[str, str], str]]) -> list[str]:
    """Return what waits for the user, by model and task (empty: all of them)."""
    return [f"WAITS: {' on '.join(filter(None, where))}: {reason}" for where, reason in waiting]


def judge_lines(judged: Mapping[tuple[str, str], JudgeReport]) -> list[str]:
    """Return what the judge made of (model, task), or why it was not asked."""
    from sciriff.results.judge_facts import JudgeState

    rated = [f"judge: {model} on {task}: {each}" for (model, task), each in judged.items() if each.judged]
    why = [(task, each.note) for (_, task), each in judged.items() if each.state is not JudgeState.DONE]
    return rated + told_once("not judged", dict.fromkeys(why))


def place_lines(results: Sequence[TaskResult], summaries: Iterable[str], index: Path, store: Store) -> list[str]:
    """Return where the results lie."""
    from sciriff.reporting.publish import report_page

    pages = dict.fromkeys(report_page(result.window, result.split) for result in results)
    return [
        *(f"summary      {store.path(path)}" for path in summaries),
        *(f"report       {store.path(page)}" for page in pages),
        f"database     {index}",
        "next         sciriff leaderboard",
    ]
