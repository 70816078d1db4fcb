from __future__ import annotations

import os
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import orjson
import pytest
from source_support import (
    LoopbackServer,
    RecordedProgress,
    body,
    make_mirror,
    make_settings,
    make_source,
    names_in,
    sha256,
    status,
)

from sciriff.errors import SourceError, UsageError
from sciriff.sources import fetch
from sciriff.sources.archives import MissingMemberError
from sciriff.sources.failures import UnavailableError, UnreachableError
from sciriff.sources.fetch import acquire
from sciriff.sources.lock import read_lock
from sciriff.sources.mirror import load_mirror
from sciriff.sources.patience import RetryPolicy

URL = "http://toy.example/toy.txt"
TOY = b"a toy corpus\n"
NOWHERE = "http://127.0.0.1:9/toy.txt"


@pytest.fixture(autouse=True)
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of bundled samples."""
    folder = tmp_path / "samples"
    folder.mkdir()
    monkeypatch.setattr(fetch, "resource_dir", lambda _: folder)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


def test_mirror_file_is_used_in_place(tmp_path: Path) -> None:
    mirror = make_mirror(tmp_path / "mirror", {URL: (TOY, {"note": "complete"})})
    got = acquire(make_source({"text": {"url": URL}}), make_settings(tmp_path, mirror=str(mirror), offline=True))
    file = got.files["text"]
    assert file.path == mirror / "file-0"
    assert (file.origin, file.partial, file.sha256, file.bytes, file.note) == (
        "mirror",
        False,
        sha256(TOY),
        len(TOY),
        "complete",
    )
    assert not got.partial
    assert read_lock(tmp_path / "sources.lock")[URL].sha256 == sha256(TOY)
    assert got.view().open("text").read() == TOY


def test_a_partial_stand_in_replaces_the_pinned_hash_and_is_not_locked(tmp_path: Path) -> None:
    mirror = make_mirror(tmp_path / "mirror", {URL: (TOY, {"partial": True, "note": "3 of 9 documents"})})
    source = make_source({"text": {"url": URL, "sha256": "0" * 64, "bytes": 99}})
    got = acquire(source, make_settings(tmp_path, mirror=str(mirror), offline=True))
    assert (got.files["text"].origin, got.files["text"].note) == ("partial", "3 of 9 documents")
    assert got.partial
    assert not (tmp_path / "sources.lock").exists()


def test_a_full_mirror_file_must_be_what_the_catalogue_pins(tmp_path: Path) -> None:
    mirror = make_mirror(tmp_path / "mirror", {URL: (TOY, {})})
    source = make_source({"text": {"url": URL, "sha256": "0" * 64}})
    settings = make_settings(tmp_path, mirror=str(mirror), offline=True)
    with pytest.raises(SourceError, match=rf"expected sha256 {'0' * 64}, found {sha256(TOY)}"):
        acquire(source, settings)
    assert acquire(source, settings, update_lock=True).files["text"].sha256 == sha256(TOY)
    assert acquire(source, settings).files["text"].sha256 == sha256(TOY)


def test_a_changed_mirror_file_is_named(tmp_path: Path) -> None:
    mirror = make_mirror(tmp_path / "mirror", {URL: (TOY, {})})
    source, settings = make_source({"text": {"url": URL}}), make_settings(tmp_path, mirror=str(mirror))
    acquire(source, settings)
    (mirror / "file-0").write_bytes(TOY[:-1])
    with pytest.raises(
        SourceError,
        match=rf"{re.escape(URL)}.*file-0.*expected sha256 {sha256(TOY)} .*13 bytes.*, found {sha256(TOY[:-1])} .*12",
    ):
        acquire(source, settings)
    (mirror / "file-0").unlink()
    with pytest.raises(SourceError, match=rf"{re.escape(URL)}.*mirror\.json says it lies at file-0, but there is no"):
        acquire(source, settings)


def test_what_the_mirror_lacks_comes_from_the_network(
    tmp_path: Path, server: LoopbackServer, policy: RetryPolicy
) -> None:
    url = server.serve("/toy.txt", body(TOY))
    mirror = make_mirror(tmp_path / "mirror", {URL: (b"other", {})})
    source, settings = make_source({"text": {"url": url}}), make_settings(tmp_path, mirror=str(mirror))
    progress = RecordedProgress()
    got = acquire(source, settings, progress=progress, policy=policy).files["text"]
    assert got.origin == "primary"
    assert got.path == tmp_path / "cache" / "sources" / "toy" / "text-toy.txt"
    assert got.path.read_bytes() == TOY
    assert progress.events[0] == ("started", len(TOY))


def test_the_network_is_asked_once(tmp_path: Path, server: LoopbackServer, policy: RetryPolicy) -> None:
    source = make_source({"text": {"url": server.serve("/toy.txt", body(TOY))}})
    first = acquire(source, make_settings(tmp_path), policy=policy)
    again = acquire(source, make_settings(tmp_path, offline=True), policy=policy)
    assert len(server.requests) == 1
    assert again == first


def test_a_damaged_cache_is_fetched_again_or_named(tmp_path: Path, server: LoopbackServer, policy: RetryPolicy) -> None:
    source = make_source({"text": {"url": server.serve("/toy.txt", body(TOY))}})
    path = acquire(source, make_settings(tmp_path), policy=policy).files["text"].path
    path.write_bytes(b"damaged")
    with pytest.raises(SourceError, match=rf"expected sha256 {sha256(TOY)}, found {sha256(b'damaged')}.*delete it"):
        acquire(source, make_settings(tmp_path, offline=True))
    assert acquire(source, make_settings(tmp_path), policy=policy).files["text"].sha256 == sha256(TOY)
    assert path.read_bytes() == TOY


def test_a_source_that_changed_is_an_error_until_the_lock_is_updated(
    tmp_path: Path, server: LoopbackServer, policy: RetryPolicy
) -> None:
    url = server.serve("/toy.txt", body(TOY, X_Repo_Commit="rev1"))
    source, settings = make_source({"text": {"url": url}}), make_settings(tmp_path)
    acquire(source, settings, policy=policy)
    locked = read_lock(settings.lock)[url]
    assert (locked.sha256, locked.bytes, locked.revision) == (sha256(TOY), len(TOY), "rev1")

    server.serve("/toy.txt", body(b"a new edition", X_Repo_Commit="rev2"))
    fresh = settings.model_copy(update={"cache": tmp_path / "other-cache"})
    with pytest.raises(
        SourceError, match=rf"expected sha256 {sha256(TOY)}.*found sha256 {sha256(b'a new edition')}.*--update-lock"
    ):
        acquire(source, fresh, policy=policy)
    assert read_lock(settings.lock)[url] == locked

    assert acquire(source, fresh, policy=policy, update_lock=True).files["text"].bytes == 13
    assert read_lock(settings.lock)[url].revision == "rev2"
    assert acquire(source, fresh, policy=policy).files["text"].sha256 == sha256(b"a new edition")


def test_the_lock_is_left_alone_when_nothing_changed(
    tmp_path: Path, server: LoopbackServer, policy: RetryPolicy
) -> None:
    source, settings = make_source({"text": {"url": server.serve("/t", body(TOY))}}), make_settings(tmp_path)
    acquire(source, settings, policy=policy)
    before = settings.lock.stat().st_mtime_ns, settings.lock.read_bytes()
    acquire(source, settings, policy=policy)
    assert (settings.lock.stat().st_mtime_ns, settings.lock.read_bytes()) == before
    assert names_in(tmp_path / "cache") == ["sources", "sources.lock.busy"]


def test_a_broken_lock_is_named(tmp_path: Path) -> None:
    (tmp_path / "sources.lock").write_text('{"http://x": {"sha256": "no"}}')
    with pytest.raises(SourceError, match=r"sources\.lock is not a valid lock"):
        acquire(make_source({"text": {"url": URL}}), make_settings(tmp_path, offline=True))


def test_offline_names_the_address_and_the_mirror(tmp_path: Path) -> None:
    source = make_source({"text": {"url": URL}})
    with pytest.raises(UnavailableError, match=rf"{re.escape(URL)}: source not available: no mirror is set"):
        acquire(source, make_settings(tmp_path, offline=True, samples="never"))
    mirror = make_mirror(tmp_path / "mirror", {"http://other.example": (TOY, {})})
    with pytest.raises(
        UnavailableError, match=rf"{re.escape(URL)}.*{re.escape(str(mirror))}/mirror\.json has no entry"
    ):
        acquire(source, make_settings(tmp_path, offline=True, mirror=str(mirror)))


def test_one_missing_file_does_not_stop_the_others(tmp_path: Path) -> None:
    mirror = make_mirror(tmp_path / "mirror", {URL: (TOY, {})})
    source = make_source({"train": {"url": URL}, "test": {"url": "http://toy.example/test.txt"}})
    got = acquire(source, make_settings(tmp_path, offline=True, mirror=str(mirror)))
    assert list(got.files) == ["train"]
    assert "http://toy.example/test.txt: source not available" in got.missing["test"]
    assert got.partial
    with pytest.raises(MissingMemberError, match="source not available"):
        got.view().open("test")
    only = acquire(source, make_settings(tmp_path, offline=True, mirror=str(mirror)), files=["train"])
    assert (list(only.files), dict(only.missing)) == (["train"], {})
    with pytest.raises(UsageError, match="has no file dev; it has train, test"):
        acquire(source, make_settings(tmp_path), files=["dev"])


def test_a_source_is_not_built_in_part_because_a_server_is_down(
    tmp_path: Path, server: LoopbackServer, policy: RetryPolicy
) -> None:
    source = make_source({"train": {"url": server.serve("/train", body(TOY))}, "test": {"url": NOWHERE}})
    with pytest.raises(UnreachableError, match=re.escape(NOWHERE)):
        acquire(source, make_settings(tmp_path), policy=policy)
    mirror = make_mirror(tmp_path / "mirror", {source.files["train"].url: (TOY, {})})
    got = acquire(source, make_settings(tmp_path, mirror=str(mirror)), policy=policy)
    assert list(got.files) == ["train"], "a mirror may be incomplete on purpose"
    assert NOWHERE in got.missing["test"]


def test_a_failed_download_is_never_mistaken_for_a_missing_file(
    tmp_path: Path, server: LoopbackServer, policy: RetryPolicy
) -> None:
    source = make_source(
        {"train": {"url": server.serve("/train", body(TOY))}, "test": {"url": server.serve("/test", status(404))}}
    )
    with pytest.raises(SourceError, match="404"):
        acquire(source, make_settings(tmp_path), policy=policy)


def test_samples_when_offline(tmp_path: Path, samples: Path) -> None:
    make_mirror(samples, {URL: (b"a miniature", {"partial": True, "note": "two records of our own"})})
    source = make_source({"text": {"url": URL, "sha256": "0" * 64}})
    got = acquire(source, make_settings(tmp_path, offline=True))
    assert (got.files["text"].origin, got.files["text"].note) == ("sample", "two records of our own")
    assert not (tmp_path / "sources.lock").exists()
    with pytest.raises(UnavailableError):
        acquire(source, make_settings(tmp_path, offline=True, samples="never"))


def test_samples_when_the_network_is_out_of_reach(tmp_path: Path, samples: Path, policy: RetryPolicy) -> None:
    make_mirror(samples, {NOWHERE: (b"a miniature", {"partial": True})})
    source = make_source({"text": {"url": NOWHERE}})
    assert acquire(source, make_settings(tmp_path), policy=policy).files["text"].origin == "sample"
    with pytest.raises(UnreachableError, match="cannot be reached"):
        acquire(source, make_settings(tmp_path, samples="never"), policy=policy)


def test_samples_never_stand_in_for_a_server_that_answers(
    tmp_path: Path, samples: Path, server: LoopbackServer, policy: RetryPolicy
) -> None:
    url = server.serve("/toy.txt", status(404))
    make_mirror(samples, {url: (b"a miniature", {"partial": True})})
    with pytest.raises(SourceError, match="404"):
        acquire(make_source({"text": {"url": url}}), make_settings(tmp_path), policy=policy)


def test_samples_are_not_mixed_with_real_files_or_with_a_mirror(tmp_path: Path, samples: Path) -> None:
    test_url = "http://toy.example/test.txt"
    make_mirror(samples, {URL: (b"mini", {"partial": True}), test_url: (b"mini", {"partial": True})})
    source = make_source({"train": {"url": URL}, "test": {"url": test_url}})
    mirror = make_mirror(tmp_path / "mirror", {URL: (TOY, {})})
    got = acquire(source, make_settings(tmp_path, offline=True, mirror=str(mirror)))
    assert [file.origin for file in got.files.values()] == ["mirror"]
    empty = make_mirror(tmp_path / "empty", {})
    with pytest.raises(UnavailableError):
        acquire(source, make_settings(tmp_path, offline=True, mirror=str(empty)))


def test_samples_always(tmp_path: Path, samples: Path) -> None:
    make_mirror(samples, {URL: (b"mini", {"partial": True})})
    mirror = make_mirror(tmp_path / "mirror", {URL: (TOY, {})})
    source = make_source({"text": {"url": URL}})
    got = acquire(source, make_settings(tmp_path, samples="always", mirror=str(mirror)))
    assert got.files["text"].origin == "sample"
    with pytest.raises(UnavailableError, match="no bundled sample"):
        acquire(make_source({"text": {"url": NOWHERE}}), make_settings(tmp_path, samples="always"))


def test_a_remote_mirror_is_copied_into_the_cache(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/toy-mirror/deep/toy.zip", TOY)
    entry = {"path": "deep/toy.zip", "sha256": sha256(TOY), "bytes": len(TOY)}
    memory.pipe_file("/toy-mirror/mirror.json", orjson.dumps({URL: entry}))
    source = make_source({"text": {"url": URL}})
    settings = make_settings(tmp_path, mirror="memory://toy-mirror")
    got = acquire(source, settings).files["text"]
    assert got.path.read_bytes() == TOY
    assert got.path.is_relative_to(tmp_path / "cache")
    memory.pipe_file("/toy-mirror/deep/toy.zip", b"changed")
    assert acquire(source, settings).files["text"] == got
    got.path.unlink()
    with pytest.raises(SourceError, match=r"memory://toy-mirror/mirror\.json describes"):
        acquire(source, settings)
    assert names_in(tmp_path / "cache" / "mirror") == []
    memory.rm("/toy-mirror/deep/toy.zip")
    with pytest.raises(SourceError, match="there is no such file"):
        acquire(source, settings)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (b"{", "cannot be read"),
        (b"[]", "must map URLs to entries"),
        (b'{"http://a": {"path": "x"}}', "entry http://a: sha256"),
        (b'{"http://a": {"path": "../x", "sha256": "%s"}}' % (b"0" * 64), "leaves the mirror"),
        (b'{"http://a": {"path": "x", "sha256": "%s", "colour": 1}}' % (b"0" * 64), "entry http://a: colour"),
    ],
)
def test_a_bad_mirror_json_is_named(tmp_path: Path, index: bytes, message: str) -> None:
    (tmp_path / "mirror.json").write_bytes(index)
    with pytest.raises(SourceError, match=message):
        load_mirror(str(tmp_path))


def test_a_mirror_that_is_not_there_is_named(tmp_path: Path) -> None:
    for location in (str(tmp_path / "absent"), "nosuchprotocol://x"):
        with pytest.raises(SourceError, match=rf"{re.escape(location)} cannot be used"):
            load_mirror(location)


def test_the_real_mirror_gives_all_sources_it_has(tmp_path: Path) -> None:
    from sciriff.sources.catalogue import load_catalogue

    shared = Path(os.environ.get("SCIRIFF_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "mirror" / "mirror.json").is_file():
        pytest.skip("no folder of real files")
    settings = make_settings(tmp_path, mirror=str(shared / "mirror"), offline=True)
    mirrored = load_mirror(str(shared / "mirror")).entries
    got = {
        name: acquire(entry, settings, files=[key for key, file in entry.files.items() if file.url in mirrored])
        for name, entry in load_catalogue().items()
        if any(file.url in mirrored for file in entry.files.values())
    }
    assert {"anat_em", "chemprot", "qasper", "schema_to_json"} <= set(got)
    assert [name for name, acquired in got.items() if acquired.missing] == []
    assert len(got["anat_em"].view().names("archive!AnatEM-1.0.2/standoff/train/*.txt")) == 606
    inner = "archive!ChemProt_Corpus/chemprot_training.zip!chemprot_training/chemprot_training_abstracts.tsv"
    with got["chemprot"].view().open(inner) as stream:
        assert sum(1 for _ in stream) == 35
    assert zipfile.is_zipfile(got["schema_to_json"].files["discomat"].path)


def test_builders_side_by_side_fetch_once(tmp_path: Path, server: LoopbackServer, policy: RetryPolicy) -> None:
    urls = {f"f{number}": {"url": server.serve(f"/f{number}", body(TOY * 10_000))} for number in range(3)}
    source, settings = make_source(urls), make_settings(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: acquire(source, settings, policy=policy), range(4)))
    assert all(result == results[0] for result in results)
    assert len(server.requests) == 3
    assert len(read_lock(settings.lock)) == 3


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, policy: RetryPolicy) -> None:
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    with pytest.raises(SourceError, match=r"the cache cannot be written at .*SCIRIFF_CACHE"):
        acquire(make_source({"text": {"url": NOWHERE}}), make_settings(tmp_path), policy=policy)
