"""Did a model get worse? Tests of models against a baseline: other models, or earlier runs of the same one.

Every headline column that the baseline has, and their mean, is tested one-sidedly over the samples that both have a
score of; all tests of a check are corrected together (Holm), so the probability of any false alarm is at most alpha. A
column that the baseline has and the model lacks counts as worse: an evaluation that broke must not pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sciriff.errors import ExitCode, StoreError, UsageError
from sciriff.results.facts import FACTS
from sciriff.results.headlines import COLUMNS
from sciriff.results.index import current_index, local_copies
from sciriff.results.query import open_index
from sciriff.results.standing import models_at, require_model
from sciriff.scoring.outcome import Profile
from sciriff.scoring.tasks import eval_task
from sciriff.settings import Settings
from sciriff.store import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from sciriff.results.comparisons import Comparison
    from sciriff.results.groups import Group

_BASELINE = "the baseline"


class Checked(NamedTuple):
    """One column of one model against the baseline.

    Attributes:
        comparison: model_a is the model, model_b the baseline.
        p_value: one-sided: how likely so much worse a value is if the two do not differ; corrected over the check.
    """

    comparison: Comparison
    p_value: float


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        baseline: the baseline's name: a model, or the run ids that were given.
        alpha: the level of the check.
        checked: every test, by model and column.
        missing: (model, task, metric) of the columns that the baseline has and the model lacks.
    """

    baseline: str
    alpha: float
    checked: tuple[Checked, ...]
    missing: tuple[tuple[str, str, str], ...]

    @property
    def worse(self) -> tuple[Checked, ...]:
        """Tests that found a model worse."""
        return tuple(each for each in self.checked if each.p_value <= self.alpha)

    @property
    def detectable(self) -> float | None:
        """How much lower a model's mean would have to be to be found worse with a probability of 0.8; the largest."""
        from sciriff.results.comparisons import ALL_TASKS
        from sciriff.results.paired import detectable_difference

        errors = [each.comparison.standard_error for each in self.checked if each.comparison.task == ALL_TASKS]
        known = [error for error in errors if error]
        level = 2 * self.alpha / max(1, len(self.checked))  # one-sided tests have twice the level on their side
        return detectable_difference(max(known), level) if known else None

    @property
    def exit_code(self) -> ExitCode:
        """FAILED if a model is worse, or lacks results."""
        return ExitCode.FAILED if self.worse or self.missing else ExitCode.DONE


def check(
    baseline: Sequence[str],
    *,
    store: Store,
    settings: Settings,
    models: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    alpha: float = 0.05,
    window: int = 4096,
    split: str = "validation",
) -> CheckReport:
    """Test models against a baseline.

    Args:
        baseline: a model, or run ids (``runs.run_id``), of superseded runs too.
        store, settings: where the results are.
        models: which models; None for all others that have results, or, where the baseline is superseded runs, for the
            models that these runs are of.
        tasks: only these tasks; None for all that the baseline has.
        alpha: probability of a false alarm.
        window, split: what the models were asked.

    Raises:
        UsageError: if there is no such baseline, model or task, or nothing that can be compared.
        StoreError: if the facts of the baseline are gone.
    """
    import duckdb

    if not 0 < alpha < 1:
        raise UsageError(f"alpha {alpha} is not between 0 and 1")
    chosen = {eval_task(name).name for name in tasks} if tasks is not None else None
    index = current_index(store, settings)
    found = _baseline_runs(baseline, index, window, split, chosen)
    candidates = _candidates(found, models, index)
    with duckdb.connect() as connection:
        files = _superseded_files(found, store)
        with local_copies(store, files["samples"]) as samples, local_copies(store, files["scores"]) as scores:
            _attach(connection, index, found, candidates, samples, scores)
            return _checked(connection, found, candidates, alpha)


@dataclass(frozen=True)
class _Baseline:
    """Runs that are the baseline.

    Attributes:
        name: for people.
        runs: task -> run id.
        model: the model that all of them are of, else empty.
        superseded: task -> folder of the facts, of those runs that are not current.
        window, split: what they are on.
    """

    name: str
    runs: dict[str, str]
    model: str
    superseded: dict[str, str]
    window: int
    split: str


def _baseline_runs(names: Sequence[str], index: Path, window: int, split: str, tasks: set[str] | None) -> _Baseline:
    query = "SELECT run_id, model, task, window_tokens, split, is_current FROM runs WHERE list_contains(?, run_id)"
    with open_index(index) as connection:
        rows = connection.execute(query, [list(names)]).fetchall()
        if not rows and len(names) == 1:
            require_model(names[0], index, window, split)
            query = """SELECT run_id, model, task, window_tokens, split, is_current FROM runs
            WHERE is_current AND model = ? AND window_tokens = ? AND split = ?"""
            rows = connection.execute(query, [names[0], window, split]).fetchall()
    if unknown := set(names) - {row[0] for row in rows} - {row[1] for row in rows}:
        raise UsageError(f'no run {", ".join(sorted(unknown))}; `sciriff sql "from runs"` lists the runs')
    places = {(row[3], row[4]) for row in rows}
    if len(places) > 1:
        raise UsageError("the runs of the baseline are of different windows or splits")
    kept = [row for row in rows if tasks is None or row[2] in tasks]
    if not kept:
        raise UsageError("the baseline has no results of these tasks")
    if len({row[2] for row in kept}) < len(kept):
        raise UsageError("the baseline has two runs of one task")
    ((window, split),) = places
    of_models = {row[1] for row in kept}
    return _Baseline(
        name=", ".join(names),
        runs={task: run_id for run_id, _, task, *_ in kept},
        model=of_models.pop() if len(of_models) == 1 else "",
        superseded={
            task: f"{FACTS}/{model}/{task}/{window}-{split}"
            for _, model, task, window, split, is_current in kept
            if not is_current
        },
        window=window,
        split=split,
    )


