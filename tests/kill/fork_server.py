"""A process that has imported what is slow to import, and forks once for each command that it is told to run.

The child calls ``sciriff.cli.main`` (or another function) in a process group of its own, as a shell would, and kills
itself where it is told to: right before, or some time after, the n-th change that it makes to files of a stage. Where
that is, an audit hook tells; nothing in the code under test knows of it.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

CHECKOUT = Path(__file__).resolve().parents[2]

_LIBRARIES = (
    "duckdb",
    "fastjsonschema",
    "filelock",
    "fsspec",
    "great_expectations",
    "httpx",
    "huggingface_hub",
    "jinja2",
    "loky",
    "lxml.etree",
    "numpy",
    "pandas",
    "pyarrow.parquet",
    "pydantic_settings",
    "sacrebleu",
    "s3fs",
    "spacy",
    "tenacity",
    "tokenizers",
    "yaml",
    "sciriff.api",
    "sciriff.cli.evaluate",
    "sciriff.cli.progress",
    "sciriff.cli.results",
    "sciriff.building.build",
    "sciriff.mixture",
    "sciriff.results.evaluate",
)
_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")


@dataclass(frozen=True)
class Change:
    """The n-th change (from 1) that a command's own process makes to files of a stage.

    Attributes:
        stage: which stage, see :func:`stage_of`.
        number: which change.
        delay: seconds after it; 0: right before it.
        parent_only: whether only the command's own process dies, and not its whole group.
    """

    stage: str
    number: int
    delay: float = 0.0
    parent_only: bool = False


@dataclass(frozen=True)
class Order:
    """What a child does.

    Attributes:
        arguments: of the command, without its name; of another target: what it is called with.
        environment: variables that are set; every other ``SCIRIFF_`` one is not there.
        folder: the working folder.
        log: where output goes; changes of each stage are written beside it, as JSON.
        roots: folders in which changes count.
        die: where to kill itself.
        target: ``module:function`` that is called with the arguments.
        hours_back: by how much the clock is wrong, and after some changes by as much again; never a monotonic one.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    log: str
    roots: Sequence[str] = ()
    die: Change | None = None
    target: str = "sciriff.cli:main"
    hours_back: float = 0.0


def stage_of(path: str, before: str) -> str:
    """The stage that writes a path.

    Args:
        path: of a file, also one of the store's own folder for unfinished work.
        before: the stage so far; unfinished work mostly does not say what it is going to be.
    """
    for part, stage in _STAGES:
        if part in path:
            return stage
    return before


_STAGES = (
    ("/cache/sources", "fetch"),
    ("sources.lock", "fetch"),
    ("metrics.duckdb", "index"),
    ("/validation", "build"),
    ("/instructions/", "build"),
    ("/instructions_hf", "combine"),
    ("/training_mix", "mix"),
    ("/mixture.jsonl", "mix"),
    ("/predictions.jsonl", "predict"),
    ("/results/predictions", "predict"),
    ("/judge/", "judge"),
    ("/results/facts", "score"),
    ("/results/metrics", "score"),
    ("/results/report", "report"),
)


@dataclass
class Command:
    """A command that runs in a process group of its own."""

    server: ForkServer
    pid: int
    log: Path
    status: int | None = None
    _killed: threading.Lock = field(default_factory=threading.Lock)

    def kill(self, *, parent_only: bool = False) -> None:
        """Kill it, alone or with its whole group."""
        with suppress(ProcessLookupError):
            (os.kill if parent_only else os.killpg)(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for the end of its own process; the exit status, negative for a signal."""
        if self.status is None:
            self.status = int(self.server.read_line().removeprefix("status "))
        return self.status

    def changes(self) -> Counter[str]:
        """Changes by stage, of a command that ended by itself."""
        return Counter(json.loads(self.log.with_suffix(".changes").read_text("utf-8")))

    def left(self) -> list[int]:
        """Living processes of its group."""
        return processes_of_group(self.pid)


class ForkServer:
    """Use as a context manager. Runs one command at a time, of a copy of the package that nobody edits meanwhile."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        package = _copy_of_package(folder / "package")
        self._folder, self._count = folder, 0
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SCIRIFF_", "PYTHON"))}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "server.log").open("wb"),
            env={**kept, "PYTHONPATH": f"{package}:{CHECKOUT / 'tests'}", "GX_ANALYTICS_ENABLED": "false"},
            cwd=folder,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def read_line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        if not line:
            raise AssertionError(f"the server died: {(self._folder / 'server.log').read_text('utf-8')}")
        return line

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        roots: Sequence[Path] = (),
        die: Change | None = None,
        target: str = Order.target,
        hours_back: float = 0.0,
    ) -> Command:
        """Start a command; see :class:`Order`."""
        self._count += 1
        log = self._folder / f"{self._count}.log"
        places = [str(root) for root in roots]
        order = Order(arguments, environment, str(folder), str(log), places, die, target, hours_back)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
        self._process.stdin.flush()
        return Command(self, int(self.read_line()), log)


