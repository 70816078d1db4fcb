"""Files that the user fetches by hand: places, flaws, messages."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import fsspec
import pytest
from by_hand_kit import left_alone
from source_support import make_mirror, make_source, names_in, sha256

from sciriff.errors import BlockedError, ExitCode, SourceError
from sciriff.settings import Settings
from sciriff.sources import fetch
from sciriff.sources.fetch import acquire
from sciriff.sources.lock import read_lock
from sciriff.sources.manual import ByHandError, flaw_of, folders
from sciriff.store import Store

FIRST, SECOND = "http://toy.example/first.zip", "http://toy.example/second.zip"


def archive(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"folder/{name}.json", content)
    return buffer.getvalue()


GOOD = archive(train='{"text": "' + "a toy corpus " * 200 + '"}', readme="toy")
SOURCE = make_source(
    {"first": {"url": FIRST, "members": ["*train.json"]}, "second": {"url": SECOND, "members": ["*train.json"]}},
    kind="manual",
).model_copy(update={"by_hand": "Ask the authors"})


@pytest.fixture(autouse=True)
def no_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "resource_dir", lambda _: tmp_path / "no-samples")


def make_settings(tmp_path: Path, **fields: Any) -> Settings:
    places = {"store": str(tmp_path / "store"), "manual": str(tmp_path / "manual")}
    caches = {"cache": tmp_path / "cache", "lock": tmp_path / "sources.lock"}
    return Settings(_env_file=None, **{**places, **caches, "mirror": None, **fields})


def put(path: Path, content: bytes = GOOD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def error_of(settings: Settings) -> ByHandError:
    with pytest.raises(ByHandError) as caught:
        acquire(SOURCE, settings)
    return caught.value


def test_the_message_says_what_to_get_where_from_and_where_to(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    error = error_of(settings)
    assert (error.exit_code, error.nothing_there) == (ExitCode.BLOCKED, True)
    message = str(error)
    assert "Toy corpus: these files must be fetched by hand." in message
    assert "Get first.zip and second.zip from http://toy.example/. Ask the authors." in message
    places = [str(tmp_path / "manual" / "toy"), str(tmp_path / "store" / "manual" / "toy")]
    assert folders(SOURCE, settings) == places
    assert message.index(places[0]) < message.index(places[1])
    assert "SCIRIFF_MIRROR" in message
    assert "run the same command again" in message
    assert not (tmp_path / "manual").exists()
    assert not (tmp_path / "store").exists()


def test_only_what_is_lacking_is_asked_for(tmp_path: Path) -> None:
    put(tmp_path / "manual" / "toy" / "first.zip")
    error = error_of(make_settings(tmp_path))
    assert "Get second.zip from" in str(error)
    assert "first.zip" not in str(error)
    assert not error.nothing_there
    assert not (tmp_path / "sources.lock").exists()


@pytest.mark.parametrize("place", ["manual/toy", "manual", "store/manual/toy", "store/manual"])
def test_files_are_found_and_read_where_they_lie(tmp_path: Path, place: str) -> None:
    for name in ("first.zip", "second.zip"):
        put(tmp_path / place / name)
    before = left_alone(tmp_path / place)
    got = acquire(SOURCE, make_settings(tmp_path, offline=True))
    assert {key: file.path for key, file in got.files.items()} == {
        "first": tmp_path / place / "first.zip",
        "second": tmp_path / place / "second.zip",
    }
    assert [(file.origin, file.sha256) for file in got.files.values()] == [("primary", sha256(GOOD))] * 2
    with got.view().open("first!folder/train.json") as stream:
        assert b"a toy corpus" in stream.read()
    assert left_alone(tmp_path / place) == before
    assert not (tmp_path / "cache").exists() or names_in(tmp_path / "cache") == ["sources.lock.busy"]


def test_the_files_may_lie_in_different_places_and_the_first_place_wins(tmp_path: Path) -> None:
    other = tmp_path / "other"
    settings = make_settings(tmp_path, manual=f"{tmp_path / 'manual'}, {other}")
    put(other / "first.zip")
    put(tmp_path / "store" / "manual" / "toy" / "first.zip")
    put(tmp_path / "store" / "manual" / "toy" / "second.zip")
    got = acquire(SOURCE, settings).files
    assert got["first"].path == other / "first.zip"
    assert got["second"].path == tmp_path / "store" / "manual" / "toy" / "second.zip"
    put(tmp_path / "manual" / "first.zip")
    assert acquire(SOURCE, settings).files["first"].path == tmp_path / "manual" / "first.zip"


def test_a_remote_store_is_looked_into_and_copied_once(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    settings = make_settings(tmp_path, store="memory://by-hand")
    for name in ("first.zip", "second.zip"):
        memory.pipe_file(f"/by-hand/manual/toy/{name}", GOOD)
    assert "memory:///by-hand/manual/toy" in " ".join(folders(SOURCE, settings))
    got = acquire(SOURCE, settings).files["first"]
    assert got.path.read_bytes() == GOOD
    assert got.path.name == "first.zip"
    assert got.path.is_relative_to(tmp_path / "cache" / "manual" / "toy")
    assert acquire(SOURCE, settings).files["first"] == got
    assert len(list((tmp_path / "cache" / "manual" / "toy").rglob("first.zip"))) == 1
    memory.pipe_file("/by-hand/manual/toy/first.zip", b"<html>no</html>")
    assert "memory:///by-hand/manual/toy/first.zip is a web page" in str(error_of(settings))
    assert memory.cat_file("/by-hand/manual/toy/second.zip") == GOOD
    memory.rm("/by-hand", recursive=True)
    assert error_of(settings).nothing_there


def test_versions_of_artifacts_are_told_without_reading_them(tmp_path: Path) -> None:
    for url in (str(tmp_path / "store"), "memory://versions"):
        store = Store(url)
        assert store.version("a/b") is None
        store.write_bytes("a/b", b"1")
        first = store.version("a/b")
        assert first is not None
        assert re.fullmatch("[0-9a-f]{16,}", first)
        assert store.version("a/b") == first
        store.write_bytes("a/b", b"22")
        assert store.version("a/b") != first
        store.delete("a/b")


def damaged(content: bytes) -> bytes:
    middle = content.index(b"train.json") + 40
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def hostile() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("../train.json", "{}")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "flaw"),
    [
        (b"", "is empty; download it again"),
        (b"\n<!DOCTYPE html><html><title>Log in</title></html>", "is a web page, not the file; sign in on the site"),
        (GOOD[: len(GOOD) // 2], r"cannot be used: first\.zip is damaged or cut off \(File is not a zip file\)"),
        (damaged(GOOD), r"cannot be used: first\.zip is damaged or cut off"),
        (b"plain text", r"cannot be used: first\.zip holds no members: it is neither a zip nor a tar"),
        (hostile(), r"cannot be used: archive first\.zip is refused because of its member"),
        (archive(golden="{}"), r"is another archive: it holds folder/golden\.json, but no \*train\.json"),
        (
            archive(a="", b="", c="", d=""),
            r"is another archive: it holds folder/a\.json, folder/b\.json, folder/c\.json and 1 more, but no",
        ),
        (archive(), r"is another archive: it holds nothing, but no \*train\.json"),
    ],
)
def test_a_wrong_or_damaged_file_is_named_as_such(tmp_path: Path, content: bytes, flaw: str) -> None:
    path = put(tmp_path / "manual" / "toy" / "first.zip", content)
    put(tmp_path / "manual" / "toy" / "second.zip")
    error = error_of(make_settings(tmp_path))
    assert re.search(f"Found, but not the right file: {re.escape(str(path))} {flaw}", str(error))
    assert "Get first.zip from" in str(error)
    assert not error.nothing_there
    assert path.read_bytes() == content
    put(path)
    assert acquire(SOURCE, make_settings(tmp_path)).files["first"].path == path


def test_an_archive_that_the_browser_unpacked_is_noticed(tmp_path: Path) -> None:
    put(tmp_path / "manual" / "toy" / "first" / "train.json", b"{}")
    error = error_of(make_settings(tmp_path))
    unpacked = tmp_path / "manual" / "toy" / "first"
    assert f"Found, but not the right file: {unpacked} is the archive unpacked; what is needed is first.zip" in str(
        error
    )
    assert not error.nothing_there


def test_a_right_file_further_on_makes_up_for_a_wrong_one(tmp_path: Path) -> None:
    put(tmp_path / "manual" / "toy" / "first.zip", b"<html>")
    put(tmp_path / "manual" / "first.zip")
    put(tmp_path / "manual" / "second.zip")
    assert acquire(SOURCE, make_settings(tmp_path)).files["first"].path == tmp_path / "manual" / "first.zip"


def test_swapped_names_are_noticed(tmp_path: Path) -> None:
    swapped = make_source(
        {"first": {"url": FIRST, "members": ["*train.json"]}, "second": {"url": SECOND, "members": ["*golden.json"]}},
        kind="manual",
    )
    put(tmp_path / "manual" / "first.zip", archive(golden="{}"))
    put(tmp_path / "manual" / "second.zip", GOOD)
    with pytest.raises(BlockedError) as caught:
        acquire(swapped, make_settings(tmp_path))
    assert str(caught.value).count("is another archive") == 2


def test_a_file_that_need_not_be_an_archive_is_only_told_from_pages(tmp_path: Path) -> None:
    assert flaw_of(put(tmp_path / "x", b"text"), ()) == ""
    assert "web page" in flaw_of(put(tmp_path / "y", b"<html>"), ())


def test_a_mirror_comes_first_and_may_have_a_part(tmp_path: Path) -> None:
    mirror = make_mirror(tmp_path / "mirror", {FIRST: (GOOD, {})})
    settings = make_settings(tmp_path, mirror=str(mirror))
    assert "Get second.zip from" in str(error_of(settings))
    put(tmp_path / "manual" / "first.zip", b"not looked at")
    put(tmp_path / "manual" / "second.zip")
    assert [file.origin for file in acquire(SOURCE, settings).files.values()] == ["mirror", "primary"]


def test_what_was_dropped_in_is_locked(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    for name in ("first.zip", "second.zip"):
        put(tmp_path / "manual" / name)
    acquire(SOURCE, settings)
    assert {url: entry.sha256 for url, entry in read_lock(settings.lock).items()} == dict.fromkeys(
        (FIRST, SECOND), sha256(GOOD)
    )
    other = archive(train="another edition")
    put(tmp_path / "manual" / "first.zip", other)
    with pytest.raises(SourceError, match=rf"has changed since.*{sha256(GOOD)}.*{sha256(other)}.*--update-lock"):
        acquire(SOURCE, settings)
    assert acquire(SOURCE, settings, update_lock=True).files["first"].sha256 == sha256(other)
    assert acquire(SOURCE, settings).files["first"].sha256 == sha256(other)


def test_the_error_crosses_process_boundaries(tmp_path: Path) -> None:
    error = error_of(make_settings(tmp_path))
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.nothing_there
