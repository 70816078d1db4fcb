"""Where what belongs to the Prefect of a project folder lies, and what is remembered there."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flows.local import marked

FOLDER = ".prefect-local"
SIGN_POST = "prefect.toml"

_OURS = "# Written by `make up`, removed by `make down`: the server that prefect commands typed in this folder talk to."


class LocalError(Exception):
    """What keeps the server or worker from running; the message says what to do."""


@dataclass(frozen=True)
class Place:
    """A project folder, and where what belongs to its Prefect lies in it."""

    project: Path

    @property
    def folder(self) -> Path:
        """Home, logs and numbers of processes."""
        return self.project / FOLDER

    @property
    def home(self) -> Path:
        """``PREFECT_HOME``: database and remembered results."""
        return self.folder / "home"

    @property
    def sign_in(self) -> Path:
        """What is typed into the sign-in page: ``user:password``."""
        return self.folder / "sign-in"

    @property
    def sign_post(self) -> Path:
        """What tells ``prefect`` where the server is."""
        return self.project / SIGN_POST

    def log(self, name: str) -> Path:
        """What a process says."""
        return self.folder / f"{name}.log"

    def prepare(self) -> None:
        """Make the folder, for this user alone."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.folder.chmod(0o700)
        if not (self.folder / "mark").exists():
            self.remember("mark", secrets.token_hex(16))

    @property
    def mark(self) -> str:
        """What processes of this place carry, empty if none was started; a copy of the folder has another one."""
        with suppress(FileNotFoundError):
            return f"{self.folder}:{(self.folder / 'mark').read_text(encoding='ascii')}"
        return ""

    def running(self, name: str) -> int | None:
        """The number of the process that was started under this name and still runs."""
        pid = self._number(f"{name}.pid")
        return pid if pid is not None and self.mark and marked.is_marked(pid, self.mark) else None

    @property
    def port(self) -> int | None:
        """The port that the server was last started on."""
        return self._number("port")

    @property
    def password(self) -> str | None:
        """``user:password``, or None if the server wants none."""
        return self.sign_in.read_text(encoding="ascii").strip() if self.sign_in.exists() else None

    def choose_password(self, wanted: bool) -> None:
        """Make a password if there is none yet, or forget it."""
        if not wanted:
            self.sign_in.unlink(missing_ok=True)
        elif self.password is None:
            write_privately(self.sign_in, f"sciriff:{secrets.token_urlsafe(24)}\n")

    def remember(self, name: str, value: object) -> None:
        """Keep a number of a process or port."""
        write_privately(self.folder / name, str(value))

    def forget(self, *names: str) -> None:
        """Forget the numbers of processes that have ended."""
        for name in names:
            (self.folder / f"{name}.pid").unlink(missing_ok=True)

    def end_of_log(self, name: str, lines: int = 15) -> str:
        """The last lines of a log, for a message."""
        path = self.log(name)
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        return "\n  ".join([f"{path} ends with:", *text.splitlines()[-lines:]]) if text.strip() else f"{path} is empty"

    def put_up_sign_post(self, settings: str) -> bool:
        """Lead the prefect commands typed in the project folder; False if a file of the user's own is in the way."""
        if self.sign_post.exists() and not self._is_sign_post_ours():
            return False
        write_privately(self.sign_post, f"{_OURS}\n{settings}")
        return True

    def take_down_sign_post(self) -> None:
        """Remove the sign post, unless it is the user's own."""
        if self._is_sign_post_ours():
            self.sign_post.unlink()

    def _is_sign_post_ours(self) -> bool:
        with suppress(OSError):
            return self.sign_post.read_text(encoding="utf-8").startswith(_OURS)
        return False

    def _number(self, name: str) -> int | None:
        with suppress(OSError, ValueError):
            return int((self.folder / name).read_text(encoding="ascii"))
        return None


def write_privately(path: Path, text: str) -> None:
    """Write a file, whole or not at all, that only this user can read."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600, exist_ok=False)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
