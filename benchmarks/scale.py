"""``make bench-scale``: how the cost of the pipeline grows with records, windows, tasks, models, replies and workers.

Each line is measured in a fresh process, more than once, and the least CPU and wall seconds count: other work on the
machine only adds to them. A series ends with its growth: the exponent ``b`` of ``cost = a * size ** b`` between its
first and its last size; 1 is in proportion, below 1 is a part that does not grow. Requests are those that really went
over the network to a server of the S3 protocol on this machine (``rclone serve s3``).

The last two series run a Dask scheduler and workers as processes of their own: what a unit of work costs that does
nothing, and how much of their time workers are at work.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

from benchmarks.servers import dask_workers, s3_server

_PAUSE, _PAUSES = 0.5, 40

Measured = dict[str, float]


@dataclass(frozen=True)
class Series:
    """What is measured at several sizes.

    Attributes:
        name: what it says of itself.
        grows: what its size counts.
        sizes: the sizes, ascending.
        times: how often each is measured.
    """

    name: str
    grows: str
    sizes: tuple[int, ...]
    times: int = 2


SERIES = (
    Series("build", "records", (2_000, 4_000, 8_000)),
    Series("combine", "records", (2_000, 4_000, 8_000)),
    Series("windows", "windows", (1, 2, 3)),
    Series("tasks", "tasks on S3", (4, 8, 16), times=1),
    Series("models", "models x 9 tasks on S3", (2, 4, 8), times=1),
    Series("index", "scored replies", (9_000, 18_000, 36_000), times=1),
    Series("pairs", "models, all pairs compared", (4, 8, 16, 32), times=1),
    Series("ledger", "replies", (10_000, 20_000, 40_000)),
    Series("units", "units on Dask, 2 workers", (50, 100, 200), times=1),
    Series("workers", "Dask workers, 40 units of 0.5 s", (1, 2, 4, 8), times=1),
)


def main() -> None:
    """Measure all series, or those named."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    arguments.add_argument("--only", help="series, with commas between several")
    arguments.add_argument("--measure", nargs=2, metavar=("SERIES", "SIZE"), help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.measure:
        name, size = given.measure
        with tempfile.TemporaryDirectory(prefix="sciriff-scale-") as folder:
            print(json.dumps(_MEASURES[name](int(size), Path(folder))))
        return
    chosen = given.only.split(",") if given.only else [series.name for series in SERIES]
    for series in SERIES:
        if series.name in chosen:
            _report(series, [_least(series, size) for size in series.sizes])


def _least(series: Series, size: int) -> Measured:
    """The least of each number over several measurements."""
    found = [_measured(series.name, size) for _ in range(series.times)]
    return {key: min(each[key] for each in found) for key in found[0]}


def _measured(name: str, size: int) -> Measured:
    command = [sys.executable, "-m", "benchmarks.scale", "--measure", name, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment())
    if done.returncode:
        raise RuntimeError(f"{name} {size}: {done.stderr[-3000:]}")
    result: Measured = json.loads(done.stdout.splitlines()[-1])
    return result


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SCIRIFF_", "AWS_"))}
    return {**kept, "SCIRIFF_OFFLINE": "1", "SCIRIFF_SAMPLES": "always"}


def _report(series: Series, found: list[Measured]) -> None:
    columns = list(found[0])
    print(f"\n{series.name}: {series.grows}")
    print(f"{'size':>10}" + "".join(f"{column:>14}" for column in columns))
    for size, each in zip(series.sizes, found, strict=True):
        print(f"{size:>10,}" + "".join(f"{each[column]:>14,.2f}" for column in columns))
    reach = log(series.sizes[-1] / series.sizes[0])
    growth = [
        f"{log(found[-1][column] / found[0][column]) / reach:>14.2f}" if found[0][column] > 0 else f"{'-':>14}"
        for column in columns
    ]
    print(f"{'growth':>10}" + "".join(growth), flush=True)


# What is measured


def measure_build(size: int, folder: Path) -> Measured:
    """Entities in so many abstracts, at three windows, none left out, with one worker."""
    from benchmarks.corpora import write_abstracts
    from benchmarks.measured import measure_build as build

    files = write_abstracts(folder, size, seed=1)
    before = _peak_megabytes()
    told = build("entity", 1, None, files, folder / "store")
    return {
        "CPU s": told["cpu"],
        "validating": told["validation_cpu"],
        "peak MB more": _peak_megabytes() - before,
        "MB written": told["bytes"] / 1e6,
    }


def measure_combine(size: int, folder: Path) -> Measured:
    """Combining what that build made; the build runs in a process of its own, so that its memory does not count."""
    from sciriff.building.build import combine_built
    from sciriff.store import Store

    program = (
        "import sys; from pathlib import Path; from benchmarks import scale; "
        "scale.measure_build(int(sys.argv[1]), Path(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", program, str(size), str(folder)], check=True, stdout=subprocess.DEVNULL)
    import pyarrow.parquet  # noqa: F401 - what it takes to import does not grow

    before = _peak_megabytes()
    with _clock() as spent:
        combine_built(Store(str(folder / "store")), (4096, 8192, 16384))
    return {**spent, "peak MB more": _peak_megabytes() - before}


