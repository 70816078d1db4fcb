"""``python -m benchmarks.scoring``: the cost of scoring replies, with all intervals and tests of all pairs.

Nine tasks, ten models and 2,000 samples each (times a scale factor), two samples to a document on average. The replies
are seeded and lie in the store when the clock starts; it stops when the facts, the index and all metric files and
tables are written. The floor is to read and parse the same predictions once.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from benchmarks.measured import cpu_seconds
from benchmarks.replies import Text, reply, samples
from sciriff.building.pool import stop_workers
from sciriff.hashing import digest
from sciriff.models.predictions import keep_predictions, predictions_folder, read_predictions
from sciriff.results.facts import Run
from sciriff.results.record import Recorded, publish, record_all
from sciriff.scoring.tasks import EVAL_TASKS
from sciriff.settings import Settings
from sciriff.store import Store

SAMPLES, MODELS, LIMIT_SECONDS = 2_000, 10, 20
WINDOW, SPLIT = 4096, "validation"


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.scoring", description=__doc__)
    arguments.add_argument("--scale", type=float, default=1.0, help="samples of each task (default 1: 2,000)")
    arguments.add_argument("--models", type=int, default=MODELS, help=f"how many models (default {MODELS})")
    arguments.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="default: the cores")
    arguments.add_argument("--folder", type=Path, help="where the store goes (default: a temporary folder)")
    arguments.add_argument("--failures", type=float, default=0.0, help="share of samples that no reply came for")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="sciriff-bench-", dir=given.folder) as folder:
        store = Store(folder)
        runs = write_predictions(store, round(SAMPLES * given.scale), given.models, given.failures)
        print(f"{len(runs)} runs, {sum(_size(store, run) for run in runs) / 1e6:.0f} MB of predictions")
        print(f"{'stage':32}{'wall s':>9}{'CPU s':>9}")
        with stage("floor: read and parse"):
            for run in runs:
                for _ in read_predictions(store, run.predictions):
                    pass
        with stage("all"):
            score_and_publish(store, runs, given.workers)
            stop_workers()  # their CPU time is told only when they have ended


def write_predictions(store: Store, count: int, models: int, failures: float) -> list[Run]:
    """Write seeded predictions; returns the runs that they make."""
    text = Text(seed=3)
    runs = []
    for task in (task.name for task in EVAL_TASKS):
        asked = list(samples(task, count, text, seed=4))
        for model in (f"model-{number}" for number in range(models)):
            random = Random(f"{task} {model}")
            quality = 0.3 + 0.6 * random.random()
            lines = (
                {
                    "instance_id": f"{task}:validation:{number}",
                    "document_id": f"pmid:{number // 2 if number % 3 else number}",
                    "prompt": sample.prompt,
                    "reply": None if random.random() < failures else reply(task, sample, quality, text, random),
                    "reference": sample.reference,
                    "finish_reason": "stop",
                    "model": model,
                }
                for number, sample in enumerate(asked)
            )
            folder = predictions_folder(model, task, WINDOW, SPLIT)
            kept = keep_predictions(folder, digest([model, task]), lines, {"model_identity": model}, store)
            runs.append(
                Run(model, task, WINDOW, SPLIT, None, "", "", digest(task), kept.path, kept.sha256, model, "benchmark")
            )
    return runs


def score_and_publish(store: Store, runs: list[Run], workers: int) -> None:
    """The measured work: facts, index, metric files and tables."""
    with stage("score and write facts"):
        recorded = [each for each in record_all(runs, store, workers) if isinstance(each, Recorded)]
        assert len(recorded) == len(runs)
    with stage("index, metric files, tables"):
        publish(recorded, [(WINDOW, SPLIT)], store, Settings())


def _size(store: Store, run: Run) -> int:
    return Path(store.path(run.predictions)).stat().st_size


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Print what a stage took; CPU seconds are those of the process and of its workers that have ended."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    yield
    print(f"{name:32}{time.perf_counter() - wall:9.2f}{cpu_seconds() - cpu:9.2f}", flush=True)


if __name__ == "__main__":
    main()
