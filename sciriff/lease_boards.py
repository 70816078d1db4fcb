"""Boards on which claims are posted for all to see, and the signs by which the dead are told from the living.

A claim is an object of its own name that one owner posts once and removes once. Two kinds of boards keep claims:

- :class:`LockBoard`, on a local disk (also NFS): a file that its owner keeps locked (``flock``). The kernel unlocks it
  when the owner dies, in whatever way, so the next who looks knows at once. No process id is ever looked at: those of
  containers that share a volume mean nothing to each other.
- :class:`BeatBoard`, on any other store: an object, beside which its owner puts an empty object, the *beat*, every few
  seconds, and removes the one before. Nothing is ever rewritten, and one listing shows all claims and beats. Whoever
  waits watches whether the beat *changes*, on a clock of its own that only goes forwards; no two clocks are compared.
  An owner on the same machine is known to be dead at once, by a locked file in the temporary folder.

Claims lie in ``.leases/`` of the store, which no listing of artifacts shows.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from sciriff.errors import StoreError
from sciriff.settings import load_settings
from sciriff.store import Store

LEASES = ".leases"

_BEATS_IN_TIME = 5
"""Beats that an owner has the time to send before it is taken for dead."""
_LONGEST_BETWEEN_LOOKS = 2.0
_ATTEMPTS = 20
_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK}


class NoLocksError(Exception):
    """The file system has no locks."""


class Board(Protocol):
    """The claims to one unit of work.

    Attributes:
        seconds_between_beats: how often :meth:`beat` wants to be called for a claim; None for never.
        seconds_between_looks: how long to wait before looking again.
    """

    seconds_between_beats: float | None
    seconds_between_looks: float

    def post(self, name: str, about: bytes) -> str:
        """Make a claim visible to all. Raises StoreError if that cannot be, NoLocksError if not on this board.

        Returns:
            The name that it stands under: the one given, or without the token at its end if it has no pulse.
        """

    def names(self) -> list[str]:
        """The claims that stand now: all that were posted before this call began and are not removed."""

    def is_dead(self, name: str) -> bool:
        """Whether the owner of a claim of the last listing is gone."""

    def stands(self, name: str) -> bool:
        """Whether a claim is there."""

    def beat(self, name: str) -> bool:
        """Show that the owner of a claim lives. Returns whether the claim still stands."""

    def remove(self, name: str) -> None:
        """Take a claim down with all that belongs to it; one that is gone is fine."""

    def about(self, name: str) -> bytes | None:
        """What stands in a claim; None if it is gone."""


def board_of(store: Store, unit: str) -> Board:
    """The board of a unit of work: locked files on a local disk, else objects with beats."""
    return LockBoard(Path(store.path(f"{LEASES}/{unit}"))) if store.is_local else BeatBoard(store, unit)


def units(store: Store) -> list[str]:
    """The units of work that have claims, or what is left of some. Raises StoreError if the store cannot be read."""
    if store.is_local:
        root = Path(store.path(LEASES))
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_dir())
    return sorted({name.rpartition("/")[0] for name in store.files(LEASES)})


def leave_empty_boards(store: Store) -> None:
    """Remove folders without a claim, of a store on a local disk. Who is about to use one makes it again."""
    if store.is_local:
        root = Path(store.path(LEASES))
        for folder in (*sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True), root):
            with suppress(OSError):
                folder.rmdir()


class LockBoard:
    """A folder of a local disk with a locked file per claim."""

    seconds_between_beats: float | None = None
    seconds_between_looks: float = 0.2

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is made before a claim is posted."""
        self._folder = folder
        self._files: dict[str, int] = {}

    def post(self, name: str, about: bytes) -> str:
        """Make the file under a hidden name, lock it, and only then give it its own."""
        hidden, path = self._folder / f".{name}", self._folder / name
        for attempts_left in reversed(range(_ATTEMPTS)):
            file = -1
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.write(file, about)
                hidden.rename(path)
            except OSError as error:
                if file >= 0:
                    os.close(file)
                    hidden.unlink(missing_ok=True)
                if error.errno in _NO_LOCKS:
                    self._leave()
                    raise NoLocksError from error
                # Others remove the folder whenever they find it empty, and take an unlocked file for a dead one.
                passing = isinstance(error, FileNotFoundError | FileExistsError | BlockingIOError)
                if not passing or not attempts_left:
                    raise StoreError(
                        f"cannot write {path}: {error}; check that the disk has room and that you may write there"
                    ) from error
            else:
                self._files[name] = file
                return name
        raise AssertionError("the last attempt returns or raises")

    def names(self) -> list[str]:
        """List the folder, and sweep out what was not finished."""
        try:
            found = [path.name for path in self._folder.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        for hidden in found:
            if hidden.startswith(".") and is_unlocked(self._folder / hidden):
                (self._folder / hidden).unlink(missing_ok=True)
        return [name for name in found if not name.startswith(".")]

    def is_dead(self, name: str) -> bool:
        """Whether nobody holds the lock of the file."""
        return name not in self._files and is_unlocked(self._folder / name)

    def stands(self, name: str) -> bool:
        """Whether the file is there."""
        return (self._folder / name).exists()

    def beat(self, name: str) -> bool:
        """Do nothing: the lock is the sign."""
        return self.stands(name)

    def remove(self, name: str) -> None:
        """Remove the file, and the folders that are empty then."""
        with suppress(OSError):
            (self._folder / name).unlink(missing_ok=True)
        file = self._files.pop(name, None)
        if file is not None:
            os.close(file)
        self._leave()

    def about(self, name: str) -> bytes | None:
        """Read the file."""
        with suppress(OSError):
            return (self._folder / name).read_bytes()
        return None

    def _leave(self) -> None:
        _remove_if_empty(self._folder)


class BeatBoard:
    """Objects of a store, looked at by listing them.

    That a listing shows every object that was complete before it began is all that is asked of a store. It is what
    S3 and the servers of its protocol give; conditional writes are not, and some servers ignore the condition.
    """

    def __init__(
        self, store: Store, unit: str, seconds: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Name the store and the unit.

        Args:
            store: where the objects lie.
            unit: their folder in ``.leases/``.
            seconds: how long an owner may be silent; None for the setting ``SCIRIFF_LEASE_SECONDS``.
            clock: goes forwards only.
        """
        seconds = load_settings().lease_seconds if seconds is None else seconds
        self._store, self._folder, self._silence = store, f"{LEASES}/{unit}", seconds
        beats_every = seconds / _BEATS_IN_TIME
        self.seconds_between_looks = min(_LONGEST_BETWEEN_LOOKS, beats_every)
        # Where no other process can see the store, no owner dies without taking its claims down.
        self.seconds_between_beats: float | None = beats_every if store.is_shared else None
        self._watch, self._rounds = Watch(beats_every, clock), Watch(beats_every, clock)
        self._last_beat: dict[str, int] = {}
        self._seen: dict[str, set[str]] = {}
        self._pulses: dict[str, int] = {}

    def post(self, name: str, about: bytes) -> str:
        """Put the object; its owner's pulse is there before it."""
        if self._store.is_shared and (pulse := start_pulse(name)) is not None:
            self._pulses[name] = pulse
        else:  # or it would be taken for one whose owner is dead
            name = name.removesuffix(place_token())
        try:
            self._store.write_bytes(f"{self._folder}/{name}", about)
        except BaseException:
            self.remove(name)  # it may have arrived after all
            raise
        self._last_beat[name] = 0
        return name

    def names(self) -> list[str]:
        """List the objects."""
        self._seen = found = self._listed()
        self._watch.forget_all_but(found)
        claims = [name for name, beats in found.items() if "" in beats]
        for name in found.keys() - claims:  # left by an owner that was taken for dead and did not know yet
            if self.is_dead(name):
                self.remove(name)
        return claims

    def _listed(self) -> dict[str, set[str]]:
        """Claim -> its beats, and an empty text if the claim itself is there."""
        found: dict[str, set[str]] = {}
        for entry in self._store.files(self._folder):
            name, _, beat = entry.partition("~")
            found.setdefault(name, set()).add(beat)
        return found

    def is_dead(self, name: str) -> bool:
        """Whether its owner's process is no more, or has been silent for too long."""
        return self._is_dead(name, self._seen, self._watch)

    def _is_dead(self, name: str, seen: Mapping[str, set[str]], watch: Watch) -> bool:
        if name in self._last_beat or not self._store.is_shared:
            return False
        if (alive := has_pulse(name)) is not None:
            return not alive
        return watch.silence(name, frozenset(seen.get(name, ()))) >= self._silence

    def stands(self, name: str) -> bool:
        """Whether the object is there."""
        return name in self._store.files(self._folder)

    def beat(self, name: str) -> bool:
        """Put the next beat, remove the one before, and look around; this one goes, too, if the claim is taken down.

        Who holds a unit together with others clears away those of them that are dead: nobody waits for them.
        """
        last = self._last_beat[name]
        self._store.write_bytes(self._beat(name, last + 1), b"")
        self._last_beat[name] = last + 1
        if last:
            self._store.delete(self._beat(name, last))
        if name in self._pulses:
            with suppress(OSError):
                os.utime(self._pulses[name])  # or what clears old files away takes it
        found = self._listed()
        self._rounds.forget_all_but(found)
        for other in found.keys() - {name}:
            if self._is_dead(other, found, self._rounds):
                self._clear(other, found[other])
                end_pulse(other, None)
        if "" in found.get(name, ()):
            return True
        self._store.delete(self._beat(name, last + 1))
        return False

    def remove(self, name: str) -> None:
        """Delete the claim first, then its beats."""
        beats = set(self._seen.get(name, ()))
        if (last := self._last_beat.pop(name, None)) is not None:
            beats |= {f"{beat:09d}" for beat in (last - 1, last, last + 1) if beat > 0}
        self._clear(name, beats)
        end_pulse(name, self._pulses.pop(name, None))
        if self._store.is_local:
            _remove_if_empty(Path(self._store.path(self._folder)))

    def _clear(self, name: str, beats: Iterable[str]) -> None:
        for object_name in (name, *(f"{name}~{beat}" for beat in sorted(filter(None, beats)))):
            with suppress(StoreError):
                self._store.delete(f"{self._folder}/{object_name}")

    def about(self, name: str) -> bytes | None:
        """Read the object."""
        with suppress(FileNotFoundError, StoreError):
            return self._store.read_bytes(f"{self._folder}/{name}")
        return None

    def _beat(self, name: str, number: int) -> str:
        return f"{self._folder}/{name}~{number:09d}"


def _remove_if_empty(folder: Path) -> None:
    """Remove a folder of claims, and those around it that are empty then."""
    with suppress(OSError):
        while LEASES in folder.parts:
            folder.rmdir()
            folder = folder.parent


class Watch:
    """Says how long signs have not changed, in seconds during which they were looked at.

    Time in which nobody looked (because the watcher slept, or the store was out of reach) counts as at most one span
    between two beats: nobody is taken for dead in a single look.
    """

    def __init__(self, most_between_looks: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without having seen anything.

        Args:
            most_between_looks: in seconds; more than this is not counted between two looks.
            clock: goes forwards only.
        """
        self._most, self._clock = most_between_looks, clock
        self._seen: dict[str, tuple[object, float, float]] = {}

    def silence(self, name: str, sign: object) -> float:
        """Note what is seen of somebody now; returns for how many seconds it has been the same."""
        now = self._clock()
        known, silent, looked = self._seen.get(name, (None, 0.0, now))
        silent = silent + min(max(now - looked, 0.0), self._most) if known == sign else 0.0
        self._seen[name] = (sign, silent, now)
        return silent

    def forget_all_but(self, names: Iterable[str]) -> None:
        """Forget all others."""
        kept = set(names)
        self._seen = {name: seen for name, seen in self._seen.items() if name in kept}


def is_unlocked(path: Path) -> bool:
    """Whether nobody holds the lock of a file, or there is none.

    Raises:
        NoLocksError: if the file system has no locks.
        StoreError: if the file cannot be read.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise StoreError(
            f"cannot read {path}: {error}; another run holds this work or has died while it did: if none is running, "
            "remove the file"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise NoLocksError from error
        return False
    finally:
        os.close(file)
    return True


# Pulses: a locked file in the machine's temporary folder for every claim that a process of it has in any store.


def place_token() -> str:
    """Digits that are equal only where pulses lie in the same folder of the same machine, since it was started.

    They end a claim's name; empty where there can be no pulses.
    """
    return _place()[1]


def start_pulse(name: str) -> int | None:
    """Show that the owner of a claim lives; returns the locked file."""
    folder, token = _place()
    if not token or not name.endswith(token):
        return None
    hidden = folder / f".{name}"
    try:
        file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        hidden.rename(folder / name)  # only now, or it might be taken for one of the dead
    except OSError:
        os.close(file)
        hidden.unlink(missing_ok=True)
        return None
    return file


def has_pulse(name: str) -> bool | None:
    """Whether the owner of a claim lives; None if it is not of this machine, as far as can be told."""
    folder, token = _place()
    if not token or not name.endswith(f"_{token}"):
        return None
    try:
        return not is_unlocked(folder / name)
    except (NoLocksError, StoreError):
        return None


def end_pulse(name: str, file: int | None) -> None:
    """Remove the pulse of a claim that was taken down."""
    folder, token = _place()
    if file is not None:
        os.close(file)
    if token and name.endswith(f"_{token}"):
        with suppress(OSError):
            (folder / name).unlink()


@cache
def _place() -> tuple[Path, str]:
    """The folder of pulses and its token; no token if the folder is not ours alone."""
    folder = Path(tempfile.gettempdir()) / f"sciriff-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
            return folder, ""
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()
        for pulse in folder.glob("[!.]*_*"):  # of the dead whose claims nobody asked for again
            with suppress(OSError, NoLocksError, StoreError):
                if is_unlocked(pulse):
                    pulse.unlink()
        return folder, hashlib.sha256(boot + _random_of(folder)).hexdigest()[:12]
    except OSError:
        return folder, ""


def _random_of(folder: Path) -> bytes:
    """Random bytes that lie in a folder, the same for all."""
    path, mine = folder / "token", folder / f".{uuid4().hex}"
    if not path.exists():
        mine.write_bytes(uuid4().bytes)
        try:
            os.link(mine, path)
        except FileExistsError:
            pass
        finally:
            mine.unlink()
    return path.read_bytes()
