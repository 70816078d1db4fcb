"""A few replies of each task to look at: some that were not understood, some that were and are wrong."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from sciriff.errors import StoreError
from sciriff.hashing import keyed_rank
from sciriff.models.lines import load_json
from sciriff.reporting.content import Sample
from sciriff.reporting.text import Excerpt, excerpt
from sciriff.results.headlines import headlines
from sciriff.scoring.tasks import eval_task
from sciriff.store import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SHOWN = 4
"""So many of each kind for a task."""
_OF_A_GROUP = 2
"""So many of one model that ended for one reason."""
MOST_CHARACTERS = 1_600

_SEED = 0
_COLUMNS = "run_id, model, instance_id, outcome, reason, parse_status, finish_reason, reply, reference"

Row = Mapping[str, Any]
_Place = tuple[str, str]
"""Run and instance."""


def samples_of_task(connection: DuckDBPyConnection, store: Store, task: str, runs: Sequence[Row]) -> tuple[Sample, ...]:
    """Choose replies of a task, fairly among models and reasons, and read what they answer.

    Args:
        connection: the index.
        store: where the predictions lie.
        task: its name.
        runs: rows of its runs, in the order of models.
    """
    metric = next(each.statistics for each in headlines(task) if each.metric != eval_task(task).judged)
    chosen = [*_failed(connection, task, runs), *_wrong(connection, task, metric, runs)]
    prompts = {
        run["run_id"]: _prompts(store, run, {row["instance_id"] for row in chosen if row["run_id"] == run["run_id"]})
        for run in runs
    }
    return tuple(_sample(row, metric, prompts[row["run_id"]].get(row["instance_id"])) for row in chosen)


def _failed(connection: DuckDBPyConnection, task: str, runs: Sequence[Row]) -> list[Row]:
    """Some that were not scored: each ending of each run in turn."""
    query = """SELECT outcome || ' ' || reason, run_id, instance_id FROM samples
    WHERE list_contains($runs, run_id) AND outcome <> 'scored'"""
    groups: dict[tuple[str, int], list[_Place]] = defaultdict(list)
    order = _order(runs)
    for ending, run_id, instance_id in connection.execute(query, {"runs": list(order)}).fetchall():
        groups[ending, order[run_id]].append((run_id, instance_id))
    turns = [_shuffled(task, groups[key]) for key in sorted(groups)]
    return [row for place in _in_turn(turns) for row in _whole(connection, place)]


def _wrong(connection: DuckDBPyConnection, task: str, metric: str, runs: Sequence[Row]) -> list[Row]:
    """Some that were scored lowest, if not full marks: each run in turn."""
    query = """SELECT run_id, instance_id, value FROM scores JOIN samples USING (run_id, instance_id)
    WHERE list_contains($runs, run_id) AND profile = 'corrected' AND metric = $metric AND outcome = 'scored'
    QUALIFY value = min(value) OVER (PARTITION BY run_id) AND value < 1"""
    groups: dict[int, list[_Place]] = defaultdict(list)
    values: dict[_Place, float] = {}
    order = _order(runs)
    for run_id, instance_id, value in connection.execute(query, {"runs": list(order), "metric": metric}).fetchall():
        groups[order[run_id]].append((run_id, instance_id))
        values[run_id, instance_id] = value
    turns = [_shuffled(task, groups[key]) for key in sorted(groups)]
    return [{**row, "value": values[place]} for place in _in_turn(turns) for row in _whole(connection, place)]


def _order(runs: Sequence[Row]) -> dict[str, int]:
    return {run["run_id"]: place for place, run in enumerate(runs)}


def _shuffled(task: str, places: Iterable[_Place]) -> list[_Place]:
    """In a keyed order, the same for all models, so that replies to the same instance stand beside one another."""
    rank = keyed_rank(_SEED, task, "report")
    return sorted(places, key=lambda place: (rank(place[1]), place))


def _in_turn(groups: Sequence[Sequence[_Place]]) -> list[_Place]:
    """The first of each group, then the second of each, until there are enough."""
    return [group[place] for place in range(_OF_A_GROUP) for group in groups if place < len(group)][:SHOWN]


def _whole(connection: DuckDBPyConnection, place: _Place) -> Iterator[Row]:
    query = f"SELECT {_COLUMNS} FROM samples WHERE run_id = ? AND instance_id = ?"
    names = _COLUMNS.split(", ")
    for row in connection.execute(query, list(place)).fetchall():
        yield dict(zip(names, row, strict=True))


def _sample(row: Row, metric: str, prompt: str | None) -> Sample:
    return Sample(
        model=row["model"],
        instance_id=row["instance_id"],
        outcome=row["outcome"],
        reason=row["reason"],
        parse_status=row["parse_status"],
        finish_reason=row["finish_reason"] or "",
        value=row.get("value"),
        metric=metric,
        prompt=_cut(prompt),
        reply=_cut(row["reply"]),
        reference=excerpt(row["reference"] or "", MOST_CHARACTERS),
    )


def _cut(text: str | None) -> Excerpt | None:
    return None if text is None else excerpt(text, MOST_CHARACTERS)


def _prompts(store: Store, run: Row, wanted: set[str]) -> dict[str, str]:
    """Instance -> its prompt, out of the run's predictions; none if these are not there any more."""
    if not wanted:
        return {}
    folder, _, name = run["predictions"].rpartition("/")
    entry = (store.read_manifest(folder) or {}).get("files", {}).get(name, {})
    if entry.get("sha256") != run["predictions_sha256"]:
        return {}
    found: dict[str, str] = {}
    needle = re.compile(b"|".join(re.escape(orjson.dumps(each)) for each in sorted(wanted)))
    try:
        with store.open_read(run["predictions"]) as stream:
            for line in stream:
                if needle.search(line):  # most lines need not be parsed
                    record = load_json(line)
                    if record["instance_id"] in wanted:
                        found[record["instance_id"]] = _spelled(record.get("prompt"))
                if len(found) == len(wanted):
                    break
    except (OSError, StoreError, ValueError, KeyError):
        return found
    return found


def _spelled(prompt: Any) -> str:
    """A prompt as text: as it is, or its messages one below the other."""
    if isinstance(prompt, list):
        return "\n\n".join(f"[{message.get('role', '')}]\n{message.get('content', '')}" for message in prompt)
    return str(prompt or "")