def _copy_of_package(target: Path) -> Path:
    for name in ("sciriff", "templates", "expectations", "deployments"):
        shutil.copytree(CHECKOUT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    (target / "samples").symlink_to(CHECKOUT / "samples", target_is_directory=True)
    return target


def processes_of_group(group: int) -> list[int]:
    """Living processes of a process group, zombies left out."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[2]) == group and fields[0] not in "ZX":
                found.append(int(folder.name))
    return found


def _serve() -> None:
    """One order a line in; the pid, and at the end the exit status, out."""
    sys.path.remove(str(Path(__file__).resolve().parent))
    for module in _LIBRARIES:
        importlib.import_module(module)
    for line in sys.stdin.buffer:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _child(Order(**{**order, "die": Change(**order["die"]) if order["die"] else None}))
        print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _child(order: Order) -> None:
    os.setsid()
    print(os.getpid(), flush=True)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for name in [name for name in os.environ if name.startswith("SCIRIFF_")]:
        del os.environ[name]
    os.environ.update(order.environment)
    os.chdir(order.folder)
    module, _, name = order.target.partition(":")
    changes = _watch(order)
    if order.hours_back:
        _turn_back_the_clock(order.hours_back, changes)
    status = _call(getattr(importlib.import_module(module), name), order.arguments)
    from sciriff.building.pool import stop_workers

    stop_workers()
    Path(order.log).with_suffix(".changes").write_text(json.dumps(changes), "utf-8")
    sys.stdout.flush()
    os._exit(status)


_CHANGES_BEFORE_THE_CLOCK_JUMPS = 12


def _turn_back_the_clock(hours: float, changes: Counter[str]) -> None:
    """Have the clock go wrong in mid-work, for what is written in Python."""
    import datetime as dates

    right, right_in_nanoseconds, right_date = time.time, time.time_ns, dates.datetime

    def wrong_by() -> float:
        return hours * 3600 * (1 + (changes.total() > _CHANGES_BEFORE_THE_CLOCK_JUMPS))

    class Wrong(right_date):
        @classmethod
        def now(cls, tz: dates.tzinfo | None = None) -> Any:
            return right_date.now(tz) - dates.timedelta(seconds=wrong_by())

    time.time = lambda: right() - wrong_by()
    time.time_ns = lambda: right_in_nanoseconds() - int(wrong_by() * 10**9)
    for name, module in list(sys.modules.items()):
        if name.startswith("sciriff.") and getattr(module, "datetime", None) is right_date:
            module.datetime = Wrong  # type: ignore[attr-defined]


def _call(function: Callable[[list[str]], Any], arguments: Sequence[str]) -> int:
    try:
        return int(function(list(arguments)) or 0)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        return 70


def _watch(order: Order) -> Counter[str]:
    """Count the changes of each stage, and kill where the order says."""
    seen: Counter[str] = Counter()
    stage = order.arguments[0] if order.arguments else ""
    roots, die = tuple(order.roots), order.die

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal stage
        changing = event in _CHANGES
        if event == "open" and isinstance(arguments[2], int):
            changing = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if changing and (path := str(arguments[0])).startswith(roots):
            stage = stage_of(path, stage)
            if event == "os.rename":
                stage = stage_of(str(arguments[1]), stage)
            seen[stage] += 1
            if die is not None and (stage, seen[stage]) == (die.stage, die.number):
                _die(die)

    if roots:
        sys.addaudithook(hook)
    return seen


def _die(die: Change) -> None:
    def end() -> None:
        time.sleep(die.delay)
        (os.kill if die.parent_only else os.killpg)(os.getpid(), signal.SIGKILL)

    if die.delay:
        threading.Thread(target=end, daemon=True).start()
    else:
        end()


if __name__ == "__main__":
    _serve()
