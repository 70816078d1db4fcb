"""Where an evaluation writes its events: a file that only grows, and for remote stores the small objects cut from it.

An event survives the death of the process as soon as :meth:`LocalPart.append` returns, and a power cut a moment later:
a thread of the part's own asks the disk to keep what was written since it last did (many lines at once when many come).

For a store that is not local the file is a *journal* in the cache. Every two seconds what is new in it becomes one
object of the store, never to be changed. Journals of processes that were killed are brought into the store by the next
evaluation on the machine.

Who lives can be told by locks on a local disk. In a remote store each evaluation that writes is on a roll, and shows
signs of life there (:class:`sciriff.leases.Roll`); now and then one of these takes the place of an upload.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from sciriff.errors import StoreError
from sciriff.leases import Roll, lease
from sciriff.store import Store

logger = logging.getLogger(__name__)

SUFFIX = ".jsonl"
_PART_NAME = re.compile(r"[0-9a-f]{12}-[0-9a-f]{12}")
_SECONDS_BETWEEN_UPLOADS = 2.0


class Part(Protocol):
    """Where one evaluation writes."""

    name: str

    @property
    def is_forgotten(self) -> bool:
        """Whether others may have taken this evaluation for dead, and its claims for void."""

    def append(self, lines: bytes) -> None:
        """Write whole lines. Raises StoreError if they, or any before them, cannot be kept."""

    def share(self) -> None:
        """Make all lines visible to others, now. Raises StoreError if that cannot be."""

    def flush(self) -> None:
        """Wait until all lines are where they are safe. Raises StoreError if that cannot be."""

    def close(self) -> None:
        """Flush, and let go of the part."""


def new_part_name(after: str = "") -> str:
    """A fresh name; names sort by the time when they were made, and behind ``after``, whatever the clock says."""
    last = int(after[:12], 16) + 1 if _PART_NAME.fullmatch(after) else 0
    return f"{max(time.time_ns() // 1_000_000, last):012x}-{uuid4().hex[:12]}"


class LocalPart:
    """A file of a local disk that only this object writes, locked (``flock``) for as long as its process lives."""

    def __init__(self, path: Path, name: str) -> None:
        """Make the file.

        Raises:
            StoreError: if it cannot be made.
        """
        self.path, self.name = path, name
        self._error: OSError | None = None
        self._written = self._synced = 0
        self._state = threading.Condition()
        self._closing = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            _sync_folder(path.parent)
        except OSError as error:
            raise self._failed(error) from error
        self._syncer = threading.Thread(target=self._sync, name="ledger", daemon=True)
        self._syncer.start()

    is_forgotten = False

    @property
    def size(self) -> int:
        """Bytes written so far, whole lines."""
        return self._written

    def share(self) -> None:
        """Do nothing: who reads the file finds them."""

    def append(self, lines: bytes) -> None:
        """Write whole lines.

        Raises:
            StoreError: if they, or any before them, cannot be kept.
        """
        with self._state:
            if self._error is not None:
                raise self._failed(self._error) from self._error
            try:
                _write_all(self._file, lines)
            except OSError as error:
                self._error = error  # half a line may stand there now, so nothing more is put behind it
                raise self._failed(error) from error
            self._written += len(lines)
            self._state.notify_all()

    def flush(self) -> None:
        """Wait until the disk keeps all lines.

        Raises:
            StoreError: if it cannot.
        """
        with self._state:
            goal = self._written
            self._state.wait_for(lambda: self._synced >= goal or self._error is not None)
            if self._error is not None:
                raise self._failed(self._error) from self._error

    def close(self) -> None:
        """Flush and unlock."""
        try:
            self.flush()
        finally:
            with self._state:
                self._closing = True
                self._state.notify_all()
            self._syncer.join()
            os.close(self._file)

    def _sync(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._written > self._synced or self._closing)
                if self._written == self._synced or self._error is not None:
                    return
                goal = self._written
            try:
                os.fdatasync(self._file)
            except OSError as error:
                with self._state:
                    self._error = error
                    self._state.notify_all()
                return
            with self._state:
                self._synced = goal
                self._state.notify_all()

    def _failed(self, error: OSError) -> StoreError:
        return StoreError(
            f"cannot write the ledger {self.path}: {error}; check that the disk has room and that you may write there, "
            "then run the same command again: what the ledger holds is not asked for again"
        )


class RemotePart:
    """A journal in the cache whose growth is put into a remote store, one small object every two seconds.

    From its making to its closing the evaluation is on the roll, by the name of the part.
    """

    def __init__(self, store: Store, folder: str, journals: Path, name: str, roll: Roll) -> None:
        """Make the journal. Raises StoreError if it, or the entry on the roll, cannot be made."""
        self.name = name
        self._journal = LocalPart(journals / f"{name}{SUFFIX}", name)
        self._upload = _Upload(store, f"{folder}/{name}", self._journal.path)
        self._uploading = threading.Lock()
        self._closing = threading.Event()
        self._roll = roll
        self._is_forgotten = False
        try:
            roll.enter(name)
        except StoreError:
            logger.debug("not on the roll yet: %s", name)  # tried again with the uploads, which tell what is wrong
            self._is_forgotten = True
        self._uploader = threading.Thread(target=self._upload_now_and_then, name="ledger-upload", daemon=True)
        self._uploader.start()

    @property
    def is_forgotten(self) -> bool:
        """Whether the evaluation was taken off the roll, because it showed no sign of life for too long."""
        return self._is_forgotten

    def append(self, lines: bytes) -> None:
        """Write whole lines to the journal. Raises as :meth:`LocalPart.append`."""
        self._journal.append(lines)

    def share(self) -> None:
        """Bring all lines into the store now, and be on the roll."""
        if self._is_forgotten:
            self._roll.leave(self.name)
            self._roll.enter(self.name)
            self._is_forgotten = False
        self._advance()

    def flush(self) -> None:
        """Wait until the local disk keeps all lines."""
        self._journal.flush()

    def close(self) -> None:
        """Bring the rest into the store and remove the journal.

        Raises:
            StoreError: if the store cannot be written; the journal then stays.
        """
        self._closing.set()
        self._uploader.join()
        self._journal.close()
        try:
            self._advance()
        except StoreError as error:
            raise StoreError(
                f"{error}; no reply is lost: they are in {self._journal.path}, and the next run on this machine brings "
                "them into the store"
            ) from error
        finally:
            self._roll.leave(self.name)
        self._journal.path.unlink()

    def _advance(self) -> None:
        with self._uploading:
            self._upload.advance(self._journal.size)

    def _upload_now_and_then(self) -> None:
        """Every two seconds one small object, a beat if it is time for one, else what is new."""
        between_beats, beat_at = self._roll.seconds_between_beats, time.monotonic()
        while not self._closing.wait(_SECONDS_BETWEEN_UPLOADS):
            with suppress(StoreError):  # tried again in two seconds, and told at the end if it still fails
                is_due = between_beats is not None and time.monotonic() >= beat_at + between_beats
                if is_due and not self._is_forgotten:
                    beat_at = time.monotonic()
                    self._is_forgotten = not self._roll.beat(self.name)
                else:
                    self._advance()


class _Upload:
    """The objects cut from one journal, named by the byte of the journal that they begin with.

    The name also says which upload wrote it: one that goes on after another's death never writes the other's objects.
    """

    def __init__(self, store: Store, folder: str, journal: Path) -> None:
        self._store, self._folder, self._journal = store, folder, journal
        self._writer = uuid4().hex[:8]
        self._done = 0
        self._next: bytes | None = None

    def find_start(self) -> None:
        """Go on behind what an earlier upload of the journal brought into the store."""
        ends = [0]
        for name in self._store.files(self._folder):
            start = int(name.partition("-")[0])
            ends.append(start + len(self._store.read_bytes(f"{self._folder}/{name}")))
        self._done = max(ends)

    def advance(self, size: int) -> None:
        """Bring the journal up to a size into the store. Raises StoreError if the store cannot be written."""
        if self._next is None and size > self._done:
            with self._journal.open("rb") as stream:
                stream.seek(self._done)
                self._next = stream.read(size - self._done)
        if self._next is None:
            return
        # What failed to arrive is sent again as it was: it may have arrived after all.
        self._store.write_bytes(f"{self._folder}/{self._done:012d}-{self._writer}{SUFFIX}", self._next)
        self._done += len(self._next)
        self._next = None
        if size > self._done:
            self.advance(size)


class Shelf(Protocol):
    """Where the parts of one ledger lie; ``place`` is what messages call it."""

    place: str

    def new_part(self, name: str) -> Part:
        """Begin a part of one's own. Raises StoreError if it cannot be made."""

    def new_lines(self, but: str) -> Iterator[tuple[str, list[bytes]]]:
        """Yield part and lines of what was written since the last call, by all but one; the oldest parts first."""

    def newest(self) -> str:
        """The newest part that was read so far; empty if there is none."""

    def living(self, parts: Iterable[str]) -> set[str]:
        """Which of these parts belong to evaluations that still run, as far as can be told."""

    def claiming(self) -> AbstractContextManager[Callable[[], bool]]:
        """Hold others off while claiming; yields what says whether they still are held off."""


