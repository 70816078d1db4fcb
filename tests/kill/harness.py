"""Lives of a store: the commands of a whole study in turn, each killed at random moments and run again until done.

A *moment* is counted in what can be seen of a command: changes that it makes to files (by an audit hook in its
process), chunks of a source and requests to a model that its servers see, requests to a store of the S3 protocol that
a proxy sees; some time may pass after it. Moments are drawn by stage, from what a run without a kill came to, until
every stage was hit as often as asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple

from kill.fork_server import CHECKOUT, Change, Command, ForkServer, processes_of_group
from kill.s3_proxy import Moment, Seen
from kill.servers import JUDGE, Model, Sources
from sciriff.models.ledger import open_ledger
from sciriff.store import MANIFEST, Store

EVALUATED = ("mup_single_document_summarization", "scierc_ner")
TASKS = ("acl_arc_intent_classification", *EVALUATED)
PATIENCE = 30.0
"""Seconds within which orphans end."""

MOST_AT_ONCE = 4
COMMANDS = ("fetch", "build", "mix", "evaluate", "report")
"""The commands of a life, in turn."""

STAGES: Mapping[str, tuple[str, ...]] = {
    "fetch": ("fetch",),
    "build": ("build", "combine"),
    "mix": ("mix",),
    "evaluate": ("predict", "score", "index", "judge", "report"),
    "report": ("report",),
}
"""Stages of each command."""

By = Literal["change", "chunk", "request", "object"]


class Point(NamedTuple):
    """What is counted: for a command, events of a kind in a stage."""

    command: str
    stage: str
    by: By


class Kill(NamedTuple):
    """A moment at which a command is killed.

    Attributes:
        point: what is counted.
        number: the event, from 1.
        delay: seconds after it.
        parent_only: whether its workers stay alive.
        how: for requests to an object store, how far they come.
    """

    point: Point
    number: int
    delay: float = 0.0
    parent_only: bool = False
    how: Moment = "before"


@dataclass
class Place:
    """Where a life goes on: a folder of its own with cache, lock and temporary files; and a store.

    Attributes:
        folder: it.
        url: the store.
        environment: variables that reach the store.
        backing: the folder that the store is in the end.
    """

    folder: Path
    url: str
    backing: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "tmp").mkdir(parents=True)

    @property
    def store(self) -> Store:
        return Store(self.url)

    @property
    def is_local(self) -> bool:
        return "://" not in self.url

    def files(self) -> dict[str, str]:
        """SHA-256 of everything in the store, unfinished work included, but of ledger and index, which differ in
        names and times."""
        return {
            name: sha256
            for name, sha256 in hashes(self.backing).items()
            if not name.startswith("results/ledger/") and ".duckdb" not in name
        }

    def cached(self) -> dict[str, str]:
        """The same of source files in the cache, locks left out."""
        found = hashes(self.folder / "cache" / "sources")
        return {name: sha256 for name, sha256 in found.items() if not name.endswith(".busy")}

    def locked(self) -> dict[str, Any]:
        """What the lock says, times left out."""
        path = self.folder / "sources.lock"
        entries = json.loads(path.read_bytes()) if path.exists() else {}
        return {url: {**entry, "fetched_at": ""} for url, entry in entries.items()}

    def before(self, command: str) -> None:
        """Make sure that a command has something to do: an evaluation has written the report already."""
        if command == "report":
            for name in self.store.files("results/report"):
                self.store.delete(f"results/report/{name}")

    def index(self) -> Path:
        [found] = [*self.backing.rglob("metrics.duckdb"), *(self.folder / "cache").rglob("metrics.duckdb")][:1]
        return found


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under a folder; of empty folders an empty one."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif not any(path.iterdir()):
            found[name + "/"] = ""
    return found


def index_rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables of an index."""
    import duckdb

    with duckdb.connect(str(path), read_only=True) as connection:
        tables = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall() for table in tables}


