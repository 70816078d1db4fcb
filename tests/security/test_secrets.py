"""Everything is run with marked secrets; then all that was written, said and served is searched for them."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import s3_server
from models.openai_server import BatchPlan, FakeServer, running
from s3_server import RCLONE, S3Server

MARK = "MARKED"
TASKS = "scierc_ner,mup_single_document_summarization"

pytestmark = pytest.mark.slow


@contextmanager
def echoing(status: int) -> Iterator[str]:
    """A server that refuses everything, and says in its answer all that it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told = f"refused {self.path} with {dict(self.headers)}"
            body = json.dumps({"error": {"message": told, "code": "refused"}, "message": told}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Error-Message", told.replace("\n", " "))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_POST = do_HEAD = do_PUT = answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Lab:
    """A folder to work in, the command, and all that it said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SCIRIFF_", "AWS_", "HF_"))},
            "HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "HF_HOME": str(folder / "hub"),
            "NO_PROXY": "127.0.0.1",
            "SCIRIFF_DEBUG": "1",
            "SCIRIFF_OFFLINE": "1",
            "SCIRIFF_SAMPLES": "always",
            "SCIRIFF_WORKERS": "2",
            "SCIRIFF_MODELS": str(folder / "models.yaml"),
            "HF_TOKEN": f"hf_{MARK}hubtoken0001",
            "OPENAI_API_KEY": f"sk-{MARK}openai0002",
            "AWS_ACCESS_KEY_ID": "KEYID",
            "AWS_SECRET_ACCESS_KEY": f"{MARK}awssecret0003",
            "AWS_SESSION_TOKEN": "",
            "HTTP_PROXY": f"http://user:{MARK}proxy0004@127.0.0.1:9",
            "HTTPS_PROXY": f"http://user:{MARK}proxy0004@127.0.0.1:9",
        }
        del self.environment["AWS_SESSION_TOKEN"]
        (folder / ".env").write_text(f"LAB_KEY={MARK}dotenv0005\n", encoding="utf-8")

    def models(self, **urls: str) -> None:
        """Entries of models, each with a key that stands in ``.env``."""
        entries = {
            name: {"backend": "openai", "api_model": "m", "base_url": url, "api_key_variable": "LAB_KEY"}
            for name, url in urls.items()
        }
        (self.folder / "models.yaml").write_text(json.dumps(entries), encoding="utf-8")

    def __call__(self, *arguments: str, expect: int | None = 0, **variables: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "sciriff.cli", *arguments],
            cwd=self.folder, env={**self.environment, **variables}, capture_output=True, timeout=600, check=False,
        )  # fmt: skip
        said = f"$ {' '.join(arguments)}\n{ended.stdout.decode()}\n{ended.stderr.decode()}"
        if expect is not None:
            assert ended.returncode == expect, said
        # What was typed is the typist's: the first line is not searched.
        self.said.append(said.partition("\n")[2])
        return self.said[-1]

    def search(self) -> list[str]:
        """Where a mark is found."""
        found = [f"said: {line}" for said in self.said for line in said.splitlines() if MARK in line]
        own = {self.folder / ".env"}
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in own and MARK.encode() in path.name.encode() + contents(path):
                found.append(str(path.relative_to(self.folder)))
        return found


def contents(path: Path) -> bytes:
    """What a file holds, unpacked, with what databases and tables hold as text."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] == b"PAR1":
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        return data + json.dumps(table.to_pylist(), default=str).encode() + str(table.schema.metadata).encode()
    if data[8:12] == b"DUCK":
        import duckdb

        with duckdb.connect(str(path), read_only=True) as connection:
            tables = [name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()]
            rows = [connection.execute(f'select * from "{name}"').fetchall() for name in tables]
        return data + repr(rows).encode()
    if data[:16] == b"SQLite format 3\x00":
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            names = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
            rows = [database.execute(f'select * from "{name}"').fetchall() for name in names]
        return data + repr(rows).encode()
    return data


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    for name in ("home", "hub"):
        (tmp_path / name).mkdir()
    return Lab(tmp_path)


def test_the_search_finds_what_is_hidden(lab: Lab) -> None:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [f"{MARK}x"] * 3}), lab.folder / "a.parquet", compression="zstd")
    (lab.folder / "b.gz").write_bytes(gzip.compress(MARK.encode()))
    with duckdb.connect(str(lab.folder / "c.duckdb")) as connection:
        connection.execute(f"create table t as select '{MARK}' as a from range(5000)")
    with sqlite3.connect(lab.folder / "d.db") as database:
        database.execute("create table t (a text)")
        database.execute("insert into t values (?)", (MARK,))
    lab.said.append(f"a line with {MARK}")
    assert sorted(lab.search()) == ["a.parquet", "b.gz", "c.duckdb", "d.db", f"said: a line with {MARK}"]


