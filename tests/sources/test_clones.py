"""Git LFS files from real local clones: with and without the objects, bare, and as a linked working tree."""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from source_support import LoopbackServer, body, make_mirror, make_settings, make_source, sha256

from sciriff.errors import SourceError, UsageError
from sciriff.sources.clones import find_clone
from sciriff.sources.failures import UnavailableError
from sciriff.sources.fetch import AcquiredFile, acquire
from sciriff.sources.lock import read_lock
from sciriff.sources.patience import RetryPolicy

URL = "https://raw.githubusercontent.com/Lab/Corpus/main/data/corpus.tar.gz"
CONTENT = b"\x1f\x8b the whole corpus"
OID = sha256(CONTENT)
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize {len(CONTENT)}\n".encode()
PATH = "data/corpus.tar.gz"


def git(folder: Path, *arguments: str) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": "nobody@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, env=environment)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository with a pointer in it, as a host without git lfs sees it."""
    folder = tmp_path / "origin"
    (folder / "data").mkdir(parents=True)
    (folder / PATH).write_bytes(POINTER)
    (folder / ".gitattributes").write_text("*.gz filter=lfs -text\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "Corpus")
    return folder


@pytest.fixture
def clone(tmp_path: Path, origin: Path) -> Path:
    git(tmp_path, "clone", "--quiet", str(origin), "clones/Lab/Corpus")
    return tmp_path / "clones" / "Lab" / "Corpus"


def store_object(git_folder: Path, content: bytes = CONTENT) -> None:
    oid = sha256(content)
    place = git_folder / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    place.parent.mkdir(parents=True)
    place.write_bytes(content)


def acquired(tmp_path: Path, clones: str, *, pins: dict[str, Any] | None = None, **fields: Any) -> AcquiredFile:
    fields = {"offline": True, "samples": "never", **fields}
    source = make_source({"archive": {"url": URL, **(pins or {})}}, kind="lfs")
    return acquire(source, make_settings(tmp_path, clones=clones, **fields)).files["archive"]


def test_the_file_of_the_working_tree(tmp_path: Path, clone: Path) -> None:
    (clone / PATH).write_bytes(CONTENT)  # as git lfs leaves it
    file = acquired(tmp_path, f"lab/corpus={clone}")
    assert (file.path.read_bytes(), file.origin, file.sha256) == (CONTENT, "primary", OID)
    assert file.path.is_relative_to(tmp_path / "cache")
    assert read_lock(tmp_path / "sources.lock")[URL].sha256 == OID
    (clone / PATH).write_bytes(b"later edits do not matter")
    assert acquired(tmp_path, f"lab/corpus={clone}") == file


def test_the_store_behind_a_pointer(tmp_path: Path, clone: Path) -> None:
    store_object(clone / ".git")
    assert acquired(tmp_path, f"Lab/Corpus={clone}").path.read_bytes() == CONTENT


def test_a_folder_of_clones(tmp_path: Path, clone: Path) -> None:
    store_object(clone / ".git")
    assert find_clone(str(tmp_path / "clones"), "Lab/Corpus") == clone
    assert find_clone(str(tmp_path / "clones" / "Lab"), "Lab/Corpus") == clone
    assert find_clone(str(tmp_path / "clones"), "Lab/Other") is None
    assert acquired(tmp_path, str(tmp_path / "clones")).path.read_bytes() == CONTENT


def test_a_bare_clone_and_a_linked_working_tree(tmp_path: Path, origin: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(origin), "bare")
    store_object(tmp_path / "bare")
    git(tmp_path / "bare", "worktree", "add", "--quiet", str(tmp_path / "tree"), "main")
    pins = {"sha256": OID}
    assert acquired(tmp_path / "a", f"Lab/Corpus={tmp_path / 'bare'}", pins=pins).path.read_bytes() == CONTENT
    assert acquired(tmp_path / "b", f"Lab/Corpus={tmp_path / 'tree'}").path.read_bytes() == CONTENT


def test_another_version_in_the_working_tree_and_the_pinned_one_in_the_store(tmp_path: Path, clone: Path) -> None:
    (clone / PATH).write_bytes(b"\x1f\x8b another version")
    with pytest.raises(UnavailableError, match=rf"has another version of {PATH} checked out .*object {OID}"):
        acquired(tmp_path, f"Lab/Corpus={clone}", pins={"sha256": OID})
    store_object(clone / ".git")
    assert acquired(tmp_path, f"Lab/Corpus={clone}", pins={"sha256": OID}).path.read_bytes() == CONTENT


def test_a_damaged_object_is_named(tmp_path: Path, clone: Path) -> None:
    store_object(clone / ".git")
    (place,) = (clone / ".git" / "lfs" / "objects").rglob(OID)
    place.write_bytes(b"damaged")
    with pytest.raises(SourceError, match=rf"in the clone {clone}\): expected sha256 {OID}.*found sha256"):
        acquired(tmp_path, f"Lab/Corpus={clone}")


def test_a_clone_without_the_object_says_what_to_run_in_it(tmp_path: Path, clone: Path) -> None:
    with pytest.raises(
        UnavailableError,
        match=rf"{URL}: .*clone {clone} has only the Git LFS pointer of {PATH}.*lacks the object {OID}; run in it: git",
    ):
        acquired(tmp_path, f"Lab/Corpus={clone}")
    (clone / PATH).unlink()
    with pytest.raises(UnavailableError, match=rf"has no file {PATH} in its working tree"):
        acquired(tmp_path, f"Lab/Corpus={clone}")


def test_what_a_clone_lacks_comes_from_the_network(
    tmp_path: Path,
    clone: Path,
    server: LoopbackServer,
    policy: RetryPolicy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.serve("/Lab/Corpus/main/data/corpus.tar.gz", body(CONTENT))
    settings = make_settings(
        tmp_path, clones=f"Lab/Corpus={clone}", endpoints=f"https://raw.githubusercontent.com={server.url}"
    )
    source = make_source({"archive": {"url": URL, "sha256": OID}}, kind="lfs")
    with caplog.at_level(logging.WARNING):
        assert acquire(source, settings, policy=policy).files["archive"].path.read_bytes() == CONTENT
    assert "git lfs pull" in caplog.text


def test_a_clone_is_asked_before_the_network_and_after_a_mirror(
    tmp_path: Path, clone: Path, server: LoopbackServer
) -> None:
    store_object(clone / ".git")
    reachable = {"offline": False, "endpoints": f"https://raw.githubusercontent.com={server.url}"}
    assert acquired(tmp_path, f"Lab/Corpus={clone}", **reachable).path.read_bytes() == CONTENT
    assert server.requests == []
    mirror = make_mirror(tmp_path / "mirror", {URL: (CONTENT, {"note": "from the mirror"})})
    assert acquired(tmp_path, f"Lab/Corpus={clone}", mirror=str(mirror)).note == "from the mirror"


def test_a_link_out_of_the_clone_is_not_followed(tmp_path: Path, clone: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"not of the repository")
    (clone / PATH).unlink()
    (clone / PATH).symlink_to(secret)
    with pytest.raises(UnavailableError, match=rf"has no file {PATH} in its working tree"):
        acquired(tmp_path, f"Lab/Corpus={clone}")


def test_a_malformed_pointer_in_the_clone_is_named(tmp_path: Path, clone: Path) -> None:
    (clone / PATH).write_bytes(POINTER[:-5])
    with pytest.raises(SourceError, match=rf"{clone / PATH}: the Git LFS pointer is malformed.*git checkout"):
        acquired(tmp_path, f"Lab/Corpus={clone}")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lab/corpus=/nowhere", r"lab/corpus=/nowhere: there is no such folder"),
        ("Lab/Corpus=/a,unclear", r"found 'Lab/Corpus=/a,unclear'; expected OWNER/NAME=FOLDER"),
        ("/nowhere", r"there is no folder /nowhere; expected a folder of clones"),
    ],
)
def test_settings_that_make_no_sense(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=rf"SCIRIFF_CLONES: .*{message}"):
        find_clone(setting, "lab/corpus")
