"""Artifacts that evaluations and scorings have in common: result lines, summaries of all models, the index."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.artifacts import create_link_artifact, create_table_artifact

from flows.runs import link_to
from sciriff.scoring.tasks import eval_task

if TYPE_CHECKING:
    from sciriff.results.judge_facts import JudgeReport
    from sciriff.results.record import TaskResult
    from sciriff.scoring.outcome import Profile
    from sciriff.store import Store


def scored_lines(results: Iterable[TaskResult], judged: Mapping[tuple[str, str], JudgeReport]) -> list[dict[str, Any]]:
    """One line per model, task and headline metric, in percent; a judge's say what the judge did."""
    judges = {(model, eval_task(task).judged): str(report) for (model, task), report in judged.items()}

    def note(result: TaskResult, metric: str) -> str:
        reused = "already scored" if result.reused else ""
        return "; ".join(filter(None, [reused, result.data_note, judges.get((result.model, metric), "")]))

    return [
        {
            "model": result.model,
            "task": result.task,
            "metric": metric,
            "percent": None if value is None else round(100 * value, 2),
            "samples": sum(result.outcomes.values()),
            "note": note(result, metric),
        }
        for result in results
        for metric, value in result.summary.items()
    ]


def unscored_lines(reasons: Iterable[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """One line per model (empty: all of them), task and reason of what has no result."""
    return [
        {"model": model, "task": task, "metric": None, "percent": None, "samples": None, "note": reason}
        for model, task, reason in reasons
    ]


def publish_tables(store: Store, summaries: Mapping[Profile, str], index: Path) -> None:
    """Show the summary of each profile and link to it and to the index."""
    for profile, path in summaries.items():
        lines = read_tsv(store.read_bytes(path).decode())
        create_table_artifact(
            lines,
            key=f"evaluation-summary-{profile.value}",
            description=f"All models, profile {profile.value}, percent",
        )
        create_link_artifact(link_to(store, path), link_text=path, key=f"evaluation-table-{profile.value}")
    create_link_artifact(Path(index).resolve().as_uri(), link_text="DuckDB index", key="evaluation-index")


def link_reports(store: Store, results: Iterable[TaskResult]) -> None:
    """Link to the HTML reports that results are in."""
    from sciriff.reporting.publish import report_page

    pages = dict.fromkeys(report_page(result.window, result.split) for result in results)
    for number, page in enumerate((page for page in pages if store.exists(page)), start=1):
        key = "evaluation-report" if number == 1 else f"evaluation-report-{number}"
        create_link_artifact(link_to(store, page), link_text="Report", key=key)


def read_tsv(text: str) -> list[dict[str, Any]]:
    """The lines of a summary table as records under its header; equal headers get the line below them added."""
    header, *lines = csv.reader(io.StringIO(text, newline=""), delimiter="\t")
    if lines and lines[0][0] == "metric":
        header = [" ".join(filter(None, pair)) for pair in zip(header, lines.pop(0), strict=True)]
        header[0] = "model"
    return [dict(zip(header, line, strict=True)) for line in lines]
