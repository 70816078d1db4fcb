"""Names that tell which process of which machine is at work on something, so that what it leaves when it is killed is
known for that.

Hosts and process ids do not tell: containers that share a volume may have the same host name, and each has a process 1.
A name therefore also holds a *place*, in which process ids mean the same (this kernel since it was started, and its
namespace of process ids), and the moment when the process began, since ids are used again. What processes of other
places leave stays.
"""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path


def owned_name() -> str:
    """A fresh name that tells which process of which machine is at work on it."""
    return f"{socket.gethostname()}-{_place()}-{os.getpid()}-{_began(os.getpid())}-{uuid.uuid4().hex}"


def was_left(name: str) -> bool:
    """Whether a name is one of :func:`owned_name` whose process, of this machine, is no more."""
    parts = name.rsplit("-", 4)
    if len(parts) != 5:
        return False
    _, place, pid, began, _ = parts
    return place == _place() and pid.isdigit() and _began(int(pid)) != began


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@cache
def _place() -> str:
    parts = [socket.gethostname()]
    with suppress(OSError):  # not Linux: there are no such namespaces
        parts = [Path("/proc/sys/kernel/random/boot_id").read_text("ascii"), str(Path("/proc/self/ns/pid").readlink())]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def _began(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty if there is none, or only its exit status is left of it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "0" if not Path("/proc/self/stat").exists() and is_alive(pid) else ""
    state, ticks = fields[0], fields[19]
    return "" if state in "ZX" else ticks
