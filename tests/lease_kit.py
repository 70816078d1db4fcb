"""Processes that want one unit of work, run one step at a time in any order that a test chooses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from sciriff.leases import Lease


class Killed(BaseException):
    """The process is no more: nothing of it runs on, not even what tidies up."""


@dataclass
class World:
    """One board as several processes see it, each of whose operations waits until it is let go.

    Attributes:
        claims: what stands on the board.
        owners: claim -> number of the process that posted it.
        dead: processes that were killed.
        holders: process -> what it gives as *alike*, for those that hold the unit now.
        done: processes that held it and let go.
        most_together: the largest number of holders at once.
    """

    claims: set[str] = field(default_factory=set)
    owners: dict[str, int] = field(default_factory=dict)
    dead: set[int] = field(default_factory=set)
    holders: dict[int, str] = field(default_factory=dict)
    done: list[int] = field(default_factory=list)
    most_together: int = 0
    processes: list[_Process] = field(default_factory=list)

    def start(self, alike: str = "", steps_of_work: int = 2) -> None:
        """Add a process that gets the unit, works for so many steps and lets go of it."""
        number = len(self.processes)
        process = _Process(number)
        self.processes.append(process)

        def live() -> None:
            held = Lease(SimulatedBoard(self, process), alike=alike)
            while held.attempt():
                process.step()
            self.holders[number] = alike
            self.most_together = max(self.most_together, len(self.holders))
            assert len(self.holders) == 1 or len(set(self.holders.values()) - {""}) == 1, self.holders
            for _ in range(steps_of_work):
                process.step()
            del self.holders[number]
            held.release()
            self.done.append(number)

        process.run(live)

    def go_on(self, number: int) -> None:
        """Let a process do its next step."""
        self.processes[number].let_go()

    def kill(self, number: int) -> None:
        """Kill a process where it stands."""
        self.dead.add(number)
        self.holders.pop(number, None)
        self.processes[number].end()

    @property
    def running(self) -> list[int]:
        """Processes that neither ended nor were killed."""
        return [each.number for each in self.processes if not each.ended]

    def end(self) -> None:
        """Kill all."""
        for number in self.running:
            self.kill(number)


class _Process:
    def __init__(self, number: int) -> None:
        self.number = number
        self.ended = False
        self.failure: BaseException | None = None
        self._killed = False
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)

    def run(self, live: Callable[[], None]) -> None:
        def thread() -> None:
            try:
                self.step()
                live()
            except Killed:
                pass
            except BaseException as error:
                self.failure = error
            finally:
                self.ended = True
                self._back.release()

        threading.Thread(target=thread, daemon=True).start()
        self._back.acquire()

    def step(self) -> None:
        """Called by the process: wait to be let go."""
        if self._killed:
            raise Killed
        self._back.release()
        self._go.acquire()
        if self._killed:
            raise Killed

    def let_go(self) -> None:
        self._go.release()
        self._back.acquire()
        if self.failure is not None:
            raise self.failure

    def end(self) -> None:
        self._killed = True
        self._go.release()
        self._back.acquire()


class SimulatedBoard:
    """The board of a :class:`World` for one process."""

    seconds_between_beats: float | None = None
    seconds_between_looks: float = 0.0

    def __init__(self, world: World, process: _Process) -> None:
        self._world, self._process = world, process

    def post(self, name: str, about: bytes) -> str:
        self._process.step()
        self._world.claims.add(name)
        self._world.owners[name] = self._process.number
        self._process.step()
        return name

    def names(self) -> list[str]:
        self._process.step()
        return list(self._world.claims)

    def is_dead(self, name: str) -> bool:
        self._process.step()
        return self._world.owners[name] in self._world.dead

    def stands(self, name: str) -> bool:
        self._process.step()
        return name in self._world.claims

    def beat(self, name: str) -> bool:
        return self.stands(name)

    def remove(self, name: str) -> None:
        self._process.step()
        self._world.claims.discard(name)
        self._process.step()

    def about(self, name: str) -> bytes | None:
        return None