def test_no_secret_is_found_anywhere(lab: Lab) -> None:
    lab.models()
    lab("fetch", "--tasks", TASKS)
    lab("build", "--tasks", TASKS, "--windows", "4096", "--n-instances", "20")
    lab("combine", "--windows", "4096")
    lab("mix", "--instances-per-task", "5", "--tulu", "none", "--include-eval-tasks")
    says = FakeServer(key=f"{MARK}dotenv0005", reply=lambda body: "Explanation: good.\nDecision: 5")
    judge = ("--judge-model", "judging")
    with running(says) as server:
        lab.models(served=server.url, judging=server.url, batched=server.url)
        lab("evaluate", "--model", "served,gold", "--limit", "3", "--yes", *judge)
        server.batch_plans.append(BatchPlan(seconds=0.1))
        lab("evaluate", "--model", "batched", "--limit", "2", "--batch", "--yes", "--judge", "off")
    for status in (400, 401, 403):
        with echoing(status) as url:
            lab.models(refused=f"{url}/v1", judging=f"{url}/v1")
            lab("evaluate", "--model", "refused", "--limit", "2", "--yes", "--judge", "off", expect=None)
            lab("evaluate", "--model", "refused", "--limit", "2", "--batch", "--yes", "--judge", "off", expect=None)
            lab("evaluate", "--model", "gold", "--limit", "4", "--yes", *judge, expect=None)
            outside = {"SCIRIFF_OFFLINE": "0", "SCIRIFF_SAMPLES": "never", "SCIRIFF_HUB_ENDPOINT": url}
            # One source is of the Hub, which gets the token, the other of some host.
            refused = lab("fetch", "--tasks", TASKS, expect=None, SCIRIFF_ENDPOINTS=everywhere(url), **outside)
            assert refused.count("(by way of 127.0.0.1:") == 2, refused
            refused = lab("push", "owner/name", "--include-samples", expect=None, HF_ENDPOINT=url, **outside)
            assert str(status) in refused, refused
    lab("evaluate", "--model", f"openai:m@http://user:{MARK}url0006@127.0.0.1:9/v1", "--yes", expect=1)
    lab("build", "--tasks", "scierc_ner", "--store", f"http://user:{MARK}url0007@127.0.0.1:9/x", expect=1)
    signed = f"http://127.0.0.1:9/m?X-Amz-Signature={MARK}0008&token={MARK}0009"
    lab("build", "--tasks", "scierc_ner", "--mirror", signed, expect=None, SCIRIFF_OFFLINE="0", SCIRIFF_SAMPLES="never")
    given = lab.folder / "given" / "other" / "scierc_ner"
    given.mkdir(parents=True)
    kept = next((lab.folder / "artifacts/results/predictions/gold/scierc_ner").rglob("predictions.jsonl"))
    shutil.copy(kept, given / "raw_predictions.jsonl")
    assert "scierc_ner" in lab("score", "given", "--judge", "off")
    for verb in (
        ["leaderboard"],
        ["report"],
        ["stats"],
        ["leakage"],
        ["tasks"],
        ["doctor"],
        ["verify", "--sample", "5%"],
    ):
        lab(*verb, expect=None)
    lab("sql", "select * from samples", "--csv", expect=None)
    lab("explain", "gold", "scierc_ner", "scierc_ner:validation:0", expect=None)
    lab("prompt", "scierc_ner", "--model", "gold", expect=None)
    assert len(list(lab.folder.rglob("*.parquet"))) > 3
    assert lab.search() == []


def everywhere(url: str) -> str:
    hosts = ("https://nlp.cs.washington.edu", "http://nlp.cs.washington.edu", "https://github.com")
    return ",".join(f"{host}={url}" for host in (*hosts, "https://raw.githubusercontent.com"))


