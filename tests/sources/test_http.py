from __future__ import annotations

import errno
import gzip
import pickle
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from source_support import (
    LoopbackServer,
    RecordedProgress,
    RecordedSleep,
    body,
    cut,
    names_in,
    ranged,
    sha256,
    status,
)

from sciriff.errors import SourceError, TransientError
from sciriff.sources import http
from sciriff.sources.failures import RefusedError, UnreachableError
from sciriff.sources.http import download
from sciriff.sources.patience import RetryPolicy, seconds_asked

CONTENT = bytes(range(256)) * 4000


def test_brings_the_file_and_tells_its_progress(server: LoopbackServer, tmp_path: Path, policy: RetryPolicy) -> None:
    url = server.serve("/data.bin", body(CONTENT, X_Repo_Commit="abc123"))
    progress = RecordedProgress()
    got = download(url, tmp_path / "deep" / "data.bin", sha256=sha256(CONTENT), progress=progress, policy=policy)
    assert (tmp_path / "deep" / "data.bin").read_bytes() == CONTENT
    assert (got.sha256, got.bytes, got.revision) == (sha256(CONTENT), len(CONTENT), "abc123")
    assert progress.events[0] == ("started", len(CONTENT))
    assert sum(n for kind, n in progress.events if kind == "advanced") == len(CONTENT)
    assert progress.events[-1] == ("finished", None)
    assert names_in(tmp_path / "deep") == ["data.bin"]


def test_stored_gzip_is_saved_as_stored(server: LoopbackServer, tmp_path: Path, policy: RetryPolicy) -> None:
    packed = gzip.compress(CONTENT)
    url = server.serve("/a.tgz", body(packed, Content_Encoding="gzip"))
    download(url, tmp_path / "a.tgz", policy=policy)
    assert (tmp_path / "a.tgz").read_bytes() == packed


def test_retries_after_server_errors_with_growing_random_waits(
    server: LoopbackServer, tmp_path: Path, policy: RetryPolicy, sleep: RecordedSleep
) -> None:
    url = server.serve("/f", status(503), status(500), status(502), body(CONTENT))
    assert download(url, tmp_path / "f", policy=policy).sha256 == sha256(CONTENT)
    assert len(sleep.waits) == 3
    assert all(0 <= wait <= bound for wait, bound in zip(sleep.waits, [1, 2, 4], strict=True))


def test_retry_after_in_seconds(
    server: LoopbackServer, tmp_path: Path, policy: RetryPolicy, sleep: RecordedSleep
) -> None:
    url = server.serve("/f", status(429, Retry_After="7"), body(CONTENT))
    download(url, tmp_path / "f", policy=policy)
    assert sleep.waits == [7.0]


def test_retry_after_as_a_date(
    server: LoopbackServer, tmp_path: Path, policy: RetryPolicy, sleep: RecordedSleep
) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=200), usegmt=True)
    url = server.serve("/f", status(503, Retry_After=soon), body(CONTENT))
    download(url, tmp_path / "f", policy=policy)
    assert len(sleep.waits) == 1
    assert 100 < sleep.waits[0] <= 200


def test_retry_after_as_a_date_is_held_against_the_clock_of_the_server() -> None:
    """Ours may be hours off, or go backwards."""
    then = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
    headers = {"Date": format_datetime(then, usegmt=True)}
    for seconds in (30, 0, -30):
        headers["Retry-After"] = format_datetime(then + timedelta(seconds=seconds), usegmt=True)
        assert seconds_asked(headers) == max(seconds, 0)


def test_a_spent_rate_limit_without_retry_after(
    server: LoopbackServer, tmp_path: Path, policy: RetryPolicy, sleep: RecordedSleep
) -> None:
    url = server.serve("/f", status(429, RateLimit='"resolvers";r=0;t=55'), body(CONTENT))
    download(url, tmp_path / "f", policy=policy)
    assert sleep.waits == [55.0]


def test_a_server_that_asks_to_wait_too_long_is_not_waited_for(
    server: LoopbackServer, tmp_path: Path, policy: RetryPolicy, sleep: RecordedSleep
) -> None:
    url = server.serve("/f", status(429, Retry_After="86400"))
    with pytest.raises(SourceError, match=r"429.*come back in 86400 s"):
        download(url, tmp_path / "f", policy=policy)
    assert sleep.waits == []


def test_gives_up_in_the_end(server: LoopbackServer, tmp_path: Path, policy: RetryPolicy) -> None:
    url = server.serve("/f", status(503))
    with pytest.raises(TransientError, match=r"given up after 5 failures.*503") as caught:
        download(url, tmp_path / "f", policy=policy)
    assert not isinstance(caught.value, UnreachableError)
    assert len(server.requests) == policy.attempts


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410])
def test_client_errors_are_not_retried(server: LoopbackServer, tmp_path: Path, policy: RetryPolicy, code: int) -> None:
    url = server.serve("/f", status(code))
    with pytest.raises(RefusedError, match=rf"{re.escape(url)}.*{code}") as caught:
        download(url, tmp_path / "f", policy=policy)
    assert caught.value.status == code
    assert pickle.loads(pickle.dumps(caught.value)).status == code
    assert len(server.requests) == 1


