"""Leases: of several runs that are about to do the same work, one does it and the others wait for it to be done.

A *unit* of work is a name, such as ``build/scierc_ner``. Who holds its lease is alone with it, or among its like:
holders that give the same word for *alike* do not mind each other. The runs may be threads, processes or machines that
share nothing but the store.

**How it is decided.** Whoever wants a unit posts a claim on the unit's board (:mod:`sciriff.lease_boards`) and *then*
looks at all claims there. One that sees no rival holds the lease, for as long as its claim stands. One that sees a
rival takes its own claim down and waits, but for the claim whose name is the least of all: that one stays, so that of
several who post at the same moment one gets the unit. Two can never hold it at once: each posted before it looked, so
the one that looked later saw the claim of the other. Nothing is asked of the store but that a listing shows what was
there before it began; no conditional write, no clock.

**The dead.** Claims of owners that are gone are taken down by whoever waits: at once where the kernel or the machine
can tell, else when the owner has given no sign of life for ``SCIRIFF_LEASE_SECONDS``. Names of claims are never used
again, so a late or repeated removal hurts nobody.

**An owner that was taken for dead and is not** (its machine slept, the network was down) can be at work beside its
successor. Leases make that rare; they are not what keeps results right. That is done by what is published: data first,
under a manifest that comes last and holds every file's hash, so that whatever two writers make of a folder is whole or
found to be damaged and made again. An owner asks :meth:`Lease.ensure` before it publishes.

**No deadlock.** A unit is waited for while others are held only in the order of :data:`ORDER`.
"""

from __future__ import annotations

import atexit
import logging
import os
import random
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import orjson

from sciriff.errors import StoppedError, StoreError
from sciriff.hashing import digest
from sciriff.lease_boards import BeatBoard, Board, NoLocksError, board_of, leave_empty_boards, place_token, units
from sciriff.store import Store

logger = logging.getLogger(__name__)

ORDER: Final = ("builds", "build", "combine", "docs", "report", "mix", "predictions", "score", "publish", "ledger")
"""Kinds of units, the first parts of their names: who holds one waits only for units of later kinds."""

_SECONDS_BEFORE_TELLING = 1.0
_SECONDS_TO_FREE_ALL = 5.0
_SECONDS_FOR_LAST_BEAT = 2.0


class BusyError(Exception):
    """Others hold the unit."""