def measure_windows(size: int, folder: Path) -> Measured:
    """Entities in 4,000 abstracts, at so many windows."""
    from benchmarks import measured
    from benchmarks.corpora import write_abstracts

    measured.WINDOWS = measured.WINDOWS[:size]
    told = measured.measure_build("entity", 1, None, write_abstracts(folder, 4_000, seed=1), folder / "store")
    return {"CPU s": told["cpu"], "MB written": told["bytes"] / 1e6}


def measure_tasks(size: int, folder: Path) -> Measured:
    """Sample builds of so many tasks into S3, without combining: what a task costs that holds next to nothing."""
    import sciriff
    from sciriff.building.gx_context import import_library
    from sciriff.building.plan import plan_tasks

    import_library()
    names = list(plan_tasks(None, None))[:size]
    with s3_server(folder) as url, _requests() as sent, _clock() as spent:
        report = sciriff.build(names, settings=_settings(folder, store=url), combining=False)
        assert all(outcome.done for outcome in report.outcomes), report.outcomes
    return {**spent, **sent()}


def measure_models(size: int, folder: Path) -> Measured:
    """Scoring so many models on nine tasks with 20 samples each, in S3, up to facts, index and tables."""
    from benchmarks import scoring
    from sciriff.results.record import Recorded, publish, record_all
    from sciriff.store import Store

    with s3_server(folder) as url:
        settings = _settings(folder, store=url)
        store = Store.of(settings)
        runs = scoring.write_predictions(store, 20, size, failures=0.0)
        with _requests() as sent, _clock() as spent:
            recorded = [each for each in record_all(runs, store, 1) if isinstance(each, Recorded)]
            publish(recorded, [(scoring.WINDOW, scoring.SPLIT)], store, settings)
    return {**spent, **sent()}


