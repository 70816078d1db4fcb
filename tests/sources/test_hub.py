"""Hub datasets, on a loopback server that speaks the Hub's resolve API: redirects to a CDN, commits, refusals."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from source_support import (
    LoopbackServer,
    RecordedProgress,
    RecordedSleep,
    body,
    make_settings,
    make_source,
    ranged,
    sha256,
    status,
)

from sciriff.errors import BlockedError, SourceError, TransientError
from sciriff.sources.failures import RefusedError, UnavailableError, UnreachableError
from sciriff.sources.fetch import acquire
from sciriff.sources.lock import read_lock
from sciriff.sources.patience import RetryPolicy

ROWS = b"PAR1" + bytes(range(256)) * 1000
FIRST, SECOND = "1" * 40, "2" * 40
ON_THE_HUB = "https://huggingface.co/datasets/lab/corpus/resolve"
TRAIN = f"{ON_THE_HUB}/main/data/train.parquet"


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No token, no offline switch and no connection left over from elsewhere."""
    from huggingface_hub import close_session, constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    close_session()
    yield
    close_session()


@pytest.fixture
def cdn(elsewhere: LoopbackServer) -> LoopbackServer:
    return elsewhere


def publish(
    hub: LoopbackServer,
    cdn: LoopbackServer,
    content: bytes,
    commit: str,
    *,
    revisions: tuple[str, ...] = ("main",),
    path: str = "data/train.parquet",
) -> str:
    """Put a large file on the Hub, as the Hub keeps it: on the CDN, under its hash. Returns its address there."""
    stored = cdn.serve(f"/lfs/{sha256(content)}", ranged(content, f'"{sha256(content)}"'))
    headers = {
        "Location": stored,
        "X_Repo_Commit": commit,
        "X_Linked_Size": str(len(content)),
        "X_Linked_ETag": f'"{sha256(content)}"',
        "ETag": '"of the redirect"',
    }
    for revision in (*revisions, commit):
        hub.serve(f"HEAD /datasets/lab/corpus/resolve/{revision}/{path}", status(302, **headers))
        hub.serve(f"/datasets/lab/corpus/resolve/{revision}/{path}", status(302, **headers))
    return stored


def asked(server: LoopbackServer) -> list[str]:
    return [name.replace("/datasets/lab/corpus/resolve", "") for name, _ in server.requests]


def hub_source(*urls: str) -> Any:
    return make_source({f"f{number}": {"url": url} for number, url in enumerate(urls)}, kind="hub")


def test_a_branch_is_resolved_to_a_commit_and_the_file_fetched_at_that(
    tmp_path: Path, server: LoopbackServer, cdn: LoopbackServer, policy: RetryPolicy
) -> None:
    publish(server, cdn, ROWS, FIRST)
    settings, progress = make_settings(tmp_path, hub_endpoint=server.url), RecordedProgress()
    file = acquire(hub_source(TRAIN), settings, policy=policy, progress=progress).files["f0"]
    assert (file.url, file.revision, file.sha256, file.path.read_bytes()) == (TRAIN, FIRST, sha256(ROWS), ROWS)
    assert asked(server) == ["HEAD /main/data/train.parquet", f"/{FIRST}/data/train.parquet"]
    assert progress.events[0] == ("started", len(ROWS))
    assert read_lock(settings.lock)[TRAIN].revision == FIRST


def test_a_locked_commit_is_asked_for_until_an_update(
    tmp_path: Path, server: LoopbackServer, cdn: LoopbackServer, policy: RetryPolicy
) -> None:
    publish(server, cdn, ROWS, FIRST)
    source = hub_source(TRAIN)
    settings = make_settings(tmp_path, hub_endpoint=server.url)
    acquire(source, settings, policy=policy)
    publish(server, cdn, ROWS + b"more", SECOND)

    elsewhere = settings.model_copy(update={"cache": tmp_path / "another-cache"})
    server.requests.clear()
    assert acquire(source, elsewhere, policy=policy).files["f0"].sha256 == sha256(ROWS)
    assert asked(server) == [f"HEAD /{FIRST}/data/train.parquet", f"/{FIRST}/data/train.parquet"]

    updated = acquire(source, elsewhere, policy=policy, update_lock=True).files["f0"]
    assert (updated.sha256, updated.revision) == (sha256(ROWS + b"more"), SECOND)
    assert read_lock(settings.lock)[TRAIN].revision == SECOND