class Lease:
    """One attempt to hold a unit, and the holding of it. Use :func:`lease`.

    Attributes:
        waited: whether it had to be waited for.
    """

    def __init__(self, board: Board, *, alike: str = "", fallback: Callable[[], Board] | None = None) -> None:
        """Claim nothing yet.

        Args:
            board: of the unit.
            alike: holders that give the same word (not empty) hold the unit together.
            fallback: makes the board that is used if the first one finds that there are no locks.
        """
        self._board, self._fallback = board, fallback
        self._alike = digest(alike)[:8] if alike else ""
        self._name = ""
        self.waited = False
        self._process = os.getpid()
        self._ended = threading.Event()
        self._beating: threading.Thread | None = None
        self._lost = False

    # Getting it

    def attempt(self) -> list[str]:
        """Try to get the unit. Returns the claims that are in the way; none if it is held now.

        Raises:
            StoreError: if the store cannot be read or written.
        """
        try:
            return self._attempt()
        except NoLocksError:
            if self._fallback is None:
                raise
            self.release()
            self._board, self._fallback = self._fallback(), None
            return self._attempt()

    def _attempt(self) -> list[str]:
        if not self._name:
            if rivals := self._rivals(self._board.names()):
                return rivals
            self._post(f"{uuid4().hex}_{self._alike}_{place_token()}")
        names = self._board.names()
        rivals = self._rivals(names)
        if self._name not in names:  # taken for dead while it waited
            self.release()
            return rivals or self._attempt()
        if rivals and min(rivals) < self._name:
            self.release()
        return rivals

    def wait(
        self,
        doing: str = "",
        tell: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
    ) -> bool:
        """Wait until the unit is held; returns whether that took any waiting (``waited``, too).

        Args:
            doing: what is going on, for those who wait, e.g. ``scierc_ner is being built``.
            tell: told once who is waited for; the log if None.
            stop: ends the waiting.

        Raises:
            StoppedError: if the waiting was ended.
            StoreError: if the store cannot be read or written.
        """
        began, told = time.monotonic(), False
        try:
            while rivals := self.attempt():
                self.waited = True
                if doing and not told and time.monotonic() - began >= _SECONDS_BEFORE_TELLING:
                    told = self._tell(rivals, doing, tell or logger.warning)
                pause = self._board.seconds_between_looks * random.uniform(0.7, 1.0)
                if stop is None:
                    time.sleep(pause)
                elif stop.wait(pause):
                    raise StoppedError(f"stopped while waiting: {doing or 'others hold the work'}")
        except BaseException:
            self.release()
            raise
        return self.waited

    def _rivals(self, names: list[str]) -> list[str]:
        """Others whose claims exclude ours; those of the dead are taken down."""
        rivals = []
        for name in names:
            if name == self._name:
                continue
            if self._board.is_dead(name):
                self._board.remove(name)
            elif not self._alike or name.split("_")[1] != self._alike:
                rivals.append(name)
        return rivals

    def _post(self, name: str) -> None:
        about = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        }
        self._name, self._lost = name, False  # before it stands there, so that it is taken down whatever happens
        self._ended = threading.Event()
        _note_held(self)
        self._name = name = self._board.post(name, orjson.dumps(about) + b"\n")
        if self._board.seconds_between_beats is not None:
            arguments = (name, self._board.seconds_between_beats, self._ended)
            self._beating = threading.Thread(target=self._keep, args=arguments, name="lease", daemon=True)
            self._beating.start()

    def _keep(self, name: str, seconds: float, ended: threading.Event) -> None:
        """Beat until the end."""
        while not ended.wait(seconds):
            try:
                stands = self._board.beat(name)
            except Exception as error:  # tried again soon; what is held is looked at before anything is published
                logger.debug("no beat of %s: %s", name, error)
                continue
            if not stands:
                self._lost = not ended.is_set()
                return

    def _tell(self, rivals: list[str], doing: str, tell: Callable[[str], None]) -> bool:
        with suppress(ValueError, TypeError, KeyError):
            owner: Any = orjson.loads(self._board.about(rivals[0]) or b"")
            tell(f"{doing} by {owner['host']}:{owner['pid']} since {owner['since']}; waiting")
            return True
        return False

    # Holding it

    def is_held(self) -> bool:
        """Whether it is held, looking at the store."""
        return bool(self._name) and not self._lost and self._board.stands(self._name)

    def ensure(
        self,
        doing: str = "",
        tell: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
    ) -> bool:
        """Make sure before publishing that the unit is held still, waiting for it anew if it was lost meanwhile.

        Arguments and errors as of :meth:`wait`.

        Returns:
            False if it was lost: others may have done the work.
        """
        if self.is_held():
            return True
        self.release()
        self.wait(doing, tell, stop)
        return False

    def require(self, what: str) -> None:
        """Make sure in the middle of publishing that nobody has taken over.

        Raises:
            StoreError: if somebody has.
        """
        if not self.is_held():
            raise StoreError(
                f"{what}: this run was silent for so long that another took over, and what it was publishing is not "
                "finished; run the same command again"
            )

    def release(self) -> None:
        """Let go of it. What cannot be removed from the store now expires."""
        name, self._name = self._name, ""
        self._ended.set()
        _HELD.discard(self)
        if name and os.getpid() == self._process:
            if self._beating is not None:
                self._beating.join(_SECONDS_FOR_LAST_BEAT)  # or it leaves a beat behind
            self._board.remove(name)