def _candidates(found: _Baseline, models: Sequence[str] | None, index: Path) -> list[str]:
    if models is not None:
        for model in models:
            require_model(model, index, found.window, found.split)
        return list(dict.fromkeys(models))
    if found.superseded and found.model:
        return [found.model]
    others = [model for model in models_at(index, found.window, found.split) if model != found.model]
    if not others:
        raise UsageError(f"there is no other model to check against {found.name}")
    return others


def _superseded_files(found: _Baseline, store: Store) -> dict[str, list[str]]:
    """Fact files of runs that are no longer current: they still lie where they were written."""
    files: dict[str, list[str]] = {"samples": [], "scores": []}
    for folder in found.superseded.values():
        names = [name for name in store.files(folder) if "/" not in name]
        for kind, paths in files.items():
            paths += [f"{folder}/{name}" for name in names if name.startswith(f"{kind}-")]
    return files


def _attach(
    connection: DuckDBPyConnection,
    index: Path,
    found: _Baseline,
    candidates: Sequence[str],
    samples: Sequence[str],
    scores: Sequence[str],
) -> None:
    """Make an index of just the runs that are compared, the baseline's under a name of its own."""
    given = {
        "baseline": list(found.runs.values()),
        "tasks": list(found.runs),
        "models": list(candidates),
        "window": found.window,
        "split": found.split,
        "name": _BASELINE,
    }
    connection.execute("ATTACH '" + str(index).replace("'", "''") + "' AS results (READ_ONLY)")
    connection.execute(
        """CREATE TABLE runs AS
        SELECT run_id, model, task, window_tokens, split, true AS is_current FROM results.runs
        WHERE is_current AND list_contains($models, model) AND list_contains($tasks, task)
          AND window_tokens = $window AND split = $split AND NOT list_contains($baseline, run_id)
        UNION ALL SELECT run_id, $name, task, window_tokens, split, true FROM results.runs
        WHERE list_contains($baseline, run_id)""",
        given,
    )
    for table, columns, files in (
        ("samples", "run_id, instance_id, document_id, reference", samples),
        ("scores", "*", scores),
    ):
        connection.execute(
            f"CREATE TABLE {table} AS SELECT {columns} FROM results.{table} SEMI JOIN runs USING (run_id)"
        )
        if files:
            connection.execute(
                f"INSERT INTO {table} BY NAME SELECT {columns} FROM read_parquet($files) SEMI JOIN runs USING (run_id)",
                {"files": list(files)},
            )
    connection.execute("CREATE TABLE judges AS SELECT * FROM results.judges SEMI JOIN runs USING (run_id)")
    there = connection.execute("SELECT DISTINCT run_id FROM samples").fetchall()
    if gone := set(found.runs.values()) - {run_id for (run_id,) in there}:
        raise StoreError(f"the facts of run {', '.join(sorted(gone))} are gone, so nothing can be checked against it")


def _checked(connection: DuckDBPyConnection, found: _Baseline, candidates: Sequence[str], alpha: float) -> CheckReport:
    from sciriff.results.comparisons import ALL_TASKS, Pair, comparisons
    from sciriff.results.groups import load_groups
    from sciriff.results.paired import holm

    groups = list(load_groups(connection))
    pairs = [Pair(model, _BASELINE, found.window, found.split) for model in candidates]
    rows = list(comparisons(groups, pairs))
    columns = Counter(row.model_a for row in rows if (row.task, row.metric) in COLUMNS)
    tested = [
        row for row in rows if (row.task, row.metric) in COLUMNS or (row.task == ALL_TASKS and columns[row.model_a] > 1)
    ]
    compared = {(row.model_a, row.task, row.metric) for row in tested}
    itself = _baseline_itself(connection, found)
    missing = [
        (model, task, metric)
        for model in candidates
        for task, metric in _columns(groups)
        if (model, task, metric) not in compared and (model, task) not in itself
    ]
    if not tested and not missing:
        raise UsageError(f"nothing of {', '.join(candidates)} can be compared with {found.name}")
    corrected = holm([row.p_lower for row in tested])
    return CheckReport(found.name, alpha, tuple(map(Checked, tested, corrected)), tuple(missing))


def _columns(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """Headline columns that the baseline has."""
    return [
        (group.task, metric)
        for group in groups
        for run in group.runs.values()
        if run.model == _BASELINE
        for profile, metric in run.scored
        if profile is Profile.CORRECTED and (group.task, metric) in COLUMNS
    ]


def _baseline_itself(connection: DuckDBPyConnection, found: _Baseline) -> set[tuple[str, str]]:
    """(model, task) whose current run is the baseline's own."""
    query = "SELECT model, task FROM results.runs WHERE is_current AND list_contains(?, run_id)"
    return {(model, task) for model, task in connection.execute(query, [list(found.runs.values())]).fetchall()}
