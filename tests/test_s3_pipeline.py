"""The whole road with the store on S3: the same bytes as on a disk, few requests, and clear words when it breaks."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from faulty_proxy import Answer, Proxy, Reset
from models.openai_server import FakeServer, running
from results.built import publish_instances
from s3_server import KEY, SECRET

import sciriff
from sciriff import api
from sciriff.errors import SciriffError, StoreError
from sciriff.models.plan import AskOptions
from sciriff.results.evaluate import evaluate
from sciriff.settings import Settings
from sciriff.store import Store

TASKS = ["qasper_abstractive_qa", "scierc_ner"]
LOCAL_ONLY = {"results/metrics.duckdb", "results/metrics.duckdb.sha256"}
"""Files of a local store that a remote one does not have: the index lies in the cache (docs/settings.md)."""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "SCIRIFF_")):
            monkeypatch.delenv(name)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.chdir(tmp_path)


Make = Callable[..., Settings]


@pytest.fixture
def settings(tmp_path: Path) -> Make:
    """Settings of a run at a store, with a cache of their own; its keys are in them alone."""

    def make(store: str, address: str | None = None, **more: object) -> Settings:
        name = hashlib.sha256(store.encode()).hexdigest()[:8]
        given = {
            "store": store,
            "cache": tmp_path / "caches" / name,
            "lock": tmp_path / f"{name}.lock",
            "offline": True,
            "samples": "always",
            "workers": 1,
            "s3_endpoint": address,
            "s3_key": KEY,
            "s3_secret": SECRET,
            "s3_region": "us-east-1",
        }
        return Settings.model_validate(given | more)

    return make


def contents(settings: Settings) -> dict[str, str]:
    """File -> sha256, of everything in a store but what is of one run alone: the ledger's parts."""
    store = Store.of(settings)
    names = [name for name in store.files("") if not name.startswith("results/ledger/")]
    return {name: hashlib.sha256(store.read_bytes(name)).hexdigest() for name in names}


def whole_road(settings: Settings) -> None:
    """Every verb that writes artifacts."""
    build = api.build(TASKS, windows=[4096], settings=settings)
    assert build.exit_code == 0, [outcome.message for outcome in build.outcomes]
    api.combine(windows=[4096], settings=settings)
    api.mix(instances_per_task=5, tulu="none", include_eval_tasks=True, settings=settings)
    api.stats(settings=settings)
    api.leakage(settings=settings)
    report = api.evaluate(["gold", "lead"], tasks=TASKS, settings=settings)
    assert report.exit_code == 0
    api.report(settings=settings)
    assert [row[0] for row in api.sql("select model from leaderboard order by model", settings=settings).rows] == [
        "gold",
        "lead",
    ]
    api.compare("gold", "lead", settings=settings)
    api.check(["gold"], settings=settings)
    instance = api.sql("select instance_id from samples order by 1 limit 1", settings=settings).rows[0][0]
    api.explain("lead", "qasper_abstractive_qa", instance, settings=settings)
    assert api.publish_index(settings=settings).endswith("results/metrics.duckdb")


@pytest.mark.slow
def test_all_stores_hold_the_same_bytes(settings: Make, s3_environment: dict[str, str], tmp_path: Path) -> None:
    local = settings(f"file://{tmp_path}/local")
    on_s3 = settings("s3://bucket/pipeline", s3_environment["AWS_ENDPOINT_URL"])
    in_memory = settings("memory://pipeline")
    whole_road(local)
    expected = {name: digest for name, digest in contents(local).items() if name not in LOCAL_ONLY}
    assert len(expected) > 60
    for other in (on_s3, in_memory):
        whole_road(other)
        assert {name: digest for name, digest in contents(other).items() if name not in LOCAL_ONLY} == expected
        assert "results/metrics.duckdb" in contents(other)  # which was published
    found = api.sql(
        "select model, count(*) from 's3://bucket/pipeline/results/facts/**/samples-*.parquet' group by all order by 1",
        settings=on_s3,
    )
    counted = api.sql("select model, count(*) from samples group by all order by 1", settings=local)
    assert found.rows == counted.rows
    again = api.build(TASKS, windows=[4096], settings=on_s3)
    assert {outcome.state for outcome in again.outcomes} == {"cached"}
    verified = sciriff.verify(settings=on_s3)
    assert verified.exit_code == 0


@pytest.fixture
def built(settings: Make, s3_proxy: Proxy, request: pytest.FixtureRequest) -> Settings:
    """A store on S3 that holds instances of a task."""
    made = settings(f"s3://bucket/{request.node.name}", s3_proxy.url)
    publish_instances(Store.of(made), "scierc_ner", 6)
    return made


