"""A whole evaluation killed with SIGKILL at random moments, again and again, until it is done.

Live, a request that is under way at the moment of a kill may be billed without its reply reaching us; it is asked
again, and the ledger counts it. All others are billed exactly once. In batches every request is billed exactly once.
What comes out is the same to the byte as without a kill.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from openai_server import BatchPlan, FakeServer, at_random, content_of, running

from sciriff.models.ledger import open_ledger
from sciriff.store import Store

CHECKOUT = Path(__file__).parents[2]
TASKS = ("bioasq_list_qa", "biored_ner", "discomat_te", "scierc_ner")

LIVE = """
import sys
from sciriff.cli import main
main(["evaluate", "--model", "openai:m", "--base-url", sys.argv[1], "--store", sys.argv[2], "--tasks", sys.argv[3],
      "--max-concurrency", "8", "--yes"])
"""

BATCH = """
import sys
from sciriff import api
from sciriff.models.openai_batch import Looks
from sciriff.models.plan import AskOptions
options = AskOptions(batch=True, base_url=sys.argv[1], looks=Looks(first=0.05, longest=0.1, grace=0.2))
report = api.evaluate(["openai:m"], tasks=sys.argv[3].split(","), options=options, store=sys.argv[2])
sys.exit(int(report.exit_code))
"""


def reply(body: dict[str, Any]) -> str:
    """A reply that is now and then right, from the content of the request."""
    number = content_of(body).rpartition(" ")[2]
    return orjson.dumps([f"item {number}", "more"] if int(number) % 2 else {"Task": [f"item {number}"]}).decode()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with running(FakeServer(reply=reply, seconds=0.02)) as server:
        yield server


def publish(store: Store, number: int) -> None:
    """Write instances of all tasks as a build would."""
    for task in TASKS:
        output = "[]" if task == "bioasq_list_qa" else "{}"
        lines = [
            {"_instance_id": f"{task}:validation:{place}", "input": f"{task} {place}", "output": output}
            for place in range(number)
        ]
        data = b"".join(orjson.dumps(line) + b"\n" for line in lines)
        entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "rows": number}
        store.write_bytes(f"instructions/4096/{task}/validation.jsonl", data)
        store.write_manifest(f"instructions/4096/{task}", {"key": task, "files": {"validation.jsonl": entry}})


@dataclass
class Run:
    """How evaluations of a test are run, and how long they take."""

    code: str
    server: FakeServer
    cache: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, store: Store) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "SCIRIFF_CACHE": str(self.cache),
            "SCIRIFF_OFFLINE": "1",
            "SCIRIFF_WORKERS": "1",
            "OPENAI_API_KEY": "secret",
            **self.environment,
        }
        command = [sys.executable, "-c", self.code, self.server.url, store.url, ",".join(TASKS)]
        with self.log.open("wb") as log:
            return subprocess.Popen(command, env=environment, cwd=CHECKOUT, stdout=log, stderr=log)

    @property
    def log(self) -> Path:
        """What the last process said."""
        return self.cache.with_suffix(".log")

    def to_the_end(self, store: Store) -> float:
        began = time.monotonic()
        assert self.start(store).wait(120) == 0, self.log.read_text()
        return time.monotonic() - began


def results(store: Store) -> dict[str, bytes]:
    """All that an evaluation leaves, but the ledger and the index."""
    names = [name for name in store.files("results") if not name.startswith("ledger/") and "duckdb" not in name]
    return {name: store.read_bytes(f"results/{name}") for name in names}


def identities(store: Store) -> set[str]:
    manifests = [name for name in store.files("results/predictions") if name.endswith("manifest.json")]
    return {orjson.loads(store.read_bytes(f"results/predictions/{name}"))["model_identity"] for name in manifests}


def in_doubt(store: Store, cache: Path) -> int:
    [identity] = identities(store)
    with open_ledger(store, identity, "m", cache) as ledger:
        return ledger.in_doubt


def unknown_elsewhere(store: Store, cache: Path) -> int:
    """Requests that a killed evaluation sent, and whose answers it had not put into the remote store."""
    [journal] = cache.rglob("*.jsonl")
    folder = f"results/ledger/{journal.parent.name}/{journal.stem}"
    uploaded = sum(len(store.read_bytes(f"{folder}/{name}")) for name in store.files(folder))
    data = journal.read_bytes()
    sent = {event["sent"] for event in map(orjson.loads, data.splitlines()) if "sent" in event}
    known = {event["key"] for event in map(orjson.loads, data[:uploaded].splitlines()) if "key" in event}
    return len(sent - known)


def kill_at_random(process: subprocess.Popen[bytes], run: Run, chance: random.Random, typical: float) -> bool:
    """Kill a process at a random moment, mostly while it asks; returns whether it was still running."""
    if chance.random() < 0.7:
        goal = run.server.sent.total() + chance.randint(1, 40)
        while run.server.sent.total() < goal and process.poll() is None and not run.server.uploads:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.03) if not run.server.uploads else chance.uniform(0, typical))
    else:
        time.sleep(chance.uniform(0, typical))
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def evaluate_killed(run: Run, store: Store, chance: random.Random, typical: float, most: int) -> int:
    """Run an evaluation to its end through at most so many kills; returns how many there were."""
    kills = 0
    while kills < most:
        process = run.start(store)
        if not kill_at_random(process, run, chance, typical):
            assert process.returncode == 0, run.log.read_text()
            return kills
        kills += 1
    run.to_the_end(store)
    return kills


KILLS = [2, pytest.param(12, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
"""Few: tests/kill kills whole studies at more than a hundred moments."""


def store_with_instances(folder: Path, number: int) -> Store:
    store = Store(str(folder))
    publish(store, number)
    return store


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_with_a_remote_store(
    server: FakeServer, tmp_path: Path, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    run = Run(LIVE, server, tmp_path / "cache")
    stores = [Store(f"s3://bucket/{name}") for name in ("unkilled", "killed")]
    for store in stores:
        publish(store, 40)
    typical = run.to_the_end(stores[0])
    wanted = len(server.billed)
    server.billed.clear()
    server.sent.clear()
    evaluate_killed(run, stores[1], random.Random(1), typical, most=5)
    assert results(stores[1]) == results(stores[0])
    assert len(server.billed) == wanted
    assert server.billed.total() - wanted <= in_doubt(stores[1], tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.jsonl"))  # what the killed left was brought home


@pytest.mark.parametrize("kills", KILLS)
def test_killed_while_asking_live(server: FakeServer, tmp_path: Path, kills: int) -> None:
    run = Run(LIVE, server, tmp_path / "cache")
    faults = {"429": 0.05, "500": 0.05}
    server.fault = at_random(faults, most=2)
    unkilled = store_with_instances(tmp_path / "unkilled", 40)
    typical = run.to_the_end(unkilled)
    assert set(server.billed.values()) == {1}
    expected, wanted = results(unkilled), len(server.billed)
    chance, done, doubtful, twice = random.Random(kills), 0, 0, 0
    for round_number in count():
        if done >= kills:
            break
        server.billed.clear()
        server.sent.clear()
        store = store_with_instances(tmp_path / f"killed-{round_number}", 40)
        done += evaluate_killed(run, store, chance, typical, kills - done)
        assert len(server.billed) == wanted
        assert results(store) == expected
        extra = server.billed.total() - wanted
        doubt = in_doubt(store, tmp_path / "cache")
        assert extra <= doubt
        doubtful, twice = doubtful + doubt, twice + extra
    assert doubtful <= 8 * kills  # never more than were under way at once
    print(f"{done} kills: {doubtful} requests under way, {twice} of them billed twice")


def test_two_at_once_share_the_work_and_one_takes_over_from_the_killed(server: FakeServer, tmp_path: Path) -> None:
    run = Run(LIVE, server, tmp_path / "cache")
    server.seconds = 0.15
    store = store_with_instances(tmp_path / "shared", 40)
    wanted = 40 * len(TASKS)
    killed = run.start(store)
    while server.sent.total() < 20:
        assert killed.poll() is None, run.log.read_text()
        time.sleep(0.001)
    other = run.start(store)
    while server.sent.total() < wanted - 20 and other.poll() is None:
        time.sleep(0.001)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert other.wait(120) == 0, run.log.read_text()
    assert len(server.billed) == wanted
    extra = server.billed.total() - wanted
    assert extra <= in_doubt(store, tmp_path / "cache") <= 8


@pytest.mark.parametrize("is_killed", [pytest.param(False, marks=pytest.mark.slow), True])
def test_two_machines_over_one_remote_store_ask_everything_once(
    server: FakeServer,
    tmp_path: Path,
    s3_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    is_killed: bool,
) -> None:
    """They share nothing but the store. What the killed one was at, or had not put into the store, is asked again."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    server.seconds = 0.15
    store, single = Store(f"s3://bucket/{uuid.uuid4().hex}"), store_with_instances(tmp_path / "single", 20)
    publish(store, 20)
    wanted = 20 * len(TASKS)
    machines = []
    for name in ("one", "two"):
        (tmp_path / name / "tmp").mkdir(parents=True)
        environment = {"TMPDIR": str(tmp_path / name / "tmp"), "SCIRIFF_LEASE_SECONDS": "2"}
        machines.append(Run(LIVE, server, tmp_path / name / "cache", environment))
    one = machines[0].start(store)
    while server.sent.total() < 10:
        assert one.poll() is None, machines[0].log.read_text()
        time.sleep(0.001)
    other = machines[1].start(store)
    if is_killed:
        while server.sent.total() < wanted // 2:
            time.sleep(0.001)
        one.kill()
    assert other.wait(120) == 0, machines[1].log.read_text()
    assert one.wait(120) == (-signal.SIGKILL if is_killed else 0), machines[0].log.read_text()
    assert len(server.billed) == wanted
    extra = server.billed.total() - wanted
    if is_killed:
        assert extra <= unknown_elsewhere(store, machines[0].cache)
        assert in_doubt(store, machines[0].cache) <= 8  # its journal is brought home
    else:
        assert extra == 0
        assert store.files(".leases") == []
    machines[0].to_the_end(single)
    assert results(store) == results(single)


@pytest.mark.parametrize("kills", KILLS)
def test_killed_with_batches_under_way(server: FakeServer, tmp_path: Path, kills: int) -> None:
    run = Run(BATCH, server, tmp_path / "cache")
    unkilled = store_with_instances(tmp_path / "unkilled", 20)
    typical = run.to_the_end(unkilled)
    expected, wanted = results(unkilled), len(server.billed)
    chance, done = random.Random(kills), 0
    for round_number in count():
        if done >= kills:
            break
        server.billed.clear()
        server.batches.clear()
        server.uploads.clear()
        server.batch_plans = [BatchPlan(seconds=chance.uniform(0, 1), drop=0.1, duplicate=0.1, tear=True)]
        store = store_with_instances(tmp_path / f"killed-{round_number}", 20)
        done += evaluate_killed(run, store, chance, typical, kills - done)
        assert server.billed == dict.fromkeys(server.billed, 1)
        assert len(server.billed) == wanted
        assert results(store) == expected
        assert in_doubt(store, tmp_path / "cache") < wanted / 2  # those whose lines never came, once
