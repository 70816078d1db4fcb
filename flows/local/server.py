"""What is asked of the server on this machine, without importing Prefect, which takes seconds."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

HOST = "127.0.0.1"
POOL = "sciriff"

_UNDER_WAY = ("RUNNING", "PENDING", "CANCELLING")


@dataclass(frozen=True)
class Server:
    """The address of a server, and how to ask it.

    Attributes:
        port: where it listens, on loopback.
        password: ``user:password``, or None if it wants none.
    """

    port: int
    password: str | None

    @property
    def url(self) -> str:
        """The address of its pages."""
        return f"http://{HOST}:{self.port}"

    @property
    def api_url(self) -> str:
        """The address of its API."""
        return f"{self.url}/api"

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Get a path of the API, or post to it. Raises OSError if the server does not answer or refuses."""
        request = urllib.request.Request(f"{self.api_url}/{path}", headers={"Content-Type": "application/json"})
        if body is not None:
            request.data = json.dumps(body).encode()
        if self.password is not None:
            request.add_header("Authorization", f"Basic {base64.b64encode(self.password.encode()).decode()}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback is no proxy's business
        with opener.open(request, timeout=30) as response:
            return json.loads(response.read() or b"null")

    def is_healthy(self) -> bool:
        """Whether it answers."""
        with suppress(OSError, ValueError):
            return bool(self.ask("health"))
        return False

    def has_worker(self, since: float) -> bool:
        """Whether a worker of the pool has reported after that moment, in seconds since 1970."""
        with suppress(OSError, ValueError):
            workers = self.ask(f"work_pools/{POOL}/workers/filter", {})
            beats = [each["last_heartbeat_time"].replace("Z", "+00:00") for each in workers]
            return any(datetime.fromisoformat(beat).timestamp() >= since for beat in beats)
        return False

    def runs_under_way(self) -> list[dict[str, Any]]:
        """Flow runs that a worker has taken up and that have not ended."""
        states = {"state": {"type": {"any_": list(_UNDER_WAY)}}}
        runs: list[dict[str, Any]] = self.ask("flow_runs/filter", {"flow_runs": states})
        return runs

    def set_state(self, run: str, state: str, message: str = "") -> None:
        """Put a flow run into a state."""
        self.ask(f"flow_runs/{run}/set_state", {"state": {"type": state, "message": message}, "force": True})
