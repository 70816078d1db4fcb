"""``make up`` and ``make down``: what is started, who can reach it, and that exactly that is ended."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from flows.local import marked
from flows.local.down import down
from flows.local.place import LocalError, Place
from flows.local.server import Server
from flows.local.status import status
from flows.local.up import _wait, environment_of, up

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A folder from which something was started once."""
    place = Place(tmp_path)
    place.prepare()
    yield place
    marked.end(lambda: marked.marked(place.mark), 1)


def start(place: Place, command: list[str] = SLEEPER) -> int:
    return marked.start(command, place.mark, log=place.log("test"), folder=place.project, environment=dict(os.environ))


def test_what_was_started_and_what_that_started_is_known_by_its_mark(place: Place) -> None:
    parent = [sys.executable, "-c", f"import subprocess; subprocess.run({SLEEPER!r}, start_new_session=True)"]
    pid = start(place, parent)
    assert marked.is_marked(pid, place.mark)
    until(lambda: len(marked.marked(place.mark)) == 2)
    assert marked.end(lambda: marked.marked(place.mark), 20) == []
    assert marked.marked(place.mark) == []
    assert not marked.is_marked(pid, place.mark)


def test_what_does_not_listen_is_made_to_end(place: Place) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    start(place, [sys.executable, "-c", deaf])
    until(lambda: "deaf" in place.log("test").read_text())
    assert marked.end(lambda: marked.marked(place.mark), 1) == []


def test_a_process_that_got_the_number_of_ours_is_left_alone(place: Place) -> None:
    stranger = subprocess.Popen(SLEEPER)
    try:
        for name in ("server", "worker"):
            place.remember(f"{name}.pid", stranger.pid)
        assert place.running("server") is None
        said: list[str] = []
        down(place.project, say=said.append)
        assert "nothing was running" in said
        assert stranger.poll() is None
        assert not (place.folder / "server.pid").exists()
    finally:
        stranger.kill()
        stranger.wait()


def test_a_copy_of_the_folder_ends_nothing_of_the_original(place: Place, tmp_path: Path) -> None:
    pid = start(place)
    shutil.copytree(place.folder, tmp_path / "copy" / place.folder.name)
    down(tmp_path / "copy", say=lambda _: None)
    assert marked.is_marked(pid, place.mark)


def test_down_where_nothing_was_started_makes_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    down(tmp_path, say=said.append)
    assert said == ["nothing was ever started from this folder"]
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_is_told_with_who_has_it_and_leaves_nothing_running(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalError, match=rf"port {port} cannot be had: .*process {os.getpid()}.*PORT={port + 1}"):
            up(tmp_path, port, say=lambda _: None)
    assert marked.marked(Place(tmp_path).mark) == []
    assert not (tmp_path / "prefect.toml").exists()


def test_no_port_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").touch()
    with pytest.raises(LocalError, match="70000 is no port"):
        up(tmp_path, 70000, say=lambda _: None)


def test_a_process_that_ends_at_once_is_told_of_with_the_end_of_its_log(place: Place) -> None:
    pid = start(place, [sys.executable, "-c", "raise SystemExit('no disk left')"])
    with pytest.raises(LocalError, match=r"(?s)the test has ended\. .*test\.log ends with:.*no disk left"):
        _wait(place, "test", pid, lambda: False, lambda _: None)