def index_requests(proxy: Proxy, settings: Settings) -> Counter[str]:
    """Bring the index up to date; method and kind of file -> requests."""
    proxy.forget()
    api.sql("from leaderboard", settings=settings)
    return Counter(
        f"{request.method} {'list' if request.path == '/bucket' else request.path.rpartition('.')[2]}"
        for request in proxy.seen(containing="facts")
    )


def test_the_index_reads_only_facts_that_are_new(built: Settings, s3_proxy: Proxy, tmp_path: Path) -> None:
    evaluate(["gold"], store=Store.of(built), settings=built, tasks=["scierc_ner"])
    assert index_requests(s3_proxy, built).keys() == {"GET list"}, s3_proxy.requests
    evaluate(["lead"], store=Store.of(built), settings=built, tasks=["scierc_ner"])
    elsewhere = built.model_copy(update={"cache": tmp_path / "elsewhere"})
    asked = index_requests(s3_proxy, elsewhere)
    assert (asked["GET parquet"], asked["GET json"]) == (6, 2)  # of each model runs, samples, scores and a manifest
    evaluate(["empty"], store=Store.of(built), settings=built, tasks=["scierc_ner"])
    asked = index_requests(s3_proxy, elsewhere)
    assert (asked["GET parquet"], asked["GET json"]) == (3, 1)
    assert index_requests(s3_proxy, elsewhere).keys() == {"GET list"}
    before = api.sql("from leaderboard", settings=elsewhere)
    (copy,) = (tmp_path / "elsewhere").rglob("gold/**/scores-*.parquet")
    copy.write_bytes(b"damaged")
    (tmp_path / "elsewhere").joinpath("index", copy.relative_to(tmp_path / "elsewhere/index").parts[0]).joinpath(
        "metrics.duckdb"
    ).unlink()
    assert api.sql("from leaderboard", settings=elsewhere) == before


def test_the_index_is_published_whole_or_not_at_all(built: Settings, s3_proxy: Proxy) -> None:
    import duckdb

    evaluate(["gold"], store=Store.of(built), settings=built, tasks=["scierc_ner"])
    store = Store.of(built)
    assert api.publish_index(settings=built) == store.path("results/metrics.duckdb")
    old = store.read_bytes("results/metrics.duckdb")
    Path("published.duckdb").write_bytes(old)
    with duckdb.connect("published.duckdb", read_only=True) as connection:
        assert connection.sql("select model from leaderboard").fetchall() == [("gold",)]
    evaluate(["lead"], store=store, settings=built, tasks=["scierc_ner"])
    hasty = built.model_copy(update={"s3_attempts": 1})
    s3_proxy.rule = lambda request: Reset(after=50_000) if request.method == "PUT" else None
    with pytest.raises(StoreError, match=r"cannot write s3://bucket/.*/results/metrics.duckdb"):
        api.publish_index(settings=hasty)
    s3_proxy.heal()
    assert store.read_bytes("results/metrics.duckdb") == old
    api.publish_index(settings=built)
    assert store.read_bytes("results/metrics.duckdb") != old


@pytest.mark.slow
def test_a_running_evaluation_puts_little(built: Settings, s3_proxy: Proxy) -> None:
    store = Store.of(built)
    publish_instances(store, "scierc_ner", 60)
    with running(FakeServer(reply=lambda body: "{}", seconds=0.25, key="secret")) as server:
        s3_proxy.forget()
        os.environ["OPENAI_API_KEY"] = "secret"
        try:
            began = time.monotonic()
            report = evaluate(
                ["openai:m"],
                store=store,
                settings=built,
                tasks=["scierc_ner"],
                options=AskOptions(base_url=server.url, most_at_once=2),
            )
            seconds = time.monotonic() - began
        finally:
            del os.environ["OPENAI_API_KEY"]
    assert report.exit_code == 0, report.failures
    assert seconds > 5
    puts = s3_proxy.seen("PUT")
    (first, *_), last = (
        [request.number for request in puts if "/results/ledger/" in request.path],
        next(request.number for request in puts if "/results/predictions/" in request.path),
    )
    while_asking = [
        request for request in puts if first < request.number < last and "/predictions/" not in request.path
    ]
    assert 2 <= len(while_asking) <= seconds / 2 + 1
    gaps = [later.at - earlier.at for earlier, later in pairwise(while_asking)]
    assert all(gap > 1.5 for gap in gaps), [(request.path, request.at) for request in while_asking]
    assert all(request.size < 100_000 for request in while_asking)
    rewritten = {path: number for path, number in Counter(request.path for request in puts).items() if number > 1}
    assert {path for path in rewritten if ".staging/" not in path} == set()


