"""`sciriff doctor`: every fault that it tells of is really made."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sciriff.checkup import accelerators, installation
from sciriff.checkup.accelerators import check_gpus, check_vllm, spell_gpu
from sciriff.checkup.cluster import check_cluster
from sciriff.checkup.finding import Finding, State, exit_code_of, ok
from sciriff.checkup.installation import check_lock, check_python, check_spacy, compare_lock
from sciriff.checkup.keys import check_keys
from sciriff.checkup.places import check_disk, check_manual, check_mirror, check_store, check_tokenizer, shown_url
from sciriff.checkup.prefect_api import check_prefect
from sciriff.checkup.run import CHECKS, examine
from sciriff.cli import main
from sciriff.errors import ExitCode
from sciriff.resources import resource_dir
from sciriff.settings import Settings

SECRET = "s3cr3t-never-to-be-seen"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder, and nothing of the caller's environment that counts."""
    for name in list(os.environ):
        if name.startswith(("SCIRIFF_", "PREFECT_", "AWS_", "OPENAI_", "HF_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def settings(tmp_path: Path, **changes: Any) -> Settings:
    given: dict[str, Any] = {"store": str(tmp_path / "store"), "cache": tmp_path / "cache", "offline": True}
    return Settings(_env_file=None, **{**given, **changes})


def only(findings: Iterator[Finding] | Sequence[Finding]) -> Finding:
    (finding,) = findings
    return finding


# --- the installation -----------------------------------------------------------------------------------------------


def test_python_and_lock_of_this_checkout(tmp_path: Path) -> None:
    assert only(check_python(settings(tmp_path))).state is State.OK
    finding = only(check_lock(settings(tmp_path)))
    assert finding.state in (State.OK, State.WARNING)
    assert "requirements.lock" in finding.found


def test_a_python_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation.platform, "python_version", lambda: "3.9.1")
    finding = only(check_python(settings(tmp_path)))
    assert finding.state is State.FAIL
    assert "3.9.1" in finding.found
    assert ">=3.11" in finding.found
    assert "3.12" in finding.remedy


def test_versions_that_are_not_those_of_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        f"click=={version('click')} \\\n    --hash=sha256:00\njinja2==0.0.1 \\\n    --hash=sha256:00\n"
        "not-there-at-all==1.0\nnot-for-us==1.0 ; sys_platform == 'win32'\n"
        "uvicorn[standard]==0.0.2 ; python_version > '3'\n"
    )
    found = compare_lock(lock.read_text())
    assert [text.split()[0] for text in found.other] == ["jinja2", "uvicorn"]
    assert (found.missing, found.locked) == (["not-there-at-all"], 4)
    monkeypatch.setattr(installation, "find_lock", lambda: lock)
    finding = only(check_lock(settings(tmp_path)))
    assert finding.state is State.WARNING
    assert f"jinja2 {version('jinja2')} (locked 0.0.1)" in finding.found
    assert finding.remedy == "make setup"


def test_a_requirement_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = installation._installed
    monkeypatch.setattr(installation, "_installed", lambda name: None if name == "orjson" else installed(name))
    finding = only(check_lock(settings(tmp_path)))
    assert finding.state is State.FAIL
    assert "orjson (missing)" in finding.found
    monkeypatch.setattr(installation, "_installed", lambda name: "0.1" if name == "orjson" else installed(name))
    assert "orjson 0.1 (needs >=" in only(check_lock(settings(tmp_path))).found


def test_without_a_lock_the_requirements_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "find_lock", lambda: None)
    assert only(check_lock(settings(tmp_path))).state is State.OK


def test_sentences_are_split(tmp_path: Path) -> None:
    finding = only(check_spacy(settings(tmp_path)))
    assert finding.state is State.OK
    assert version("spacy") in finding.found


# --- places ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free", "state"), [(10**8, State.FAIL), (5 * 10**9, State.WARNING), (10**12, State.OK)], ids=str
)
def test_room_on_disk(free: int, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(free, 0, free))  # type: ignore[attr-defined]
    findings = list(check_disk(settings(tmp_path)))
    assert {finding.state for finding in findings} == {state}
    assert {
        name for finding in findings for name in ("store", "cache", "temporary files") if name in finding.found
    } == {
        "store",
        "cache",
        "temporary files",
    }


