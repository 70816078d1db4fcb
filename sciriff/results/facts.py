"""Scores as facts: immutable Parquet files named by content, ``results/facts/{model}/{task}/{window}-{split}/``.

The manifest of such a folder names the files of the current run; files of earlier runs stay beside them. Any number of
evaluations may write at once: they write different files, and the last one to finish is the current one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from sciriff.hashing import canonical_json, digest
from sciriff.results.build_facts import build_row
from sciriff.results.schema import FACT_TABLES, RUNS, SAMPLES, SCORES
from sciriff.scoring.outcome import Outcome, SampleScores
from sciriff.scoring.tasks import EvalTask
from sciriff.store import SCHEMA_VERSION, Store

if TYPE_CHECKING:
    import pyarrow as pa

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
        """Digest of all fields and of the columns of the facts, shortened."""
        columns = {table.name: [column.name for column in table.columns] for table in FACT_TABLES}
        return digest({"schema": SCHEMA_VERSION, "columns": columns, **self.__dict__})[:16]

    @property
    def folder(self) -> str:
        """Where its facts lie."""
        return f"{FACTS}/{self.model}/{self.task}/{self.window_tokens}-{self.split}"


class ScoredSample(NamedTuple):
    """One sample of a run.

    Attributes:
        instance_id: id of the instance.
        document_id: id of the document behind it.
        reply: the reply as it came; None if none came.
        finish_reason: why it ended.
        reference: the right answer.
        scores: what it is worth.
    """

    instance_id: str
    document_id: str
    reply: str | None
    finish_reason: str
    reference: str
    scores: SampleScores


def write_facts(run: Run, task: EvalTask, samples: Sequence[ScoredSample], store: Store) -> None:
    """Write the facts of a run.

    Args:
        run: which run.
        task: its task.
        samples: its samples, scored.
        store: where facts go.

    Raises:
        StoreError: if the store cannot be written.
    """
    from sciriff.results.fact_tables import runs_table, samples_table, scores_table

    outcomes = dict.fromkeys(Outcome, 0)
    for sample in samples:
        outcomes[sample.scores.corrected.outcome] += 1
    counts = {"samples": len(samples), **{outcome.value: number for outcome, number in outcomes.items()}}
    shared = {"run_id": run.run_id, "model": run.model, "task": run.task}
    tables = {
        RUNS.name: runs_table({"run_id": run.run_id, **run.__dict__, **counts, "build": _build(run, store)}),
        SAMPLES.name: samples_table(shared, samples),
        SCORES.name: scores_table(shared, samples, task.metrics),
    }
    manifest = {
        "schema": SCHEMA_VERSION,
        "kind": "facts",
        "key": run.run_id,
        "inputs": run.__dict__,
        "files": write_fact_files(run.folder, tables, store),
    }
    store.write_manifest(run.folder, manifest)


def _build(run: Run, store: Store) -> str | None:
    """The row of the table ``builds``, as JSON."""
    row = build_row(run.task, run.window_tokens, run.build_key, store)
    return None if row is None else canonical_json(row).decode()


def write_fact_files(folder: str, tables: Mapping[str, pa.Table], store: Store) -> dict[str, dict[str, Any]]:
    """Write tables as Parquet files named by content.

    Returns:
        File name -> its entry in a manifest.
    """
    files: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        data, entry = _parquet(table)
        file = f"{name}-{entry['sha256'][:16]}.parquet"
        store.write_bytes(f"{folder}/{file}", data)
        files[file] = entry
    return files


def _parquet(table: pa.Table) -> tuple[bytes, dict[str, Any]]:
    import pyarrow.parquet as pq

    buffer = BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    data = buffer.getvalue()
    return data, {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": table.num_rows}
