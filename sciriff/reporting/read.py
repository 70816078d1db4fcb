"""From the index to the values of a report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from sciriff.reporting.content import (
    Content,
    Counts,
    Difference,
    Pair,
    Standing,
    TaskContent,
    TaskRun,
    Value,
)
from sciriff.reporting.provenance import asked, versions
from sciriff.reporting.samples import samples_of_task
from sciriff.results.comparisons import ALL_TASKS
from sciriff.results.headlines import headlines
from sciriff.scoring.outcome import Profile
from sciriff.scoring.rules import Rule
from sciriff.scoring.tasks import EVAL_TASKS, SUMMARY_COLUMNS
from sciriff.store import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Row = Mapping[str, Any]
_BOUNDED = ("value", "low", "high", "at_worst", "at_best")


def read_content(
    connection: DuckDBPyConnection,
    store: Store,
    *,
    window: int,
    split: str,
    profile: Profile,
    models: Sequence[str] | None,
) -> Content:
    """Read what a report tells.

    Args:
        connection: the index, open for reading.
        store: where predictions lie, for prompts and how models were asked.
        window, split: which results.
        profile: whose numbers come first, and order the models.
        models: which models; None for all.
    """
    here = {"window": window, "split": split}
    runs = [
        row
        for row in rows(
            connection,
            "SELECT * FROM runs WHERE is_current AND window_tokens = $window AND split = $split ORDER BY model, task",
            here,
        )
        if models is None or row["model"] in models
    ]
    everyone = rows(
        connection,
        "SELECT DISTINCT model FROM runs WHERE is_current AND window_tokens = $window AND split = $split",
        here,
    )
    metrics = rows(
        connection,
        "SELECT * FROM metrics WHERE shape = 'summary' AND window_tokens = $window AND split = $split ORDER BY rowid",
        here,
    )
    means = rows(connection, "SELECT * FROM means WHERE window_tokens = $window AND split = $split", here)
    judges = rows(
        connection,
        "SELECT judges.* FROM judges JOIN runs USING (run_id) WHERE window_tokens = $window AND split = $split",
        here,
    )
    standings = _standings(runs, metrics, means, judges, profile)
    order = [standing.model for standing in standings]
    pairs = _pairs(connection, here, order)
    has_value = {
        name for standing in standings for (name, _), value in standing.cells.items() if value.value is not None
    }
    return Content(
        window=window,
        split=split,
        profile=profile,
        columns=SUMMARY_COLUMNS,
        standings=standings,
        left_out=len(everyone) - len(standings),
        pairs=tuple(pairs.get(ALL_TASKS, ())),
        tasks=tuple(_tasks(connection, store, runs, metrics, judges, pairs, order)),
        missing_columns=tuple(column.name for column in SUMMARY_COLUMNS if column.name not in has_value),
        elsewhere=tuple(
            (row["window_tokens"], row["split"])
            for row in rows(
                connection,
                "SELECT DISTINCT window_tokens, split FROM runs WHERE is_current ORDER BY ALL",
            )
            if (row["window_tokens"], row["split"]) != (window, split)
        ),
        asked=tuple(asked(runs, order, store)),
        runs=tuple(sorted(runs, key=lambda row: (order.index(row["model"]), row["task"]))),
        versions=versions(runs),
    )


def rows(
    connection: DuckDBPyConnection, query: str, parameters: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The answer to a query, a dict a row."""
    result = connection.execute(query, parameters or {})
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _value(row: Row) -> Value:
    return Value(*(row[name] for name in _BOUNDED))


def _counts(runs: Sequence[Row]) -> Counts:
    return Counts(*(sum(row[name] for row in runs) for name in Counts._fields))


# --- the leaderboard ------------------------------------------------------------------------------------------------


def _standings(
    runs: Sequence[Row], metrics: Sequence[Row], means: Sequence[Row], judges: Sequence[Row], profile: Profile
) -> tuple[Standing, ...]:
    """The models, best mean first; those without one last."""
    of_model: dict[str, list[Row]] = defaultdict(list)
    for run in runs:
        of_model[run["model"]].append(run)
    by_place = {(row["model"], row["task"], row["metric"], row["profile"]): _value(row) for row in metrics}
    corrected = {row["model"]: row for row in means}
    found = []
    for model, own in of_model.items():
        cells = {
            (column.name, each): value
            for column in SUMMARY_COLUMNS
            for each in Profile
            if (value := by_place.get((model, column.task, column.metric, each.value))) is not None
        }
        mean = corrected.get(model)
        known = [
            value.value for (_, each), value in cells.items() if each is Profile.ORIGINAL and value.value is not None
        ]
        found.append(
            Standing(
                model=model,
                means={
                    Profile.CORRECTED: _value(mean) if mean else Value(None),
                    Profile.ORIGINAL: Value(fmean(known) if known else None),
                },
                columns=mean["columns"] if mean else 0,
                cells=cells,
                counts=_counts(own),
                judge=", ".join(sorted({row["judge_model"] for row in judges if _is_done(row, model)})),
                data_note=", ".join(sorted({row["data_note"] for row in own} - {""})),
            )
        )
    return tuple(sorted(found, key=lambda each: (-_sortable(each.means[profile].value), each.model)))