@dataclass
class Clean:
    """What a life without a kill came to.

    Attributes:
        counts: events of each kind.
        files: command -> the store after it.
        cached: command -> the cache after it.
        locked: command -> the lock after it.
        replies: request key -> reply.
        index: rows of the index.
        billed: contents that were billed, each once.
    """

    counts: Counter[Point] = field(default_factory=Counter)
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    cached: dict[str, dict[str, str]] = field(default_factory=dict)
    locked: dict[str, dict[str, Any]] = field(default_factory=dict)
    replies: dict[str, str | None] = field(default_factory=dict)
    index: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    billed: set[str] = field(default_factory=set)


class World:
    """What all lives share: the server that forks commands, primary sources, model and judge, the way to a store.

    With ``hours_back`` each command starts with a clock that is so much further behind than that of the one before,
    and falls as much behind again as it works.
    """

    def __init__(self, server: ForkServer, sources: Sources, model: Model, seen: Seen | None = None) -> None:
        self.server, self.sources, self.model, self.seen = server, sources, model, seen
        self.hours_back, self._hours = 0.0, 0.0

    def arguments(self, command: str) -> list[str]:
        tasks = ",".join(TASKS)
        return {
            "fetch": ["fetch", "--tasks", tasks],
            "build": ["build", "--tasks", tasks, "--windows", "4096"],
            "mix": ["mix", "--instances-per-task", "9", "--tulu", "match"],
            "evaluate": [
                *("evaluate", "--model", "openai:m", "--base-url", self.model.url, "--yes"),
                *("--judge-model", f"openai:{JUDGE}", "--judge-base-url", self.model.url),
                *("--tasks", ",".join(EVALUATED), "--max-concurrency", str(MOST_AT_ONCE)),
            ],
            "report": ["report"],
        }[command]

    def start(self, place: Place, command: str, die: Change | None = None, workers: int = 1) -> Command:
        environment = {
            **self.sources.settings(),
            **place.environment,
            "SCIRIFF_CACHE": str(place.folder / "cache"),
            "SCIRIFF_LOCK": str(place.folder / "sources.lock"),
            "SCIRIFF_STORE": place.url,
            "SCIRIFF_SAMPLES": "never",
            "SCIRIFF_TOKENIZER": str(CHECKOUT / "samples" / "tokenizer.json"),
            "SCIRIFF_WORKERS": str(workers),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HOME": str(place.folder),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "OPENAI_API_KEY": "secret",
            "TMPDIR": str(place.folder / "tmp"),
        }
        roots = [place.folder, place.backing] if place.is_local else [place.folder]
        self._hours += self.hours_back
        arguments = self.arguments(command)
        return self.server.start(arguments, environment, place.folder, roots, die, hours_back=self._hours)

    @contextmanager
    def watched(self, tell: Callable[[Point, Moment], bool], command: str) -> Iterator[None]:
        """Have every event that is seen from outside told; True: the command was killed, nothing goes on."""
        self.sources.on_chunk = lambda: bool(tell(Point(command, "fetch", "chunk"), "before"))
        self.model.on_request = lambda stage: bool(tell(Point(command, stage, "request"), "before"))
        if self.seen is not None:
            self.seen.tell = lambda stage, how: tell(Point(command, stage, "object"), how)
        try:
            yield
        finally:
            self.sources.on_chunk = lambda: False
            self.model.on_request = lambda stage: False
            if self.seen is not None:
                self.seen.tell = lambda stage, how: False


def clean_life(world: World, place: Place) -> Clean:
    """Run all commands without a kill."""
    clean = Clean()
    world.model.billed.clear()
    world.model.sent.clear()
    for name in COMMANDS:

        def count(point: Point, how: Moment) -> bool:
            clean.counts[point] += how == "before"
            return False

        place.before(name)
        with world.watched(count, name):
            command = world.start(place, name)
            assert command.wait() == 0, command.log.read_text("utf-8")
        for stage, number in command.changes().items():
            if stage in STAGES[name]:
                clean.counts[Point(name, stage, "change")] = number
        clean.files[name], clean.cached[name], clean.locked[name] = place.files(), place.cached(), place.locked()
    clean.replies, _ = ledgers(place)
    clean.index = index_rows(place.index())
    assert set(world.model.billed.values()) == {1}
    clean.billed = set(world.model.billed)
    require_nothing_left(place)
    return clean


