"""``make bench``: what a build costs, as a ratio to the floor measured in the same run.

Two tasks: entities in 30,000 abstracts, and 20,000 papers of 0.5 to 40 thousand tokens, both times a scale factor,
with the default cap of 2,500 instances per split (scaled likewise) and three windows.
"""

from __future__ import annotations

import argparse
import json
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


def main() -> None:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("--scale", type=float, default=1.0, help="size of the corpora and of the cap (default 1)")
    arguments.add_argument("--only", choices=["entity", "paper"])
    arguments.add_argument("--uncapped", action="store_true", help="keep every instance")
    arguments.add_argument("--folder", type=Path, help="where to put the corpora (default: a temporary folder)")
    given = arguments.parse_args()
    print(f"{'task':8}{'what':18}{'CPU s':>9}{'wall s':>9}{'peak MB':>9}   ratio")
    for kind in [given.only] if given.only else ["entity", "paper"]:
        with tempfile.TemporaryDirectory(prefix="sciriff-bench-", dir=given.folder) as folder:
            _compare(kind, given.scale, None if given.uncapped else max(1, round(CAP * given.scale)), Path(folder))


def _compare(kind: str, scale: float, cap: int | None, folder: Path) -> None:
    if kind == "entity":
        files = write_abstracts(folder, round(ABSTRACTS * scale), seed=1)
    else:
        files = write_papers(folder, round(PAPERS * scale), seed=2)
    common = {"kind": kind, "cap": cap, "files": {key: str(path) for key, path in files.items()}}
    one = _run({**common, "what": "build", "workers": 1, "out": str(folder / "one")})
    handed_over = str(folder / "kept.pickle")
    _run({**common, "what": "prepare", "out": str(folder / "one"), "handed_over": handed_over})
    two = _run({**common, "what": "build", "workers": 2, "out": str(folder / "two")})
    alone = {**common, "what": "floor", "out": str(folder / "floor"), "handed_over": handed_over}
    floor = _run(alone)
    with ThreadPoolExecutor(2) as threads:
        beside = list(threads.map(_run, [alone, {**alone, "out": str(folder / "floor-beside")}]))
    capacity = 2 * floor["wall"] / max(run["wall"] for run in beside)
    if not one["rows"] == two["rows"] == floor["rows"]:
        sys.exit(f"{kind}: builds and floor made different numbers of instances: {one}, {two}, {floor}")
    _line(
        kind,
        "floor",
        floor,
        f"{sum(path.stat().st_size for path in files.values()) / 1e6:.0f} MB read, {one['rows']} rows",
    )
    _line(kind, "build, 1 worker", one, f"{one['cpu'] / floor['cpu']:.2f} x the floor's CPU (at most 2)")
    building = one["cpu"] - one["validation_cpu"]
    _line(kind, "  less validation", {**one, "cpu": building}, f"{building / floor['cpu']:.2f} x the floor's CPU")
    quicker = f"{one['wall'] / two['wall']:.2f} x as quick as 1 (at least 1.8)"
    _line(kind, "build, 2 workers", two, f"{quicker}; two floors side by side did {capacity:.2f} x the work of one")


def _line(kind: str, what: str, result: dict[str, Any], ratio: str) -> None:
    print(
        f"{kind:8}{what:18}{result['cpu']:9.2f}{result['wall']:9.2f}{result['peak'] / 1e6:9.0f}   {ratio}", flush=True
    )


def _run(request: dict[str, Any]) -> dict[str, Any]:
    """Run one measurement in a fresh process; ``peak`` is the most memory its whole process tree held, in bytes."""
    command = [sys.executable, "-m", "benchmarks.measured", json.dumps(request)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watch = _MemoryWatch(process.pid)
    output, _ = process.communicate()
    peak = watch.stop()
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
