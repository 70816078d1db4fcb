"""Manifests that vouch for themselves, and what a killed process leaves: each piece of it by itself, quickly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.building import pool
from sciriff.building.validate import read_result, result_path
from sciriff.leases import tidy
from sciriff.sources.lock import LockEntry, require_same
from sciriff.sources.partfile import PartFile
from sciriff.store import Store, sealed, unsealed

MANIFEST = {"key": "k", "files": {"a.jsonl": {"sha256": "0" * 64, "rows": 3}}, "share": 0.1, "note": "é\u2028"}


@given(
    st.dictionaries(
        st.text(),
        st.none() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    )
)
def test_a_manifest_comes_back_as_it_was_sealed(manifest: dict[str, Any]) -> None:
    manifest.pop("sha256_of_the_rest", None)
    assert unsealed(sealed(manifest)) == manifest


@given(st.data())
def test_any_change_of_a_manifest_is_found(data: st.DataObject) -> None:
    whole = sealed(MANIFEST)
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    assert unsealed(bytes(flipped)) is None
    assert unsealed(whole[:place]) is None


def test_a_validation_result_of_another_task_is_none(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_bytes(result_path("cdr_ner"), sealed({"suite_name": "cdr_ner"}))
    store.write_bytes(result_path("scierc_ner"), sealed({"suite_name": "cdr_ner"}))
    assert read_result(store, "cdr_ner") == {"suite_name": "cdr_ner"}
    assert read_result(store, "scierc_ner") is None
    assert read_result(store, "biored_ner") is None


def test_a_lock_whose_size_is_wrong_is_damaged(tmp_path: Path) -> None:
    entry = LockEntry(sha256="a" * 64, bytes=3, fetched_at="2026-01-01T00:00:00+00:00")
    require_same(tmp_path / "sources.lock", "http://x/", entry, "a" * 64, 3)
    with pytest.raises(Exception, match=r"sources.lock is damaged: of http://x/ it says 3 bytes"):
        require_same(tmp_path / "sources.lock", "http://x/", entry, "a" * 64, 4)


def test_the_note_of_a_finished_download_goes_that_of_an_unfinished_one_stays(tmp_path: Path) -> None:
    part, note = tmp_path / "f.part", tmp_path / "f.part.json"
    for is_finished in (False, True):
        note.write_text("{}")
        part.unlink(missing_ok=True) if is_finished else part.write_text("begun")
        PartFile(tmp_path / "f").tidy()
        assert note.exists() is not is_finished


KILLED = """
import os, signal, sys
from sciriff.leases import lease
from sciriff.store import Store
store = Store(sys.argv[1])
with store.workspace() as folder, lease(store, "mix/m"):
    (folder / "half").write_text("done")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_files_and_claims_of_a_killed_process_are_swept(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    killed = subprocess.run([sys.executable, "-c", KILLED, store.url], check=False)
    assert killed.returncode == -9
    assert [path.name for path in (tmp_path / "store").rglob("half")] == ["half"]
    assert list((tmp_path / "store/.leases/mix/m").iterdir())
    tidy(store)
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="named semaphores lie elsewhere")
def test_semaphores_of_dead_processes_are_removed() -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = Path(f"/dev/shm/sem.loky-{dead.pid}-test")
    ours = Path(f"/dev/shm/sem.loky-{os.getpid()}-test")
    try:
        for path in (left, ours):
            path.write_bytes(b"")
        pool._sweep_semaphores.cache_clear()
        pool.WorkerPool(2)
        assert (left.exists(), ours.exists()) == (False, True)
    finally:
        for path in (left, ours):
            path.unlink(missing_ok=True)