def ledgers(place: Place) -> tuple[dict[str, str | None], int]:
    """Request key -> reply of all ledgers of a store; and how many requests are in doubt."""
    store, replies, in_doubt = place.store, {}, 0
    for identity in store.folders("results/ledger"):
        with open_ledger(store, identity, "", place.folder / "cache") as ledger:
            replies |= {key: answer.text for key, answer in ledger.answers.items()}
            in_doubt += ledger.in_doubt
    return replies, in_doubt


def require_nothing_left(place: Place) -> None:
    """No file of unfinished work, no temporary folder, no half object."""
    assert not list((place.folder / "tmp").iterdir()), "temporary files are left"
    assert not [name for name in hashes(place.backing) if ".staging" in name]
    expected = {"cache", "tmp", "sources.lock", *(["store"] if place.is_local else [])}
    assert {path.name for path in place.folder.iterdir()} <= expected
    in_cache = [name for name, sha256 in hashes(place.folder / "cache").items() if sha256]
    assert not [name for name in in_cache if ".part" in name or name.startswith("ledger/") or ".building" in name]


def semaphores_of(pids: set[int]) -> list[str]:
    """Named semaphores that processes of these numbers made."""
    shared = Path("/dev/shm")
    if not shared.is_dir():
        return []
    return [path.name for path in shared.glob("sem.loky-*") if int(path.name.split("-")[1]) in pids]


class Finished(NamedTuple):
    """What a kill found finished: file -> what changes if it is written again; served sources."""

    files: dict[str, tuple[int, int]]
    served: dict[str, int]


class Life:
    """One store, from the first command to the last."""

    def __init__(self, world: World, place: Place, clean: Clean, chance: Random, workers: int = 1) -> None:
        self.world, self.place, self.clean, self.chance, self.workers = world, place, clean, chance, workers
        self.hit: Counter[str] = Counter()
        self.commands: list[Command] = []
        self._finished = Finished({}, {})
        world.model.billed.clear()
        world.model.sent.clear()
        world.sources.served.clear()

    def run(self, plan: Mapping[str, Sequence[Kill]]) -> None:
        """Run all commands, each killed where the plan of it says, as far as it comes there."""
        for name in COMMANDS:
            self.place.before(name)
            self._finished = self._look()
            for kill in plan.get(name, ()):
                if not self._killed(name, kill):
                    break
            else:
                command = self._start(name)
                assert command.wait() == 0, command.log.read_text("utf-8")
            self._require_finished()
            require_same(self.place.files(), self.clean.files[name])
            require_same(self.place.cached(), self.clean.cached[name])
            require_same(self.place.locked(), self.clean.locked[name])
        self._require_no_process()
        require_nothing_left(self.place)
        assert not semaphores_of({command.pid for command in self.commands})
        self._require_replies()
        assert index_rows(self.place.index()) == self.clean.index

    def _start(self, name: str, die: Change | None = None) -> Command:
        command = self.world.start(self.place, name, die, self.workers)
        self.commands.append(command)
        return command

    def _killed(self, name: str, kill: Kill) -> bool:
        """Run a command that is to be killed; returns whether it came so far."""
        point, number, delay, parent_only, _ = kill
        if point.by == "change":
            command = self._start(name, Change(point.stage, number, delay, parent_only))
            status = command.wait()
        else:
            status = self._killed_from_outside(name, kill)
        if status == 0:
            return False
        assert status == -9, self.commands[-1].log.read_text("utf-8")
        self.hit[point.stage] += 1
        self._require_finished()
        if not (parent_only and self.chance.random() < 0.5):  # else workers are still there when it runs again
            self._require_no_process()
        self._finished = self._look()
        return True

    def _killed_from_outside(self, name: str, kill: Kill) -> int:
        seen, started = 0, threading.Event()
        counting = threading.Lock()

        def tell(point: Point, how: Moment) -> bool:
            nonlocal seen
            if point != kill.point or how != kill.how:
                return False
            with counting:
                seen += 1
                if seen != kill.number:
                    return False
            started.wait()
            if kill.delay:
                threading.Timer(kill.delay, command.kill, kwargs={"parent_only": kill.parent_only}).start()
                return False
            command.kill(parent_only=kill.parent_only)
            return True

        with self.world.watched(tell, name):
            command = self._start(name)
            started.set()
            return command.wait()

    def _look(self) -> Finished:
        """What is visible must be whole, and of a clean run; what is finished is remembered."""
        final = self.clean.files[COMMANDS[-1]]
        for name, sha256 in self.place.files().items():
            if sha256 and not name.startswith((".staging", ".leases", "results/metrics", "results/report")):
                assert final.get(name) == sha256, f"{name} is no file of a clean run"
        store, files = self.place.store, {}
        for name in [name for name in store.files("") if name.endswith(MANIFEST)]:
            folder = name.removesuffix(MANIFEST).rstrip("/")
            manifest = json.loads(store.read_bytes(name))
            if name.startswith("training_mix/"):
                folder = "training_mix"
            assert not store.damaged(folder, manifest), f"{name} names files that are not there"
            if hashlib.sha256(store.read_bytes(name)).hexdigest() == final.get(name):
                for file in (name, *(f"{folder}/{file}" for file in manifest["files"])):
                    status = (self.place.backing / file).stat()
                    files[file] = (status.st_ino, status.st_mtime_ns)
        cached = self.clean.cached[COMMANDS[-1]]
        names = {name for name, sha256 in self.place.cached().items() if cached.get(f"{name}") == sha256}
        done = [Path(name).name.partition("-")[2] for name in names if f"{name}.json" in names]
        return Finished(files, {path: n for path, n in self.world.sources.served.items() if Path(path).name in done})

    def _require_finished(self) -> None:
        """Nothing that was finished was done again."""
        for name, (inode, written) in self._finished.files.items():
            status = (self.place.backing / name).stat()
            assert (status.st_ino, status.st_mtime_ns) == (inode, written), f"{name} was written again"
        for path, times in self._finished.served.items():
            assert self.world.sources.served[path] == times, f"{path} was fetched again"

    def _require_no_process(self) -> None:
        end = time.monotonic() + PATIENCE
        for command in self.commands:
            while left := processes_of_group(command.pid):
                assert time.monotonic() < end, f"{left} still run"
                time.sleep(0.02)

    def _require_replies(self) -> None:
        replies, in_doubt = ledgers(self.place)
        assert replies == self.clean.replies
        billed = self.world.model.billed
        assert set(billed) == self.clean.billed
        twice = billed.total() - len(billed)
        kills = self.hit["predict"] + self.hit["judge"]
        assert twice <= in_doubt <= MOST_AT_ONCE * max(1, sum(self.hit.values())), (twice, in_doubt, kills)


