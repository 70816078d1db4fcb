from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sciriff.errors import StoreError
from sciriff.owned import owned_name
from sciriff.store import MANIFEST, Store


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def bucket(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    return "s3://bucket"


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    name = uuid.uuid4().hex
    urls: dict[str, Callable[[], str]] = {
        "local": lambda: str(tmp_path / "root"),
        "memory": lambda: f"memory://{name}/root",
        "s3": lambda: f"{request.getfixturevalue('bucket')}/{name}",
    }
    return Store(urls[request.param]())


def test_what_is_written_is_read_and_listed(store: Store, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"three")
    store.write_bytes("b/two.txt", b"two")
    store.write_bytes("b/c/one.txt", "é".encode())
    store.put("a/three.txt", local)
    assert store.files("") == ["a/three.txt", "b/c/one.txt", "b/two.txt"]
    assert store.files("b") == ["c/one.txt", "two.txt"]
    assert store.folders("") == ["a", "b"]
    assert store.folders("b") == ["c"]
    assert store.read_bytes("b/c/one.txt") == "é".encode()
    assert local.read_bytes() == b"three"
    with store.open_read("a/three.txt") as stream:
        assert stream.read(2) + stream.read() == b"three"


def test_writing_again_replaces(store: Store) -> None:
    store.write_bytes("file", b"a long first version")
    store.write_bytes("file", b"second")
    assert store.read_bytes("file") == b"second"
    assert store.files("") == ["file"]


def test_what_is_not_there(store: Store) -> None:
    assert store.files("") == []
    assert store.folders("nowhere") == []
    assert not store.exists("nothing")
    assert store.read_manifest("nowhere") is None
    with pytest.raises(FileNotFoundError):
        store.read_bytes("nothing")
    store.write_bytes("file", b"x")
    store.delete("file")
    store.delete("file")
    assert not store.exists("file")


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/etc/outside", "a/.."])
def test_paths_that_leave_the_store_are_refused(path: str, store: Store, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"x")
    actions: list[Callable[[], object]] = [
        lambda: store.write_bytes(path, b"x"),
        lambda: store.read_bytes(path),
        lambda: store.put(path, local),
        lambda: store.publish(path, local),
        lambda: store.delete(path),
        lambda: store.exists(path),
        lambda: store.files(path),
    ]
    for action in actions:
        with pytest.raises(StoreError, match="leaves the store"):
            action()
    assert local.exists()
    assert not (tmp_path / "outside").exists()


def test_names_with_dots_do_not_leave_the_store(store: Store) -> None:
    store.write_bytes("a/..b/c..d", b"x")
    assert store.files("a") == ["..b/c..d"]


def test_a_folder_is_done_when_its_manifest_says_so(store: Store) -> None:
    store.write_bytes("task/train.jsonl", b"data")
    assert not store.intact("task", "key")
    manifest = {"key": "key", "files": {"train.jsonl": {"sha256": sha256(b"data")}}}
    store.write_manifest("task", manifest)
    assert store.read_manifest("task") == manifest
    assert store.intact("task", "key")
    assert not store.intact("task", "another key")


def test_damage_is_found(store: Store) -> None:
    files = {name: {"sha256": sha256(name.encode())} for name in ("a", "b", "c")}
    for name in files:
        store.write_bytes(f"task/{name}", name.encode())
    manifest = {"key": "key", "files": files}
    store.write_manifest("task", manifest)
    assert store.damaged("task", manifest) == []
    store.write_bytes("task/a", b"A")
    store.delete("task/c")
    assert store.damaged("task", manifest) == ["a", "c"]
    assert not store.intact("task", "key")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"key": "x"', b"\xff"])
def test_what_is_no_manifest_does_not_count(content: bytes, store: Store) -> None:
    store.write_bytes(f"task/{MANIFEST}", content)
    assert store.read_manifest("task") is None
    assert not store.intact("task", "x")


def test_manifests_have_one_spelling(store: Store) -> None:
    store.write_manifest("a", {"key": "k", "files": {"b": 1, "a": "é"}})
    store.write_manifest("b", {"files": {"a": "é", "b": 1}, "key": "k"})
    data = store.read_bytes(f"a/{MANIFEST}")
    assert data == store.read_bytes(f"b/{MANIFEST}")
    assert data.endswith(b"}\n")
    assert "é".encode() in data


def test_publishing_moves_a_file_out_of_the_workspace(store: Store) -> None:
    with store.workspace() as folder:
        (folder / "file").write_bytes(b"finished")
        (folder / "rest").write_bytes(b"unfinished")
        assert store.files("") == []
        store.publish("task/file", folder / "file")
        assert not (folder / "file").exists()
    assert store.files("") == ["task/file"]
    assert store.read_bytes("task/file") == b"finished"
    assert not folder.exists()


def test_a_workspace_is_removed_when_the_work_fails(store: Store) -> None:
    folders = []
    with suppress(ZeroDivisionError), store.workspace() as folder:
        (folder / "half").write_bytes(b"x")
        folders.append(folder)
        raise ZeroDivisionError
    assert not folders[0].exists()
    assert store.files("") == []


def test_a_writable_store_shows_no_trace_of_the_test(store: Store) -> None:
    store.check_writable()
    assert store.files("") == []
    assert not store.exists(".staging")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path))
    store.write_bytes("file", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"cannot write .*/file: .*No space left on device; make room there"):
        store.write_bytes("file", b"new")
    monkeypatch.undo()
    assert store.read_bytes("file") == b"old"
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


