"""Views and macros of the index, as SQL. They read the tables of the index only."""

from __future__ import annotations

from typing import NamedTuple

from sciriff.scoring.tasks import SUMMARY_COLUMNS, Column


class View(NamedTuple):
    """A view: name, query and what a row is."""

    name: str
    query: str
    comment: str


def _is(column: Column) -> str:
    return f"task = '{column.task}' AND metric = '{column.metric}'"


_IS_HEADLINE = "(" + " OR ".join(f"({_is(column)})" for column in SUMMARY_COLUMNS) + ")"


def _percent(column: str, is_wanted: str = "") -> str:
    """SQL of a fraction as a percentage; with a condition, of the one row that fulfils it."""
    return f"round(100 * {f'max({column}) FILTER ({is_wanted})' if is_wanted else column}, 2)"


_VALUES = ",\n  ".join(f"{_percent('value', _is(column))} AS {column.name}" for column in SUMMARY_COLUMNS)
_CERTAINTY = ("low", "high", "at_worst", "at_best")
_CERTAINTIES = ",\n  ".join(
    f"{_percent(part, _is(column))} AS {column.name}_{part}" for column in SUMMARY_COLUMNS for part in _CERTAINTY
)
_VALUE_NAMES = ", ".join(column.name for column in SUMMARY_COLUMNS)
_CERTAINTY_NAMES = ", ".join(f"{column.name}_{part}" for column in SUMMARY_COLUMNS for part in _CERTAINTY)

_LEADERBOARD = f"""
WITH headlines AS (
  SELECT * FROM metrics WHERE profile = 'corrected' AND shape = 'summary' AND {_IS_HEADLINE}
), counts AS (
  SELECT model, window_tokens, split, sum(samples)::BIGINT AS samples, sum(scored)::BIGINT AS scored,
    sum(model_failed)::BIGINT AS model_failed, sum(system_failed)::BIGINT AS system_failed,
    string_agg(DISTINCT nullif(data_note, ''), ', ') AS data_note
  FROM runs WHERE is_current GROUP BY ALL
), judged AS (
  SELECT judges.model, window_tokens, split, string_agg(DISTINCT judge_model, ', ' ORDER BY judge_model) AS judge
  FROM judges JOIN runs USING (run_id) WHERE state = 'done' GROUP BY ALL
), pivoted AS (
  SELECT model, window_tokens, split,
  {_VALUES},
  {_CERTAINTIES}
  FROM headlines GROUP BY ALL
)
SELECT model, window_tokens, split, {_VALUE_NAMES},
  {_percent("means.value")} AS mean,
  {_percent("means.low")} AS mean_low, {_percent("means.high")} AS mean_high,
  {_percent("means.at_worst")} AS mean_at_worst, {_percent("means.at_best")} AS mean_at_best,
  coalesce(means.columns, 0) || '/{len(SUMMARY_COLUMNS)}' AS coverage,
  samples, scored, model_failed, system_failed, judge, data_note,
  {_CERTAINTY_NAMES}
FROM pivoted JOIN counts USING (model, window_tokens, split) LEFT JOIN means USING (model, window_tokens, split)
  LEFT JOIN judged USING (model, window_tokens, split)
ORDER BY split, window_tokens, mean DESC NULLS LAST, model
"""

_SUMMARY = f"""
SELECT model, window_tokens, split, profile, task, metric, {_percent("value")} AS value,
  {", ".join(f"{_percent(part)} AS {part}" for part in _CERTAINTY)},
  {_IS_HEADLINE} AS is_headline, documents, samples, scored, model_failed, system_failed
FROM metrics JOIN runs USING (run_id, model, task, window_tokens, split)
WHERE shape = 'summary'
ORDER BY model, window_tokens, split, profile, task, metric
"""

_FAILURES = """
SELECT model, task, instance_id, outcome, reason, parse_status, finish_reason, left(reply, 200) AS reply, run_id
FROM samples WHERE outcome <> 'scored'
"""

VIEWS: tuple[View, ...] = (
    View(
        "leaderboard",
        _LEADERBOARD,
        "One row per model (and window, split): the headline columns x100 in the profile corrected, their plain mean "
        "over the columns there are with its interval and bounds, coverage (how many of the columns that is), the "
        "counts behind them, who judged; then of each column the interval (_low, _high) and the bounds (_at_worst, "
        "_at_best).",
    ),
    View(
        "summary",
        _SUMMARY,
        "One row per model, task, profile and summary metric, x100, with its 95 % interval (low, high), its bounds if "
        "the replies that never came were all wrong or all right (at_worst, at_best), and the counts behind it.",
    ),
    View("failures", _FAILURES, "Samples that were not scored, with the reason and the start of the reply."),
)

_ORDERS = (1, 2, 3, 4)
_MISSED_ORDER = " OR ".join(f"(n{order} > 0 AND m{order} = 0)" for order in _ORDERS)
_LOG_PRECISIONS = " + ".join(f"CASE WHEN m{order} > 0 THEN ln(m{order} / n{order}) ELSE 0 END" for order in _ORDERS)
_ORDERS_USED = " + ".join(f"(n{order} > 0)::INT" for order in _ORDERS)

_COMPARED = (
    "task, metric",
    *(f"{_percent(name)} AS {name}" for name in ("value_a", "value_b", "difference", "low", "high")),
    "round(p_value, 4) AS p_value, round(p_holm, 4) AS p_holm, p_holm <= 0.05 AS is_significant",
    f"{_percent('detectable')} AS detectable",
    "documents, samples, unpaired, window_tokens, split",
)
_TURNED = """SELECT model_b AS model_a, model_a AS model_b, window_tokens, split, task, metric, value_b AS value_a,
    value_a AS value_b, 0 - difference AS difference, 0 - high AS low, 0 - low AS high, p_value, p_holm, detectable,
    documents, samples, unpaired, rowid AS place FROM comparisons"""
_AS_THEY_ARE = """SELECT model_a, model_b, window_tokens, split, task, metric, value_a, value_b, difference, low, high,
    p_value, p_holm, detectable, documents, samples, unpaired, rowid AS place FROM comparisons"""

MACROS: tuple[str, ...] = (
    f"""CREATE MACRO compare(first_model, second_model) AS TABLE
    SELECT {", ".join(_COMPARED)} FROM ({_AS_THEY_ARE} UNION ALL {_TURNED})
    WHERE model_a = first_model AND model_b = second_model ORDER BY split, window_tokens, place""",
    """CREATE MACRO f1(correct, predicted, expected) AS
    CASE WHEN predicted + expected = 0 THEN 1.0 ELSE 2.0 * correct / (predicted + expected) END""",
    f"""CREATE MACRO bleu(m1, m2, m3, m4, n1, n2, n3, n4, length, expected_length) AS
    CASE WHEN length = 0 AND expected_length = 0 THEN 1.0
    WHEN length = 0 OR expected_length = 0 OR {_MISSED_ORDER} THEN 0.0
    ELSE exp(({_LOG_PRECISIONS}) / ({_ORDERS_USED}) + least(0.0, 1 - expected_length / length)) END""",
)
"""``FROM compare('gold', 'lead')``: two models on all headlines, x100, first less second. The others are the metrics of
the profile ``corrected`` over any set of rows of ``scores``, e.g.
``SELECT model, f1(sum(correct), sum(predicted), sum(expected)) FROM scores WHERE ... GROUP BY model``."""