def require_same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """The same names with the same content; else the differing ones are named."""
    differing = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
    assert not differing, f"not as without a kill: {', '.join(differing)}"


def draw(point: Point, counts: Mapping[Point, int], chance: Random, *, first: bool, parent_only: bool) -> Kill:
    """A moment among those that a clean run came to; not the first one of a stage in a life is an early one, since
    most of the stage may be done then."""
    number = chance.randint(1, counts[point] if first else max(1, counts[point] // 6))
    delay = chance.uniform(0, 0.15 if point.stage == "index" else 0.05) if chance.random() < 0.4 else 0.0
    how: Moment = chance.choice(("before", "middle", "after")) if point.by == "object" else "before"
    return Kill(point, number, delay, parent_only, how)


def plan_life(
    wanted: Mapping[str, int], counts: Mapping[Point, int], chance: Random, *, orphans: bool = False
) -> dict[str, list[Kill]]:
    """At most two kills of each stage that still wants some, the early stages of a command first."""
    plan: dict[str, list[Kill]] = {}
    for command in COMMANDS:
        plan[command] = []
        for stage in STAGES[command]:
            points = sorted(point for point in counts if point[:2] == (command, stage) and counts[point])
            for number in range(min(2, wanted.get(stage, 0))):
                parent_only = orphans and chance.random() < 0.6
                plan[command].append(
                    draw(chance.choice(points), counts, chance, first=number == 0, parent_only=parent_only)
                )
    return plan


def seed_of_run() -> int:
    """``KILL_SEED``, or one of this moment."""
    return int(os.environ.get("KILL_SEED") or time.time_ns() % 1_000_000)
