"""Totals of the current runs, summed up in the index."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sciriff.results.schema import STATISTICS
from sciriff.scoring.metrics.statistics import KINDS, Vector
from sciriff.scoring.outcome import Outcome, ParseStatus, Profile
from sciriff.scoring.tasks import EVAL_TASKS, EvalTask
from sciriff.scoring.totals import SETTINGS, Setting, Totals

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_CONDITIONS: dict[Setting, str] = {"all": "true", "valid_json": "parsed"}


def totals_of_runs(connection: DuckDBPyConnection) -> dict[tuple[str, Profile], Totals]:
    """(run id, profile) -> totals of each current run."""
    vectors = _vectors(connection)
    statuses, outcomes, misfits = _counts(connection)
    zeros = {task.name: _zeros(task) for task in EVAL_TASKS}
    tasks = dict(connection.execute("SELECT DISTINCT run_id, task FROM samples").fetchall())
    return {
        key: Totals(key[1], zeros[tasks[key[0]]] | vectors[key], statuses[key], outcomes[key], misfits[key])
        for key in sorted(outcomes)
    }


def _zeros(task: EvalTask) -> dict[tuple[Setting, str], Vector]:
    """The sums over no samples: those of a run in which no reply could be scored."""
    return {(setting, metric): KINDS[kind]() for setting in SETTINGS for metric, kind in task.metrics}


def _vectors(connection: DuckDBPyConnection) -> dict[tuple[str, Profile], dict[tuple[Setting, str], Vector]]:
    kinds = {metric: kind for task in EVAL_TASKS for metric, kind in (*task.metrics, *task.judged_metrics)}
    names = [column.name for column in STATISTICS]
    found: dict[tuple[str, Profile], dict[tuple[Setting, str], Vector]] = defaultdict(dict)
    connection.execute("SET threads = 1")  # sums of fractions depend on their order in the last digit
    for setting in SETTINGS:
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in names)
        # A condition on each sum (FILTER) would be tested that many times.
        query = (
            f"SELECT run_id, profile, metric, {sums} FROM scores WHERE {_CONDITIONS[setting]} GROUP BY ALL ORDER BY ALL"
        )
        for run_id, profile, metric, *values in connection.execute(query).fetchall():
            kind = KINDS[kinds[metric]]
            by_name = dict(zip(names, values, strict=True))
            columns = [_number(by_name[name]) for name in kind._fields]
            found[run_id, Profile(profile)][setting, metric] = kind(*columns)
    connection.execute("RESET threads")
    for key, vectors in found.items():
        found[key] = _of_no_rows(vectors, kinds) | vectors
    return found


def _of_no_rows(
    vectors: Mapping[tuple[Setting, str], Vector], kinds: Mapping[str, str]
) -> dict[tuple[Setting, str], Vector]:
    """The sums of the same metrics over no samples, for settings that have none."""
    return {(setting, metric): KINDS[kinds[metric]]() for setting in SETTINGS for _, metric in vectors}


def _number(value: Any) -> Any:
    return value if isinstance(value, float) else int(value)


def _counts(connection: DuckDBPyConnection) -> tuple[Any, Any, Any]:
    statuses: dict[tuple[str, Profile], Counter[ParseStatus]] = defaultdict(Counter)
    outcomes: dict[tuple[str, Profile], Counter[Outcome]] = defaultdict(Counter)
    misfits: Counter[tuple[str, Profile]] = Counter()
    for profile, prefix in ((Profile.CORRECTED, ""), (Profile.ORIGINAL, "original_")):
        query = f"SELECT run_id, {prefix}parse_status, {prefix}outcome, count(*) FROM samples GROUP BY ALL"
        for run_id, status, outcome, count in connection.execute(query).fetchall():
            outcomes[run_id, profile][Outcome(outcome)] += count
            if outcome != Outcome.SYSTEM_FAILED:
                statuses[run_id, profile][ParseStatus(status)] += count
            if profile is Profile.CORRECTED and outcome == Outcome.MODEL_FAILED:
                parsed = status in (ParseStatus.VALID_JSON, ParseStatus.EXTRACT_SUCCESS)
                misfits[run_id, profile] += count if parsed else 0
    return statuses, outcomes, misfits
