"""Prefect's server and workers, asked over HTTP as anybody can: nothing of Prefect is imported.

Where the server is, is read from the same places in the same order as Prefect reads it: variables, ``.env``,
``prefect.toml``, ``pyproject.toml``, the profile in use.
"""

from __future__ import annotations

import base64
import os
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sciriff.checkup.finding import Finding, State, fail, ok, some, warning
from sciriff.checkup.places import shown_url
from sciriff.settings import Settings

if TYPE_CHECKING:
    import httpx

_SECONDS = 5.0
_MOST_POOLS = 20


class Server(NamedTuple):
    """A Prefect server.

    Attributes:
        url: its API.
        origin: what says so.
        headers: what signs in; never shown.
    """

    url: str
    origin: str
    headers: Mapping[str, str]


def check_prefect(settings: Settings) -> Iterator[Finding]:
    """Whether the server answers, of which version it is, and whether a pool has a worker."""
    del settings
    server = find_prefect()
    if server is None:
        yield ok("prefect", "no server is set (PREFECT_API_URL); the sciriff command needs none, flows do")
        yield ok("worker", "not looked for, as no server is set")
        return
    import httpx

    where = f"{shown_url(server.url)} (from {server.origin})"
    try:
        with httpx.Client(base_url=server.url, headers=dict(server.headers), timeout=_SECONDS) as client:
            health = client.get("/health")
            if health.status_code in (401, 403):
                yield Finding("prefect", State.FAIL, f"{where} refuses us: status {health.status_code}", _SIGN_IN)
                return
            health.raise_for_status()
            yield _version(where, client)
            yield _workers(client)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, KeyError, AttributeError) as error:
        found = f"{where} does not answer as a Prefect server ({type(error).__name__})"
        yield fail("prefect", found, "start it (make up, or prefect server start), or unset PREFECT_API_URL")


_SIGN_IN = "set PREFECT_API_AUTH_STRING (user:password of the server) or PREFECT_API_KEY"


def _version(where: str, client: httpx.Client) -> Finding:
    answer = client.get("/admin/version")
    if answer.status_code in (401, 403):
        return fail("prefect", f"{where} refuses us: status {answer.status_code}", _SIGN_IN)
    answer.raise_for_status()
    running = str(answer.json())
    try:
        installed = version("prefect")
    except PackageNotFoundError:
        return ok("prefect", f"{where}, version {running}; none is installed here")
    if running == installed:
        return ok("prefect", f"{where}, version {running}")
    if running.split(".")[:2] == installed.split(".")[:2]:
        return ok("prefect", f"{where}, version {running} (here {installed})")
    return warning(
        "prefect", f"{where} has version {running}, here is {installed}", "run the same version on both sides"
    )


def _workers(client: httpx.Client) -> Finding:
    answer = client.post("/work_pools/filter", json={"limit": _MOST_POOLS})
    if answer.status_code in (401, 403):
        return fail("worker", f"the server refuses us: status {answer.status_code}", _SIGN_IN)
    answer.raise_for_status()
    pools = {str(pool["name"]): str(pool["type"]) for pool in answer.json()}
    remedy = "prefect worker start --pool sciriff --type process (or make up)"
    if not pools:
        return warning("worker", "the server has no work pool: flows that are started wait", remedy)
    online = {name: _online(client, name) for name in pools}
    spelled = [f"{name} ({pools[name]}): {number} online" for name, number in online.items()]
    if not any(online.values()):
        return warning("worker", f"no pool has a worker: flows that are started wait; {some(spelled)}", remedy)
    return ok("worker", some(spelled))


def _online(client: httpx.Client, pool: str) -> int:
    from urllib.parse import quote

    answer = client.post(f"/work_pools/{quote(pool, safe='')}/workers/filter", json={})
    answer.raise_for_status()
    return sum(worker.get("status") == "ONLINE" for worker in answer.json())


# --- where the server is --------------------------------------------------------------------------------------------


def find_prefect() -> Server | None:
    """The server that Prefect's own commands would talk to; None if none is set."""
    layers = [layer for layer in (_variables(), _dotenv(), _project_file(), _project(), _profile()) if layer]
    origin_of_url = next(((layer["PREFECT_API_URL"], origin) for origin, layer in layers if _has(layer)), None)
    if origin_of_url is None:
        return None
    url, origin = origin_of_url
    values: dict[str, str] = {}
    for _, layer in reversed(layers):
        values |= {name: value for name, value in layer.items() if value}
    return Server(url.rstrip("/"), origin, _headers(values))


def _has(layer: Mapping[str, str]) -> bool:
    return bool(layer.get("PREFECT_API_URL"))


def _headers(values: Mapping[str, str]) -> dict[str, str]:
    if key := values.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    if login := values.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    return {}


_Layer = tuple[str, dict[str, str]]


def _variables() -> _Layer:
    return "PREFECT_API_URL", {name: value for name, value in os.environ.items() if name.startswith("PREFECT_API_")}


def _dotenv() -> _Layer:
    from dotenv import dotenv_values

    return ".env", {
        name: value or "" for name, value in dotenv_values(".env").items() if name.startswith("PREFECT_API_")
    }


def _project_file() -> _Layer:
    return "prefect.toml", _of_table(_toml(Path("prefect.toml")))


def _project() -> _Layer:
    return "pyproject.toml", _of_table(_toml(Path("pyproject.toml")).get("tool", {}).get("prefect", {}))


def _of_table(table: Mapping[str, Any]) -> dict[str, str]:
    api = table.get("api")
    return {f"PREFECT_API_{name.upper()}": str(value) for name, value in api.items()} if isinstance(api, dict) else {}


def _profile() -> _Layer:
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    profiles = _toml(Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml").expanduser())
    name = os.environ.get("PREFECT_PROFILE") or profiles.get("active", "")
    values = profiles.get("profiles", {}).get(name, {})
    return f"profile {name}", {key: str(value) for key, value in values.items() if key.startswith("PREFECT_API_")}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