@pytest.mark.parametrize("place", ["his/predictions", "his/predictions/m/scierc_ner.jsonl"])
def test_predictions_are_scored_where_they_lie(place: str, built: Settings) -> None:
    store = Store.of(built)
    lines = [
        json.dumps({"_instance_id": f"scierc_ner:validation:{at}", "prompt": "?", "pred": "{}", "ref": "{}"})
        for at in range(3)
    ]
    store.write_bytes("his/predictions/m/scierc_ner.jsonl", "\n".join(lines).encode())
    model = None if place.endswith("predictions") else "m"
    report = api.score(store.path(place), model=model, settings=built)
    assert [(result.model, result.task) for result in report.results] == [("m", "scierc_ner")], report
    with pytest.raises(SciriffError, match=r"there are no predictions at s3://"):
        api.score(store.path("nothing"), settings=built)


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command; exit code, and all that it printed."""
    from click.testing import CliRunner

    from sciriff.cli import main

    def call(*arguments: str, **variables: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, list(arguments), env=variables)
        assert result.exception is None or isinstance(result.exception, SystemExit | SciriffError), result.exception
        return result.exit_code, result.output

    return call


COMMANDS = {
    "build": ("build", "--tasks", "scierc_ner"),
    "combine": ("combine",),
    "mix": ("mix", "--instances-per-task", "5", "--tulu", "none"),
    "stats": ("stats",),
    "leakage": ("leakage",),
    "evaluate": ("evaluate", "--model", "gold"),
    "leaderboard": ("leaderboard",),
    "publish": ("leaderboard", "--publish"),
    "sql": ("sql", "from leaderboard"),
    "compare": ("compare", "gold", "lead"),
    "score": ("score", "s3://bucket/x/predictions"),
    "check": ("check", "--baseline", "gold"),
    "explain": ("explain", "gold", "scierc_ner", "scierc_ner:validation:0"),
    "show": ("show", "scierc_ner"),
    "report": ("report",),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_that_the_server_is_down(command: str, run: Run) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    variables = {
        "SCIRIFF_S3_ENDPOINT": address,
        "SCIRIFF_S3_KEY": KEY,
        "SCIRIFF_S3_SECRET": SECRET,
        "SCIRIFF_S3_ATTEMPTS": "2",
        "SCIRIFF_OFFLINE": "1",
        "SCIRIFF_SAMPLES": "always",
        "SCIRIFF_WORKERS": "1",
        "SCIRIFF_CACHE": str(Path("cache").absolute()),
    }
    code, printed = run(*COMMANDS[command], "--store", "s3://bucket/x", **variables)
    assert code == 1, printed
    assert f'Could not connect to the endpoint URL: "{address}/bucket' in printed
    assert "s3://bucket/x" in printed
    assert "check that the server runs" in printed
    assert "Traceback" not in printed


def evaluation_error(settings: Settings) -> str:
    """What an evaluation that fails says."""
    try:
        report = evaluate(["lead"], store=Store.of(settings), settings=settings, tasks=["scierc_ner"])
    except SciriffError as error:
        return str(error)
    assert report.exit_code == 1
    return "; ".join(report.failures.values())


@pytest.mark.slow
def test_what_was_there_stays_when_the_store_breaks(built: Settings, s3_proxy: Proxy) -> None:
    evaluate(["gold"], store=Store.of(built), settings=built, tasks=["scierc_ner"])
    before = contents(built)
    hasty = built.model_copy(update={"s3_attempts": 1})
    for broken in ("predictions/lead", "facts/lead", "metrics/tables", "metrics/by_model/lead"):
        s3_proxy.heal()
        s3_proxy.fail(Answer(503, "SlowDown"), times=1000, method="PUT", containing=broken)
        assert "cannot write s3://bucket/" in evaluation_error(hasty)
        after = contents(built)
        gold = {name: digest for name, digest in before.items() if "/gold/" in name or name.startswith("instr")}
        assert {name: after.get(name) for name in gold} == gold
    s3_proxy.heal()
    report = evaluate(["lead"], store=Store.of(built), settings=built, tasks=["scierc_ner"])
    assert report.exit_code == 0
    fresh = built.model_copy(update={"store": f"{built.store}-fresh", "cache": Path("fresh-cache").absolute()})
    publish_instances(Store.of(fresh), "scierc_ner", 6)
    for model in ("gold", "lead"):
        evaluate([model], store=Store.of(fresh), settings=fresh, tasks=["scierc_ner"])
    assert contents(built) == contents(fresh)


def test_the_plan_of_this_file_covers_every_verb_with_a_store() -> None:
    from sciriff.cli import VERBS, main

    with_store = {
        name
        for name in VERBS
        if any(option.name == "store" for option in main.get_command(None, name).params)  # type: ignore[arg-type, union-attr]
    }
    tried = {command[0] for command in COMMANDS.values()}
    assert with_store - tried <= {"push", "tasks", "prompt", "doctor", "verify", "fetch"}, json.dumps(
        sorted(with_store)
    )
