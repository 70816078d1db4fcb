"""``python -m flows.local up|down|status``: what ``make up``, ``make down`` and ``make status`` run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from flows.local.down import down
from flows.local.place import LocalError
from flows.local.status import status
from flows.local.up import DEFAULT_PORT, up


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it in the current folder. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m flows.local", description="A Prefect of this folder's own.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    starting = verbs.add_parser("up", help="start server and worker in the background, and deploy")
    starting.add_argument("--port", type=int, help=f"port of the server; {DEFAULT_PORT} if it never had another")
    starting.add_argument("--no-password", action="store_true", help="whoever is on this machine may use the server")
    verbs.add_parser("down", help="end what was started")
    verbs.add_parser("status", help="what runs")
    given = parser.parse_args(arguments)
    say = partial(print, flush=True)
    try:
        if given.verb == "up":
            up(Path.cwd(), given.port, with_password=not given.no_password, say=say)
        elif given.verb == "down":
            down(Path.cwd(), say=say)
        else:
            return 0 if status(Path.cwd(), say=say) else 1
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
