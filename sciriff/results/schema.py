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

_JUDGE = Column("judge_model", "VARCHAR", "the judge's name")
_OUTCOME = "rated, no_answer (1 without asking), or judge_failed"

JUDGES = Table(
    "judges",
    "One row per current run whose replies a judge rates: who judged, what came of it, or why nobody did. The ratings "
    "are rows of scores (lm_judge_reference, lm_judge_answer) once state is done.",
    (
        _RUN,
        _MODEL,
        _TASK,
        _JUDGE,
        Column("judge_identity", "VARCHAR", "digest of all that the judge's replies depend on apart from the prompt"),
        Column("prompts", "VARCHAR", "digest of the templates of its prompts"),
        Column("state", "VARCHAR", "done; else there are no ratings: waiting (for batches), stopped or off"),
        Column("note", "VARCHAR", "why, in words; else empty"),
        Column("most", "BIGINT", "samples to be judged at most; NULL for all"),
        Column("seed", "BIGINT", "seed of the draw"),
        Column("judged", "BIGINT", "samples to be judged"),
        Column("rated", "BIGINT", "of these, rated by the judge"),
        Column("no_answer", "BIGINT", "of these, without an answer: 1 without asking"),
        Column("judge_failed", "BIGINT", "of these, without a rating, in no mean"),
        Column("asked_again", "BIGINT", "of these, asked again because the first reply gave no rating"),
        Column("low", "DOUBLE", "the metric if all without a rating were worth 0"),
        Column("high", "DOUBLE", "the metric if all without a rating were worth 1"),
    ),
)

JUDGEMENTS = Table(
    "judgements",
    "One row per sample that was to be judged, of the current runs.",
    (
        _RUN,
        _MODEL,
        _TASK,
        _INSTANCE,
        _DOCUMENT,
        _JUDGE,
        Column("prompt_sha256", "VARCHAR", "hash of what the judge was asked; empty if it was not asked"),
        Column("verdict", "VARCHAR", _OUTCOME),
        Column("rating", "BIGINT", "1 to 5; NULL if the judge failed"),
        Column("value", "DOUBLE", "(rating - 1) / 4"),
        Column("original_value", "DOUBLE", "what the original makes of the first reply; NULL if it leaves it out"),
        Column("reason", "VARCHAR", "why there is no rating, or why it is known without asking; else empty"),
        Column("error", "VARCHAR", "what went wrong with the request; else empty"),
        Column("reply", "VARCHAR", "the judge's last reply; NULL if there is none"),
        Column("first_reply", "VARCHAR", "the reply without a rating that was asked again; NULL if none was"),
    ),
)

_CERTAINTY = (
    Column("low", "DOUBLE", "lower end of the 95 % interval, by a bootstrap over documents"),
    Column("high", "DOUBLE", "upper end of that interval; NULL where there is none, e.g. of a single document"),
    Column("standard_error", "DOUBLE", "standard error, by the same bootstrap"),
    Column("documents", "BIGINT", "documents that the value is over"),
)
_BOUNDS = (
    Column("at_worst", "DOUBLE", "what the value would be if no reply that never came had been understood"),
    Column("at_best", "DOUBLE", "what the value would be if they had all been right"),
)

METRICS = Table(
    "metrics",
    "Metrics of each current run as fractions, computed from the sums of scores. Intervals and bounds are those of the "
    "shape summary; of the shape flat they are NULL.",
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
        *_CERTAINTY,
        *_BOUNDS,
    ),
)

MEANS = Table(
    "means",
    "One row per model, window and split: the mean over the headline columns it has, as a fraction, profile corrected.",
    (
        _MODEL,
        _WINDOW,
        _SPLIT,
        Column("value", "DOUBLE", "plain mean of the columns"),
        Column("columns", "BIGINT", "how many columns that is"),
        *_CERTAINTY,
        *_BOUNDS,
    ),
)