def test_an_update_also_notes_a_new_commit_of_the_same_content(
    tmp_path: Path, server: LoopbackServer, cdn: LoopbackServer, policy: RetryPolicy
) -> None:
    settings = make_settings(tmp_path, hub_endpoint=server.url)
    publish(server, cdn, ROWS, FIRST)
    acquire(hub_source(TRAIN), settings, policy=policy)
    publish(server, cdn, ROWS, SECOND)
    acquire(hub_source(TRAIN), settings, policy=policy)
    assert read_lock(settings.lock)[TRAIN].revision == FIRST
    acquire(hub_source(TRAIN), settings, policy=policy, update_lock=True)
    assert read_lock(settings.lock)[TRAIN].revision == SECOND


def test_all_files_of_a_branch_are_of_one_commit(
    tmp_path: Path, server: LoopbackServer, cdn: LoopbackServer, policy: RetryPolicy
) -> None:
    test = f"{ON_THE_HUB}/main/data/test.parquet"
    source = hub_source(TRAIN, test)
    settings = make_settings(tmp_path, hub_endpoint=server.url)
    publish(server, cdn, ROWS, FIRST)
    publish(server, cdn, ROWS[::-1], FIRST, path="data/test.parquet")
    acquire(source, settings, files=["f0"], policy=policy)
    publish(server, cdn, b"PAR1 of another commit", SECOND, path="data/test.parquet")
    got = acquire(source, settings, policy=policy).files["f1"]
    assert (got.revision, got.sha256) == (FIRST, sha256(ROWS[::-1]))


def test_the_converter_branch(tmp_path: Path, server: LoopbackServer, cdn: LoopbackServer, policy: RetryPolicy) -> None:
    url = f"{ON_THE_HUB}/refs%2Fconvert%2Fparquet/default/train/0000.parquet"
    path = "default/train/0000.parquet"
    publish(server, cdn, ROWS, FIRST, revisions=("refs%2Fconvert%2Fparquet",), path=path)
    file = acquire(hub_source(url), make_settings(tmp_path, hub_endpoint=server.url), policy=policy).files["f0"]
    assert (file.sha256, file.revision) == (sha256(ROWS), FIRST)
    assert asked(server) == [f"HEAD /refs%2Fconvert%2Fparquet/{path}", f"/{FIRST}/{path}"]


def test_an_address_with_a_commit_is_asked_for_as_it_is(
    tmp_path: Path, server: LoopbackServer, cdn: LoopbackServer, policy: RetryPolicy
) -> None:
    publish(server, cdn, ROWS, SECOND, revisions=())
    url = f"{ON_THE_HUB}/{SECOND}/data/train.parquet"
    settings = make_settings(tmp_path, hub_endpoint=server.url)
    assert acquire(hub_source(url), settings, policy=policy).files["f0"].revision == SECOND
    assert asked(server) == [f"HEAD /{SECOND}/data/train.parquet", f"/{SECOND}/data/train.parquet"]


def test_a_small_file_whose_tag_is_no_sha256_is_taken_as_it_comes(
    tmp_path: Path, server: LoopbackServer, policy: RetryPolicy
) -> None:
    for revision in ("main", FIRST):
        whole = body(b"id,text\n", X_Repo_Commit=FIRST, ETag=f'"{"a" * 40}"')
        server.serve(f"HEAD /datasets/lab/corpus/resolve/{revision}/train.csv", whole)
        server.serve(f"/datasets/lab/corpus/resolve/{revision}/train.csv", whole)
    settings = make_settings(tmp_path, hub_endpoint=server.url)
    file = acquire(hub_source(f"{ON_THE_HUB}/main/train.csv"), settings, policy=policy).files["f0"]
    assert (file.sha256, file.revision) == (sha256(b"id,text\n"), FIRST)


def test_a_renamed_dataset_is_followed(
    tmp_path: Path, server: LoopbackServer, cdn: LoopbackServer, policy: RetryPolicy
) -> None:
    publish(server, cdn, ROWS, FIRST)
    old = "https://huggingface.co/datasets/lab/old/resolve/main/data/train.parquet"
    for method, revision in (("HEAD ", "main"), ("", FIRST)):
        new = f"/datasets/lab/corpus/resolve/{revision}/data/train.parquet"
        server.serve(f"{method}/datasets/lab/old/resolve/{revision}/data/train.parquet", status(307, Location=new))
    settings = make_settings(tmp_path, hub_endpoint=server.url)
    assert acquire(hub_source(old), settings, policy=policy).files["f0"].sha256 == sha256(ROWS)


