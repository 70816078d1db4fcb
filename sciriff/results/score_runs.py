"""Scoring many runs: replies of several models to one reference after each other, tasks side by side in processes.

What the scorers make of a reference (its n-grams, its tokens) serves all models whose turn it is.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from sciriff.building.pool import WorkerPool
from sciriff.building.runner import Runner
from sciriff.building.travel import worker_settings
from sciriff.errors import SciriffError, StoreError
from sciriff.models.predictions import FILE, read_predictions
from sciriff.results.facts import Run, ScoredSample, write_facts
from sciriff.runners.local import LocalRunner
from sciriff.scoring.outcome import Reply
from sciriff.scoring.samples import Reference, count_ahead, prepare, score
from sciriff.scoring.tasks import EvalTask, eval_task
from sciriff.store import Store

_WORTH_WORKERS = 4_000
"""Fewer replies are scored sooner than worker processes start."""

_LINES_AT_ONCE = 16
"""Lines of each run that are scored together: enough to count them quickly, few enough to be still in the cache."""

Prediction = Mapping[str, Any]
"""A line of predictions, see :mod:`sciriff.models.predictions`."""

Ended = tuple[Run, SciriffError | None]
"""A run whose facts are written, or what went wrong with it."""


@dataclass(frozen=True)
class Share:
    """What is scored in one turn: runs over the same instances.

    Attributes:
        settings: those that go along to another machine, the store among them; empty if it stays here.
        runs: the runs, whose predictions are there.
    """

    settings: Mapping[str, Any]
    runs: tuple[Run, ...]

    @property
    def label(self) -> str:
        """Their task, and how many there are."""
        return f"score-{self.runs[0].task}-{len(self.runs)}"


def score_runs(runs: Sequence[Run], store: Store, workers: int = 1, runner: Runner | None = None) -> Iterator[Ended]:
    """Score the replies of runs and write their facts. A run that fails does not stop the others.

    Args:
        runs: the runs, whose predictions are in the store.
        store: where predictions are and facts go.
        workers: most processes.
        runner: who scores; None for processes of this machine.

    Yields:
        Each run as it ends.

    Raises:
        SciriffError: if a worker process was killed, or the cluster goes away.
    """
    if not runs:
        return
    sizes = {run.run_id: _size(run, store) for run in runs}
    runner = runner or LocalRunner(pool_for(runs, store, workers).workers)
    shares = [Share(runner.along, tuple(share)) for share in _shares(runs, runner.places())]
    shares.sort(key=lambda share: -sum(sizes[run.run_id].bytes for run in share.runs))
    for share, ended in runner.run(partial(score_share, None if runner.along else store), shares):
        if isinstance(ended, SciriffError):
            yield from ((run, ended) for run in share.runs)
        else:
            yield from ((run, error or _unseen(run, store)) for run, error in ended)


def score_share(store: Store | None, share: Share) -> list[Ended]:
    """Score a share where this is called.

    Args:
        store: the store; None on another machine, which opens it with keys of its own.
        share: what to score.
    """
    return score_together(store or Store.of(worker_settings(share.settings)), share.runs)


def _unseen(run: Run, store: Store) -> SciriffError | None:
    """What is wrong if another machine says that it wrote the facts of a run, and they are not here."""
    if (store.read_manifest(run.folder) or {}).get("key") == run.run_id:
        return None
    return StoreError(
        f"a worker says that the facts of {run.model} on {run.task} are written, but the store {store.url} does not "
        "show them; every worker must reach the store at this very address"
    )


def pool_for(runs: Sequence[Run], store: Store, workers: int) -> WorkerPool:
    """Processes for work on the predictions of runs; this one alone if there is little to do."""
    is_much = sum(_size(run, store).replies for run in runs) >= _WORTH_WORKERS
    return WorkerPool(workers if is_much and store.is_shared else 1)


class _Size(NamedTuple):
    replies: int
    bytes: int


def _size(run: Run, store: Store) -> _Size:
    """How large the predictions are, as their manifest says."""
    manifest = store.read_manifest(run.predictions.rpartition("/")[0]) or {}
    entry = manifest.get("files", {}).get(FILE, {})
    return _Size(int(entry.get("rows", 0)), int(entry.get("bytes", 0)))


def _shares(runs: Sequence[Run], workers: int) -> list[list[Run]]:
    """What is scored in one turn: all runs over the same instances, or parts of them if that gives too few turns."""
    alike: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        alike[run.task, run.instances_sha256].append(run)
    parts = 1 if workers == 1 or len(alike) >= 2 * workers else workers
    return [share[start::parts] for share in alike.values() for start in range(min(parts, len(share)))]


def score_together(store: Store, runs: Sequence[Run]) -> list[Ended]:
    """Score runs over the same instances, line by line, and write their facts."""
    with without_garbage_collection():
        return _score_together(store, runs)


def _score_together(store: Store, runs: Sequence[Run]) -> list[Ended]:
    task = eval_task(runs[0].task)
    samples: dict[str, list[ScoredSample]] = {run.run_id: [] for run in runs}
    failed: dict[str, SciriffError] = {}
    waiting: dict[str, Iterator[Prediction]] = {
        run.run_id: read_predictions(store, run.predictions, run.sample_limit, run.predictions_sha256) for run in runs
    }
    while waiting:
        rows = [row for _ in range(_LINES_AT_ONCE) if (row := _next_row(waiting, failed))]
        for run_id, sample in _scored_rows(task, rows):
            samples[run_id].append(sample)
    with store.workspace():  # or the store would make and remove its staging folder for every file
        return [(run, failed.get(run.run_id) or _published(run, task, samples.pop(run.run_id), store)) for run in runs]


def _next_row(waiting: dict[str, Iterator[Prediction]], failed: dict[str, SciriffError]) -> dict[str, Prediction]:
    """The next line of each run. Runs that are at their end, or whose predictions cannot be read, wait no longer."""
    row: dict[str, Prediction] = {}
    for run_id, lines in list(waiting.items()):
        try:
            prediction = next(lines, None)
        except (SciriffError, OSError, ValueError) as error:
            failed[run_id] = _unreadable(error)
            prediction = None
        if prediction is None:
            del waiting[run_id]
        else:
            row[run_id] = prediction
    return row


def _scored_rows(task: EvalTask, rows: Sequence[Mapping[str, Prediction]]) -> Iterator[tuple[str, ScoredSample]]:
    """Score some lines of each run; each reference, mostly of all runs, is read once."""
    texts = dict.fromkeys(prediction["reference"] for row in rows for prediction in row.values())
    references = {text: prepare(task, text) for text in texts}
    found = [
        (run_id, prediction, _reply(prediction), references[prediction["reference"]])
        for row in rows
        for run_id, prediction in row.items()
    ]
    count_ahead([(reply, reference) for _, _, reply, reference in found])
    for run_id, prediction, reply, reference in found:
        yield run_id, scored_sample(task, prediction, reply, reference)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Scores hold no cycles, and looking through all of them for some takes a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def scored_sample(task: EvalTask, prediction: Prediction, reply: Reply, reference: Reference) -> ScoredSample:
    """Score one line of a predictions artifact."""
    return ScoredSample(
        instance_id=prediction["instance_id"],
        document_id=prediction.get("document_id") or prediction["instance_id"],
        reply=reply.text,
        finish_reason=reply.finish_reason,
        reference=reference.text,
        scores=score(task, reply, reference),
    )


def _reply(prediction: Prediction) -> Reply:
    return Reply(prediction["reply"], prediction.get("finish_reason") or "stop")


def _unreadable(error: Exception) -> SciriffError:
    return error if isinstance(error, SciriffError) else StoreError(f"the predictions cannot be read: {error}")


def _published(run: Run, task: EvalTask, samples: Sequence[ScoredSample], store: Store) -> SciriffError | None:
    try:
        write_facts(run, task, samples, store)
    except SciriffError as error:
        return error
    return None
