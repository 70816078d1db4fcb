"""A real Prefect server of our own for the whole session: fresh home, SQLite, a free port on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("DO_NOT_TRACK", "1")  # read when Prefect is imported, which the test modules do

ROOT = Path(__file__).resolve().parents[2]
PREFECT = Path(sys.executable).with_name("prefect")
STARTUP_SECONDS = 180  # 15 on an idle machine, most of it migrating a new database
CALL_SECONDS = 180


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these tests on one worker of a parallel run, so that it starts one server."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("prefect"))


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        api_url: where it answers.
        home: its PREFECT_HOME, also that of the clients.
        folder: scratch folder of the session.
        worker: the process of its worker.
    """

    api_url: str
    home: Path
    folder: Path
    worker: subprocess.Popen[bytes] | None = None

    @property
    def worker_folder(self) -> Path:
        """Where the worker is started."""
        return self.folder / "worker"

    @property
    def worker_log(self) -> Path:
        """What the worker says."""
        return self.folder / "worker.log"

    def environment(self, **extra: str) -> dict[str, str]:
        """What a user of this server has in the environment; nothing of the outer one that could change the outcome."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "SCIRIFF_"))}
        return {
            **kept,
            **common_settings(self.home),
            "PREFECT_API_URL": self.api_url,
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "SCIRIFF_OFFLINE": "1",
            "SCIRIFF_LOCK": str(self.folder / "sources.lock"),
            "SCIRIFF_WORKERS": "1",
            **extra,
        }

    def library_settings(self) -> dict[str, Any]:
        """The same for the library in this process, whatever its environment says."""
        return {
            "cache": self.folder / "cache" / "sciriff",
            "lock": self.folder / "sources.lock",
            "offline": True,
            "samples": "auto",
            "mirror": None,
            "tokenizer": None,
            "templates_dir": None,
            "workers": 1,
        }

    def prefect(self, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        """Type a ``prefect`` command in the project folder."""
        return subprocess.run(
            [PREFECT, *arguments],
            cwd=cwd,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS,
            check=False,
        )

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Ask the server's API."""
        request = urllib.request.Request(
            f"{self.api_url}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        return json.loads(self._answer(request))

    def delete(self, path: str) -> None:
        """Remove something by the server's API; what is gone already may be."""
        with suppress(FileNotFoundError):
            self._answer(urllib.request.Request(f"{self.api_url}/{path}", method="DELETE"))

    def _answer(self, request: urllib.request.Request) -> bytes:
        """What the server says; when SQLite is busy it says 503."""
        for wait in (0.5, 1.0, 2.0, 4.0, 8.0):
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    said: bytes = response.read()
                    return said
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    raise FileNotFoundError(request.full_url) from error
                if error.code != 503:
                    raise
                time.sleep(wait)
        pytest.fail(f"the server is too busy to answer {request.full_url}")


def common_settings(home: Path) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "storage"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true",  # else --watch shows no log line
        "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
        "DO_NOT_TRACK": "1",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_CLI_COLORS": "false",
        "PREFECT_CLI_WRAP_LINES": "false",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "NO_PROXY": "127.0.0.1,localhost",
    }


@contextmanager
def background(
    command: list[str | Path], log: Path, cwd: Path, env: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process in a process group of its own; at the end the whole group is gone."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def wait_until(ready: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{process.args!r} did not come up:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.2)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("prefect")
    home = folder / "home"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    api_url = f"http://127.0.0.1:{port}/api"
    log = folder / "server.log"
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | common_settings(home)
    command: list[str | Path] = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]

    def healthy() -> bool:
        try:
            with urllib.request.urlopen(f"{api_url}/health", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    with background(command, log, folder, env) as process:
        wait_until(healthy, process, log)
        running = Server(api_url, home, folder)
        with worker_of(running) as worker:
            yield replace(running, worker=worker)


@contextmanager
def worker_of(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    """A process worker of the pool ``sciriff``, started in a folder that is no checkout; it makes the pool, too.

    It is started early and nobody waits for it here: it takes seconds to come up, beside the tests that need none.
    """
    server.worker_folder.mkdir()
    env = server.environment(PREFECT_WORKER_QUERY_SECONDS="1")
    command: list[str | Path] = [PREFECT, "worker", "start", "--pool", "sciriff", "--type", "process"]
    with background(command, server.worker_log, server.worker_folder, env) as process:
        yield process


@pytest.fixture(scope="session")
def worker_folder(server: Server) -> Path:
    """Where the worker was started, which polls by now."""
    assert server.worker is not None
    wait_until(lambda: b"started!" in server.worker_log.read_bytes(), server.worker, server.worker_log)
    return server.worker_folder


@pytest.fixture
def in_process(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Run flows in this process against the server."""
    from prefect.events.worker import EventsWorker
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_HOME,
        PREFECT_LOCAL_STORAGE_PATH,
        PREFECT_LOGGING_TO_API_ENABLED,
        temporary_settings,
    )

    wanted = server.environment()
    for name in [name for name in os.environ if name.startswith("SCIRIFF_")]:
        monkeypatch.delenv(name)
    for name in [name for name in wanted if name.startswith(("SCIRIFF_", "XDG_", "NO_PROXY"))]:
        monkeypatch.setenv(name, wanted[name])
    settings = {
        PREFECT_API_URL: server.api_url,
        PREFECT_HOME: server.home,
        PREFECT_LOCAL_STORAGE_PATH: server.home / "storage",
        PREFECT_LOGGING_TO_API_ENABLED: False,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,  # a flow call waits a second for the thread that beats
    }
    with temporary_settings(settings):
        yield server
        EventsWorker.instance().drain()  # or they are sent at exit, with long patience, to a server that is gone
