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

_PIVOT = ",\n  ".join(
    f"round(100 * max(value) FILTER ({_is(column)}), 2) AS {column.name}" for column in SUMMARY_COLUMNS
)

_LEADERBOARD = f"""
WITH headlines AS (
  SELECT * FROM metrics WHERE profile = 'corrected' AND shape = 'summary' AND {_IS_HEADLINE}
), counts AS (
  SELECT model, window_tokens, split, sum(samples)::BIGINT AS samples, sum(scored)::BIGINT AS scored,
    sum(model_failed)::BIGINT AS model_failed, sum(system_failed)::BIGINT AS system_failed,
    string_agg(DISTINCT nullif(data_note, ''), ', ') AS data_note
  FROM runs WHERE is_current GROUP BY ALL
), pivoted AS (
  SELECT model, window_tokens, split,
  {_PIVOT},
  round(100 * avg(value), 2) AS mean,
  count(value) || '/{len(SUMMARY_COLUMNS)}' AS coverage
  FROM headlines GROUP BY ALL
)
SELECT pivoted.*, samples, scored, model_failed, system_failed, data_note
FROM pivoted JOIN counts USING (model, window_tokens, split)
ORDER BY split, window_tokens, mean DESC, model
"""

_SUMMARY = f"""
SELECT model, window_tokens, split, profile, task, metric, round(100 * value, 2) AS value,
  {_IS_HEADLINE} AS is_headline, samples, scored, model_failed, system_failed
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
        "over the columns there are, coverage (how many of the columns that is), and the counts behind them.",
    ),
    View(
        "summary",
        _SUMMARY,
        "One row per model, task, profile and summary metric, x100, with the counts behind it.",
    ),
    View("failures", _FAILURES, "Samples that were not scored, with the reason and the start of the reply."),
)

_ORDERS = (1, 2, 3, 4)
_MISSED_ORDER = " OR ".join(f"(n{order} > 0 AND m{order} = 0)" for order in _ORDERS)
_LOG_PRECISIONS = " + ".join(f"CASE WHEN m{order} > 0 THEN ln(m{order} / n{order}) ELSE 0 END" for order in _ORDERS)
_ORDERS_USED = " + ".join(f"(n{order} > 0)::INT" for order in _ORDERS)

MACROS: tuple[str, ...] = (
    """CREATE MACRO f1(correct, predicted, expected) AS
    CASE WHEN predicted + expected = 0 THEN 1.0 ELSE 2.0 * correct / (predicted + expected) END""",
    f"""CREATE MACRO bleu(m1, m2, m3, m4, n1, n2, n3, n4, length, expected_length) AS
    CASE WHEN length = 0 AND expected_length = 0 THEN 1.0
    WHEN length = 0 OR expected_length = 0 OR {_MISSED_ORDER} THEN 0.0
    ELSE exp(({_LOG_PRECISIONS}) / ({_ORDERS_USED}) + least(0.0, 1 - expected_length / length)) END""",
)
"""The metrics of the profile ``corrected`` over any set of rows of ``scores``, e.g.
``SELECT model, f1(sum(correct), sum(predicted), sum(expected)) FROM scores WHERE ... GROUP BY model``."""