@pytest.mark.skipif(not RCLONE.exists(), reason="rclone is not installed")
def test_no_secret_of_a_store(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.models()
    secret = lab.environment["AWS_SECRET_ACCESS_KEY"]
    monkeypatch.setattr(s3_server, "KEY", "KEYID")
    monkeypatch.setattr(s3_server, "SECRET", secret)
    server = S3Server(lab.folder / "s3")
    try:
        at = {"AWS_ENDPOINT_URL": server.url, "AWS_DEFAULT_REGION": "us-east-1", "SCIRIFF_STORE": "s3://bucket/lab"}
        lab("build", "--tasks", "scierc_ner", "--windows", "4096", "--n-instances", "20", **at)
        lab("evaluate", "--model", "gold", "--limit", "3", **at)
        lab("doctor", expect=None, **at)
        wrong = {**at, "AWS_SECRET_ACCESS_KEY": f"{MARK}wrong0010"}
        for verb in (["build", "--tasks", "scierc_ner"], ["evaluate", "--model", "gold"], ["doctor"], ["tasks"]):
            lab(*verb, expect=None, **wrong)
        lab("build", "--tasks", "scierc_ner", expect=None, **{**at, "SCIRIFF_STORE": "s3://nowhere/lab"})
        login = f"s3://KEYID:{MARK}url0011@bucket/lab"
        lab("build", "--tasks", "scierc_ner", expect=None, **{**at, "SCIRIFF_STORE": login})
    finally:
        server.kill()
    assert any(server.bucket.rglob("manifest.json"))
    assert lab.search() == []


@contextmanager
def prefect_server(lab: Lab) -> Iterator[dict[str, str]]:
    """A server whose database and storage lie in the lab's folder: the variables of its clients."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = lab.folder / "prefect"
    variables = {
        "PREFECT_HOME": str(home),
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "storage"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "DO_NOT_TRACK": "1",
        "NO_PROXY": "127.0.0.1",
    }
    command = [str(Path(sys.executable).with_name("prefect")), "server", "start", "--host", "127.0.0.1"]
    with (lab.folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)], env={**lab.environment, **variables}, cwd=lab.folder,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 240
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{variables['PREFECT_API_URL']}/health", timeout=5):
                break
            assert process.poll() is None
            assert time.monotonic() < deadline, "the server did not come up"
            time.sleep(0.3)
        yield variables
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


FLOWS = f"""
import logging
from prefect import flow
from flows.build import build_sciriff
from flows.evaluate import evaluate_model
from sciriff.errors import SourceError

@flow
def failing():
    logging.getLogger("sciriff").warning("asked https://user:{MARK}log0012@host")
    try:
        raise OSError("https://host?X-Amz-Signature={MARK}0013")
    except OSError as error:
        raise SourceError("Authorization: Bearer {MARK}0014.abc") from error

for run in (
    lambda: build_sciriff(tasks=["scierc_ner"], windows=[4096], n_instances=20),
    lambda: evaluate_model(model=["gold", "refused"], limit=2),
    failing,
):
    try:
        run()
    except BaseException as error:
        print(f"ended with {{error}}")
"""


def test_no_secret_of_a_flow(lab: Lab) -> None:
    """A real server: its database, its logs, its storage, and what the flows' process says."""
    program = lab.folder / "home" / "flows_to_run.py"
    program.write_text(FLOWS, encoding="utf-8")
    with prefect_server(lab) as variables, echoing(401) as url:
        lab.models(refused=f"{url}/v1")
        ended = subprocess.run(
            [sys.executable, str(program)], cwd=lab.folder,
            env={**lab.environment, **variables, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True, timeout=600, check=False,
        )  # fmt: skip
        time.sleep(3)  # log records are sent in the background, at least every two seconds
    said = ended.stdout.decode() + ended.stderr.decode()
    assert said.count("ended with") >= 1, said
    assert "the server answered 401" in said
    quoted = [line for line in said.splitlines() if "raise " not in line]  # a traceback quotes this test's own source
    lab.said.append("\n".join(quoted))
    program.unlink()
    assert [found for found in lab.search() if "raise " not in found] == []
    assert b"the server answered 401" in contents(lab.folder / "prefect" / "prefect.db")