def _is_done(judge: Row, model: str) -> bool:
    return bool(judge["model"] == model and judge["state"] == "done")


def _sortable(value: float | None) -> float:
    return -1.0 if value is None else value


# --- comparisons ----------------------------------------------------------------------------------------------------


def _pairs(connection: DuckDBPyConnection, here: Mapping[str, Any], order: Sequence[str]) -> dict[str, list[Pair]]:
    """Task -> comparisons of every two models on its headlines, the better placed model first."""
    place = {model: number for number, model in enumerate(order)}
    found: dict[str, list[tuple[tuple[int, int, int], Pair]]] = defaultdict(list)
    query = "SELECT * FROM comparisons WHERE window_tokens = $window AND split = $split ORDER BY rowid"
    for number, row in enumerate(rows(connection, query, here)):
        if row["model_a"] not in place or row["model_b"] not in place:
            continue
        pair = _pair(row, turned=place[row["model_a"]] > place[row["model_b"]])
        found[row["task"]].append(((place[pair.model_a], place[pair.model_b], number), pair))
    return {task: [pair for _, pair in sorted(pairs, key=lambda each: each[0])] for task, pairs in found.items()}


def _pair(row: Row, *, turned: bool) -> Pair:
    difference = Value(row["difference"], row["low"], row["high"])
    if turned:
        difference = Value(-row["difference"], _negative(row["high"]), _negative(row["low"]))
    first, second = ("b", "a") if turned else ("a", "b")
    return Pair(
        model_a=row[f"model_{first}"],
        model_b=row[f"model_{second}"],
        metric=row["metric"],
        value_a=row[f"value_{first}"],
        value_b=row[f"value_{second}"],
        difference=difference,
        **{name: row[name] for name in ("p_value", "p_holm", "detectable", "documents", "samples", "unpaired")},
    )


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


# --- tasks ----------------------------------------------------------------------------------------------------------


def _tasks(
    connection: DuckDBPyConnection,
    store: Store,
    runs: Sequence[Row],
    metrics: Sequence[Row],
    judges: Sequence[Row],
    pairs: Mapping[str, Sequence[Pair]],
    order: Sequence[str],
) -> Iterator[TaskContent]:
    builds = {(row["build_key"], row["window_tokens"]): row for row in rows(connection, "SELECT * FROM builds")}
    for task in EVAL_TASKS:
        own = sorted((run for run in runs if run["task"] == task.name), key=lambda run: order.index(run["model"]))
        if not own:
            continue
        run_ids = [run["run_id"] for run in own]
        names = [headline.metric for headline in headlines(task.name)]
        yield TaskContent(
            name=task.name,
            metrics=tuple(names),
            columns=tuple(column.metric for column in SUMMARY_COLUMNS if column.task == task.name),
            runs=tuple(_task_run(connection, run, metrics) for run in own),
            pairs=tuple(pairs.get(task.name, ())),
            judges=tuple(_judges(connection, run_ids, judges, order)),
            differences=tuple(_differences(connection, run_ids, order)),
            samples=samples_of_task(connection, store, task.name, own),
            build=next(
                (builds[key] for run in own if (key := (run["build_key"], run["window_tokens"])) in builds),
                None,
            ),
        )


def _task_run(connection: DuckDBPyConnection, run: Row, metrics: Sequence[Row]) -> TaskRun:
    reasons = rows(
        connection,
        "SELECT outcome, reason, count(*) AS number FROM samples WHERE run_id = $run AND outcome <> 'scored'"
        " GROUP BY ALL ORDER BY outcome, number DESC, reason",
        {"run": run["run_id"]},
    )
    own = [row for row in metrics if row["run_id"] == run["run_id"]]
    return TaskRun(
        model=run["model"],
        counts=_counts([run]),
        reasons=tuple((row["outcome"], row["reason"], row["number"]) for row in reasons),
        metrics={(row["metric"], Profile(row["profile"])): _value(row) for row in own},
        documents=max((row["documents"] for row in own if row["documents"] is not None), default=None),
        limit=run["sample_limit"],
    )


def _judges(
    connection: DuckDBPyConnection, run_ids: Sequence[str], judges: Sequence[Row], order: Sequence[str]
) -> list[dict[str, Any]]:
    failures: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row in rows(
        connection,
        "SELECT run_id, reason, count(*) AS number FROM judgements WHERE verdict = 'judge_failed'"
        " GROUP BY ALL ORDER BY run_id, number DESC, reason",
    ):
        failures[row["run_id"]].append((row["reason"], row["number"]))
    own = [{**row, "failures": tuple(failures[row["run_id"]])} for row in judges if row["run_id"] in run_ids]
    return sorted(own, key=lambda row: order.index(row["model"]))


def _differences(connection: DuckDBPyConnection, run_ids: Sequence[str], order: Sequence[str]) -> Iterator[Difference]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    query = "SELECT model, differences FROM samples WHERE differences <> '' AND list_contains($runs, run_id)"
    for row in rows(connection, query, {"runs": list(run_ids)}):
        for rule in row["differences"].split(","):
            found[rule][row["model"]] += 1
    for rule in Rule:
        if rule.value in found:
            samples = found[rule.value]
            yield Difference(rule.value, rule.meaning, {model: samples[model] for model in order if samples[model]})