def test_resumes_where_it_was_cut(server: LoopbackServer, tmp_path: Path, policy: RetryPolicy) -> None:
    url = server.serve("/f", ranged(CONTENT, '"v1"', stop_at=300_000), ranged(CONTENT, '"v1"'))
    assert download(url, tmp_path / "f", policy=policy).sha256 == sha256(CONTENT)
    second = server.requests[1][1]
    assert second["Range"] == "bytes=300000-"
    assert second["If-Range"] == '"v1"'


def test_resumes_what_another_process_left(server: LoopbackServer, tmp_path: Path, policy: RetryPolicy) -> None:
    url = server.serve("/f", ranged(CONTENT, '"v1"', stop_at=300_000), status(404))
    with pytest.raises(SourceError):
        download(url, tmp_path / "f", policy=policy)
    server.serve("/f", ranged(CONTENT, '"v1"'))
    progress = RecordedProgress()
    got = download(url, tmp_path / "f", policy=policy, progress=progress)
    assert got.sha256 == sha256(CONTENT)
    assert server.requests[-1][1]["Range"] == "bytes=300000-"
    assert progress.events[:2] == [("started", len(CONTENT)), ("advanced", 300_000)]


def test_a_part_that_is_already_whole_is_kept(server: LoopbackServer, tmp_path: Path, policy: RetryPolicy) -> None:
    url = server.serve("/f", ranged(CONTENT, '"v1"'))
    (tmp_path / "f.part").write_bytes(CONTENT)
    (tmp_path / "f.part.json").write_text(f'{{"url": "{url}", "validator": "\\"v1\\""}}')
    assert download(url, tmp_path / "f", policy=policy).sha256 == sha256(CONTENT)
    assert len(server.requests) == 1


def test_begins_anew_if_the_file_changed_meanwhile(server: LoopbackServer, tmp_path: Path, policy: RetryPolicy) -> None:
    other = CONTENT[::-1]
    url = server.serve("/f", ranged(CONTENT, '"v1"', stop_at=300_000), ranged(other, '"v2"'))
    assert download(url, tmp_path / "f", policy=policy).sha256 == sha256(other)


def test_begins_anew_if_the_server_ignores_ranges(server: LoopbackServer, tmp_path: Path, policy: RetryPolicy) -> None:
    url = server.serve("/f", cut(CONTENT, 300_000, ETag='"v1"'), body(CONTENT))
    assert download(url, tmp_path / "f", policy=policy).sha256 == sha256(CONTENT)
    assert "Range" in server.requests[1][1]


def test_without_validator_or_hash_nothing_is_resumed(
    server: LoopbackServer, tmp_path: Path, policy: RetryPolicy
) -> None:
    url = server.serve("/f", cut(CONTENT, 300_000), body(CONTENT))
    assert download(url, tmp_path / "f", policy=policy).sha256 == sha256(CONTENT)
    assert "Range" not in server.requests[1][1]


def test_a_resumed_file_that_came_out_wrong_is_fetched_once_more_from_its_start(
    server: LoopbackServer, tmp_path: Path, policy: RetryPolicy
) -> None:
    url = server.serve("/f", ranged(CONTENT, '"v1"'))
    (tmp_path / "f.part").write_bytes(b"\0" * 1000)
    (tmp_path / "f.part.json").write_text(f'{{"url": "{url}", "validator": "\\"v1\\""}}')
    got = download(url, tmp_path / "f", sha256=sha256(CONTENT), policy=policy)
    assert got.bytes == len(CONTENT)
    assert [("Range" in headers) for _, headers in server.requests] == [True, False]


def test_a_bad_line_is_not_given_up_while_bytes_arrive(
    server: LoopbackServer, tmp_path: Path, policy: RetryPolicy
) -> None:
    steps = [ranged(CONTENT, '"v1"', stop_at=stop) for stop in range(100_000, len(CONTENT), 100_000)]
    url = server.serve("/f", *steps, ranged(CONTENT, '"v1"'))
    assert len(steps) > policy.attempts
    assert download(url, tmp_path / "f", policy=policy).sha256 == sha256(CONTENT)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "application/zip"),
        (b"\n<HTML lang='en'><head></head></HTML>", "application/octet-stream"),
        (b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "x">', "text/plain"),
        (b"Too many requests, please come back.", "text/html; charset=utf-8"),
    ],
)
def test_an_error_page_is_not_a_corpus(
    server: LoopbackServer, tmp_path: Path, policy: RetryPolicy, content: bytes, content_type: str
) -> None:
    url = server.serve("/f.zip", body(content, content_type=content_type))
    with pytest.raises(SourceError, match=rf"{re.escape(url)}: expected a data file, found an HTML page"):
        download(url, tmp_path / "f.zip", policy=policy)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"PK\x03\x04 a zip with a wrong type", "text/html"),
        (b"<?xml version='1.0'?><!DOCTYPE collection SYSTEM 'BioC.dtd'><collection/>", "application/xml"),
    ],
)
def test_data_is_not_taken_for_an_error_page(
    server: LoopbackServer, tmp_path: Path, policy: RetryPolicy, content: bytes, content_type: str
) -> None:
    url = server.serve("/f", body(content, content_type=content_type))
    assert download(url, tmp_path / "f", policy=policy).bytes == len(content)


