"""The headline statistics of all current runs as arrays, run beside run over the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciriff.results.headlines import headlines
from sciriff.results.intervals import exact
from sciriff.results.values import Array
from sciriff.scoring.metrics.statistics import KINDS
from sciriff.scoring.outcome import Profile
from sciriff.scoring.tasks import eval_task

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Scored:
    """One metric of one run.

    Attributes:
        statistics: sufficient statistics, (samples of the group, columns); 0 where the run has none.
        is_scored: which samples of the group they are of.
        judge: who gave it: digest of judge and prompts. Values of different judges do not compare. Empty for metrics
            that are computed.
    """

    statistics: Array
    is_scored: Mask
    judge: str = ""


@dataclass(frozen=True)
class GroupedRun:
    """One run of a group.

    Attributes:
        run_id, model: which run.
        is_asked: which samples of the group the model was asked, whether or not there is a reply.
        scored: (profile, metric of the summary) -> its statistics.
    """

    run_id: str
    model: str
    is_asked: Mask
    scored: Mapping[tuple[Profile, str], Scored]


@dataclass(frozen=True)
class Group:
    """All current runs on one task, window and split.

    Samples are one for several runs if instance, document and reference are the same; they are in the order of
    documents.

    Attributes:
        task, window, split: what the runs are on.
        documents: ids of the documents, sorted.
        document_of: sample -> place of its document.
        runs: run id -> run, in the order of models.
    """

    task: str
    window: int
    split: str
    documents: tuple[str, ...]
    document_of: NDArray[np.int64]
    runs: Mapping[str, GroupedRun]

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.searchsorted(self.document_of, np.arange(len(self.documents)))

    def documents_of(self, is_asked: Mask) -> Mask:
        """Which documents have any of some samples."""
        found = np.zeros(len(self.documents), dtype=bool)
        found[self.document_of[is_asked]] = True
        return found

    def by_document(self, scored: Scored, kept: Mask | None = None) -> Array:
        """Sums over the samples of each document, (documents, columns).

        Args:
            scored: statistics by sample.
            kept: samples that count; None for all.
        """
        counted = scored.statistics if kept is None else scored.statistics * kept[:, np.newaxis]
        return np.add.reduceat(counted, self._starts, axis=0)


def load_groups(connection: DuckDBPyConnection) -> Iterator[Group]:
    """Read the current runs of an index, group by group.

    Args:
        connection: an index with the tables ``runs``, ``samples``, ``scores`` and ``judges``.
    """
    groups = connection.execute(
        "SELECT task, window_tokens, split, list(run_id ORDER BY model), list(model ORDER BY model) FROM runs"
        " WHERE is_current GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    for task, window, split, run_ids, models in groups:
        group = _load(connection, task, window, split, dict(zip(run_ids, models, strict=True)))
        if group is not None:
            yield group


def _load(
    connection: DuckDBPyConnection, task: str, window: int, split: str, models: Mapping[str, str]
) -> Group | None:
    run_ids = list(models)
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE grouped AS
        SELECT run_id, instance_id, document_id,
          dense_rank() OVER (ORDER BY document_id) - 1 AS document,
          dense_rank() OVER (ORDER BY document_id, instance_id, hash(reference)) - 1 AS sample
        FROM samples WHERE list_contains($runs, run_id)""",
        {"runs": run_ids},
    )
    asked = _columns(
        connection, "SELECT list_position($runs, run_id) - 1 AS run, document, sample FROM grouped", run_ids
    )
    if not len(asked["sample"]):
        return None
    samples = int(asked["sample"].max()) + 1
    document_of = np.zeros(samples, dtype=np.int64)
    document_of[asked["sample"]] = asked["document"]
    names = connection.execute(
        "SELECT document_id FROM grouped GROUP BY document_id, document ORDER BY document"
    ).fetchall()
    scored = _scored(connection, task, run_ids, samples)
    runs = {}
    for place, (run_id, model) in enumerate(models.items()):
        is_asked = np.zeros(samples, dtype=bool)
        is_asked[asked["sample"][asked["run"] == place]] = True
        runs[run_id] = GroupedRun(run_id, model, is_asked, scored[place])
    return Group(task, window, split, tuple(name for (name,) in names), document_of, runs)


def _scored(
    connection: DuckDBPyConnection, task: str, run_ids: list[str], samples: int
) -> list[dict[tuple[Profile, str], Scored]]:
    found: list[dict[tuple[Profile, str], Scored]] = [{} for _ in run_ids]
    judges = dict(connection.execute("SELECT run_id, judge_identity || prompts FROM judges").fetchall())
    for headline in headlines(task):
        names = KINDS[headline.kind]._fields
        rows = _columns(
            connection,
            f"""SELECT list_position($runs, run_id) - 1 AS run, profile = 'original' AS is_original, sample,
            {", ".join(names)} FROM scores JOIN grouped USING (run_id, instance_id)
            WHERE metric = '{headline.statistics}'""",
            run_ids,
        )
        statistics = exact(np.stack([rows[name] for name in names], axis=1).astype(np.float64))
        for place in range(len(run_ids)):
            for profile in Profile:
                chosen = (rows["run"] == place) & (rows["is_original"] == (profile is Profile.ORIGINAL))
                if not chosen.any():
                    continue
                table, is_scored = np.zeros((samples, len(names))), np.zeros(samples, dtype=bool)
                table[rows["sample"][chosen]] = statistics[chosen]
                is_scored[rows["sample"][chosen]] = True
                judge = judges.get(run_ids[place], "") if headline.metric == eval_task(task).judged else ""
                found[place][profile, headline.metric] = Scored(table, is_scored, judge)
    return found


def _columns(connection: DuckDBPyConnection, query: str, run_ids: list[str]) -> Mapping[str, NDArray[Any]]:
    """The answer to a query by column. No value is NULL."""
    return {
        name: np.asarray(column) for name, column in connection.execute(query, {"runs": run_ids}).fetchnumpy().items()
    }
