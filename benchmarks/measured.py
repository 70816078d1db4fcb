"""One measured run in a process of its own: a build of one benchmark task, or the floor under it.

The floor does what any builder of the same instances must do: read the same bytes, render the kept instances once,
count their tokens once by the fastest exact method, and write the output once. What it renders is handed to it
parsed, which is not counted against it. Start-up (interpreter, imports, tokenizer) is outside both measurements; the
start of worker processes is inside.
"""

from __future__ import annotations

import json
import pickle
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from sciriff.building import task as task_module
from sciriff.building.gx_context import import_library
from sciriff.building.instances import CHAT_MARKUP_TOKENS
from sciriff.building.options import BuildOptions
from sciriff.building.plan import TaskPlan, plan_tasks
from sciriff.building.pool import WorkerPool, stop_workers
from sciriff.building.progress import Silent
from sciriff.building.suites import standard_suite
from sciriff.building.task import Workshop, build_task
from sciriff.building.tokenizer import bundled_tokenizer
from sciriff.building.tokens import TokenCounter
from sciriff.hashing import file_sha256
from sciriff.readers import load_reader
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
    """CPU seconds of this process and of the children that have ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def measure_build(kind: str, workers: int, cap: int | None, files: dict[str, Path], out: Path) -> dict[str, Any]:
    """Build the task and say what it took; validation by Great Expectations is told apart."""
    task, acquired, options = plan(kind), source(files), BuildOptions(WINDOWS, cap)
    tokenizer = bundled_tokenizer()
    TokenCounter(tokenizer.path)
    import_library()

    validation_cpu = _time_validation()
    cpu, wall = cpu_seconds(), time.perf_counter()
    shop = Workshop(Store(str(out)), options, WorkerPool(workers), Silent())
    outcome = build_task(task, acquired, tokenizer, shop)
    wall = time.perf_counter() - wall
    if workers > 1:
        stop_workers()  # their CPU time is told only when they have ended
    return {
        "cpu": cpu_seconds() - cpu,
        "wall": wall,
        "validation_cpu": sum(validation_cpu),
        "rows": sum(sum(splits.values()) for splits in outcome.rows.values()),
    }


def _time_validation() -> list[float]:
    """From now on, note the CPU seconds of each validation in the list returned."""
    spent: list[float] = []
    validate = task_module.validate

    def timed(*args: Any) -> Any:
        began = cpu_seconds()
        result = validate(*args)
        spent.append(cpu_seconds() - began)
        return result

    task_module.validate = timed
    return spent


def prepare_floor(kind: str, files: dict[str, Path], out: Path, handed_over: Path) -> None:
    """Save the parsed variables of the instances that a build kept, and to which files they go."""
    task = plan(kind)
    reader = load_reader(task.binding.reader)
    formatter = load_formatter(task.binding.formatter.name)
    view = source(files).view()
    kept: dict[str, dict[int, list[int]]] = {}
    for window in WINDOWS:
        for split in files:
            with (out / f"instructions/{window}/{task.name}/{split}.jsonl").open("rb") as lines:
                for line in lines:
                    row = int(orjson.loads(line)["_instance_id"].rsplit(":", 1)[1])
                    kept.setdefault(split, {}).setdefault(row, []).append(window)
    with handed_over.open("wb") as stream:
        for split, spec in task.splits().items():
            for row in reader.rows(view, spec):
                if row.index in kept[split]:
                    for variables in formatter(reader.parse(row, spec), **task.binding.formatter.args):
                        pickle.dump((split, row.index, variables, kept[split][row.index]), stream)


def measure_floor(kind: str, files: dict[str, Path], handed_over: Path, out: Path) -> dict[str, Any]:
    """Read, render, count, write; say what it took."""
    template = plan(kind).task_file.compile(0)
    counter = TokenCounter(bundled_tokenizer().path)
    out.mkdir(exist_ok=True)
    outputs = {(window, split): (out / f"{window}-{split}.jsonl").open("wb") for window in WINDOWS for split in files}
    spent_cpu = spent_wall = 0.0
    cpu, wall = cpu_seconds(), time.perf_counter()
    for path in files.values():
        with path.open("rb") as stream:
            while stream.read(1 << 20):
                pass
    spent_cpu, spent_wall = cpu_seconds() - cpu, time.perf_counter() - wall
    rows = 0
    for batch in _batches(handed_over):
        cpu, wall = cpu_seconds(), time.perf_counter()
        for split, row, variables, windows in batch:
            rendered = template.render(variables)
            input_tokens, output_tokens = counter.count(rendered.input), counter.count(rendered.output)
            line = orjson.dumps(
                {
                    "input": rendered.input,
                    "output": rendered.output,
                    "_instance_id": f"bench_{kind}:{split}:{row}",
                    "_input_toks": input_tokens,
                    "_output_toks": output_tokens,
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for window in windows:
                assert input_tokens + output_tokens <= window - CHAT_MARKUP_TOKENS
                outputs[window, split].write(line)
                rows += 1
        spent_cpu, spent_wall = spent_cpu + cpu_seconds() - cpu, spent_wall + time.perf_counter() - wall
    return {"cpu": spent_cpu, "wall": spent_wall, "rows": rows}


def _batches(handed_over: Path, size: int = 200) -> Iterator[list[Any]]:
    with handed_over.open("rb") as stream:
        batch = []
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
        result = measure_floor(kind, files, Path(request["handed_over"]), out)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
