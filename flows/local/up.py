"""Start what does not run yet, wait until it is ready, deploy, and say what to do next."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from flows.local import marked
from flows.local.down import Say, alone, end
from flows.local.place import FOLDER, SIGN_POST, LocalError, Place
from flows.local.server import HOST, POOL, Server

DEFAULT_PORT = 4200

_PREFECT = Path(sys.executable).with_name("prefect")
_STARTUP_SECONDS = 300
_LAST_PORT = 65535


def up(project: Path, port: int | None = None, *, with_password: bool = True, say: Say = print) -> None:
    """Start server and worker, and deploy. What runs already stays as it is, so doing this twice does no harm.

    Args:
        project: the folder with ``prefect.yaml``; the worker runs in it.
        port: where the server listens; if None, where it did last time, or at 4200.
        with_password: whether the server wants one; counts when it is started.
        say: is told what happens.

    Raises:
        LocalError: if something does not come up; what this call has started is then ended again.
    """
    if not (project / "prefect.yaml").is_file():
        raise LocalError(f"{project} holds no prefect.yaml; go to the project folder")
    place = Place(project.resolve())
    place.prepare()
    with alone(place):
        started: list[str] = []
        try:
            server = _have_server(place, port, with_password, started, say)
            _have_worker(place, server, started, say)
            _deploy(place, server, say)
        except BaseException:
            _undo(place, started, say)
            raise
        _lead_there(place, server, say)
        _explain(place, server, say)


def _undo(place: Place, started: Sequence[str], say: Say) -> None:
    if started:
        say(f"ending what was started: {', '.join(started)}")
        end(place, but=None if "server" in started else place.running("server"))
        place.forget(*started)


def _have_server(place: Place, port: int | None, with_password: bool, started: list[str], say: Say) -> Server:
    pid = place.running("server")
    if pid is not None and place.port is not None:
        if port not in (None, place.port):
            raise LocalError(f"the server runs at port {place.port}; to have it at {port}, make down first")
        server = Server(place.port, place.password)
        say(f"server   runs already, process {pid}")
        if server.password is not None and not with_password:
            say("note: it was started with a password and keeps it; to do without, make down first")
    else:
        chosen = port or place.port or DEFAULT_PORT
        _require_free(chosen)
        if (chosen, with_password) != (place.port, place.password is not None):
            end(place)  # a worker whose server has gone would look for it where it was
        place.choose_password(with_password)
        place.remember("port", chosen)
        server = Server(chosen, place.password)
        pid = _start(place, "server", ["server", "start", "--host", HOST, "--port", str(chosen)], server, started)
        say(f"server   starting, process {pid}; its first start makes the database")
    _wait(place, "server", pid, server.is_healthy, say)
    return server


def _require_free(port: int) -> None:
    """Raise LocalError, with the name of who has it, if a port is taken."""
    if not 0 < port <= _LAST_PORT:
        raise LocalError(f"{port} is no port; take one from 1024 to {_LAST_PORT}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise LocalError(
                f"port {port} cannot be had: {error.strerror or error}{_who_listens(port)}. End what uses it, or take "
                f"another port: make up PORT={port + 1}"
            ) from None


def _who_listens(port: int) -> str:
    """Who has a port, as far as this user may know."""
    import psutil

    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                command = shlex.join(psutil.Process(connection.pid).cmdline())
                return f" (process {connection.pid}: {command[:100]})"
    return ""


def _have_worker(place: Place, server: Server, started: list[str], say: Say) -> None:
    pid = place.running("worker")
    if pid is not None:
        say(f"worker   runs already, process {pid}")
        return
    since = time.time()
    pid = _start(place, "worker", ["worker", "start", "--pool", POOL, "--type", "process"], server, started)
    say(f"worker   starting, process {pid}")
    _wait(place, "worker", pid, lambda: server.has_worker(since), say)


def _start(place: Place, name: str, arguments: Sequence[str], server: Server, started: list[str]) -> int:
    with suppress(FileNotFoundError):
        place.log(name).replace(place.log(f"{name}.before"))
    environment = environment_of(place, server)
    if name == "server":
        if server.password is not None:
            environment["PREFECT_SERVER_API_AUTH_STRING"] = server.password
        # SQLite is busy now and then; what the server does in the background then fails, with a page of traceback in a
        # logger below root, and is tried again. Prefect's own loggers do not depend on the level of root.
        environment["PREFECT_LOGGING_ROOT_LEVEL"] = "CRITICAL"
    started.append(name)
    pid = marked.start(
        [_PREFECT, *arguments], place.mark, log=place.log(name), folder=place.project, environment=environment
    )
    place.remember(f"{name}.pid", pid)
    return pid


def environment_of(place: Place, server: Server) -> dict[str, str]:
    """The environment of server, worker and runs: the caller's, but for what it says of another Prefect."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    past_proxies = ",".join(filter(None, [_no_proxy(), HOST, "localhost"]))
    ours = {
        "PREFECT_HOME": str(place.home),
        "PREFECT_LOCAL_STORAGE_PATH": str(place.home / "storage"),  # else it lies in the home of the user
        "PREFECT_PROFILES_PATH": str(place.home / "profiles.toml"),
        "PREFECT_API_URL": server.api_url,
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(server.port),
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"{server.url},http://localhost:{server.port}",
        "PREFECT_SERVER_UI_API_URL": server.api_url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_CLI_COLORS": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "3",  # a run that is asked for starts at once, or nearly
        "NO_PROXY": past_proxies,
        "no_proxy": past_proxies,
        "DO_NOT_TRACK": "1",
    }
    if server.password is not None:
        ours["PREFECT_API_AUTH_STRING"] = server.password
    return {**kept, **ours}