def write_and_die(root: str, place: str) -> None:
    """Be killed in the middle of work: while a file is half written, or just before it is put in its place."""
    store = Store(root)

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if place == "before the file is complete":
        os.fsync = die  # type: ignore[assignment]
    elif place == "before it is in its place":
        Path.replace = die  # type: ignore[method-assign, assignment]
    elif place == "in a workspace":
        with store.workspace() as folder:
            (folder / "deep").mkdir()
            (folder / "deep" / "half").write_bytes(b"half")
            die()
    elif place == "in the probe":
        Store.delete = die  # type: ignore[method-assign, assignment]
        store.check_writable()
    store.write_bytes("task/file", b"new")


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize(
    "place", ["before the file is complete", "before it is in its place", "in a workspace", "in the probe"]
)
def test_a_writer_that_is_killed_leaves_nothing_visible(place: str, old: bytes | None, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    if old is not None:
        store.write_bytes("task/file", old)
    before = store.files("")
    process = multiprocessing.get_context("fork").Process(target=write_and_die, args=(str(tmp_path), place))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert store.files("") == before
    assert old is None or store.read_bytes("task/file") == old
    assert list((tmp_path / ".staging").iterdir()) != []
    store.check_writable()
    assert not (tmp_path / ".staging").exists()
    assert store.files("") == before


def test_sweeping_keeps_what_others_are_at_work_on(tmp_path: Path) -> None:
    staging = tmp_path / ".staging"
    staging.mkdir()
    mine = owned_name()
    host, place, pid, began, _ = mine.rsplit("-", 4)
    nobody = dead_pid()
    kept = [mine, f"{host}-{'0' * 12}-{nobody}-{began}-{uuid.uuid4().hex}", "something else"]
    kept += [f"{host}-{nobody}-{uuid.uuid4().hex}"]  # of an older release: nobody knows whose it is
    swept = [f"{host}-{place}-{nobody}-{began}-{uuid.uuid4().hex}" for _ in range(2)]
    swept += [f"{host}-{place}-{pid}-1{began}-{uuid.uuid4().hex}"]  # its process had the number that ours has now
    for name in [*kept, *swept]:
        (staging / name).mkdir()
        (staging / name / "file").write_bytes(b"x")
    Store(str(tmp_path)).check_writable()
    assert sorted(path.name for path in staging.iterdir()) == sorted(kept)


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_workspace_in_use_survives_another_run_on_the_same_store(tmp_path: Path) -> None:
    one, other = Store(str(tmp_path)), Store(str(tmp_path))
    with one.workspace() as folder:
        (folder / "file").write_bytes(b"x")
        other.check_writable()
        other.write_bytes("b", b"y")
        with other.workspace():
            pass
        one.publish("a", folder / "file")
    assert one.files("") == ["a", "b"]
    assert not (tmp_path / ".staging").exists()


def test_writers_do_not_pull_the_staging_folder_from_under_each_other(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            for number in range(150):
                store = Store(str(tmp_path))
                store.write_bytes(f"{writer}/{number}", b"x")
                store.sweep_staging()
                with store.workspace():
                    pass
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(Store(str(tmp_path)).files("")) == 600


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"not a folder")
    root = str(tmp_path / "file" / "store")
    with pytest.raises(
        StoreError, match=r"cannot write .*file/store.*check that the store .* exists, has room"
    ) as info:
        Store(root).check_writable()
    assert root in str(info.value)
    with pytest.raises(StoreError, match="cannot write"), Store(root).workspace():
        pass


@pytest.mark.parametrize("url", ["nosuchprotocol://bucket/x", "gibberish://"])
def test_a_url_that_nothing_opens_is_named(url: str) -> None:
    with pytest.raises(StoreError, match=f"store '{url}' cannot be opened: .*give a path or an fsspec URL"):
        Store(url)


def test_paths_for_messages(tmp_path: Path) -> None:
    assert Store(str(tmp_path)).path("a/b") == f"{tmp_path}/a/b"
    assert Store(f"file://{tmp_path}").path("") == str(tmp_path)
    assert Store("memory://run").path("a") == "memory:///run/a"


def test_relative_roots_are_settled_when_the_store_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("./artifacts")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.write_bytes("file", b"x")
    assert (tmp_path / "artifacts" / "file").read_bytes() == b"x"


@pytest.mark.slow
def test_a_store_that_refuses_the_keys_is_named(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "WRONG")
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(StoreError, match="cannot write s3://bucket/wrong"):
            Store(f"{bucket}/wrong").check_writable()
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