def test_a_store_is_written_read_listed_deleted_and_left_as_it_was(tmp_path: Path) -> None:
    finding = only(check_store(settings(tmp_path)))
    assert finding.state is State.OK, finding
    assert not (tmp_path / "store").exists(), "a store that was not there is not made"
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "mine").write_text("kept")
    assert only(check_store(settings(tmp_path))).state is State.OK
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["mine"]


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    finding = only(check_store(settings(tmp_path, store=str(tmp_path / "file" / "store"))))
    assert finding.state is State.FAIL
    assert "cannot write" in finding.found
    assert "SCIRIFF_STORE" in finding.remedy
    finding = only(check_store(settings(tmp_path, store="nosuch://x")))
    assert finding.state is State.FAIL


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_without_permission(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(0o555)
    finding = only(check_store(settings(tmp_path)))
    assert finding.state is State.FAIL
    assert "Permission denied" in finding.found


def test_a_store_on_s3(s3_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    finding = only(check_store(settings(tmp_path, store="s3://bucket/doctor-of-tests")))
    assert finding.state is State.OK, finding
    finding = only(check_store(settings(tmp_path, store="s3://no-such-bucket/x")))
    assert finding.state is State.FAIL
    assert "bucket" in finding.remedy
    keys = list(check_keys(settings(tmp_path, store="s3://bucket/x")))
    assert any("AWS_ACCESS_KEY_ID" in finding.found and finding.state is State.OK for finding in keys)
    assert "SECRET" not in [word for finding in keys for word in finding.found.split()]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    found = examine(settings(tmp_path, store="s3://bucket/other"), {"store": check_store})
    assert only(found).state is State.FAIL
    assert SECRET not in str(found)


def test_a_server_of_a_store_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    finding = only(check_store(settings(tmp_path, store="s3://bucket/x")))
    assert finding.state is State.FAIL
    assert SECRET not in str(finding)


def test_mirrors(tmp_path: Path) -> None:
    assert only(check_mirror(settings(tmp_path))).state is State.OK
    finding = only(check_mirror(settings(tmp_path, mirror=str(resource_dir("samples")))))
    assert finding.state is State.OK
    finding = only(check_mirror(settings(tmp_path, mirror=str(tmp_path / "nowhere"))))
    assert finding.state is State.FAIL
    assert "SCIRIFF_MIRROR" in finding.remedy
    (tmp_path / "mirror").mkdir()
    entry = {"path": "gone.zip", "sha256": "0" * 64}
    (tmp_path / "mirror" / "mirror.json").write_text(json.dumps({"https://example.org/gone.zip": entry}))
    finding = only(check_mirror(settings(tmp_path, mirror=str(tmp_path / "mirror"))))
    assert finding.state is State.FAIL
    assert "gone.zip" in finding.found


def test_files_that_are_fetched_by_hand(tmp_path: Path) -> None:
    finding = only(check_manual(settings(tmp_path)))
    assert finding.state is State.WARNING
    assert "bioasq" in finding.found
    assert only(check_manual(settings(tmp_path, samples="always"))).state is State.OK
    assert not Path("sources.lock").exists()
    with_mirror = settings(tmp_path, mirror=str(resource_dir("samples")))
    assert only(check_manual(with_mirror)).state is State.OK


# --- the tokenizer --------------------------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """Answers by path; counts what it was asked and keeps the headers."""

    def __init__(self, answers: dict[str, tuple[int, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.seen: list[tuple[str, str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        status, body = self.server.answers.get(self.path, (404, {"detail": "Not Found"}))
        if status == 0:
            time.sleep(body)
            return
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_POST = do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def served() -> Iterator[Server]:
    server = Server({})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_bundled_tokenizer_and_files(tmp_path: Path) -> None:
    finding = only(check_tokenizer(settings(tmp_path)))
    assert finding.state is State.OK
    assert "bundled" in finding.found
    assert only(check_tokenizer(settings(tmp_path, offline=False, samples="always"))).state is State.OK
    path = resource_dir("samples") / "tokenizer.json"
    assert only(check_tokenizer(settings(tmp_path, tokenizer=str(path)))).state is State.OK
    finding = only(check_tokenizer(settings(tmp_path, tokenizer=str(tmp_path / "none.json"))))
    assert finding.state is State.FAIL
    assert "none.json" in finding.found


HUB_FILE = "/hf-internal-testing/llama-tokenizer/resolve/main/tokenizer.json"


@pytest.mark.parametrize(
    ("status", "changes", "state"),
    [
        (200, {}, State.OK),
        (401, {}, State.WAITS),
        (403, {}, State.WAITS),
        (404, {}, State.FAIL),
        (500, {}, State.FAIL),
    ],
)
def test_a_tokenizer_on_the_hub(
    status: int, changes: dict[str, Any], state: State, served: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    served.answers[HUB_FILE] = (status, {})
    found = settings(tmp_path, offline=False, hub_endpoint=served.url, **changes)
    finding = only(check_tokenizer(found))
    assert finding.state is state
    assert SECRET not in str(finding)
    assert [command for command, *_ in served.seen] == ["HEAD"], "nothing is downloaded"


def test_a_hub_out_of_reach(tmp_path: Path) -> None:
    away = {"offline": False, "hub_endpoint": "http://127.0.0.1:9"}
    assert only(check_tokenizer(settings(tmp_path, **away))).state is State.WARNING, "samples may stand in"
    finding = only(check_tokenizer(settings(tmp_path, samples="never", **away)))
    assert finding.state is State.FAIL
    assert "SCIRIFF_TOKENIZER" in finding.remedy
    finding = only(check_tokenizer(settings(tmp_path, tokenizer="owner/name")))
    assert finding.state is State.FAIL
    assert "SCIRIFF_OFFLINE" in finding.found


# --- Prefect --------------------------------------------------------------------------------------------------------


def prefect_answers(running: str | None = None, workers: Sequence[str] = ("ONLINE",)) -> dict[str, tuple[int, Any]]:
    return {
        "/api/health": (200, True),
        "/api/admin/version": (200, running or version("prefect")),
        "/api/work_pools/filter": (200, [{"name": "my pool", "type": "process"}]),
        "/api/work_pools/my%20pool/workers/filter": (200, [{"status": status} for status in workers]),
    }


def test_no_prefect_is_needed(tmp_path: Path) -> None:
    server, worker = check_prefect(settings(tmp_path))
    assert (server.state, worker.state) == (State.OK, State.OK)
    assert "no server is set" in server.found


def test_a_prefect_with_a_worker(served: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served.answers |= prefect_answers()
    monkeypatch.setenv("PREFECT_API_URL", f"{served.url}/api")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", f"admin:{SECRET}")
    server, worker = check_prefect(settings(tmp_path))
    assert (server.state, worker.state) == (State.OK, State.OK)
    assert version("prefect") in server.found
    assert "my pool (process): 1 online" in worker.found
    assert {headers["Authorization"][:6] for *_, headers in served.seen} == {"Basic "}
    assert SECRET not in str([server, worker])


@pytest.mark.parametrize("workers", [(), ("OFFLINE",)])
def test_a_pool_without_a_worker(
    workers: Sequence[str], served: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.answers |= prefect_answers(workers=workers)
    monkeypatch.setenv("PREFECT_API_URL", f"{served.url}/api")
    _, worker = check_prefect(settings(tmp_path))
    assert worker.state is State.WARNING
    assert "prefect worker start" in worker.remedy


def test_another_version_of_prefect(served: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served.answers |= prefect_answers("2.1.0")
    monkeypatch.setenv("PREFECT_API_URL", f"{served.url}/api")
    server, _ = check_prefect(settings(tmp_path))
    assert server.state is State.WARNING
    assert "2.1.0" in server.found


@pytest.mark.parametrize(
    ("url", "answers"),
    [
        ("http://127.0.0.1:9/api", {}),
        ("nonsense", {}),
        (None, {"/api/health": (401, {})}),
        (None, {"/api/health": (500, {})}),
        (None, {"/api/health": (200, True), "/api/admin/version": (404, {})}),
        (None, {**prefect_answers(), "/api/work_pools/filter": (200, "no list")}),
        (None, {**prefect_answers(), "/api/work_pools/filter": (200, [{"no": "name"}])}),
    ],
    ids=["dead", "no address", "refused", "ill", "another server", "odd answer", "odd pool"],
)
def test_a_prefect_that_does_not_answer(
    url: str | None, answers: dict[str, Any], served: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.answers |= answers
    monkeypatch.setenv("PREFECT_API_URL", url or f"{served.url}/api".replace("//", f"//me:{SECRET}@"))
    found = examine(settings(tmp_path), {"prefect": check_prefect})
    assert State.FAIL in {finding.state for finding in found}
    assert all(finding.remedy for finding in found if finding.state is State.FAIL)
    assert SECRET not in str(found)


def test_where_prefect_is_set(served: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the places where Prefect itself looks, in the same order."""
    served.answers |= prefect_answers()
    home = tmp_path / "prefect"
    home.mkdir()
    api = f"{served.url}/api"
    profiles = f'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "{api}"\nPREFECT_API_KEY = "{SECRET}"\n'
    (home / "profiles.toml").write_text(profiles)
    assert "profile mine" in next(iter(check_prefect(settings(tmp_path)))).found
    assert served.seen[-1][2]["Authorization"] == f"Bearer {SECRET}"
    Path("prefect.toml").write_text(f'[api]\nurl = "{api}"\nauth_string = "a:b"\n')
    assert "prefect.toml" in next(iter(check_prefect(settings(tmp_path)))).found
    Path(".env").write_text(f"PREFECT_API_URL={api}\n")
    assert ".env" in next(iter(check_prefect(settings(tmp_path)))).found
    monkeypatch.setenv("PREFECT_API_URL", api)
    assert "(from PREFECT_API_URL)" in next(iter(check_prefect(settings(tmp_path)))).found


def test_a_cluster(served: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DASK_SCHEDULER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sciriff.checkup.cluster.find_spec", lambda name: name)  # both are extras
    assert only(check_cluster(settings(tmp_path))).state is State.OK
    address = f"tcp://127.0.0.1:{served.server_port}"
    assert only(check_cluster(settings(tmp_path, runner="dask", cluster=address))).state is State.OK
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    assert only(check_cluster(settings(tmp_path, runner="dask"))).state is State.OK
    for wrong in ("tcp://127.0.0.1:9", "nowhere", "tcp://host:many"):
        finding = only(check_cluster(settings(tmp_path, runner="dask", cluster=wrong)))
        assert finding.state is State.FAIL
        assert finding.remedy
    assert only(check_cluster(settings(tmp_path, runner="ray"))).state is State.OK
    monkeypatch.setattr("sciriff.checkup.cluster.find_spec", lambda name: None)
    assert "sciriff[ray]" in only(check_cluster(settings(tmp_path, runner="ray"))).remedy


# --- keys, GPUs, vLLM -----------------------------------------------------------------------------------------------


def test_keys_are_told_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {finding.found.split()[0]: finding.state for finding in check_keys(settings(tmp_path))}
    assert states["OPENAI_API_KEY"] is State.WARNING
    assert states["HF_TOKEN"] is State.OK
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    Path(".env").write_text(f"HF_TOKEN={SECRET}\n")
    findings = list(check_keys(settings(tmp_path)))
    assert any("OPENAI_API_KEY is set (environment)" in finding.found for finding in findings)
    assert any("HF_TOKEN is set (.env)" in finding.found for finding in findings)
    assert SECRET not in str(findings)


def tool(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program named nvidia-smi on the path."""
    folder.mkdir(exist_ok=True)
    path = folder / "nvidia-smi"
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))


def test_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = only(check_gpus(settings(tmp_path)))
    assert (finding.state, finding.found[:4]) == (State.OK, "none")
    tool(tmp_path / "bin", "print('NVIDIA H100 80GB HBM3, 81559, 550.54\\n' * 2, end='')", monkeypatch)
    assert [finding.found for finding in check_gpus(settings(tmp_path))] == [
        f"{number}: NVIDIA H100 80GB HBM3, 80 GiB, driver 550.54" for number in range(2)
    ]
    tool(tmp_path / "bin", "import sys; print('driver mismatch', file=sys.stderr); sys.exit(9)", monkeypatch)
    finding = only(check_gpus(settings(tmp_path)))
    assert finding.state is State.WARNING
    assert "driver mismatch" in finding.found
    monkeypatch.setattr(accelerators, "_SECONDS", 0.2)
    tool(tmp_path / "bin", "import time; time.sleep(60)", monkeypatch)
    assert "TimeoutExpired" in only(check_gpus(settings(tmp_path))).found
    assert spell_gpu(0, "odd") == "0: odd, ?, driver ?"


def test_vllm_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(check_vllm(settings(tmp_path))).state is State.OK
    assert "vllm" not in sys.modules
    monkeypatch.setattr(accelerators, "version", lambda name: "9.9")
    assert only(check_vllm(settings(tmp_path))).found == "vllm 9.9 is installed"


# --- all together ---------------------------------------------------------------------------------------------------


def test_a_check_that_breaks_or_hangs_is_a_finding(tmp_path: Path) -> None:
    def broken(settings: Settings) -> list[Finding]:
        raise RuntimeError(f"http://me:{SECRET}@host failed")

    def hanging(settings: Settings) -> list[Finding]:
        time.sleep(30)
        return []

    def leaving(settings: Settings) -> Iterator[Finding]:
        yield ok("leaving", "http://me:pw@host")
        raise SystemExit(3)

    checks = {"broken": broken, "hanging": hanging, "fine": lambda settings: [ok("fine", "yes")], "leaving": leaving}
    found = examine(settings(tmp_path), checks, seconds=1.0)
    assert [(finding.check, finding.state) for finding in found] == [
        ("broken", State.FAIL),
        ("hanging", State.FAIL),
        ("fine", State.OK),
        ("leaving", State.FAIL),
    ]
    assert SECRET not in str(found)
    assert exit_code_of(found) is ExitCode.FAILED


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([], ExitCode.DONE),
        ([State.OK, State.WARNING], ExitCode.DONE),
        ([State.WAITS, State.WARNING], ExitCode.BLOCKED),
        ([State.WAITS, State.FAIL], ExitCode.FAILED),
    ],
)
def test_the_exit_status(states: list[State], code: ExitCode) -> None:
    assert exit_code_of([Finding("x", state, "y") for state in states]) is code


def test_addresses_are_shown_without_secrets() -> None:
    assert shown_url("http://me:pw@host:1/api?token=x") == "http://host:1/api"
    assert shown_url("/a/path") == "/a/path"


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIRIFF_OFFLINE", "1")
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    done = CliRunner().invoke(main, ["doctor", "--store", str(tmp_path / "store")])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    for check in ("python", "lock", "disk", "store", "mirror", "tokenizer", "spacy", "prefect", "keys", "gpu", "vllm"):
        assert any(line.split()[1] == check for line in lines if line), check
    assert SECRET not in done.output
    done = CliRunner().invoke(main, ["doctor", "--json", "--store", "nosuch://x"])
    assert done.exit_code == 1
    records = [json.loads(line) for line in done.output.splitlines()]
    assert {record["check"] for record in records} >= {*CHECKS} - {"prefect"}
    assert all(record.keys() == {"check", "state", "found", "remedy"} for record in records)


def test_the_command_ends_though_a_check_hangs(served: Server, tmp_path: Path) -> None:
    """A thread that hangs does not keep the process."""
    program = (
        "import time, sys; from sciriff.checkup import run; from sciriff.settings import Settings;"
        "found = run.examine(Settings(), {'hangs': lambda settings: time.sleep(600)}, seconds=0.2);"
        "print(found[0].state)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "fail"
