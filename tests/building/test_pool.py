from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread

import pytest

from sciriff.building.pool import WorkerPool, stop_workers
from sciriff.errors import RecordError, SciriffError


@pytest.fixture(autouse=True, scope="module")
def _no_workers_left() -> Iterator[None]:
    yield
    stop_workers()


def square(number: int) -> int:
    return number * number


def sleep_unevenly(number: int) -> tuple[int, int]:
    time.sleep(0.002 * (number % 3))
    return number, os.getpid()


def refuse(number: int) -> int:
    if number == 13:
        raise RecordError("file:13", "unlucky")
    return number


def die(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def leave_a_trace(folder: Path, number: int) -> int:
    (folder / str(number)).touch()
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_gives_one_result(workers: int) -> None:
    assert sorted(WorkerPool(workers).map_unordered(square, range(50))) == [n * n for n in range(50)]


@pytest.mark.parametrize("workers", [1, 2])
def test_no_items_no_results(workers: int) -> None:
    assert list(WorkerPool(workers).map_unordered(square, [])) == []


def test_one_worker_is_this_process() -> None:
    assert {pid for _, pid in WorkerPool(1).map_unordered(sleep_unevenly, range(5))} == {os.getpid()}


def test_several_workers_are_other_processes() -> None:
    results = list(WorkerPool(2).map_unordered(sleep_unevenly, range(40)))
    assert sorted(number for number, _ in results) == list(range(40))
    assert os.getpid() not in {pid for _, pid in results}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_function_raises_arrives_whole(workers: int) -> None:
    with pytest.raises(RecordError, match="file:13: unlucky") as info:
        list(WorkerPool(workers).map_unordered(refuse, range(30)))
    assert (info.value.where, info.value.reason) == ("file:13", "unlucky")
    assert list(WorkerPool(workers).map_unordered(refuse, [1])) == [1]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_reading_the_items_raises_arrives(workers: int) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise RecordError("file:2", "cut off")

    with pytest.raises(RecordError, match="cut off"):
        list(WorkerPool(workers).map_unordered(square, items()))


@pytest.mark.parametrize("workers", [1, 2])
def test_items_are_drawn_only_as_fast_as_they_are_worked_on(workers: int, tmp_path: Path) -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            drawn.append(number)
            yield number

    results = WorkerPool(workers).map_unordered(partial(leave_a_trace, tmp_path), items())
    for taken in range(20):
        next(results)
        assert len(drawn) <= taken + 1 + workers * 3
    results.close()  # type: ignore[attr-defined]
    assert len(list(tmp_path.iterdir())) <= len(drawn) < 40


def test_a_worker_killed_while_idle_is_replaced() -> None:
    pids = {pid for _, pid in WorkerPool(2).map_unordered(sleep_unevenly, range(40))}
    os.kill(min(pids), signal.SIGKILL)
    end = time.monotonic() + 30
    while True:  # until its death is noticed, work that is handed out may still meet it
        try:
            found = sorted(WorkerPool(2).map_unordered(square, range(4)))
            break
        except SciriffError:
            assert time.monotonic() < end
    assert found == [0, 1, 4, 9]


def test_a_killed_worker_is_an_error_and_the_next_work_gets_new_workers() -> None:
    with pytest.raises(SciriffError, match=r"worker process .* memory.*--workers"):
        list(WorkerPool(2).map_unordered(die, range(20)))
    assert sorted(WorkerPool(2).map_unordered(square, range(4))) == [0, 1, 4, 9]


def test_a_script_ends_without_a_word(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from sciriff.building.pool import WorkerPool\nprint(sorted(WorkerPool(2).map_unordered(abs, range(-3, 0))))\n"
    )
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[1, 2, 3]\n", "")


def test_a_fork_leaves_the_workers_of_its_parent_alone() -> None:
    pids = {pid for _, pid in WorkerPool(2).map_unordered(sleep_unevenly, range(40))}
    child = os.fork()
    if child == 0:
        stop_workers()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert {pid for _, pid in WorkerPool(2).map_unordered(sleep_unevenly, range(40))} & pids


def test_threads_share_the_workers() -> None:
    found: dict[int, list[int]] = {}
    pids: set[int] = set()

    def work(start: int) -> None:
        found[start] = sorted(WorkerPool(2).map_unordered(square, range(start, start + 30)))
        WorkerPool(2).prepare()
        pids.update(pid for _, pid in WorkerPool(2).map_unordered(sleep_unevenly, range(30)))

    threads = [Thread(target=work, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {start: [n * n for n in range(start, start + 30)] for start in (0, 100, 200)}
    assert 1 <= len(pids) <= 2
