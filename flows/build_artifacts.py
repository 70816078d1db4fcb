"""What a build shows in the UI: one table of all tasks and windows, one page of what to know, one of the outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.outputs import Output, publish_outputs
from flows.runs import cell, escaped, escaped_lines

if TYPE_CHECKING:
    from sciriff.building.combine import CombineOutcome
    from sciriff.building.outcome import TaskOutcome
    from sciriff.dataset.leakage_report import LeakageReport
    from sciriff.store import Store

_SPLITS = ("train", "validation", "test")
_OVERLAP_COLUMNS = ("task", "split", "other_task", "other_split", "same_text", "same_document")


def publish_build(
    store: Store, outcomes: Sequence[TaskOutcome], combined: CombineOutcome | None, docs: str = ""
) -> None:
    """Create the artifacts of a build. Call it inside its flow run.

    Args:
        store: where everything lies.
        outcomes: one per task.
        combined: the combined dataset, if there is one.
        docs: start page of the validation results, relative to the store; empty if nothing was validated.
    """
    create_table_artifact(
        build_table(outcomes),
        key="build-tasks",
        description="Rows, tokens and dropped records per task and window; what to do is in build-summary",
    )
    create_markdown_artifact(
        build_page(outcomes, combined), key="build-summary", description="What was built, what was not, and why"
    )
    outputs = [Output("task files", "instructions", "by window and task")]
    if docs:
        outputs.append(Output("validation results (Data Docs)", docs))
    if combined is not None:
        for window in combined.windows:
            if window.state != "empty":
                rows = ", ".join(f"{count:,} {split}" for split, count in window.rows.items())
                outputs.append(Output(f"combined dataset, window {window.window}", window.folder, rows))
        outputs.append(Output("dataset card", combined.card))
        if overlaps := overlap_table(store, combined):
            create_table_artifact(
                overlaps,
                key="build-overlaps",
                description="Instances with a text or document of another split, or of another task's evaluation data",
            )
    publish_outputs(
        store,
        [output for output in outputs if output.place],
        key="build-outputs",
        description="Where Data Docs, task files and the combined dataset are",
    )


def publish_leakage(store: Store, report: LeakageReport) -> None:
    """Create the artifacts of a leakage report. Call it inside its flow run."""
    from sciriff.dataset.leakage_page import evaluation_rows, place_name

    rows = [
        {
            "evaluation split": place_name(row["place"]),
            "held out": row["held_out"],
            "instances": row["instances"],
            "in training": row["leaked"],
            "percent": round(100 * row["share"], 1),
            "where": ", ".join(place_name(other) for other, _ in row["others"]),
        }
        for row in evaluation_rows(report.leakage)
    ]
    create_table_artifact(
        rows, key="build-leakage", description="Evaluation splits whose documents or texts stand in training splits"
    )
    page = Output("leakage report", f"{report.folder}/index.html")
    publish_outputs(store, [page], key="build-leakage-report", description="Where the leakage report is")


def build_table(outcomes: Sequence[TaskOutcome]) -> list[dict[str, Any]]:
    """One line per task and window; a task without artifacts has one line that says why."""
    lines: list[dict[str, Any]] = []
    for outcome in outcomes:
        lines += [_line(outcome, window) for window in sorted(outcome.rows)] or [_line(outcome, None)]
    return lines


def overlap_table(store: Store, combined: CombineOutcome) -> list[dict[str, Any]]:
    """One line per window, place and other place, as the manifests of the combined windows count them."""
    return [
        {"window": window.window, **{column: line[column] for column in _OVERLAP_COLUMNS}}
        for window in combined.windows
        for line in (store.read_manifest(window.folder) or {}).get("overlaps", {}).get("places", ())
    ]


def _line(outcome: TaskOutcome, window: int | None) -> dict[str, Any]:
    rows: Mapping[str, int] = outcome.rows[window] if window is not None else {}
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in sorted(outcome.dropped.items()))
    return {
        "task": outcome.task,
        "window": window,
        "state": outcome.state,
        **{split: rows.get(split) for split in _SPLITS},
        "tokens": outcome.tokens.get(window) if window is not None else None,
        "seconds": round(outcome.seconds, 1),
        "cache": cache_remark(outcome),
        "dropped": cell(dropped),
        "key": outcome.key[:12],
    }


def cache_remark(outcome: TaskOutcome) -> str:
    """``hit``, or why the artifacts in the store would not do; of a task without artifacts, what is wrong, in short."""
    if outcome.state == "cached":
        return "hit"
    return cell(f"miss: {outcome.reason_to_build}" if outcome.reason_to_build else outcome.message or "miss")


def build_page(outcomes: Sequence[TaskOutcome], combined: CombineOutcome | None) -> str:
    """The summary as Markdown: counts, what failed or waits and what to do, notes."""
    states = Counter(outcome.state for outcome in outcomes)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    parts = ["# Build", f"{len(outcomes)} tasks: {counts}."]
    for title, state in (("Failed", "failed"), ("Waiting for you", "blocked")):
        told = [(names, message) for (of, message), names in undone(outcomes).items() if of == state]
        parts += [f"## {title}"] * bool(told)
        parts += [f"**{', '.join(names)}**\n\n{escaped_lines(message)}" for names, message in told]
    parts += _section("Worth knowing", [(outcome.task, note) for outcome in outcomes for note in outcome.notes])
    if combined is not None:
        heading = "| window | train | validation | test | tasks | state | overlaps |\n|---|---|---|---|---|---|---|"
        lines = [
            f"| {window.window} | {' | '.join(f'{window.rows.get(split, 0):,}' for split in _SPLITS)} "
            f"| {len(window.tasks)} | {window.state} | {window.overlaps if window.tasks else ''} |"
            for window in combined.windows
        ]
        parts += ["## Combined dataset", "\n".join([heading, *lines])]
    return "\n\n".join(parts) + "\n"


def undone(outcomes: Sequence[TaskOutcome]) -> dict[tuple[str, str], list[str]]:
    """``(state, message)`` -> the tasks that failed or are blocked for this reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        if not outcome.done:
            found.setdefault((outcome.state, outcome.message), []).append(outcome.task)
    return found


def _section(title: str, items: Sequence[tuple[str, str]]) -> list[str]:
    if not items:
        return []
    return [f"## {title}", "\n".join(f"- **{name}**: {escaped(text)}" for name, text in items)]
