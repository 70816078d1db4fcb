"""What ``test_full_disk.py`` runs in a mount namespace of its own, where it may mount small disks.

``python full_disk.py WORK COMMAND SHARE...``: in the folder WORK there is a store ``before``. The command runs on
copies of it: with room to spare; on disks with room for a share of what it adds, and again after room was made; and on
a disk that is read-only, and again after it is not. One JSON object a line says what came of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from sciriff.store import MANIFEST, Store, unsealed

_PAGE = 4096
_OF_ONE_RUN = ("results/ledger/", "results/metrics.duckdb")
"""Files whose bytes are not the same in every run."""


def main() -> None:
    work, command = Path(sys.argv[1]), sys.argv[2].split()
    import great_expectations  # noqa: F401 - once, not in every fork

    disk = work / "disk"
    disk.mkdir(exist_ok=True)
    with _Disk(disk) as wide:
        before = wide.used
        code, said = _run(command, disk)
        clean, added = _contents(disk), wide.used - before
        _tell(case="clean", code=code, said=said, added=added)
    for share in map(float, sys.argv[3:]):
        with _Disk(disk) as full:
            old = _contents(disk)
            full.remount(f"size={before + int(share * added) // _PAGE * _PAGE}")
            code, said = _run(command, disk)
            result = {"code": code, "said": said, "damaged": _damaged(disk), "lost": _lost(old, disk)}
            full.remount(f"size={full.roomy}")
            again, said = _run(command, disk)
            _tell(case=share, **result, again=again, said_again=said, different=_different(clean, _contents(disk)))
    with _Disk(disk) as locked:
        old = _contents(disk)
        locked.remount("ro")
        code, said = _run(command, disk)
        changed = _different(old, _contents(disk))
        locked.remount("rw")
        again, _ = _run(command, disk)
        _tell(
            case="ro", code=code, said=said, changed=changed, again=again, different=_different(clean, _contents(disk))
        )


class _Disk:
    """A disk with a copy of the store, and a lot of room at first."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.roomy = 200 << 20

    def __enter__(self) -> _Disk:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.roomy}", "tmpfs", self._place], check=True)
        shutil.copytree(self._place.parent / "before", self._place / "store")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", self._place], check=True)

    @property
    def used(self) -> int:
        status = os.statvfs(self._place)
        return (status.f_blocks - status.f_bfree) * status.f_frsize

    def remount(self, option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", self._place], check=True)


def _run(command: list[str], disk: Path) -> tuple[int, str]:
    """Run the command in a fork; its exit code, and all that it printed."""
    log = disk.parent / "said"
    if not (pid := os.fork()):
        with log.open("wb") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
            code = 70
            try:
                from sciriff.cli import main as command_line

                command_line([*command, "--store", str(disk / "store")])
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), log.read_text("utf-8", "replace")


def _contents(disk: Path) -> dict[str, str]:
    store = disk / "store"
    names = (str(path.relative_to(store)) for path in store.rglob("*") if path.is_file())
    return {
        name: hashlib.sha256((store / name).read_bytes()).hexdigest()
        for name in sorted(names)
        if not name.startswith(_OF_ONE_RUN)
    }


def _different(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _damaged(disk: Path) -> list[str]:
    """Files that a manifest names and that are not as it says."""
    store = Store(str(disk / "store"))
    found = []
    for name in store.files(""):
        if name.endswith(MANIFEST):
            manifest = unsealed(store.read_bytes(name))
            folder = name.rpartition("/")[0]
            found += [f"{folder}/{bad}" for bad in store.damaged(folder, manifest)] if manifest else [name]
    return found


def _lost(old: dict[str, str], disk: Path) -> list[str]:
    """Files that were there and are not any more."""
    return sorted(old.keys() - _contents(disk).keys())


def _tell(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
