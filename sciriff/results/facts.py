"""Scores as facts: immutable Parquet files named by content, ``results/facts/{model}/{task}/{window}-{split}/``.

The manifest of such a folder names the files of the current run; files of earlier runs stay beside them. Any number of
evaluations may write at once: they write different files, and the last one to finish is the current one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from sciriff.hashing import digest
from sciriff.results.schema import FACT_TABLES, RUNS, SAMPLES, SCORES, Table, arrow_schema
from sciriff.scoring.metrics.bleu import bleu
from sciriff.scoring.metrics.statistics import BleuCounts, MatchCounts, MeanParts, Vector, mean, precision_recall_f1
from sciriff.scoring.outcome import Outcome, Profile, Reply, SampleScore, SampleScores
from sciriff.scoring.samples import prepare, score
from sciriff.scoring.tasks import EvalTask
from sciriff.store import SCHEMA_VERSION, Store

FACTS = "results/facts"


@dataclass(frozen=True)
class Run:
    """One model on one task, window, split and state of the data. Fields as the columns of the table ``runs``."""

    model: str
    task: str
    window_tokens: int
    split: str
    sample_limit: int | None
    data_note: str
    build_key: str
    instances_sha256: str
    predictions: str
    predictions_sha256: str
    model_identity: str
    scorer: str

    @property
    def run_id(self) -> str:
        """Digest of all fields, shortened."""
        return digest({"schema": SCHEMA_VERSION, **self.__dict__})[:16]

    @property
    def folder(self) -> str:
        """Where its facts lie."""
        return f"{FACTS}/{self.model}/{self.task}/{self.window_tokens}-{self.split}"


def write_facts(run: Run, task: EvalTask, predictions: Iterable[Mapping[str, Any]], store: Store) -> dict[Outcome, int]:
    """Score predictions in both profiles and write the facts.

    Args:
        run: what the predictions are.
        task: the task.
        predictions: lines of a predictions artifact.
        store: where facts go.

    Returns:
        How many samples ended in each class.

    Raises:
        StoreError: if the store cannot be written.
    """
    columns: dict[str, dict[str, list[Any]]] = {
        table.name: {column.name: [] for column in table.columns} for table in FACT_TABLES
    }
    outcomes = dict.fromkeys(Outcome, 0)
    for prediction in predictions:
        reply = Reply(prediction["reply"], prediction.get("finish_reason", "stop"))
        scores = score(task, reply, prepare(task, prediction["reference"]))
        outcomes[scores.corrected.outcome] += 1
        shared = {"run_id": run.run_id, "model": run.model, "task": run.task, "instance_id": prediction["instance_id"]}
        _append(columns[SAMPLES.name], {**shared, **_sample_row(prediction, scores)})
        for profile in Profile:
            for metric, vector in scores[profile].vectors.items():
                _append(columns[SCORES.name], {**shared, **_score_row(profile, scores[profile], metric, vector)})
    counts = {"samples": sum(outcomes.values()), **{outcome.value: n for outcome, n in outcomes.items()}}
    _append(columns[RUNS.name], {"run_id": run.run_id, **run.__dict__, **counts})
    _publish(run, columns, store)
    return outcomes


def _sample_row(prediction: Mapping[str, Any], scores: SampleScores) -> dict[str, Any]:
    corrected, original = scores.corrected, scores.original
    return {
        "outcome": corrected.outcome,
        "reason": corrected.reason,
        "parse_status": corrected.status,
        "original_outcome": original.outcome,
        "original_reason": original.reason,
        "original_parse_status": original.status,
        "differences": ",".join(scores.differences),
        "finish_reason": prediction.get("finish_reason", "stop"),
        "reply": _encodable(prediction["reply"]),
        "reference": _encodable(prediction["reference"]),
    }


def _score_row(profile: Profile, score: SampleScore, metric: str, vector: Vector) -> dict[str, Any]:
    value = value_of(vector, profile)
    return {"profile": profile, "metric": metric, "parsed": score.parsed, "value": value, **vector._asdict()}


def value_of(vector: Vector, profile: Profile) -> float | None:
    """Score of one sample alone; None if it has nothing to score (no item on either side, or not in the mean)."""
    match vector:
        case MatchCounts():
            return precision_recall_f1(vector).f1 if vector.predicted or vector.expected else None
        case MeanParts():
            return mean(vector)
        case BleuCounts():
            return bleu(vector, short_replies=profile is Profile.CORRECTED)


def _append(columns: Mapping[str, list[Any]], row: Mapping[str, Any]) -> None:
    for name, values in columns.items():
        values.append(row.get(name))


def _encodable(text: str | None) -> str | None:
    """Spell out lone surrogates, which no file format of UTF-8 text can hold."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


def _publish(run: Run, columns: Mapping[str, Mapping[str, list[Any]]], store: Store) -> None:
    files: dict[str, dict[str, Any]] = {}
    for table in FACT_TABLES:
        data, entry = _parquet(table, columns[table.name])
        name = f"{table.name}-{entry['sha256'][:16]}.parquet"
        store.write_bytes(f"{run.folder}/{name}", data)
        files[name] = entry
    manifest = {
        "schema": SCHEMA_VERSION,
        "kind": "facts",
        "key": run.run_id,
        "inputs": run.__dict__,
        "files": files,
    }
    store.write_manifest(run.folder, manifest)


def _parquet(table: Table, columns: Mapping[str, list[Any]]) -> tuple[bytes, dict[str, Any]]:
    import hashlib

    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = BytesIO()
    arrow = pa.table({name: [*values] for name, values in columns.items()}, schema=arrow_schema(table))
    pq.write_table(arrow, buffer, compression="zstd")
    data = buffer.getvalue()
    return data, {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": arrow.num_rows}