def measure_index(size: int, folder: Path) -> Measured:
    """Scoring so many replies (two models, nine tasks), on a disk; the size of the index that comes of it."""
    from benchmarks import scoring
    from sciriff.results.record import Recorded, publish, record_all
    from sciriff.store import Store

    settings = _settings(folder, store=str(folder / "store"))
    store = Store.of(settings)
    runs = scoring.write_predictions(store, size // 18, 2, failures=0.0)
    with _clock() as scoring_spent:
        recorded = [each for each in record_all(runs, store, 1) if isinstance(each, Recorded)]
    with _clock() as publishing_spent:
        published = publish(recorded, [(scoring.WINDOW, scoring.SPLIT)], store, settings)
    return {
        "scoring CPU s": scoring_spent["CPU s"],
        "index+tables": publishing_spent["CPU s"],
        "index MB": published.index.stat().st_size / 1e6,
    }


def measure_pairs(size: int, folder: Path) -> Measured:
    """Index, metric files and tables of so many models on nine tasks with 100 samples: all pairs are compared."""
    from benchmarks import scoring
    from sciriff.results.record import Recorded, publish, record_all
    from sciriff.store import Store

    settings = _settings(folder, store=str(folder / "store"))
    store = Store.of(settings)
    runs = scoring.write_predictions(store, 100, size, failures=0.0)
    recorded = [each for each in record_all(runs, store, 1) if isinstance(each, Recorded)]
    with _clock() as spent:
        published = publish(recorded, [(scoring.WINDOW, scoring.SPLIT)], store, settings)
    return {"index+tables": spent["CPU s"], "index MB": published.index.stat().st_size / 1e6}


def measure_ledger(size: int, folder: Path) -> Measured:
    """Opening a ledger that holds so many replies of 500 characters, as every run on it does first."""
    from sciriff.hashing import text_sha256
    from sciriff.models.ledger import open_ledger
    from sciriff.models.requests import Answer
    from sciriff.store import Store

    store = Store(str(folder / "store"))
    with open_ledger(store, "0" * 64, "bench", folder) as ledger:
        for number in range(size):
            ledger.record(Answer(text_sha256(str(number)), "reply " * 83, "stop", 3_000, 120))
    before = _peak_megabytes()
    with _clock() as spent, open_ledger(store, "0" * 64, "bench", folder) as ledger:
        assert len(ledger.answers) == size
    files = [path for path in (folder / "store").rglob("*") if path.is_file()]
    return {**spent, "peak MB more": _peak_megabytes() - before, "MB read": sum(f.stat().st_size for f in files) / 1e6}


def measure_units(size: int, folder: Path) -> Measured:
    """So many units of work that do nothing, on two Dask workers: what it takes to hand one over."""
    from sciriff.building.progress import Silent
    from sciriff.runners import open_runner

    with dask_workers(folder, 2, _environment()) as address:
        settings = _settings(folder, store=str(folder / "store"), runner="dask", cluster=address)
        with open_runner(settings, Silent()) as runner:
            assert runner is not None
            list(runner.run(nothing, [Nothing(0), Nothing(1)]))  # the first imports what the worker lacks
            with _clock() as spent:
                assert len(list(runner.run(nothing, [Nothing(number) for number in range(size)]))) == size
    return {**spent, "units a s": size / spent["wall s"]}


def measure_workers(size: int, folder: Path) -> Measured:
    """Forty units that wait for half a second each, as for a network, on so many workers: cores do not matter."""
    from sciriff.building.progress import Silent
    from sciriff.runners import open_runner

    with dask_workers(folder, size, _environment()) as address:
        settings = _settings(folder, store=str(folder / "store"), runner="dask", cluster=address)
        with open_runner(settings, Silent()) as runner:
            assert runner is not None
            list(runner.run(nothing, [Nothing(number) for number in range(4 * size)]))
            with _clock() as spent:
                assert len(list(runner.run(a_pause, [Nothing(number) for number in range(_PAUSES)]))) == _PAUSES
    return {"wall s": spent["wall s"], "% at work": 100 * _PAUSES * _PAUSE / spent["wall s"] / size}


@dataclass(frozen=True)
class Nothing:
    """A unit of work that does nothing."""

    number: int

    @property
    def label(self) -> str:
        """Its number."""
        return f"nothing-{self.number}"


def nothing(unit: Nothing) -> int:
    """Do nothing."""
    return unit.number


def a_pause(unit: Nothing) -> int:
    """Wait."""
    time.sleep(_PAUSE)
    return unit.number


_MEASURES: Mapping[str, Callable[[int, Path], Measured]] = {
    "build": measure_build,
    "combine": measure_combine,
    "windows": measure_windows,
    "tasks": measure_tasks,
    "models": measure_models,
    "index": measure_index,
    "pairs": measure_pairs,
    "ledger": measure_ledger,
    "units": measure_units,
    "workers": measure_workers,
}


# How it is measured


def _settings(folder: Path, **given: Any) -> Any:
    from sciriff.settings import Settings

    common = {"cache": folder / "cache", "lock": folder / "sources.lock", "offline": True, "samples": "always"}
    return Settings(_env_file=None, **{**common, "workers": 1, **given})


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


@contextmanager
def _clock() -> Iterator[Measured]:
    """CPU seconds of this process, and wall seconds."""
    spent: Measured = {"CPU s": 0.0, "wall s": 0.0}
    cpu, wall = time.process_time(), time.perf_counter()
    yield spent
    spent |= {"CPU s": time.process_time() - cpu, "wall s": time.perf_counter() - wall}


@contextmanager
def _requests() -> Iterator[Callable[[], Measured]]:
    """Count the requests that go out to object stores, by what they cost there."""
    from aiobotocore.httpsession import AIOHTTPSession

    logging.getLogger("botocore").setLevel(logging.ERROR)
    sent = {"PUT LIST POST": 0, "GET HEAD": 0, "DELETE": 0}
    bytes_put = 0
    original = AIOHTTPSession.send

    async def counted(self: Any, request: Any) -> Any:
        nonlocal bytes_put
        is_listing = request.method == "GET" and "list-type" in request.url
        kind = "DELETE" if request.method == "DELETE" else "GET HEAD"
        if request.method in ("PUT", "POST") or is_listing:
            kind = "PUT LIST POST"
        sent[kind] += 1
        bytes_put += int(request.headers.get("Content-Length", 0)) if request.method == "PUT" else 0
        return await original(self, request)

    AIOHTTPSession.send = counted
    try:
        yield lambda: {**sent, "MB put": bytes_put / 1e6}
    finally:
        AIOHTTPSession.send = original


if __name__ == "__main__":
    main()