class LocalShelf:
    """A folder of a local disk, a file per part."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.place = folder, str(folder)
        self._offsets: dict[str, int] = {}

    def new_part(self, name: str) -> LocalPart:
        """Begin a file."""
        return LocalPart(self._path(name), name)

    def new_lines(self, but: str) -> Iterator[tuple[str, list[bytes]]]:
        """Read on in every file. The rest of a line counts as a line once nobody is going to finish it."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            start = self._offsets.get(path.stem, 0)
            if path.stem == but or path.stat().st_size == start:
                continue
            finished = not is_alive(path)
            with path.open("rb") as stream:
                stream.seek(start)
                *lines, rest = stream.read().split(b"\n")
            end = start + sum(map(len, lines)) + len(lines)
            if rest and finished:
                lines.append(rest)
                end += len(rest)
            self._offsets[path.stem] = end
            yield path.stem, lines

    def newest(self) -> str:
        """The newest part read."""
        return max(self._offsets, default="")

    def living(self, parts: Iterable[str]) -> set[str]:
        """Those whose files are locked."""
        return {part for part in parts if is_alive(self._path(part))}

    @contextmanager
    def claiming(self) -> Iterator[Callable[[], bool]]:
        """Lock the folder."""
        with _locked(self._folder / "claims.lock"):
            yield lambda: True

    def _path(self, part: str) -> Path:
        return self._folder / f"{part}{SUFFIX}"


