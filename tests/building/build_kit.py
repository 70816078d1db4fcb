"""What tests of whole builds share: settings, hashes of a store, and builds in processes of their own.

A build in a fresh process spends most of its time importing Great Expectations. A :class:`BuildServer` is a process
that has imported it, but nothing of this package; it forks once for each build, and the child imports the package anew:
from the checkout, or from a copy in which a test has edited files.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from sciriff.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[2]
SEED = 76
WINDOWS = (4096, 8192, 16384)


def sample_settings(store: Path | str, workspace: Path, **changes: Any) -> Settings:
    """Settings that take nothing from the environment: bundled samples, one worker."""
    from sciriff.settings import Settings

    given: dict[str, Any] = {
        "store": str(store),
        "cache": workspace / "cache",
        "lock": workspace / "sources.lock",
        "mirror": None,
        "offline": True,
        "samples": "always",
        "tokenizer": None,
        "templates_dir": None,
        "workers": 1,
    }
    return Settings(_env_file=None, **{**given, **changes})


def tree(root: Path) -> dict[str, str]:
    """SHA-256 of every file under a folder, hidden ones too; empty folders stand there with an empty hash."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            found[path.relative_to(root).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif not any(path.iterdir()):
            found[path.relative_to(root).as_posix() + "/"] = ""
    return found


def store_hashes(url: str) -> dict[str, str]:
    """SHA-256 of every artifact of a store."""
    from sciriff.store import Store

    store = Store(url)
    return {name: hashlib.sha256(store.read_bytes(name)).hexdigest() for name in store.files("")}


def task_hashes(hashes: Mapping[str, str], task: str) -> dict[str, str]:
    """Those of one task's own artifacts."""
    return {
        name: value
        for name, value in hashes.items()
        if (name.startswith("instructions/") and name.split("/")[2] == task) or name.endswith(f"results/{task}.json")
    }


def lines(store: Path, window: int, task: str, split: str) -> list[dict[str, Any]]:
    """The instances of one file of a local store."""
    path = store / "instructions" / str(window) / task / f"{split}.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()]  # of bytes: U+2028 ends no line