def test_outside_a_project_folder_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"holds no prefect\.yaml"):
        up(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_this_user_reads_what_is_secret(place: Place) -> None:
    place.choose_password(True)
    assert place.put_up_sign_post('auth_string = "x"\n')
    for path in (place.sign_in, place.sign_post):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700
    first = place.password
    place.choose_password(True)
    assert place.password == first
    place.choose_password(False)
    assert place.password is None


def test_a_prefect_toml_of_the_users_own_is_left_alone(place: Place) -> None:
    place.sign_post.write_text('[api]\nurl = "https://prefect.example.org/api"\n')
    assert not place.put_up_sign_post("[api]\n")
    place.take_down_sign_post()
    assert "example.org" in place.sign_post.read_text()


def test_nothing_of_another_prefect_gets_in(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", "pnu_of_another_server")
    monkeypatch.setenv("PREFECT_SERVER_API_HOST", "0.0.0.0")
    monkeypatch.setenv("SCIRIFF_STORE", "s3://bucket")
    monkeypatch.setenv("NO_PROXY", "intranet")
    environment = environment_of(place, Server(4200, None))
    assert "PREFECT_API_KEY" not in environment
    assert environment["PREFECT_SERVER_API_HOST"] == "127.0.0.1"
    assert Path(environment["PREFECT_HOME"]).is_relative_to(place.project)
    assert environment["SCIRIFF_STORE"] == "s3://bucket"
    assert environment["NO_PROXY"] == "intranet,127.0.0.1,localhost"


@pytest.mark.slow
@pytest.mark.timeout(1200)  # four programs that import Prefect, maybe on a loaded machine
def test_from_up_to_down_as_a_user_types_it(tmp_path: Path) -> None:
    for name in ("prefect.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    home = tmp_path / "user"
    (home / ".prefect").mkdir(parents=True)
    profile = 'active = "lab"\n[profiles.lab]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n'
    (home / ".prefect/profiles.toml").write_text(profile)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "SCIRIFF_"))}
    environment = {
        **kept,
        "HOME": str(home),
        "PATH": f"{BIN}{os.pathsep}{kept['PATH']}",
        "SCIRIFF_OFFLINE": "1",
        "SCIRIFF_SAMPLES": "always",
        "OPENAI_API_KEY": "sk-marked-secret",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLI_WRAP_LINES": "false",
    }

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400, check=False
        )

    def local(verb: str, *options: str) -> str:
        done = run(sys.executable, "-m", "flows.local", verb, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    place = Place(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        printed = local("up", "--port", str(port))
        assert f"http://127.0.0.1:{port}" in printed
        assert place.password is not None
        assert place.password not in printed
        pids = {name: place.running(name) for name in ("server", "worker")}
        assert None not in pids.values()
        assert "runs already" in local("up")
        assert {name: place.running(name) for name in pids} == pids

        with pytest.raises(urllib.error.HTTPError, match="401"):
            Server(port, None).ask("flows/filter", {})
        asked = Server(port, place.password).ask("deployments/filter", {})
        assert len(asked) == 4

        ran = run("prefect", "deployment", "run", "build-sciriff", "--watch", "--param", "tasks=scierc_ner,cdr_ner")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "2 of 2 tasks built" in ran.stdout
        assert (tmp_path / "artifacts/instructions_hf/4096/train.parquet").is_file()

        listening = [
            connection.laddr.ip
            for process in marked.marked(place.mark)
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        ]
        assert set(listening) == {"127.0.0.1"}

        waiting = ("--param", "tasks=bioasq_list_qa", "--param", "wait_for_manual_minutes=60")
        never = ("--job-variable", f"env={json.dumps({'SCIRIFF_SAMPLES': 'never'})}")
        assert run("prefect", "deployment", "run", "build-sciriff", *waiting, *never).returncode == 0
        until(
            lambda: Server(port, place.password).ask("task_runs/filter", {"task_runs": {"name": {"like_": "wait"}}}),
            240,
        )
        assert "wait_for_manual_minutes=60" in local("status")
    finally:
        printed = local("down")
    assert "cancelling build-sciriff tasks=bioasq_list_qa" in printed
    assert marked.marked(place.mark) == []
    assert not (tmp_path / "prefect.toml").exists()
    assert (place.home / "prefect.db").is_file()
    assert (home / ".prefect/profiles.toml").read_text() == profile
    assert not (home / ".prefect/prefect.db").exists()
    for path in place.folder.rglob("*"):
        assert not path.is_file() or b"sk-marked-secret" not in path.read_bytes(), path
    said: list[str] = []
    assert not status(tmp_path, say=said.append)
    assert "make up" in said[0]
