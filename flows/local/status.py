"""Say what runs."""

from __future__ import annotations

from pathlib import Path

from flows.local.down import Say
from flows.local.place import FOLDER, Place
from flows.local.server import Server
from flows.local.up import how_to_sign_in


def status(project: Path, *, say: Say = print) -> bool:
    """Say what of a project folder runs, and what is deployed. Returns whether all of it answers."""
    place = Place(project.resolve())
    pids = {name: place.running(name) for name in ("server", "worker")}
    for name, pid in pids.items():
        say(f"{name:8} {'not running; start it with: make up' if pid is None else f'runs, process {pid}'}")
    if pids["server"] is None or place.port is None:
        return False
    server = Server(place.port, place.password)
    if not server.is_healthy():
        say(f"note: {server.api_url} does not answer; see {FOLDER}/server.log")
        return False
    deployed = sorted(each["name"] for each in server.ask("deployments/filter", {}))
    under_way = [run["name"] for run in server.runs_under_way()]
    say(f"pages    {server.url}{how_to_sign_in(server)}")
    say(f"deployed {', '.join(deployed) or 'nothing'}")
    say(f"at work  {', '.join(under_way) or 'no run'}")
    return None not in pids.values()
