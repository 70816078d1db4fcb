"""Names that tell which process of which machine is at work on something, so that what it leaves when it is killed is
known for that."""

from __future__ import annotations

import os
import socket
import uuid


def owned_name() -> str:
    """A fresh name that tells which process of which machine is at work on it."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"


def was_left(name: str) -> bool:
    """Whether a name is one of :func:`owned_name` whose process, of this machine, is no more."""
    host, _, pid = name.rpartition("-")[0].rpartition("-")
    return host == socket.gethostname() and pid.isdigit() and not is_alive(int(pid))


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
