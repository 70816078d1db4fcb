"""One measured run in a process of its own: a build of one benchmark task, or the floor under it.

The floor does what any builder of the same instances must do: read the same bytes, render the kept instances once,
count their tokens once by the fastest exact method (the build's own, which counts what all prompts begin with only
once), and write the same output once. It is a floor indeed: rows are not cut, ranked or parsed, what is to be rendered
is handed to it ready, and nothing is turned away, checked, hashed or put in order.

Start-up is outside both measurements: interpreter, imports, tokenizer, and the start of worker processes, which a build
of many tasks pays once; what that takes is told by itself.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from sciriff.building import task as task_module
from sciriff.building.gx_context import import_library
from sciriff.building.options import BuildOptions
from sciriff.building.plan import TaskPlan, plan_tasks
from sciriff.building.pool import WorkerPool, stop_workers
from sciriff.building.progress import Silent
from sciriff.building.suites import standard_suite
from sciriff.building.task import Workshop, build_task
from sciriff.building.tokenizer import bundled_tokenizer
from sciriff.building.tokens import SharedStart, TokenCounter
from sciriff.hashing import file_sha256
from sciriff.readers import load_reader
from sciriff.readers.records import Row
from sciriff.sources.catalogue import Licence, Source, SourceFile
from sciriff.sources.fetch import AcquiredFile, AcquiredSource
from sciriff.store import Store
from sciriff.tasks.binding import Binding
from sciriff.tasks.formatters import load_formatter
from sciriff.tasks.taskfile import TaskFile

WINDOWS = (4096, 8192, 16384)

PAPER_TEMPLATE = """Write the abstract of this paper.

{{ article }}
|||
{{ abstract }}"""


def plan(kind: str) -> TaskPlan:
    """The benchmark task of a kind: ``entity`` is biored_ner as it is, ``paper`` a summarisation task."""
    splits = {split: {"path": split} for split in ("train", "validation", "test")}
    if kind == "entity":
        task = plan_tasks(["biored_ner"], None)["biored_ner"]
        assert isinstance(task, TaskPlan)
        binding = {**task.binding.model_dump(), "splits": splits}
        return replace(task, binding=Binding.model_validate(binding))
    metadata = {
        "task": "summarization",
        "domains": ["biomedicine"],
        "source_type": "single_source",
        "input_context": "multiple_paragraphs",
        "output_context": "paragraph",
        "contributor": "benchmark",
    }
    name = "bench_paper"
    task_file = {"name": name, "metadata": metadata, "templates": {0: {"jinja": PAPER_TEMPLATE}}}
    binding = {"source": "bench", "reader": "json_lines", "splits": splits, "formatter": {"name": "identity"}}
    suite = standard_suite(name, {"output": "text"})
    return TaskPlan(name, TaskFile.model_validate(task_file), Binding.model_validate(binding), suite)


def source(files: dict[str, Path]) -> AcquiredSource:
    """The generated files as an acquired source."""
    catalogued = {key: SourceFile(url=f"file:///{path.name}") for key, path in files.items()}
    licence = Licence(id="CC0-1.0", url="https://creativecommons.org/publicdomain/zero/1.0/", redistributable=True)
    entry = Source(
        id="bench", title="Benchmark", homepage="-", licence=licence, citation="-", kind="http", files=catalogued
    )
    found = {
        key: AcquiredFile(key, f"file:///{path.name}", path, file_sha256(path), path.stat().st_size, "primary")
        for key, path in files.items()
    }
    return AcquiredSource(entry, found)


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children, ended or not."""
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime + sum(map(_cpu_of_process, _children()))


def _children() -> list[int]:
    return [int(pid) for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()]


