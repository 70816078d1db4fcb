"""``make bench``: what a build costs, as a ratio to the floor measured in the same run.

Two tasks: entities in 30,000 abstracts, and 20,000 papers of 0.5 to 40 thousand tokens, both times a scale factor,
with the default cap of 2,500 instances per split (scaled likewise) and three windows. What is measured and what is not
stands in :mod:`benchmarks.measured`. Everything is measured several times in turn, each time in a fresh process, and
the least CPU and wall seconds count: other work on the machine only ever adds to them.

How much quicker two workers can be depends on the machine: two processes side by side share caches and memory, and on a
virtual machine more than that. So two floors, which need nothing of each other, are run side by side as well.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.corpora import write_abstracts, write_papers

ABSTRACTS, PAPERS, CAP = 30_000, 20_000, 2_500
_STARTING_SECONDS = 3


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("--scale", type=float, default=1.0, help="size of the corpora and of the cap (default 1)")
    arguments.add_argument("--only", choices=["entity", "paper"])
    arguments.add_argument("--uncapped", action="store_true", help="keep every instance")
    arguments.add_argument("--times", type=int, default=3, help="how often everything is measured (default 3)")
    arguments.add_argument("--folder", type=Path, help="where to put the corpora (default: a temporary folder)")
    given = arguments.parse_args()
    cap = None if given.uncapped else max(1, round(CAP * given.scale))
    print(f"{'task':8}{'what':18}{'CPU s':>9}{'wall s':>9}{'peak MB':>9}   ratio")
    for kind in [given.only] if given.only else ["entity", "paper"]:
        with tempfile.TemporaryDirectory(prefix="sciriff-bench-", dir=given.folder) as folder:
            files = _corpus(kind, given.scale, Path(folder))
            measured = _measure(kind, cap, files, Path(folder), given.times)
            read = sum(path.stat().st_size for path in files.values())
            _report(kind, read, measured)


def _corpus(kind: str, scale: float, folder: Path) -> dict[str, Path]:
    if kind == "entity":
        return write_abstracts(folder, round(ABSTRACTS * scale), seed=1)
    return write_papers(folder, round(PAPERS * scale), seed=2)


def _measure(kind: str, cap: int | None, files: dict[str, Path], folder: Path, times: int) -> dict[str, dict[str, Any]]:
    """Measure all in turn; name of the measurement -> the least of each number, and the peak of memory."""
    common = {"kind": kind, "cap": cap, "files": {key: str(path) for key, path in files.items()}}
    floor = {**common, "what": "floor", "handed_over": str(folder / "kept.pickle"), "out": str(folder / "floor")}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("one", "two", "bare", "floor", "beside")}
    for turn in range(times):
        watched = turn == 0  # looking at memory takes time itself
        for name, workers in (("one", 1), ("two", 2)):
            out = folder / name
            shutil.rmtree(out, ignore_errors=True)
            build = {**common, "what": "build", "workers": workers, "out": str(out)}
            runs[name].append(_run(build, watched=watched))
            if name == "one" and turn == 0:
                _run({**floor, "what": "prepare", "out": str(out)})
        runs["bare"].append(_run({**floor, "parsing": False}, watched=watched))
        runs["floor"].append(_run({**floor, "parsing": True}, watched=watched))
        together = {**floor, "parsing": True, "not_before": time.time() + _STARTING_SECONDS}
        with ThreadPoolExecutor(2) as threads:
            both = list(threads.map(_run, [{**together, "out": str(folder / f"beside-{n}")} for n in range(2)]))
        runs["beside"].append({name: max(run[name] for run in both) for name in both[0]})
    if len({(run["rows"], run["bytes"]) for found in runs.values() for run in found}) > 1:
        sys.exit(f"{kind}: builds and floors made different output: {runs}")
    return {
        name: {key: (max if key == "peak" else min)(run[key] for run in found) for key in found[0]}
        for name, found in runs.items()
    }


def _report(kind: str, read: int, measured: dict[str, dict[str, Any]]) -> None:
    one, two, floor, bare = measured["one"], measured["two"], measured["floor"], measured["bare"]
    size = f"{read / 1e6:.0f} MB read, {one['rows']} rows, {one['bytes'] / 1e6:.0f} MB written"
    _line(kind, "bare floor", bare, f"{size}; records are handed over ready")
    _line(kind, "floor", floor, "records are cut out of the bytes and parsed")
    ratio, bare_ratio = one["cpu"] / floor["cpu"], one["cpu"] / bare["cpu"]
    _line(kind, "build, 1 worker", one, f"{ratio:.2f} x the floor's CPU (at most 2), {bare_ratio:.2f} x the bare one's")
    _line(kind, "  validation", {"cpu": one["validation_cpu"]}, "of that")
    quicker, possible = one["wall"] / two["wall"], 2 * floor["wall"] / measured["beside"]["wall"]
    scaling = (
        f"{quicker:.2f} x as quick as 1 (at least 1.8); two floors side by side do {possible:.2f} x the work of one"
    )
    _line(kind, "build, 2 workers", two, scaling)
    _line(kind, "  their start", {"cpu": two["start_cpu"], "wall": two["start_wall"]}, "not in the line above")


def _line(kind: str, what: str, result: dict[str, Any], ratio: str) -> None:
    cpu, wall = (f"{result[name]:.2f}" if name in result else "" for name in ("cpu", "wall"))
    peak = f"{result['peak'] / 1e6:.0f}" if "peak" in result else ""
    print(f"{kind:8}{what:18}{cpu:>9}{wall:>9}{peak:>9}   {ratio}", flush=True)


def _run(request: dict[str, Any], *, watched: bool = False) -> dict[str, Any]:
    """Run one measurement in a fresh process.

    If it is watched, ``peak`` is the most memory that its whole process tree held, in bytes.
    """
    command = [sys.executable, "-m", "benchmarks.measured", json.dumps(request)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watch = _MemoryWatch(process.pid) if watched else None
    output, _ = process.communicate()
    peak = watch.stop() if watch else 0
    if process.returncode:
        sys.exit(f"measurement failed: {request}")
    return {**json.loads(output.splitlines()[-1]), "peak": peak}


class _MemoryWatch:
    """Samples the proportional set size (shared pages counted once) of a process and its descendants."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._done = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            self._peak = max(self._peak, sum(map(_resident_bytes, _descendants(self._pid))))


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue  # ended in the meantime
    return found


def _resident_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # ended in the meantime
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"took {time.perf_counter() - began:.0f} s")
