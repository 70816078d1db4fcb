"""One measured run in a process of its own: a build of one benchmark task, or a floor under it.

The bare floor reads the same bytes, renders the kept instances once, counts their tokens once by the fastest exact
method (the build's own, which counts what all prompts begin with only once), and writes the same output once. The
records that it renders are handed to it ready, for nothing. No builder can have that, so there is a second floor, which
gets them out of the bytes as every builder must: it cuts the rows, and parses and formats those kept. Neither floor
ranks, turns away, checks, hashes or puts anything in order.

Start-up is outside all measurements: interpreter, imports, tokenizer, and the start of worker processes, which a build
of many tasks pays once; what that takes is told by itself.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson

from sciriff.building import task as task_module
from sciriff.building.gx_context import import_library
from sciriff.building.options import BuildOptions
from sciriff.building.plan import TaskPlan, plan_tasks
from sciriff.building.pool import WorkerPool
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
    found: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has just ended
            found += map(int, (thread / "children").read_text().split())
    return found


def _cpu_of_process(pid: int) -> float:
    with suppress(OSError):  # it has just ended
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


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
    """What a floor is told of an instance that a build kept.

    Attributes:
        split, row: where its record stands in the source.
        rest: what its output line says besides texts and token counts.
        files: (window, split) of the files that hold it.
    """

    split: str
    row: int
    rest: dict[str, Any]
    files: list[tuple[int, str]]


Variables = dict[str, Any]

_COUNTED = ("input", "output", "_input_toks", "_output_toks")


def prepare_floor(kind: str, files: dict[str, Path], out: Path, handed_over: Path) -> None:
    """Save what a build kept, in the order of the source, each with the variables that its template sees."""
    task = plan(kind)
    kept: dict[tuple[str, int], Kept] = {}
    for window in WINDOWS:
        for split in files:
            with (out / f"instructions/{window}/{task.name}/{split}.jsonl").open("rb") as lines:
                for raw in lines:
                    line = orjson.loads(raw)
                    row = int(line["_instance_id"].rsplit(":", 1)[1])
                    rest = {key: value for key, value in line.items() if key not in _COUNTED}
                    kept.setdefault((split, row), Kept(split, row, rest, [])).files.append((window, split))
    with handed_over.open("wb") as stream:
        for instance, variables in _parsed(task, files, kept):
            pickle.dump((instance, variables), stream)


def _parsed(
    task: TaskPlan, files: dict[str, Path], kept: Mapping[tuple[str, int], Kept]
) -> Iterator[tuple[Kept, Variables]]:
    """Cut all rows; parse and format those kept."""
    reader, formatter, view = load_reader(task.binding.reader), task.binding.formatter, source(files).view()
    run = load_formatter(formatter.name)
    for split, spec in task.splits().items():
        for row in reader.rows(view, spec):
            if isinstance(row, Row) and (instance := kept.get((split, row.index))):
                for variables in run(reader.parse(row, spec), **formatter.args):
                    yield instance, variables


def _handed_over(path: Path, size: int = 200) -> Iterator[list[tuple[Kept, Variables]]]:
    with path.open("rb") as stream:
        batch: list[tuple[Kept, Variables]] = []
        while stream.peek(1):  # type: ignore[attr-defined]
            batch.append(pickle.load(stream))
            if len(batch) == size:
                yield batch
                batch = []
        yield batch


def measure_floor(
    kind: str, files: dict[str, Path], handed_over: Path, out: Path, *, parsing: bool, not_before: float
) -> dict[str, Any]:
    """Read, render, count, write; say what it took.

    Args:
        kind: ``entity`` or ``paper``.
        files: what to read.
        handed_over: what :func:`prepare_floor` saved.
        out: where to write.
        parsing: whether to get the records out of the files.
        not_before: when to begin, in seconds since the epoch.
    """
    task = plan(kind)
    out.mkdir(exist_ok=True)
    spent = Spent()
    with _Output(task, files, out) as output:
        if parsing:
            kept = {(found.split, found.row): found for batch in _handed_over(handed_over) for found, _ in batch}
            gc.freeze()
            time.sleep(max(0.0, not_before - time.time()))
            with spent:
                for instance, variables in _parsed(task, files, kept):
                    output.add(instance, variables)
        else:
            time.sleep(max(0.0, not_before - time.time()))
            with spent:
                for path in files.values():
                    _read(path)
            for batch in _handed_over(handed_over):
                with spent:
                    for instance, variables in batch:
                        output.add(instance, variables)
        with spent:
            output.flush()
    size = sum(path.stat().st_size for path in out.iterdir())
    return {"cpu": spent.cpu, "wall": spent.wall, "rows": output.rows, "bytes": size}


def _read(path: Path) -> None:
    with path.open("rb") as stream:
        while stream.read(1 << 20):
            pass


class _Output:
    """The output files of a floor."""

    def __init__(self, task: TaskPlan, files: dict[str, Path], folder: Path) -> None:
        self.rows = 0
        self._template = task.task_file.compile(0)
        self._counter, self._begin = TokenCounter(bundled_tokenizer().path), SharedStart()
        self._stack = ExitStack()
        self._files = {
            (window, split): self._stack.enter_context((folder / f"{window}-{split}.jsonl").open("wb"))
            for window in WINDOWS
            for split in files
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def flush(self) -> None:
        for file in self._files.values():
            file.flush()

    def add(self, instance: Kept, variables: Variables) -> None:
        """Render, count and write one instance."""
        rendered = self._template.render(variables)
        line = {
            "input": rendered.input,
            "output": rendered.output,
            **instance.rest,
            "_input_toks": self._counter.count_within(rendered.input, max(WINDOWS), self._begin),
            "_output_toks": self._counter.count(rendered.output),
        }
        raw = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        for place in instance.files:
            self._files[place].write(raw)
        self.rows += len(instance.files)


def main() -> None:
    request = json.loads(sys.argv[1])
    files = {key: Path(path) for key, path in request["files"].items()}
    out, kind = Path(request["out"]), request["kind"]
    if request["what"] == "build":
        result = measure_build(kind, request["workers"], request["cap"], files, out)
    elif request["what"] == "prepare":
        result = prepare_floor(kind, files, out, Path(request["handed_over"])) or {}
    else:
        handed_over, begin = Path(request["handed_over"]), request.get("not_before", 0.0)
        result = measure_floor(kind, files, handed_over, out, parsing=request["parsing"], not_before=begin)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