def _no_proxy() -> str:
    return os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""


def _wait(place: Place, name: str, pid: int, is_ready: Callable[[], bool], say: Say) -> None:
    """Wait until a process is ready, telling so now and again.

    Raises:
        LocalError: if it ends or takes too long, with the end of its log.
    """
    begun = told = time.monotonic()
    while not is_ready():
        now = time.monotonic()
        if not marked.is_marked(pid, place.mark):
            raise LocalError(f"the {name} has ended. {place.end_of_log(name)}")
        if now - begun > _STARTUP_SECONDS:
            raise LocalError(f"the {name} was not ready after {_STARTUP_SECONDS} seconds. {place.end_of_log(name)}")
        if now - told >= 10:
            told = now
            say(f"{name:8} not ready yet, {now - begun:.0f} s")
        time.sleep(0.3)
    say(f"{name:8} ready")


def _deploy(place: Place, server: Server, say: Say) -> None:
    say("deploy   all deployments of prefect.yaml")
    with place.log("deploy").open("wb") as log:
        done = subprocess.run(
            [_PREFECT, "--no-prompt", "deploy", "--all"],
            cwd=place.project,
            env=environment_of(place, server),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        )
    if done.returncode != 0:
        raise LocalError(f"prefect deploy --all failed. {place.end_of_log('deploy')}")


def _lead_there(place: Place, server: Server, say: Say) -> None:
    """Let prefect commands typed in this folder find the server."""
    lines = ["[api]", f'url = "{server.api_url}"']
    secret = [f'auth_string = "{server.password}"'] if server.password is not None else []
    if not place.put_up_sign_post("\n".join([*lines, *secret, ""])):
        hint = [f'auth_string = "..."  # the line in {FOLDER}/sign-in'] if secret else []
        say(f"note: {SIGN_POST} is yours and stays as it is. With this in it, prefect finds the server:")
        for line in [*lines, *hint]:
            say(f"  {line}")


def _explain(place: Place, server: Server, say: Say) -> None:
    say("")
    say(f"pages    {server.url}{how_to_sign_in(server)}")
    say(f"logs     {FOLDER}/server.log, {FOLDER}/worker.log")
    say("")
    say("next, in this folder:")
    if shutil.which("prefect") != str(_PREFECT):
        activate = _PREFECT.with_name("activate")
        inside = activate.is_relative_to(place.project)
        say(f"  source {activate.relative_to(place.project) if inside else activate}")
    for line in _what_leads_elsewhere(place.project, server):
        say(f"  {line}")
    say("  prefect deployment run build-sciriff --watch --param tasks=scierc_ner,cdr_ner")
    say("  prefect deployment run evaluate-model --watch --param model=gold,lead")
    say("  make down")


def how_to_sign_in(server: Server) -> str:
    """What is said beside the address of the pages; the password itself is never shown."""
    return f"  (sign in with the line in {FOLDER}/sign-in)" if server.password is not None else ""


def _what_leads_elsewhere(project: Path, server: Server) -> list[str]:
    """Commands that undo what would lead prefect, typed in this shell and folder, to another server."""
    lines = [f"unset {name}" for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING") if os.environ.get(name)]
    with suppress(OSError):
        names = [line.partition("=")[0].strip() for line in (project / ".env").read_text("utf-8").splitlines()]
        if "PREFECT_API_URL" in names:
            lines.append(f"export PREFECT_API_URL={server.api_url}  # .env says otherwise")
    proxies = any(os.environ.get(name) for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"))
    if proxies and HOST not in _no_proxy():
        lines.append(f"export NO_PROXY={HOST}")
    return lines