@contextmanager
def lease(
    store: Store,
    unit: str,
    *,
    doing: str = "",
    alike: str = "",
    tell: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
    waiting: bool = True,
) -> Iterator[Lease]:
    """Hold a unit of work of a store, waiting until it is free.

    Args:
        store: where the work's results go.
        unit: its name, of a kind in :data:`ORDER`.
        doing: what is going on, for those who wait.
        alike: see :class:`Lease`.
        tell: told once who is waited for; the log if None.
        stop: ends the waiting.
        waiting: whether to wait at all.

    Raises:
        BusyError: if others hold it and it is not to be waited for.
        StoppedError: if the waiting was ended.
        StoreError: if the store cannot be read or written.
    """
    held = new_lease(store, unit, alike=alike)
    with _in_order(unit):
        try:
            if waiting:
                held.wait(doing, tell, stop)
            elif held.attempt():
                raise BusyError(unit)
            yield held
        finally:
            held.release()


def tidy(store: Store) -> None:
    """Remove what killed runs left in a store: unfinished files, and claims of owners that are known to be gone.

    Claims to a unit that somebody waits for are looked after by :func:`lease`; this is for those to work that was just
    finished, which nobody will ever want again. A store that cannot be written stays as it is.
    """
    store.sweep_staging()
    with suppress(StoreError, OSError):  # others remove folders at the same time
        for unit in units(store):
            board = board_of(store, unit)
            with suppress(NoLocksError):
                for name in board.names():
                    if board.is_dead(name):
                        board.remove(name)
        leave_empty_boards(store)


def new_lease(store: Store, unit: str, *, alike: str = "") -> Lease:
    """A lease that is not held yet."""
    return Lease(board_of(store, unit), alike=alike, fallback=lambda: BeatBoard(store, unit))


_IN_THIS_THREAD = threading.local()


@contextmanager
def _in_order(unit: str) -> Iterator[None]:
    """Make sure that a unit may be waited for now in this thread; a wrong order is a defect, found before it blocks."""
    place = ORDER.index(unit.partition("/")[0])
    before = getattr(_IN_THIS_THREAD, "place", -1)
    assert place > before, f"{unit} is waited for while {ORDER[before]} is held"
    _IN_THIS_THREAD.place = place
    try:
        yield
    finally:
        _IN_THIS_THREAD.place = before


class Roll:
    """Who is at work on something, by names that they chose themselves; nobody excludes anybody.

    For stores that are not local. Whoever is on the roll shows signs of life by calling :meth:`beat`.
    """

    def __init__(self, store: Store, unit: str) -> None:
        """Name the store and what is worked on."""
        self._board = BeatBoard(store, unit)
        self._mine: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def seconds_between_beats(self) -> float | None:
        """How often :meth:`beat` should be called; None for never."""
        return self._board.seconds_between_beats

    def enter(self, name: str) -> None:
        """Be on the roll. Raises StoreError if the store cannot be written."""
        claim = self._board.post(f"{name}_{uuid4().hex[:8]}_{place_token()}", b"\n")
        with self._lock:
            self._mine[name] = claim

    def beat(self, name: str) -> bool:
        """Show that one lives. Returns whether one still is on the roll. Raises as :meth:`enter`."""
        with self._lock:
            claim = self._mine[name]
        return self._board.beat(claim)

    def leave(self, name: str) -> None:
        """Be on the roll no more."""
        with self._lock:
            claim = self._mine.pop(name, None)
        if claim is not None:
            self._board.remove(claim)

    def living(self) -> set[str]:
        """Names of all that are on the roll and live, as far as can be told; the dead are taken off it."""
        found = set()
        with self._lock:
            for claim in self._board.names():
                if self._board.is_dead(claim):
                    self._board.remove(claim)
                else:
                    found.add(claim.split("_")[0])
        return found


# What this process holds, to be let go of when it ends early.

_HELD: weakref.WeakSet[Lease] = weakref.WeakSet()


def _note_held(held: Lease) -> None:
    if not _HELD:
        atexit.unregister(release_all)
        atexit.register(release_all)
    _HELD.add(held)


def release_all() -> None:
    """Let go of all that this process holds, for when it is about to end; takes some seconds at most."""

    def free() -> None:
        for held in list(_HELD):
            with suppress(Exception):
                held.release()

    if _HELD:
        thread = threading.Thread(target=free, name="free leases", daemon=True)
        thread.start()
        thread.join(_SECONDS_TO_FREE_ALL)