class RemoteShelf:
    """A folder of a remote store, a sub-folder of small objects per part; a roll says which parts are being written."""

    def __init__(self, store: Store, folder: str, journals: Path) -> None:
        """Open it, after bringing home what dead evaluations of this machine left in journals.

        Raises:
            StoreError: if the store cannot be written.
        """
        self._store, self._folder, self._journals = store, folder, journals
        self.place = store.path(folder)
        self._read: set[str] = set()
        ledger = folder.rpartition("/")[2]
        self._unit, self._roll = f"ledger/{ledger}", Roll(store, f"asking/{ledger}")
        _bring_home(store, folder, journals)

    def new_part(self, name: str) -> RemotePart:
        """Begin a journal."""
        return RemotePart(self._store, self._folder, self._journals, name, self._roll)

    def new_lines(self, but: str) -> Iterator[tuple[str, list[bytes]]]:
        """Read the objects not read yet."""
        names = [name for name in self._store.files(self._folder) if name not in self._read and name.endswith(SUFFIX)]
        self._read.update(names)
        others = [name for name in names if _part_of(name) != but]
        for name, data in zip(
            others, self._store.read_many([f"{self._folder}/{name}" for name in others]), strict=True
        ):
            yield _part_of(name), [line for line in data.split(b"\n") if line]

    def newest(self) -> str:
        """The newest part read."""
        return max(map(_part_of, self._read), default="")

    def living(self, parts: Iterable[str]) -> set[str]:
        """Those on the roll."""
        wanted = set(parts)
        return self._roll.living() & wanted if wanted else set()

    @contextmanager
    def claiming(self) -> Iterator[Callable[[], bool]]:
        """Hold the lease of the ledger's claims."""
        with lease(self._store, self._unit, doing="requests are being shared out") as held:
            yield held.is_held


def _part_of(name: str) -> str:
    return name.partition("/")[0]


def _bring_home(store: Store, folder: str, journals: Path) -> None:
    for journal in sorted(journals.glob(f"*{SUFFIX}")):
        with _held_if_dead(journal) as is_dead:
            if is_dead:
                upload = _Upload(store, f"{folder}/{journal.stem}", journal)
                upload.find_start()
                upload.advance(journal.stat().st_size)
                journal.unlink()


def is_alive(path: Path) -> bool:
    """Whether the process that writes a file of :class:`LocalPart` still runs."""
    with _held_if_dead(path, fcntl.LOCK_SH) as is_dead:
        return not is_dead and path.exists()


@contextmanager
def _held_if_dead(path: Path, lock: int = fcntl.LOCK_EX) -> Iterator[bool]:
    """Lock a part that nobody writes any more; yields whether that is so."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False  # somebody else brought it home
        return
    try:
        try:
            fcntl.flock(file, lock | fcntl.LOCK_NB)
            is_dead = path.exists()
        except OSError:
            is_dead = False
        yield is_dead
    finally:
        os.close(file)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, waiting for it; the file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