def manifest(store: Path, window: int, task: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((store / f"instructions/{window}/{task}/manifest.json").read_text("utf-8"))
    return content


def done_tasks(store: Path, windows: Sequence[int] = WINDOWS) -> set[str]:
    """Tasks with a manifest at every window."""
    found = [{path.parent.name for path in store.glob(f"instructions/{window}/*/manifest.json")} for window in windows]
    return set.intersection(*found)


def copy_of_package(target: Path) -> Path:
    """The package with its templates and suites, to be edited; the samples are a link."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("sciriff", "templates", "expectations"):
        shutil.copytree(CHECKOUT / name, target / name, ignore=ignored)
    (target / "samples").symlink_to(CHECKOUT / "samples", target_is_directory=True)
    return target


def copy_of_samples(target: Path) -> Path:
    """The samples as a mirror, whose files may be changed with :func:`change_source`."""
    shutil.copytree(CHECKOUT / "samples", target, ignore=shutil.ignore_patterns("tool", "__pycache__"))
    return target


def change_source(mirror: Path, path: str, content: bytes, *, index: bool = True) -> None:
    """Give a file of a mirror another content, and tell its ``mirror.json`` unless ``index`` is False."""
    (mirror / path).write_bytes(content)
    if index:
        edit_index(mirror, path, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def edit_index(mirror: Path, path: str, **changes: Any) -> str:
    """Change the entry of a file in ``mirror.json``; returns the URL it stands for."""
    entries = json.loads((mirror / "mirror.json").read_text("utf-8"))
    (url,) = (url for url, entry in entries.items() if entry["path"] == path)
    entries[url].update(changes)
    (mirror / "mirror.json").write_text(json.dumps(entries), "utf-8")
    return str(url)


def repacked(archive: bytes, member: str, change: Callable[[bytes], bytes]) -> bytes:
    """A tar.gz in which one member's content is changed."""
    out = io.BytesIO()
    changed = 0
    with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(fileobj=out, mode="w:gz") as new:
        for entry in old:
            stream = old.extractfile(entry)
            content = stream.read() if stream else b""
            if entry.name == member:
                content, changed = change(content), changed + 1
            entry.size = len(content)
            new.addfile(entry, io.BytesIO(content) if stream else None)
    assert changed == 1, f"no member {member}"
    return out.getvalue()


def bare_environment(**changes: str) -> dict[str, str]:
    """The environment without anything that would change a build."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SCIRIFF_", "PYTHON"))}
    return {**kept, **changes}


@dataclass(frozen=True)
class Told:
    """What a build in another process told.

    Attributes:
        states: task -> built, cached, failed, blocked.
        reasons: task -> why it was built.
        messages: task -> why it failed.
        hashes: every artifact of the store.
        changes: how often the build's own process changed the store's folder.
    """

    states: dict[str, str]
    reasons: dict[str, str]
    messages: dict[str, str]
    hashes: dict[str, str]
    changes: int


class RunningBuild:
    """A build in a process group of its own."""

    def __init__(self, server: BuildServer, pid: int, answer: Path) -> None:
        self._server, self.pid, self._answer = server, pid, answer

    def kill(self) -> None:
        """Kill the build with all its workers, unless it has ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def kill_parent_only(self) -> None:
        """Kill the build, and nothing else."""
        os.kill(self.pid, signal.SIGKILL)

    def group(self) -> list[int]:
        """Living processes of the group."""
        return processes_of_group(self.pid)

    def wait(self) -> int:
        """Wait for the end; the exit status, negative for a signal."""
        return int(self._server.read_line().removeprefix("status "))

    def told(self) -> Told:
        """Wait for the end of a build that is not killed."""
        status = self.wait()
        answer = json.loads(self._answer.read_text("utf-8")) if self._answer.exists() else {}
        if status or "error" in answer:
            raise AssertionError(f"the build ended with status {status}: {answer.get('error', 'no answer')}")
        return Told(**answer)


class BuildServer:
    """Forks a process for each build. Use as a context manager."""

    def __init__(self, folder: Path, environment: Mapping[str, str], package: Path = CHECKOUT) -> None:
        """Start the server.

        Args:
            folder: where it works; created if need be.
            environment: variables on top of a bare environment.
            package: checkout, or a copy of it, whose package is imported.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._answers = folder, 0
        self._log = (folder / "server.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=bare_environment(PYTHONPATH=str(package), PYTHONPYCACHEPREFIX=str(folder / "bytecode"), **environment),
            cwd=folder,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._log.close()

    def read_line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        if not line:
            raise AssertionError(f"the build server died: {(self._folder / 'server.log').read_text('utf-8')}")
        return line

    def start(
        self,
        store: Path | str,
        tasks: Sequence[str],
        *,
        workers: int = 1,
        die_at_change: int = 0,
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> RunningBuild:
        """Start a build.

        Args:
            store: path or URL.
            tasks: task names.
            workers: worker processes.
            die_at_change: kill the process group just before this change of the store's folder; 0: never.
            settings: settings that differ from :func:`sample_settings`.
            environment: variables to set.
            options: arguments of ``sciriff.build``.
        """
        self._answers += 1
        answer = self._folder / f"answer-{self._answers}.json"
        order = {
            "answer": str(answer),
            "store": str(store),
            "tasks": list(tasks),
            "die_at_change": die_at_change,
            "settings": {"workers": workers, **(settings or {})},
            "environment": dict(environment or {}),
            "options": options,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return RunningBuild(self, int(self.read_line()), answer)

    def build(self, store: Path | str, tasks: Sequence[str], **options: Any) -> Told:
        """Build and wait for the end."""
        return self.start(store, tasks, **options).told()


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


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether a condition comes true before the patience ends."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


_LIBRARIES = (
    "fastjsonschema",
    "filelock",
    "fsspec",
    "great_expectations",
    "httpx",
    "jinja2",
    "loky",
    "lxml.etree",
    "pyarrow.parquet",
    "pydantic_settings",
    "spacy",
    "tokenizers",
    "yaml",
)


def _serve() -> None:
    """The server's loop: one order a line in; the pid, and at the end the exit status, out."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    sys.path.remove(str(Path(__file__).resolve().parent))
    for module in _LIBRARIES:
        __import__(module)
    assert not any(name.split(".")[0] == "sciriff" for name in sys.modules)
    for line in sys.stdin.buffer:
        pid = os.fork()
        if pid == 0:
            _child(json.loads(line))
        print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _child(order: dict[str, Any]) -> None:
    os.setsid()
    print(os.getpid(), flush=True)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    os.environ.update(order["environment"])
    changes = _count_changes(order["store"], order["die_at_change"])
    answer = Path(order["answer"])
    try:
        import sciriff

        settings = sample_settings(order["store"], answer.parent, **order["settings"])
        report = sciriff.build(order["tasks"], settings=settings, **order["options"])
        told = {
            "states": {outcome.task: outcome.state for outcome in report.outcomes},
            "reasons": {outcome.task: outcome.reason_to_build for outcome in report.outcomes},
            "messages": {outcome.task: outcome.message for outcome in report.outcomes},
            "hashes": store_hashes(order["store"]),
            "changes": changes[0],
        }
    except BaseException:
        import traceback

        told = {"error": traceback.format_exc()}
    answer.write_text(json.dumps(told), "utf-8")
    stop = sys.modules.get("sciriff.building.pool")
    if stop is not None:
        stop.stop_workers()
    os._exit(0)


_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")


def _count_changes(folder: str, die_at: int) -> list[int]:
    """Count the changes that this process makes under a folder; before the given one, kill the process group."""
    seen = [0]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        changing = event in _CHANGES
        if event == "open" and isinstance(arguments[2], int):
            changing = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if changing and str(arguments[0]).startswith(folder):
            seen[0] += 1
            if seen[0] == die_at:
                os.killpg(0, signal.SIGKILL)

    sys.addaudithook(hook)
    return seen


if __name__ == "__main__":
    _serve()