def _cpu_of_process(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Spent:
    """CPU and wall seconds, added up over the times that it was entered."""

    cpu: float = 0.0
    wall: float = 0.0
    _began: tuple[float, float] = (0.0, 0.0)

    def __enter__(self) -> None:
        self._began = cpu_seconds(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        cpu, wall = self._began
        self.cpu += cpu_seconds() - cpu
        self.wall += time.perf_counter() - wall


def measure_build(kind: str, workers: int, cap: int | None, files: dict[str, Path], out: Path) -> dict[str, Any]:
    """Build the task and say what it took; start-up and validation are told apart."""
    task, acquired, options = plan(kind), source(files), BuildOptions(WINDOWS, cap)
    tokenizer = bundled_tokenizer()
    TokenCounter(tokenizer.path)
    import_library()
    pool, start = WorkerPool(workers), Spent()
    if workers > 1:
        with start:
            pool.prepare()
            list(pool.map_unordered(_be_there, range(4 * workers)))
    whole, validation = Spent(), _time_validation()
    shop = Workshop(Store(str(out)), options, pool, Silent())
    with whole:
        outcome = build_task(task, acquired, tokenizer, shop)
    stop_workers()
    return {
        "cpu": whole.cpu,
        "wall": whole.wall,
        "start_cpu": start.cpu,
        "start_wall": start.wall,
        "validation_cpu": sum(validation),
        "rows": sum(sum(splits.values()) for splits in outcome.rows.values()),
        "bytes": sum(path.stat().st_size for path in out.glob(f"instructions/*/{task.name}/*.jsonl")),
    }


def _be_there(_number: int) -> None:
    time.sleep(0.05)  # long enough that no worker does it all


def _time_validation() -> list[float]:
    """From now on, note the CPU seconds of each validation in the list returned."""
    spent: list[float] = []
    validate = task_module.validate

    def timed(*args: Any) -> Any:
        began = time.thread_time()
        result = validate(*args)
        spent.append(time.thread_time() - began)
        return result

    task_module.validate = timed
    return spent


class Kept(NamedTuple):
    """What the floor gets of an instance that a build kept.

    Attributes:
        variables: what its template sees.
        rest: what its output line says besides texts and token counts.
        files: (window, split) of the files that hold it.
    """

    variables: dict[str, Any]
    rest: dict[str, Any]
    files: list[tuple[int, str]]


_COUNTED = ("input", "output", "_input_toks", "_output_toks")


def prepare_floor(kind: str, files: dict[str, Path], out: Path, handed_over: Path) -> None:
    """Save what a build kept, parsed, in the order of the source."""
    task = plan(kind)
    reader = load_reader(task.binding.reader)
    formatter = load_formatter(task.binding.formatter.name)
    view = source(files).view()
    lines: dict[str, dict[str, Any]] = {}
    places: dict[str, list[tuple[int, str]]] = {}
    for window in WINDOWS:
        for split in files:
            with (out / f"instructions/{window}/{task.name}/{split}.jsonl").open("rb") as stream:
                for raw in stream:
                    line = orjson.loads(raw)
                    name = line["_instance_id"]
                    lines[name] = {key: value for key, value in line.items() if key not in _COUNTED}
                    places.setdefault(name, []).append((window, split))
    with handed_over.open("wb") as stream:
        for split, spec in task.splits().items():
            for row in reader.rows(view, spec):
                name = f"{task.name}:{split}:{row.index}" if isinstance(row, Row) else ""
                if name in lines:
                    (variables,) = formatter(reader.parse(row, spec), **task.binding.formatter.args)
                    pickle.dump(Kept(variables, lines[name], places[name]), stream)


def measure_floor(kind: str, files: dict[str, Path], handed_over: Path, out: Path, not_before: float) -> dict[str, Any]:
    """Read, render, count, write; say what it took.

    Args:
        kind: ``entity`` or ``paper``.
        files: what to read.
        handed_over: what :func:`prepare_floor` saved.
        out: where to write.
        not_before: when to begin, in seconds since the epoch.
    """
    template = plan(kind).task_file.compile(0)
    counter, begin, most = TokenCounter(bundled_tokenizer().path), SharedStart(), max(WINDOWS)
    out.mkdir(exist_ok=True)
    outputs = {(window, split): (out / f"{window}-{split}.jsonl").open("wb") for window in WINDOWS for split in files}
    spent, rows = Spent(), 0
    time.sleep(max(0.0, not_before - time.time()))
    with spent:
        for path in files.values():
            with path.open("rb") as stream:
                while stream.read(1 << 20):
                    pass
    for batch in _batches(handed_over):
        with spent:
            for kept in batch:
                rendered = template.render(kept.variables)
                line = {
                    "input": rendered.input,
                    "output": rendered.output,
                    **kept.rest,
                    "_input_toks": counter.count_within(rendered.input, most, begin),
                    "_output_toks": counter.count(rendered.output),
                }
                raw = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
                for place in kept.files:
                    outputs[place].write(raw)
                rows += len(kept.files)
    with spent:
        for output in outputs.values():
            output.close()
    size = sum(path.stat().st_size for path in out.iterdir())
    return {"cpu": spent.cpu, "wall": spent.wall, "rows": rows, "bytes": size}


def _batches(handed_over: Path, size: int = 200) -> Iterator[list[Kept]]:
    with handed_over.open("rb") as stream:
        batch: list[Kept] = []
        while stream.peek(1):  # type: ignore[attr-defined]
            batch.append(pickle.load(stream))
            if len(batch) == size:
                yield batch
                batch = []
        yield batch


def main() -> None:
    request = json.loads(sys.argv[1])
    files = {key: Path(path) for key, path in request["files"].items()}
    out, kind = Path(request["out"]), request["kind"]
    if request["what"] == "build":
        result = measure_build(kind, request["workers"], request["cap"], files, out)
    elif request["what"] == "prepare":
        result = prepare_floor(kind, files, out, Path(request["handed_over"])) or {}
    else:
        result = measure_floor(kind, files, Path(request["handed_over"]), out, request.get("not_before", 0.0))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
