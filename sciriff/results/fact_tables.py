"""Scores of one run as Arrow tables, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sciriff.hashing import text_sha256
from sciriff.results.schema import JUDGEMENT_FACTS, JUDGES, RUN_FACTS, SAMPLES, SCORES, STATISTICS, Table, arrow_schema
from sciriff.results.values import Array, value_of_sums
from sciriff.scoring.metrics.statistics import KINDS
from sciriff.scoring.outcome import Profile

if TYPE_CHECKING:
    from sciriff.results.facts import ScoredSample
    from sciriff.scoring.judge import Judgement


def runs_table(row: Mapping[str, Any]) -> pa.Table:
    """The table ``runs`` with one row."""
    return pa.Table.from_pylist([dict(row)], schema=arrow_schema(RUN_FACTS))


def samples_table(shared: Mapping[str, str], samples: Sequence[ScoredSample]) -> pa.Table:
    """The table ``samples`` of a run.

    Args:
        shared: columns that are the same in all rows: run_id, model, task.
        samples: the samples, in order.
    """
    corrected = [sample.scores.corrected for sample in samples]
    original = [sample.scores.original for sample in samples]
    columns: dict[str, Any] = {
        "instance_id": [sample.instance_id for sample in samples],
        "document_id": [sample.document_id for sample in samples],
        "outcome": [score.outcome for score in corrected],
        "reason": [score.reason for score in corrected],
        "parse_status": [score.status for score in corrected],
        "original_outcome": [score.outcome for score in original],
        "original_reason": [score.reason for score in original],
        "original_parse_status": [score.status for score in original],
        "differences": [",".join(sample.scores.differences) for sample in samples],
        "finish_reason": [sample.finish_reason for sample in samples],
        "reply": [_encodable(sample.reply) for sample in samples],
        "reference": [_encodable(sample.reference) for sample in samples],
    }
    return _table(SAMPLES, shared, columns, len(samples))


def scores_table(
    shared: Mapping[str, str], samples: Sequence[ScoredSample], metrics: Sequence[tuple[str, str]]
) -> pa.Table:
    """The table ``scores`` of a run: by profile, metric and sample; system failures have no rows.

    Args:
        shared: as of :func:`samples_table`.
        samples: the samples, in order.
        metrics: (metric, kind of its statistics) of the task.
    """
    ids = pa.array([sample.instance_id for sample in samples], pa.string())
    documents = pa.array([sample.document_id for sample in samples], pa.string())
    blocks = []
    for profile in Profile:
        scores = [sample.scores[profile] for sample in samples]
        parsed = np.array([score.parsed for score in scores], dtype=bool)
        all_vectors = [score.vectors for score in scores]
        for metric, kind in metrics:
            found = [vectors.get(metric) for vectors in all_vectors]
            known = [vector for vector in found if vector is not None]
            if not known:
                continue
            numbers = np.fromiter(chain.from_iterable(known), np.float64).reshape(len(known), -1)
            columns = {"instance_id": ids, "document_id": documents, "parsed": pa.array(parsed)}
            if len(known) < len(found):
                places = pa.array(np.flatnonzero([vector is not None for vector in found]))
                columns = {name: column.take(places) for name, column in columns.items()}
            columns |= _statistics(numbers, kind, profile)
            blocks.append(_table(SCORES, {**shared, "profile": profile.value, "metric": metric}, columns, len(known)))
    return pa.concat_tables(blocks) if blocks else _table(SCORES, {}, {}, 0)


def judges_table(row: Mapping[str, Any]) -> pa.Table:
    """The table ``judges`` with one row."""
    return pa.Table.from_pylist([dict(row)], schema=arrow_schema(JUDGES))


def judgements_table(shared: Mapping[str, str], judgements: Sequence[Judgement]) -> pa.Table:
    """The table ``judgements`` of a run.

    Args:
        shared: columns that are the same in all rows: run_id, model, task, judge_model.
        judgements: one per sample that was to be judged, in order.
    """
    columns: dict[str, Any] = {
        "instance_id": [each.case.instance_id for each in judgements],
        "document_id": [each.case.document_id for each in judgements],
        "prompt_sha256": [each.case.text and text_sha256(each.case.text) for each in judgements],
        "verdict": [each.verdict for each in judgements],
        "rating": [each.rating for each in judgements],
        "value": [each.value for each in judgements],
        "original_value": [each.original for each in judgements],
        "reason": [each.reason for each in judgements],
        "error": [each.error for each in judgements],
        "reply": [_encodable(each.reply) for each in judgements],
        "first_reply": [_encodable(each.first_reply) for each in judgements],
        "prompt": [each.case.text for each in judgements],
    }
    return _table(JUDGEMENT_FACTS, shared, columns, len(judgements))


def _statistics(numbers: Array, kind: str, profile: Profile) -> dict[str, Any]:
    """The columns of the statistics, and the value of each sample alone: NULL if it has nothing to score."""
    values = value_of_sums(kind, profile)(numbers)
    if kind == "counts":
        values = np.where(numbers[:, 1] + numbers[:, 2] > 0, values, np.nan)
    whole = {column.name for column in STATISTICS if column.type == "BIGINT"}
    columns = {
        name: numbers[:, place].astype(np.int64) if name in whole else numbers[:, place]
        for place, name in enumerate(KINDS[kind]._fields)
    }
    return {"value": pa.array(values, pa.float64(), mask=np.isnan(values)), **columns}


def _encodable(text: str | None) -> str | None:
    """Spell out lone surrogates, which no file format of UTF-8 text can hold."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


def _table(table: Table, shared: Mapping[str, str], columns: Mapping[str, Any], rows: int) -> pa.Table:
    """A table with columns as they are, shared ones repeated and those not given empty."""
    schema = arrow_schema(table)
    arrays = []
    for field in schema:
        if field.name in shared:
            arrays.append(pa.repeat(pa.scalar(shared[field.name], field.type), rows))
        elif field.name in columns:
            given = columns[field.name]
            arrays.append(given.cast(field.type) if isinstance(given, pa.Array) else pa.array(given, field.type))
        else:
            arrays.append(pa.nulls(rows, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)
