"""The columns of the facts (Parquet) and of the index (DuckDB), with the comments that the index carries."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

SqlType = Literal["VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN"]


class Column(NamedTuple):
    """A column: name, DuckDB type and what it means."""

    name: str
    type: SqlType
    comment: str


class Table(NamedTuple):
    """A table: name, what a row is, columns."""

    name: str
    comment: str
    columns: tuple[Column, ...]


_RUN = Column("run_id", "VARCHAR", "the run: one model on one task, window, split and state of the data")
_MODEL = Column("model", "VARCHAR", "display name of the model")
_TASK = Column("task", "VARCHAR", "task name")
_WINDOW = Column("window_tokens", "BIGINT", "context window of the instances, in tokens")
_SPLIT = Column("split", "VARCHAR", "train, validation or test")
_INSTANCE = Column("instance_id", "VARCHAR", "id of the instance, task:split:row")
_DOCUMENT = Column(
    "document_id", "VARCHAR", "document behind the instance; the instance's id where the data does not say"
)
_PROFILE = Column("profile", "VARCHAR", "corrected (the numbers we stand for) or original (as the original scorers)")

RUNS = Table(
    "runs",
    "One row per run, earlier ones included. The other tables hold the current runs only.",
    (
        _RUN,
        _MODEL,
        _TASK,
        _WINDOW,
        _SPLIT,
        Column("sample_limit", "BIGINT", "number of samples asked for; NULL for all"),
        Column("samples", "BIGINT", "number of samples"),
        Column("scored", "BIGINT", "samples whose reply was understood"),
        Column("model_failed", "BIGINT", "samples whose reply cannot be understood; they count as wrong"),
        Column("system_failed", "BIGINT", "samples without a reply or a readable reference; in no denominator"),
        Column("data_note", "VARCHAR", "built from samples or a partial source; else empty"),
        Column("build_key", "VARCHAR", "key of the build that made the instances"),
        Column("instances_sha256", "VARCHAR", "hash of the file of instances"),
        Column("predictions", "VARCHAR", "artifact with prompts and replies"),
        Column("predictions_sha256", "VARCHAR", "hash of that artifact"),
        Column("model_identity", "VARCHAR", "digest of all that replies depend on apart from the prompt"),
        Column("scorer", "VARCHAR", "digest of the scoring code"),
    ),
)

SAMPLES = Table(
    "samples",
    "One row per sample: how it ended, with reply and reference.",
    (
        _RUN,
        _MODEL,
        _TASK,
        _INSTANCE,
        _DOCUMENT,
        Column("outcome", "VARCHAR", "scored, model_failed or system_failed"),
        Column("reason", "VARCHAR", "why it was not scored; else empty"),
        Column("parse_status", "VARCHAR", "valid_json, null_json, extract_success, extract_failure or not_json"),
        Column("original_outcome", "VARCHAR", "outcome in the profile original"),
        Column("original_reason", "VARCHAR", "reason in the profile original"),
        Column("original_parse_status", "VARCHAR", "parse_status in the profile original"),
        Column("differences", "VARCHAR", "why the profiles differ: names of rules, separated by commas; else empty"),
        Column("finish_reason", "VARCHAR", "stop, length or content_filter"),
        Column("reply", "VARCHAR", "the model's reply as it came; NULL if none came"),
        Column("reference", "VARCHAR", "the right answer"),
    ),
)

_ORDERS = (1, 2, 3, 4)
STATISTICS: tuple[Column, ...] = (
    Column("correct", "BIGINT", "right predicted items; f1(sum(correct), sum(predicted), sum(expected))"),
    Column("predicted", "BIGINT", "predicted items"),
    Column("expected", "BIGINT", "items of the reference"),
    Column("points", "DOUBLE", "value of the sample; the metric is sum(points) / sum(weight)"),
    Column("weight", "BIGINT", "1 if the sample is in the mean, else 0"),
    *(Column(f"match_{order}", "BIGINT", f"BLEU: {order}-grams found in the reference too") for order in _ORDERS),
    *(Column(f"ngrams_{order}", "BIGINT", f"BLEU: {order}-grams of the reply") for order in _ORDERS),
    Column("length", "BIGINT", "BLEU: tokens of the reply"),
    Column("expected_length", "BIGINT", "BLEU: tokens of the reference"),
)
"""Sufficient statistics, named as the fields of the kinds in :mod:`sciriff.scoring.metrics.statistics`."""

SCORES = Table(
    "scores",
    "One row per sample, profile and metric. The statistics of any set of rows add up; each metric uses one group of "
    "them: correct to expected (F1), points and weight (mean), match_1 to expected_length (BLEU).",
    (
        _RUN,
        _MODEL,
        _TASK,
        _INSTANCE,
        _DOCUMENT,
        _PROFILE,
        Column("metric", "VARCHAR", "what is measured, e.g. entity_typed, answer_f1, bleu"),
        Column("parsed", "BOOLEAN", "whether the sample is in the setting valid_json"),
        Column("value", "DOUBLE", "score of this sample alone, 0 to 1; NULL if it has nothing to score"),
        *STATISTICS,
    ),
)

METRICS = Table(
    "metrics",
    "Metrics of each current run as fractions, computed from the sums of scores.",
    (
        _RUN,
        _MODEL,
        _TASK,
        _WINDOW,
        _SPLIT,
        _PROFILE,
        Column("shape", "VARCHAR", "flat (all, as in metrics_flat.json) or summary (headlines)"),
        Column("metric", "VARCHAR", "name of the metric in that shape"),
        Column("value", "DOUBLE", "0 to 1; NULL over no samples"),
    ),
)

TASKS = Table(
    "tasks",
    "The nine held-out tasks.",
    (
        _TASK,
        Column("answer", "VARCHAR", "object, list or text: what answers look like"),
        Column("default_json", "VARCHAR", "what stands in for a reply that cannot be parsed; NULL for text"),
        Column("metrics", "VARCHAR", "metric names in table scores"),
    ),
)

ABOUT = Table(
    "about",
    "What this file was made of.",
    (Column("key", "VARCHAR", "name"), Column("value", "VARCHAR", "value")),
)

INDEXED_RUNS = Table(
    RUNS.name,
    RUNS.comment,
    (*RUNS.columns, Column("is_current", "BOOLEAN", "whether this is the last run of its model, task, window, split")),
)

FACT_TABLES = (RUNS, SAMPLES, SCORES)
"""What is written as Parquet."""

INDEX_TABLES = (INDEXED_RUNS, SAMPLES, SCORES, METRICS, TASKS, ABOUT)
"""What the index holds."""


def arrow_schema(table: Table) -> Any:
    """The pyarrow schema of a table's Parquet files."""
    import pyarrow as pa

    types = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_()}
    return pa.schema([(column.name, types[column.type]) for column in table.columns])