COMPARISONS = Table(
    "comparisons",
    "One row per headline of every two models over the samples that both have a score of, profile corrected, and one "
    "of their mean over the headline columns. Each two stand here once; the table macro compare asks either way round.",
    (
        Column("model_a", "VARCHAR", "the model whose name comes first"),
        Column("model_b", "VARCHAR", "the other model"),
        _WINDOW,
        _SPLIT,
        Column("task", "VARCHAR", "task name; all for the mean"),
        Column("metric", "VARCHAR", "headline metric; mean for the mean"),
        Column("value_a", "DOUBLE", "what model_a has over these samples, 0 to 1"),
        Column("value_b", "DOUBLE", "what model_b has over these samples, 0 to 1"),
        Column("difference", "DOUBLE", "value_a - value_b"),
        Column("low", "DOUBLE", "lower end of the difference's 95 % interval, by a paired bootstrap over documents"),
        Column("high", "DOUBLE", "upper end of that interval"),
        Column("standard_error", "DOUBLE", "standard error of the difference, by the same bootstrap"),
        Column("p_value", "DOUBLE", "two-sided, by approximate randomization over documents"),
        Column("p_lower", "DOUBLE", "one-sided: of a difference so far down, if the models do not differ"),
        Column("p_holm", "DOUBLE", "p_value with Holm's correction over the headline columns; NULL of other metrics"),
        Column("detectable", "DOUBLE", "true difference found at 0.05, so corrected, with a probability of 0.8"),
        Column("documents", "BIGINT", "documents compared"),
        Column("samples", "BIGINT", "samples compared"),
        Column("unpaired", "BIGINT", "samples that only one of the two has a score of; left out"),
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

BUILDS = Table(
    "builds",
    "One row per build that current runs are of: where their instances come from. Of published data and files of your "
    "own there is none.",
    (
        Column("build_key", "VARCHAR", "key of the build, as in runs"),
        _TASK,
        _WINDOW,
        Column("source", "VARCHAR", "id of the source"),
        Column("licence", "VARCHAR", "licence of the source"),
        Column("is_sample", "BOOLEAN", "whether it was built from bundled samples"),
        Column("is_partial", "BOOLEAN", "whether a part of the source was missing"),
        Column("source_sha256", "VARCHAR", "hashes of the source files"),
        Column("fidelity", "VARCHAR", "corrected or original"),
        Column("split_by", "VARCHAR", "document or instance: what was kept together when splits were carved out"),
        Column("seed", "BIGINT", "seed of the build"),
        Column("cap", "BIGINT", "most instances of a source split; NULL for all"),
        Column("template_ids", "VARCHAR", "templates that were used"),
        Column("tokenizer", "VARCHAR", "tokenizer that counted"),
        Column("tokenizer_sha256", "VARCHAR", "its hash"),
        Column("train", "BIGINT", "instances in train"),
        Column("validation", "BIGINT", "instances in validation"),
        Column("test", "BIGINT", "instances in test"),
        Column("tokens", "BIGINT", "tokens of all instances together"),
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

JUDGEMENT_FACTS = Table(
    JUDGEMENTS.name,
    JUDGEMENTS.comment,
    (*JUDGEMENTS.columns, Column("prompt", "VARCHAR", "what the judge was asked first; empty if it was not asked")),
)

RUN_FACTS = Table(
    RUNS.name,
    RUNS.comment,
    (*RUNS.columns, Column("build", "VARCHAR", "the row of builds as JSON; NULL for data that was not built here")),
)

FACT_TABLES = (RUN_FACTS, SAMPLES, SCORES, JUDGES, JUDGEMENT_FACTS)
"""What is written as Parquet."""

INDEX_TABLES = (INDEXED_RUNS, SAMPLES, SCORES, JUDGES, JUDGEMENTS, METRICS, MEANS, COMPARISONS, TASKS, BUILDS, ABOUT)
"""What the index holds."""


def arrow_schema(table: Table) -> Any:
    """The pyarrow schema of a table's Parquet files."""
    import pyarrow as pa

    types = {"VARCHAR": pa.string(), "BIGINT": pa.int64(), "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_()}
    return pa.schema([(column.name, types[column.type]) for column in table.columns])
