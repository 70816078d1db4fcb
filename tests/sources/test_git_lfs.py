"""Git LFS, on loopback servers: one is the repository with its batch API, the other the object store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import orjson
import pytest
from source_support import (
    Answer,
    LoopbackServer,
    RecordedSleep,
    body,
    make_mirror,
    make_settings,
    make_source,
    ranged,
    sha256,
    status,
)

from sciriff.errors import BlockedError, SourceError, TransientError
from sciriff.settings import Settings
from sciriff.sources.failures import RefusedError, UnreachableError
from sciriff.sources.fetch import acquire
from sciriff.sources.lock import read_lock
from sciriff.sources.patience import RetryPolicy

URL = "https://raw.githubusercontent.com/lab/corpus/main/data/corpus.tar.gz"
RAW = "/raw/lab/corpus/main/data/corpus.tar.gz"
BATCH = "POST /github/lab/corpus.git/info/lfs/objects/batch"
CONTENT = b"\x1f\x8b" + bytes(range(256)) * 1000
OID = sha256(CONTENT)
JSON = "application/vnd.git-lfs+json"


def pointer(content: bytes = CONTENT) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(content)}\nsize {len(content)}\n".encode()


def batch(objects: Any, code: int = 200, **more: Any) -> Answer:
    return body(orjson.dumps({"transfer": "basic", "objects": objects, **more}), content_type=JSON, code=code)


def refused(code: int, message: str, **headers: str) -> Answer:
    answer = {"message": message, "documentation_url": "https://lfs.example/errors", "request_id": "1"}
    return body(orjson.dumps(answer), content_type=JSON, code=code, **headers)


def link(store: LoopbackServer, content: bytes = CONTENT, **more: Any) -> dict[str, Any]:
    action = {"href": f"{store.url}/objects/{sha256(content)}?signature=s3cret", "header": {"X-Key": "k"}, **more}
    return {"oid": sha256(content), "size": len(content), "authenticated": True, "actions": {"download": action}}


def trouble(code: int, message: str, content: bytes = CONTENT) -> dict[str, Any]:
    return {"oid": sha256(content), "size": len(content), "error": {"code": code, "message": message}}


@pytest.fixture
def store(elsewhere: LoopbackServer) -> LoopbackServer:
    elsewhere.serve(f"/objects/{OID}?signature=s3cret", ranged(CONTENT, '"v1"'))
    return elsewhere


@pytest.fixture
def settings(tmp_path: Path, server: LoopbackServer, store: LoopbackServer) -> Settings:
    """A repository whose branch main has the pointer, and whose batch API gives a link to the store."""
    server.serve(RAW, body(pointer(), content_type="text/plain; charset=utf-8"))
    server.serve(BATCH, batch([link(store)]))
    endpoints = f"https://raw.githubusercontent.com={server.url}/raw, https://github.com={server.url}/github/"
    return make_settings(tmp_path, endpoints=endpoints, samples="never")


@pytest.fixture
def fetch(settings: Settings, policy: RetryPolicy) -> Callable[..., Path]:
    def fetch(**pins: Any) -> Path:
        source = make_source({"archive": {"url": URL, **pins}}, kind="lfs")
        return acquire(source, settings, policy=policy).files["archive"].path

    return fetch


def test_from_pointer_to_object(
    fetch: Callable[..., Path], settings: Settings, server: LoopbackServer, store: LoopbackServer
) -> None:
    assert fetch().read_bytes() == CONTENT
    assert [name for name, _ in server.requests] == [RAW, BATCH]
    assert orjson.loads(server.posted[0]) == {
        "operation": "download",
        "transfers": ["basic"],
        "objects": [{"oid": OID, "size": len(CONTENT)}],
        "hash_algo": "sha256",
    }
    headers = server.requests[1][1]
    assert (headers["Accept"], headers["Content-Type"]) == (JSON, JSON)
    assert store.requests[0][1]["X-Key"] == "k"
    locked = read_lock(settings.lock)[URL]
    assert (locked.sha256, locked.bytes) == (OID, len(CONTENT))


def test_the_catalogues_pin_is_the_objects_name(fetch: Callable[..., Path]) -> None:
    assert fetch(sha256=OID, bytes=len(CONTENT)).read_bytes() == CONTENT


def test_a_pinned_object_is_had_although_the_branch_has_moved_on(
    fetch: Callable[..., Path], server: LoopbackServer
) -> None:
    server.serve(RAW, body(pointer(b"the next edition"), content_type="text/plain"))
    assert fetch(sha256=OID, bytes=len(CONTENT)).read_bytes() == CONTENT
    assert orjson.loads(server.posted[0])["objects"] == [{"oid": OID, "size": len(CONTENT)}]


def test_a_pinned_object_that_is_gone_names_both(fetch: Callable[..., Path], server: LoopbackServer) -> None:
    newer = b"the next edition"
    server.serve(RAW, body(pointer(newer), content_type="text/plain"))
    server.serve(BATCH, batch([trouble(404, "Object does not exist")]))
    with pytest.raises(
        SourceError,
        match=rf"{URL}.*now names sha256 {sha256(newer)} \(16 bytes\); expected sha256 {OID}.*404.*--update-lock",
    ):
        fetch(sha256=OID, bytes=len(CONTENT))


def test_a_moved_pointer_and_a_pin_without_size(fetch: Callable[..., Path], server: LoopbackServer) -> None:
    server.serve(RAW, body(pointer(b"the next edition"), content_type="text/plain"))
    with pytest.raises(SourceError, match=rf"expected sha256 {OID}, and its size.*is not known"):
        fetch(sha256=OID)
    assert server.posted == []


def test_the_content_in_place_of_the_pointer_is_taken_if_a_hash_proves_it(
    fetch: Callable[..., Path], server: LoopbackServer
) -> None:
    server.serve(RAW, body(CONTENT))
    with pytest.raises(SourceError, match=rf"{URL}.*expected a Git LFS pointer, found something else .*no hash"):
        fetch()
    with pytest.raises(SourceError, match=rf"expected sha256 {'0' * 64}, found sha256 {OID}"):
        fetch(sha256="0" * 64)
    assert fetch(sha256=OID).read_bytes() == CONTENT
    assert server.posted == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (body(pointer().replace(b"size ", b"size: "), content_type="text/plain"), r"pointer is malformed: line 3"),
        (body(pointer() + b"x" * 2000, content_type="text/plain"), r"malformed: a pointer file has fewer than 1024"),
        (
            body(b"<!DOCTYPE html><html></html>", content_type="text/html"),
            r"something else \(text/html, beginning b'<!D",
        ),
        (status(404), r"expected the file, the server answered 404"),
    ],
)
def test_what_is_no_pointer_is_named(
    fetch: Callable[..., Path], server: LoopbackServer, answer: Answer, message: str
) -> None:
    server.serve(RAW, answer)
    with pytest.raises(SourceError, match=rf"{URL}.*{message}"):
        fetch()
    assert server.posted == []


@pytest.mark.parametrize(
    ("code", "said", "kind", "message"),
    [
        (404, "Object does not exist", RefusedError, rf"does not have it: object {OID}, .*404 Object does not exist"),
        (410, "Removed", RefusedError, r"no longer has it: its owner removed it.*410 Removed"),
        (422, "Bad size", RefusedError, r"finds the question for it invalid.*422 Bad size"),
        (418, "Teapot", RefusedError, r"does not give it.*418 Teapot"),
        (403, "This repository is over its data quota", SourceError, r"quota is spent.*over its data quota"),
        (503, "Storage is busy", TransientError, rf"5 failures.*cannot give object {OID} now \(503 Storage is busy\)"),
        (429, "Slow down", TransientError, r"5 failures.*now \(429 Slow down\)"),
    ],
)
def test_errors_of_one_object(
    fetch: Callable[..., Path],
    server: LoopbackServer,
    code: int,
    said: str,
    kind: type[Exception],
    message: str,
) -> None:
    server.serve(BATCH, batch([trouble(code, said)]))
    with pytest.raises(kind, match=rf"{URL}.*{message}.*SCIRIFF_CLONES") as caught:
        fetch()
    assert isinstance(caught.value, TransientError) == (kind is TransientError)


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (refused(401, "Credentials needed"), BlockedError, r"wants credentials \(401 Unauthorized Credentials needed"),
        (refused(403, "Forbidden here"), BlockedError, r"wants credentials \(403 Forbidden Forbidden here\)"),
        (
            refused(403, "This repository is over its data quota."),
            SourceError,
            r"lab/corpus: its download quota is spent \(403 ",
        ),
        (refused(509, "Bandwidth limit exceeded"), SourceError, r"its download quota is spent \(509 Bandwidth"),
        (refused(404, "Not found"), SourceError, r"lab/corpus: there is no such repository.*\(404 "),
        (refused(422, "Invalid"), SourceError, r"refuses the question \(422 .* Invalid"),
        (body(b"<html>", content_type="text/html", code=406), SourceError, r"refuses the question \(406 Not Acc"),
    ],
)
def test_errors_of_the_whole_question(
    fetch: Callable[..., Path], server: LoopbackServer, answer: Answer, kind: type[Exception], message: str
) -> None:
    server.serve(BATCH, answer)
    with pytest.raises(kind, match=rf"{URL}.*{message}.*SCIRIFF_CLONES"):
        fetch()
    assert len(server.posted) == 1


def test_a_rate_limit_is_waited_for_and_its_words_are_kept(
    fetch: Callable[..., Path], server: LoopbackServer, store: LoopbackServer, sleep: RecordedSleep
) -> None:
    limited = refused(429, "You have sent too many requests", Retry_After="11")
    server.serve(BATCH, limited, status(503), batch([link(store)]))
    assert fetch().read_bytes() == CONTENT
    assert sleep.waits[0] == 11.0
    assert len(sleep.waits) == 2

    server.serve(BATCH, limited)
    (path,) = (each for each in fetch().parent.glob("archive-*.gz"))
    path.unlink()
    with pytest.raises(TransientError, match=r"given up after 5 .*429.*You have sent too many requests"):
        fetch()


def test_a_link_that_has_expired_is_asked_for_anew(
    fetch: Callable[..., Path], server: LoopbackServer, store: LoopbackServer
) -> None:
    long_ago = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    server.serve(
        BATCH,
        batch([link(store, expires_at=long_ago)]),
        batch([link(store, expires_in=0, expires_at="2999-01-01T00:00:00Z")]),
        batch([link(store, expires_in=3600, expires_at=long_ago)]),
    )
    assert fetch().read_bytes() == CONTENT
    assert len(server.posted) == 3
    assert len(store.requests) == 1


def test_links_that_are_always_expired_point_to_the_clock(
    fetch: Callable[..., Path], server: LoopbackServer, store: LoopbackServer
) -> None:
    server.serve(BATCH, batch([link(store, expires_in=-1)]))
    with pytest.raises(TransientError, match=r"had all expired.*clock"):
        fetch()
    assert store.requests == []


def test_a_link_that_expires_under_way_is_replaced_and_the_rest_fetched(
    fetch: Callable[..., Path], server: LoopbackServer, store: LoopbackServer
) -> None:
    first, second = f"/objects/{OID}?signature=s3cret", f"/objects/{OID}?signature=fresh"
    store.serve(first, ranged(CONTENT, '"v1"', stop_at=100_000), status(403))
    store.serve(second, ranged(CONTENT, '"v1"'))
    fresh = link(store)
    fresh["actions"]["download"]["href"] = store.url + second
    server.serve(BATCH, batch([link(store)]), batch([fresh]))
    assert fetch().read_bytes() == CONTENT
    assert store.requests[-1][1]["Range"] == "bytes=100000-"


def test_a_link_that_is_always_refused_is_named_without_its_signature(
    fetch: Callable[..., Path], server: LoopbackServer, store: LoopbackServer
) -> None:
    store.serve(f"/objects/{OID}?signature=s3cret", status(403))
    with pytest.raises(RefusedError, match=rf"^{URL}.*403") as caught:
        fetch()
    assert "s3cret" not in str(caught.value)
    assert len(server.posted) == 3


def test_an_object_that_is_not_what_its_name_says(fetch: Callable[..., Path], store: LoopbackServer) -> None:
    store.serve(f"/objects/{OID}?signature=s3cret", body(CONTENT[:-1] + b"!"))
    with pytest.raises(SourceError, match=rf"{URL}.*expected sha256 {OID}, 256,002 bytes, found sha256"):
        fetch()


def unlike(store: LoopbackServer, **changes: Any) -> dict[str, Any]:
    return {**link(store), **changes}


def test_senseless_answers_are_named(fetch: Callable[..., Path], server: LoopbackServer, store: LoopbackServer) -> None:
    ftp = {"download": {"href": "ftp://store.example/x"}}
    for answer, message in [
        (body(b"no json", content_type=JSON), "JSONDecodeError"),
        (batch([{"size": 1}]), r"objects.0.oid"),
        (batch([link(store)], transfer="tus"), "it wants the transfer 'tus', basic was offered"),
        (batch([]), f"does not speak of the object {OID}"),
        (batch([link(store, b"another")]), f"does not speak of the object {OID}"),
        (batch([unlike(store, size=5)]), r"has 5 bytes, expected 256,002"),
        (batch([unlike(store, actions={})]), "gives no download link"),
        (batch([unlike(store, actions=ftp)]), "its download link has the scheme 'ftp', not https"),
    ]:
        server.serve(BATCH, answer)
        with pytest.raises(SourceError, match=rf"{URL}.*lab/corpus: the answer cannot be used: .*{message}"):
            fetch()
    assert store.requests == []


def test_a_link_may_not_leave_https(monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Path]) -> None:
    from sciriff.sources import lfs_batch

    answer = lfs_batch.Answer(
        "https://github.com/x",
        200,
        JSON,
        orjson.dumps({"objects": [{"oid": OID, "actions": {"download": {"href": "http://store.example/x"}}}]}),
        True,
    )
    monkeypatch.setattr(lfs_batch, "ask", lambda *_, **__: answer)
    monkeypatch.setattr(lfs_batch, "routed", lambda url, _: url)
    with pytest.raises(SourceError, match="has the scheme 'http', not https"):
        fetch()


def test_a_server_that_cannot_be_reached(tmp_path: Path, policy: RetryPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    endpoints = "https://raw.githubusercontent.com=http://127.0.0.1:9"
    settings = make_settings(tmp_path, endpoints=endpoints, samples="never")
    with pytest.raises(UnreachableError, match=rf"{URL} \(by way of 127.0.0.1:9\): source not available"):
        acquire(make_source({"archive": {"url": URL}}, kind="lfs"), settings, policy=policy)


def test_a_mirror_comes_first(tmp_path: Path, settings: Settings, server: LoopbackServer, policy: RetryPolicy) -> None:
    mirror = make_mirror(tmp_path / "mirror", {URL: (CONTENT, {})})
    source = make_source({"archive": {"url": URL, "sha256": OID}}, kind="lfs")
    got = acquire(source, settings.model_copy(update={"mirror": str(mirror)}), policy=policy)
    assert got.files["archive"].origin == "mirror"
    assert server.requests == []


def cut_once(content: bytes) -> Answer:
    """An object store that hangs up once in the middle of each object."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        stop_at = None if handler.headers.get("Range") else 50_000
        ranged(content, '"v1"', stop_at=stop_at)(handler)

    return answer


def test_a_cut_object_goes_on_where_it_stopped(fetch: Callable[..., Path], store: LoopbackServer) -> None:
    store.serve(f"/objects/{OID}?signature=s3cret", cut_once(CONTENT))
    assert fetch().read_bytes() == CONTENT
    assert [headers.get("Range") for _, headers in store.requests] == [None, "bytes=50000-"]
