"""The part that runs on the workers of a cluster: see that they are fit, and make calls."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic

from sciriff import __version__
from sciriff.building.fingerprint import library_versions
from sciriff.building.runner import AnyUnit, Result
from sciriff.building.travel import worker_settings
from sciriff.errors import SciriffError
from sciriff.hashing import digest, file_sha256
from sciriff.resources import resource_dir
from sciriff.store import Store

logger = logging.getLogger(__name__)

_PACKAGE = Path(__file__).resolve().parents[1]
_CODE = (".py", ".yaml")

_ONE_AT_A_TIME = threading.Lock()
"""A worker process with several threads still has one interpreter, and caches that are not made for several tasks."""


@dataclass(frozen=True, slots=True)
class Ended(Generic[Result]):
    """What came of a call.

    Attributes:
        seconds: wall time of the call, without waiting for its turn.
        outcome: what the function returned, or why there is nothing.
    """

    seconds: float
    outcome: Result | SciriffError


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a client tells workers of itself before it gives them work.

    Attributes:
        version, code: its release, and the digest of its code.
        settings: those that go along with work, the store among them.
        probe: a small artifact that lies there; empty if there is none to look for.
    """

    version: str
    code: str
    settings: Mapping[str, Any]
    probe: str


@cache
def installed_code() -> str:
    """Digest of all that decides what this installation makes: code, bindings, sources, suites, samples, libraries."""
    files = [path for path in sorted(_PACKAGE.rglob("*")) if path.suffix in _CODE and "_data" not in path.parts]
    found = {path.relative_to(_PACKAGE).as_posix(): file_sha256(path) for path in files}
    for name in ("mirror.json", "tokenizer.json"):
        found[f"samples/{name}"] = file_sha256(resource_dir("samples") / name)
    return digest([__version__, found, library_versions()])


def complaint(introduction: Introduction) -> str:
    """Why this worker is not fit to work for a client; empty if it is."""
    if installed_code() != introduction.code:
        return _other_code(introduction.code, introduction.version)
    if introduction.probe:
        try:
            Store.of(worker_settings(introduction.settings)).read_bytes(introduction.probe)
        except FileNotFoundError:
            return (
                f"does not see what the client put into the store {introduction.settings['store']}; every worker must "
                "reach it at this very address: use a shared folder or an object store (s3://)"
            )
        except SciriffError as error:
            return str(error)
    return ""


def run_unit(code: str, function: Callable[[AnyUnit], Result], unit: AnyUnit) -> Ended[Result]:
    """Call a function for a unit, one at a time in each process. Errors are told, not raised."""
    with _ONE_AT_A_TIME:
        started = time.monotonic()
        outcome = _outcome(code, function, unit)
        return Ended(round(time.monotonic() - started, 3), outcome)


def _outcome(code: str, function: Callable[[AnyUnit], Result], unit: AnyUnit) -> Result | SciriffError:
    if installed_code() != code:
        return SciriffError(f"{unit.label}: the worker on {socket.gethostname()} {_other_code(code)}")
    try:
        return function(unit)
    except SciriffError as error:
        return SciriffError(str(error))  # a plain one crosses to the client whatever else it holds
    except Exception as error:  # a defect of ours must not take the other units down
        logger.exception("%s failed", unit.label)
        return SciriffError(f"{unit.label}: internal error, please report it: {type(error).__name__}: {error}")


def _other_code(code: str, version: str = "") -> str:
    theirs = f"{version} ({code[:12]})" if version else code[:12]
    return (
        f"has another sciriff than the client: {__version__} ({installed_code()[:12]}), not {theirs}; install the same "
        "release with the same locked libraries on both, and start the worker again"
    )
