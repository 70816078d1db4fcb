"""Artifacts that evaluations and scorings have in common: result lines, summaries of all models, the index."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.artifacts import create_table_artifact

from flows.outputs import Output, publish_outputs
from flows.runs import cell
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
            "note": cell(note(result, metric)),
        }
        for result in results
        for metric, value in result.summary.items()
    ]


def unscored_lines(reasons: Iterable[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """One line per model (empty: all of them), task and reason of what has no result."""
    return [
        {"model": model, "task": task, "metric": None, "percent": None, "samples": None, "note": cell(reason)}
        for model, task, reason in reasons
    ]


def publish_results(
    store: Store, results: Iterable[TaskResult], summaries: Mapping[Profile, str], index: Path, key: str
) -> None:
    """Show the summary of all models, and where tables, report and index are.

    Args:
        store: where they are.
        results: what was scored.
        summaries: profile -> artifact path of its summary table.
        index: the DuckDB file.
        key: key of the page of outputs.
    """
    from sciriff.reporting.publish import report_page
    from sciriff.scoring.outcome import Profile

    if path := summaries.get(Profile.CORRECTED):
        create_table_artifact(
            read_tsv(store.read_bytes(path).decode()),
            key="evaluation-summary",
            description="All models of the store, percent; more in the report",
        )
    pages = dict.fromkeys(report_page(result.window, result.split) for result in results)
    publish_outputs(
        store,
        [
            *(Output("report", page) for page in pages if store.exists(page)),
            *(Output(f"table of all models, profile {profile.value}", path) for profile, path in summaries.items()),
            Output("metrics of each model", "results/metrics/by_model"),
            Output("DuckDB index, for sciriff sql", Path(index)),
        ],
        key=key,
        description="Where report, tables and DuckDB index are",
    )


def read_tsv(text: str) -> list[dict[str, Any]]:
    """The lines of a summary table as records under its header; equal headers get the line below them added."""
    header, *lines = csv.reader(io.StringIO(text, newline=""), delimiter="\t")
    if lines and lines[0][0] == "metric":
        header = [" ".join(filter(None, pair)) for pair in zip(header, lines.pop(0), strict=True)]
        header[0] = "model"
    return [dict(zip(header, line, strict=True)) for line in lines]