def test_what_comes_from_the_cdn_is_held_to_the_hubs_hash(
    tmp_path: Path, server: LoopbackServer, cdn: LoopbackServer, policy: RetryPolicy
) -> None:
    publish(server, cdn, ROWS, FIRST)
    cdn.serve(f"/lfs/{sha256(ROWS)}", body(ROWS[:-1] + b"!"))
    with pytest.raises(SourceError, match=rf"{FIRST}/data/train.parquet.*expected sha256 {sha256(ROWS)}"):
        acquire(hub_source(TRAIN), make_settings(tmp_path, hub_endpoint=server.url), policy=policy)
    assert not (tmp_path / "sources.lock").exists()


def test_a_wrong_hash_is_seen_before_the_download(
    tmp_path: Path, server: LoopbackServer, cdn: LoopbackServer, policy: RetryPolicy
) -> None:
    publish(server, cdn, ROWS, FIRST)
    source = make_source({"f0": {"url": TRAIN, "sha256": "0" * 64}}, kind="hub")
    settings = make_settings(tmp_path, hub_endpoint=server.url)
    with pytest.raises(
        SourceError, match=rf"expected sha256 {'0' * 64}, found sha256 {sha256(ROWS)} at commit {FIRST}"
    ):
        acquire(source, settings, policy=policy)
    assert cdn.requests == []


def test_a_cut_download_goes_on_in_a_later_process(
    tmp_path: Path, server: LoopbackServer, cdn: LoopbackServer, policy: RetryPolicy
) -> None:
    publish(server, cdn, ROWS, FIRST)
    stored = f"/lfs/{sha256(ROWS)}"
    etag = f'"{sha256(ROWS)}"'
    cdn.serve(stored, ranged(ROWS, etag, stop_at=100_000), status(404))
    settings = make_settings(tmp_path, hub_endpoint=server.url)
    with pytest.raises(RefusedError):
        acquire(hub_source(TRAIN), settings, policy=policy)
    cdn.serve(stored, ranged(ROWS, etag))
    cdn.requests.clear()
    assert acquire(hub_source(TRAIN), settings, policy=policy).files["f0"].path.read_bytes() == ROWS
    assert cdn.requests[0][1]["Range"] == "bytes=100000-"


def test_a_busy_hub_is_waited_for(
    tmp_path: Path, server: LoopbackServer, cdn: LoopbackServer, policy: RetryPolicy, sleep: RecordedSleep
) -> None:
    publish(server, cdn, ROWS, FIRST)
    head = "HEAD /datasets/lab/corpus/resolve/main/data/train.parquet"
    server.scripts[head][:0] = [
        status(429, Retry_After="7"),
        status(429, RateLimit='"resolvers";r=0;t=55'),
        status(503),
    ]
    settings = make_settings(tmp_path, hub_endpoint=server.url)
    assert acquire(hub_source(TRAIN), settings, policy=policy).files["f0"].sha256 == sha256(ROWS)
    assert sleep.waits[:2] == [7.0, 55.0]
    assert len(sleep.waits) == 3


def test_a_hub_that_stays_down_may_come_back(tmp_path: Path, server: LoopbackServer, policy: RetryPolicy) -> None:
    server.serve("HEAD /datasets/lab/corpus/resolve/main/data/train.parquet", status(503))
    settings = make_settings(tmp_path, hub_endpoint=server.url)
    with pytest.raises(TransientError, match=r"given up after 5 failures in a row.*503") as caught:
        acquire(hub_source(TRAIN), settings, policy=policy)
    assert not isinstance(caught.value, UnreachableError)
    assert len(server.requests) == policy.attempts