def test_lfs_pointers_and_empty_bodies_are_named(server: LoopbackServer, tmp_path: Path, policy: RetryPolicy) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
    with pytest.raises(SourceError, match="found a Git LFS pointer"):
        download(server.serve("/p", body(pointer)), tmp_path / "p", policy=policy)
    with pytest.raises(SourceError, match="found an empty body"):
        download(server.serve("/e", body(b"")), tmp_path / "e", policy=policy)


def test_a_wrong_hash_names_expected_and_found(server: LoopbackServer, tmp_path: Path, policy: RetryPolicy) -> None:
    url = server.serve("/f", body(b"other"))
    expected = sha256(CONTENT)
    with pytest.raises(
        SourceError, match=rf"{re.escape(url)}: expected sha256 {expected}.*found sha256 {sha256(b'other')}"
    ):
        download(url, tmp_path / "f", sha256=expected, size=len(CONTENT), policy=policy)
    assert names_in(tmp_path) == []


def test_a_signed_address_is_told_and_resumed_by_its_name(
    server: LoopbackServer, tmp_path: Path, policy: RetryPolicy
) -> None:
    first = server.serve("/f?signature=one", ranged(CONTENT, '"v1"', stop_at=300_000), status(403))
    with pytest.raises(RefusedError, match=r"^the corpus: expected the file, the server answered 403") as caught:
        download(first, tmp_path / "f", name="the corpus", policy=policy)
    assert "signature" not in str(caught.value)
    second = server.serve("/f?signature=two", ranged(CONTENT, '"v1"'))
    assert download(second, tmp_path / "f", name="the corpus", policy=policy).sha256 == sha256(CONTENT)
    assert server.requests[-1][1]["Range"] == "bytes=300000-"


def test_credentials_stay_with_the_host_they_are_for(
    server: LoopbackServer, elsewhere: LoopbackServer, tmp_path: Path, policy: RetryPolicy
) -> None:
    far = elsewhere.serve("/f", body(CONTENT))
    url = server.serve("/f", status(302, Location=far))
    got = download(url, tmp_path / "f", headers={"Authorization": "Bearer secret"}, policy=policy)
    assert got.sha256 == sha256(CONTENT)
    assert server.requests[0][1]["Authorization"] == "Bearer secret"
    assert "Authorization" not in elsewhere.requests[0][1]


def test_no_connection_is_told_apart(tmp_path: Path, policy: RetryPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(UnreachableError, match="cannot be reached"):
        download("http://127.0.0.1:9/f", tmp_path / "f", policy=policy)


def test_file_urls(tmp_path: Path) -> None:
    (tmp_path / "origin").write_bytes(CONTENT)
    got = download((tmp_path / "origin").as_uri(), tmp_path / "copy", sha256=sha256(CONTENT))
    assert (tmp_path / "copy").read_bytes() == CONTENT
    assert got.bytes == len(CONTENT)
    with pytest.raises(SourceError, match="no such file"):
        download((tmp_path / "absent").as_uri(), tmp_path / "copy2")


def test_a_full_disk_is_named(
    server: LoopbackServer, tmp_path: Path, policy: RetryPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    url = server.serve("/f", body(CONTENT))
    monkeypatch.setattr("sciriff.sources.partfile.os.write", no_room)
    with pytest.raises(SourceError, match=rf"{re.escape(url)}: the disk of .* is full.*SCIRIFF_CACHE"):
        download(url, tmp_path / "f", policy=policy)


def test_too_little_room_is_seen_before_the_transfer(
    server: LoopbackServer, tmp_path: Path, policy: RetryPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = http.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(http.shutil, "disk_usage", lambda _: real._replace(free=1000))
    with pytest.raises(SourceError, match=r"1,024,000 more bytes are needed, 1,000 are free"):
        download(server.serve("/f", body(CONTENT)), tmp_path / "f", policy=policy)


def test_a_folder_that_cannot_be_made_is_named(server: LoopbackServer, tmp_path: Path, policy: RetryPolicy) -> None:
    (tmp_path / "occupied").write_bytes(b"")
    with pytest.raises(SourceError, match="cannot be written"):
        download(server.serve("/f", body(CONTENT)), tmp_path / "occupied" / "f", policy=policy)
