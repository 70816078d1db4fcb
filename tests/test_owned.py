"""Whose something is: told by place, number and beginning of a process, not by host name and number alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sciriff import owned
from sciriff.owned import owned_name, was_left

CHECKOUT = Path(__file__).parents[1]
NAMING = "from sciriff.owned import owned_name; print(owned_name(), flush=True); import sys; sys.stdin.read()"


def test_names_are_never_the_same_and_ours_are_in_use() -> None:
    names = {owned_name() for _ in range(100)}
    assert len(names) == 100
    assert not any(map(was_left, names))


@pytest.mark.parametrize("name", ["", "x", "a-b", "a-b-c-d-e", "host-1-0123456789abcdef", "-" * 9])
def test_what_is_no_name_of_this_kind_was_left_by_nobody(name: str) -> None:
    assert not was_left(name)


def start(*before: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [*before, sys.executable, "-c", NAMING], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_killed_process_leaves_its_things_even_before_it_is_reaped() -> None:
    process, name = start()
    assert not was_left(name)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert was_left(name)
    process.wait()
    assert was_left(name)


def test_a_process_that_got_the_number_of_a_dead_one_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    name = owned_name()
    began = owned._began(os.getpid())
    monkeypatch.setattr(owned, "_began", lambda pid: f"{began}1")
    assert was_left(name)


def test_what_a_container_of_the_same_host_name_is_at_work_on_is_not_ours_to_judge() -> None:
    """Its processes have numbers of their own: here 1 or 2."""
    unshare = shutil.which("unshare")
    command = [unshare or "", "--pid", "--fork", "--kill-child"]
    if unshare is None or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespace of process ids can be made here")
    process, name = start(*command)
    try:
        assert not was_left(name)
    finally:
        process.kill()
        process.wait()
    assert not was_left(name)