def test_no_connection_to_the_hub(tmp_path: Path, policy: RetryPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    settings = make_settings(tmp_path, hub_endpoint="http://127.0.0.1:9", samples="never")
    told = rf"{re.escape(TRAIN)} \(by way of 127\.0\.0\.1:9\): source not available"
    with pytest.raises(UnreachableError, match=told):
        acquire(hub_source(TRAIN), settings, policy=policy)


def refusal(server: LoopbackServer, code: int, error_code: str = "", message: str = "", revision: str = "main") -> None:
    headers = {"X_Error_Code": error_code, "X_Error_Message": message}
    sent = {name: value for name, value in headers.items() if value}
    server.serve(f"HEAD /datasets/lab/corpus/resolve/{revision}/data/train.parquet", status(code, **sent))


@pytest.mark.parametrize(
    ("code", "error_code", "token", "kind", "message"),
    [
        (401, "GatedRepo", None, BlockedError, r"gated: open .*/datasets/lab/corpus, accept its terms.*set HF_TOKEN"),
        (403, "GatedRepo", "hf_x", BlockedError, r"gated: the account of your token \(HF_TOKEN\) has not been let in"),
        (401, "RepoNotFound", None, BlockedError, r"dataset lab/corpus is private or does not exist.*set HF_TOKEN"),
        (401, "", None, BlockedError, r"dataset lab/corpus is private or does not exist"),
        (403, "", "hf_x", BlockedError, r"dataset lab/corpus is private or does not exist"),
        (404, "RepoNotFound", "hf_x", RefusedError, r"there is no dataset lab/corpus.*token \(HF_TOKEN\) may not see"),
        (404, "RepoNotFound", None, RefusedError, r"there is no dataset lab/corpus on the Hub; it may have moved"),
        (404, "RevisionNotFound", None, RefusedError, r"dataset lab/corpus has no revision main; look at"),
        (404, "EntryNotFound", None, RefusedError, r"has no file data/train\.parquet at revision main"),
    ],
)
def test_refusals_say_what_is_missing_and_what_to_do(
    tmp_path: Path,
    server: LoopbackServer,
    policy: RetryPolicy,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    error_code: str,
    token: str | None,
    kind: type[Exception],
    message: str,
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    refusal(server, code, error_code)
    with pytest.raises(kind, match=rf"{re.escape(TRAIN)}.*{message}"):
        acquire(hub_source(TRAIN), make_settings(tmp_path, hub_endpoint=server.url), policy=policy)
    assert len(server.requests) == 1


def test_an_invalid_token_is_named(
    tmp_path: Path, server: LoopbackServer, policy: RetryPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    refusal(server, 401, message="Invalid credentials in Authorization header")
    with pytest.raises(BlockedError, match=r"does not accept your token \(HF_TOKEN\)"):
        acquire(hub_source(TRAIN), make_settings(tmp_path, hub_endpoint=server.url), policy=policy)


def test_a_locked_commit_that_is_gone_says_how_to_go_on(
    tmp_path: Path, server: LoopbackServer, cdn: LoopbackServer, policy: RetryPolicy
) -> None:
    publish(server, cdn, ROWS, FIRST)
    settings = make_settings(tmp_path, hub_endpoint=server.url)
    acquire(hub_source(TRAIN), settings, policy=policy)
    refusal(server, 404, "RevisionNotFound", revision=FIRST)
    fresh = settings.model_copy(update={"cache": tmp_path / "another-cache"})
    with pytest.raises(RefusedError, match=rf"no revision {FIRST}; its history was rewritten.*--update-lock"):
        acquire(hub_source(TRAIN), fresh, policy=policy)


def test_a_gated_dataset_with_a_token_goes_no_further_than_the_hub(
    tmp_path: Path,
    server: LoopbackServer,
    cdn: LoopbackServer,
    policy: RetryPolicy,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    publish(server, cdn, ROWS, FIRST)
    cdn.serve(f"/lfs/{sha256(ROWS)}", status(404))
    with caplog.at_level(logging.DEBUG), pytest.raises(RefusedError) as caught:
        acquire(hub_source(TRAIN), make_settings(tmp_path, hub_endpoint=server.url), policy=policy)
    assert {headers["Authorization"] for _, headers in server.requests} == {"Bearer hf_very_secret"}
    assert [headers.get("Authorization") for _, headers in cdn.requests] == [None]
    assert "hf_very_secret" not in caplog.text + str(caught.value)
    assert not any(b"hf_very_secret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_the_hubs_own_offline_switch_is_honoured(
    tmp_path: Path, server: LoopbackServer, policy: RetryPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    settings = make_settings(tmp_path, hub_endpoint=server.url, samples="never")
    with pytest.raises(UnavailableError, match=r"the Hub may not be asked \(HF_HUB_OFFLINE\)"):
        acquire(hub_source(TRAIN), settings, policy=policy)
    assert server.requests == []


def test_the_endpoint_of_the_hubs_own_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.lab.example")
    assert make_settings(tmp_path).hub_endpoint == "https://hub.lab.example"
    monkeypatch.setenv("HF_ENDPOINT", "")
    assert make_settings(tmp_path).hub_endpoint == "https://huggingface.co"
