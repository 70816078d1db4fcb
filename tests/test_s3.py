"""Stores on S3, against a real server: what breaks on the way, what is tried again, and what is said in the end."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from faulty_proxy import Answer, Call, CutReply, Delay, Fault, Proxy, Request, Reset, Silence
from pydantic import SecretStr
from s3_server import KEY, SECRET, S3Server, s3_variables

from sciriff import s3
from sciriff.errors import StoreError
from sciriff.s3 import S3Options
from sciriff.settings import Settings
from sciriff.store import Store

CHECKOUT = Path(__file__).parents[1]
BIG = random.Random(0).randbytes(3 << 20)
"""More than two parts of what tests take for a part."""


@pytest.fixture(autouse=True)
def no_other_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable or file of whoever runs the tests leads to a server, and pauses are short."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "SCIRIFF_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(s3, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(s3, "PART_BYTES", 1 << 20)
    monkeypatch.chdir(tmp_path)


Opened = Callable[..., Store]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Open a store at an address."""

    def open_at(address: str, url: str | None = None, **settings: object) -> Store:
        given = {
            "s3_endpoint": address,
            "s3_key": KEY,
            "s3_secret": SECRET,
            "s3_region": "us-east-1",
            "cache": tmp_path / "cache",
            **settings,
        }
        return Store(url or f"s3://bucket/{uuid.uuid4().hex}", Settings.model_validate(given))

    return open_at


@pytest.fixture
def store(opened: Opened, s3_proxy: Proxy) -> Store:
    return opened(s3_proxy.url)


FAULTS: list[Fault] = [
    Answer(503, "SlowDown"),
    Answer(503, "ServiceUnavailable"),
    Answer(500, "InternalError"),
    Answer(429, "TooManyRequests"),
    Reset(),
    Reset(after=1000),
    CutReply(-1),
    CutReply(0),
    CutReply(40),
    Delay(0.02),
]


QUICK = (Answer(503, "SlowDown"), Reset(after=1000), CutReply(40))


@pytest.mark.parametrize(
    "fault", [pytest.param(each, marks=() if each in QUICK else pytest.mark.slow, id=str(each)) for each in FAULTS]
)
def test_what_passes_is_waited_for(fault: Fault, store: Store, s3_proxy: Proxy, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"put" * 1000)
    s3_proxy.rule = lambda request: fault if request.number % 3 != 2 else None  # two tries of three fail
    store.write_bytes("a", b"x" * 2000)
    store.put("b/c", local)
    assert store.files("") == ["a", "b/c"]
    assert store.read_bytes("a") == b"x" * 2000
    with store.open_read("b/c") as stream:
        assert stream.read() == local.read_bytes()
    assert store.read_many(["b/c", "a"]) == [local.read_bytes(), b"x" * 2000]
    assert store.exists("a")
    store.delete("a")
    assert store.files("") == ["b/c"]
    assert s3_proxy.broken >= (6 if isinstance(fault, Delay) else 10)


def test_pauses_grow_and_are_jittered(store: Store, s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "FIRST_PAUSE_SECONDS", 0.25)
    pauses: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    s3_proxy.fail(Answer(503, "SlowDown"), times=7)
    store.write_bytes("a", b"x")
    longest = [0.25, 0.5, 1, 2, 4, 8, 16]
    ours = [pause for pause in pauses if pause > 0.1]
    assert len(ours) == len(longest)
    assert all(most / 2 <= pause <= most for pause, most in zip(ours, longest, strict=True))
    assert len({pause / most for pause, most in zip(ours, longest, strict=True)}) == len(longest)


@pytest.mark.slow
def test_a_storm_over_many_files_at_once(store: Store, s3_proxy: Proxy) -> None:
    chance, lock = random.Random(1), threading.Lock()

    def storm(request: Request) -> Fault | None:
        with lock:
            return chance.choice(FAULTS) if chance.random() < 0.3 else None

    s3_proxy.rule = storm
    files = {f"folder/{number}": os.urandom(number * 100) for number in range(40)}
    for name, data in files.items():
        store.write_bytes(name, data)
    assert store.files("") == sorted(files)
    assert store.read_many(list(files)) == list(files.values())


WILL_NOT_PASS: dict[str, tuple[Fault, str]] = {
    "403": (
        Answer(403, "AccessDenied", "Access Denied."),
        r"the server refuses it: AccessDenied: Access Denied\.; check the keys \(SCIRIFF_S3_KEY",
    ),
    "busy": (
        Answer(503, "SlowDown"),
        r"too busy or broken: SlowDown: Please.*\(tried 3 times\); wait until it is well",
    ),
    "resets": (Reset(), r"\(tried 3 times\); check that the server runs and can be reached"),
}


@pytest.mark.parametrize("case", WILL_NOT_PASS)
def test_what_does_not_pass_is_told(case: str, opened: Opened, s3_proxy: Proxy, tmp_path: Path) -> None:
    store = opened(s3_proxy.url, s3_attempts=3)
    store.write_bytes("file", b"old")
    (tmp_path / "new").write_bytes(b"new")
    fault, told = WILL_NOT_PASS[case]
    s3_proxy.rule = lambda request: fault
    attempts: list[Callable[[], object]] = [
        lambda: store.write_bytes("file", b"new"),
        lambda: store.put("file", tmp_path / "new"),
        lambda: store.read_bytes("file"),
        lambda: store.open_read("file"),
        lambda: store.files(""),
        lambda: store.delete("file"),
        store.check_writable,
    ]
    for attempt in attempts:
        with pytest.raises(StoreError, match=rf"cannot \w+ {store.path('')}.*{told}.*run the same command again"):
            attempt()
    s3_proxy.heal()
    assert store.read_bytes("file") == b"old"


def test_what_is_refused_is_not_tried_again(store: Store, s3_proxy: Proxy) -> None:
    s3_proxy.rule = lambda request: Answer(403, "AccessDenied")
    with pytest.raises(StoreError):
        store.write_bytes("file", b"new")
    assert s3_proxy.count() == 1


def test_keys_that_are_wrong(opened: Opened, s3_environment: dict[str, str]) -> None:
    address = s3_environment["AWS_ENDPOINT_URL"]
    for wrong in ({"s3_secret": "WRONG"}, {"s3_key": "WRONG"}):
        store = opened(address, **wrong)
        with pytest.raises(StoreError, match=r"cannot write s3://bucket/.*refuses it.*check the keys") as info:
            store.check_writable()
        assert "WRONG" not in str(info.value)
        with pytest.raises(StoreError, match=r"cannot list s3://bucket/.*refuses it.*check the keys"):
            store.files("")


def test_keys_that_are_not_there(opened: Opened, s3_environment: dict[str, str]) -> None:
    store = opened(s3_environment["AWS_ENDPOINT_URL"], s3_key=None, s3_secret=None)
    with pytest.raises(StoreError, match=r"cannot write s3://bucket/.*there are no keys for it.*set the keys"):
        store.check_writable()


def test_a_bucket_that_is_not_there(opened: Opened, s3_environment: dict[str, str]) -> None:
    store = opened(s3_environment["AWS_ENDPOINT_URL"], "s3://nosuchbucket/x")
    actions: list[Callable[[], object]] = [
        store.check_writable,
        lambda: store.files(""),
        lambda: store.read_manifest("task"),
        lambda: store.exists("task"),
    ]
    for action in actions:
        with pytest.raises(StoreError, match=r"s3://nosuchbucket/x.*no bucket 'nosuchbucket'; make the bucket"):
            action()


def test_a_server_that_is_down(opened: Opened) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    store = opened(address, s3_attempts=4)
    with pytest.raises(StoreError, match=rf"cannot list s3://bucket/.*{address}.*tried 4 times.*SCIRIFF_S3_ENDPOINT"):
        store.files("")


@pytest.mark.slow
def test_a_server_that_says_nothing(opened: Opened, s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "READ_SECONDS", 0.3)
    store = opened(s3_proxy.url, s3_attempts=3)
    s3_proxy.fail(Silence(30), times=2)
    store.write_bytes("file", b"x")
    s3_proxy.rule = lambda request: Silence(30)
    with pytest.raises(StoreError, match=r"cannot read s3://bucket/.*tried 3 times"):
        store.read_bytes("file")
    with pytest.raises(StoreError, match=r"cannot read s3://bucket/.*tried 3 times"):
        store.open_read("file")


def test_long_pauses_are_told_of(store: Store, s3_proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    s3_proxy.fail(Answer(503, "SlowDown"), times=2)
    store.write_bytes("file", b"x")
    assert not caplog.records
    s3.TOLD_PAUSE_SECONDS, before = 0.02, s3.TOLD_PAUSE_SECONDS
    try:
        s3_proxy.fail(Answer(503, "SlowDown"), times=2)
        store.write_bytes("file", b"x")
    finally:
        s3.TOLD_PAUSE_SECONDS = before
    (record,) = caplog.records
    assert f"{store.path('file')}: " in record.getMessage()
    assert "SlowDown" in record.getMessage()
    assert "(try 3 of 8)" in record.getMessage()


# Big files go in parts.


def uploads(store: Store) -> list[str]:
    """Uploads that the server keeps parts of."""
    found = store._fs.call_s3("list_multipart_uploads", Bucket="bucket")
    prefix = store.path("").removeprefix("s3://bucket/") + "/"
    return [each["Key"].removeprefix(prefix) for each in found.get("Uploads", []) if each["Key"].startswith(prefix)]


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big"
    path.write_bytes(BIG)
    return path


def test_a_big_file_arrives_in_parts(store: Store, s3_proxy: Proxy, big: Path, tmp_path: Path) -> None:
    for fault in (Reset(), Reset(after=500_000), CutReply(-1), Answer(503, "SlowDown"), Answer(500, "InternalError")):
        s3_proxy.fail(fault, method="PUT", containing="partNumber=2")
        store.put("big", big)
        assert store.read_bytes("big") == BIG
        assert not list((tmp_path / "cache" / "uploads").iterdir())
    assert s3_proxy.broken == 5
    assert uploads(store) == []
    with store.open_read("big") as stream:
        stream.seek(2_000_000)
        assert stream.read(10) == BIG[2_000_000:2_000_010]
        stream.seek(-5, os.SEEK_END)
        assert stream.read() == BIG[-5:]


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("cut", ["partNumber=2", "uploadId=", "uploads"])
def test_an_upload_that_fails_leaves_nothing(
    cut: str, old: bytes | None, opened: Opened, s3_proxy: Proxy, big: Path
) -> None:
    store = opened(s3_proxy.url, s3_attempts=2)
    if old:
        store.write_bytes("big", old)
    method = "PUT" if cut == "partNumber=2" else "POST"
    s3_proxy.rule = lambda request: Reset() if request.method == method and cut in request.query else None
    with pytest.raises(StoreError, match=r"cannot write .*/big"):
        store.put("big", big)
    s3_proxy.heal()
    assert store.files("") == (["big"] if old else [])
    assert not old or store.read_bytes("big") == old
    assert uploads(store) == []
    store.put("big", big)
    assert store.read_bytes("big") == BIG


KILLED = """
import sys
from pathlib import Path
from sciriff import s3
from sciriff.store import Store
s3.PART_BYTES = 1 << 20
Store(sys.argv[1]).put("big", Path(sys.argv[2]))
"""


def upload_in_a_process(store: Store, proxy: Proxy, big: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **s3_variables(proxy.url), "SCIRIFF_CACHE": str(big.parent / "cache")}
    return subprocess.Popen([sys.executable, "-c", KILLED, store.url, str(big)], env=environment, cwd=CHECKOUT)


def test_an_upload_of_a_killed_process_is_cleaned_up(store: Store, s3_proxy: Proxy, big: Path) -> None:
    store.write_bytes("big", b"old")
    pids: list[int] = []

    def kill() -> None:
        while not pids:
            time.sleep(0.01)
        os.kill(pids[0], signal.SIGKILL)

    s3_proxy.fail(Call(kill, after=500_000), method="PUT", containing="partNumber=2")
    with upload_in_a_process(store, s3_proxy, big) as process:
        pids.append(process.pid)
        assert process.wait() == -signal.SIGKILL
    assert store.read_bytes("big") == b"old"
    assert uploads(store) == ["big"]
    store.check_writable()
    assert uploads(store) == []
    assert not list((big.parent / "cache" / "uploads").iterdir())
    assert store.files("") == ["big"]


@pytest.mark.slow
def test_an_upload_of_a_living_process_goes_on(store: Store, s3_proxy: Proxy, big: Path) -> None:
    going_on = threading.Event()
    s3_proxy.fail(Call(lambda: going_on.wait(60), after=500_000), method="PUT", containing="partNumber=2")
    with upload_in_a_process(store, s3_proxy, big) as process:
        while not s3_proxy.count("PUT", "partNumber=2"):
            assert process.poll() is None
            time.sleep(0.02)
        store.check_writable()
        assert uploads(store) == ["big"]
        going_on.set()
        assert process.wait() == 0
    assert store.read_bytes("big") == BIG


def test_old_uploads_of_anybody_are_cleaned_up(
    store: Store, opened: Opened, s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elsewhere = opened(s3_proxy.url, f"{store.url}-beside")
    for each in (store, elsewhere):
        place = each.path("big").removeprefix("s3://bucket/")
        each._fs.call_s3("create_multipart_upload", Bucket="bucket", Key=place)
    for note in (tmp_path / "cache" / "uploads").iterdir():
        note.unlink()  # another machine's
    store.check_writable()
    assert uploads(store) == ["big"]
    monkeypatch.setattr(s3, "STALE_UPLOAD", timedelta(seconds=-60))
    store.check_writable()
    assert uploads(store) == []
    assert uploads(elsewhere) == ["big"]


@pytest.mark.slow
@pytest.mark.parametrize("size", [100_000, len(BIG)], ids=["whole", "in parts"])
def test_a_server_that_is_killed_in_mid_upload_and_started_again(
    size: int, opened: Opened, own_s3_server: S3Server, tmp_path: Path
) -> None:
    from faulty_proxy import faulty_proxy

    (tmp_path / "file").write_bytes(BIG[:size])
    with faulty_proxy(own_s3_server.url) as proxy:
        store = opened(proxy.url)
        store.write_bytes("folder/file", b"old")
        restarted = threading.Event()

        def restart() -> None:
            own_s3_server.kill()
            assert store_on_disk(own_s3_server, store, "folder/file") == b"old"
            own_s3_server.start()
            restarted.set()

        proxy.fail(Call(restart, after=50_000), method="PUT", containing="" if size < 1 << 20 else "partNumber=3")
        store.put("folder/file", tmp_path / "file")
        assert restarted.is_set()
        assert store.read_bytes("folder/file") == BIG[:size]
        assert store.files("") == ["folder/file"]


def store_on_disk(server: S3Server, store: Store, name: str) -> bytes:
    return (server.bucket / store.path(name).removeprefix("s3://bucket/")).read_bytes()


def test_what_a_file_was_replaced_by_does_not_get_into_what_is_read_of_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "READ_BYTES", 1000)
    monkeypatch.setattr("sciriff.store._READ_BYTES", 1000)
    store.write_bytes("file", b"a" * 5000)
    with store.open_read("file") as stream:
        assert stream.read(100) == b"a" * 100
        store.write_bytes("file", b"b" * 5000)
        with pytest.raises(StoreError, match=r"cannot read s3://bucket/.*it was replaced while it was read"):
            stream.read()
    with store.open_read("file") as stream:
        assert stream.read(100) == b"b" * 100
        store.delete("file")
        with pytest.raises(StoreError, match="was deleted while it was read"):
            stream.read()


def test_requests_are_few(store: Store, s3_proxy: Proxy, big: Path) -> None:
    def asked(action: Callable[[], object]) -> list[str]:
        s3_proxy.forget()
        action()
        return [request.method for request in s3_proxy.requests]

    assert asked(lambda: store.write_bytes("a/b", b"x")) == ["PUT"]
    assert asked(lambda: store.read_bytes("a/b")) == ["GET"]
    assert asked(lambda: store.open_read("a/b").read()) == ["GET"]
    assert asked(lambda: store.read_manifest("a")) == ["GET"]
    assert asked(lambda: store.files("")) == ["GET"]
    assert asked(lambda: store.files("nothing")) == ["GET"]
    assert asked(lambda: store.version("a/b")) == ["HEAD"]
    assert asked(lambda: store.delete("a/b")) == ["DELETE"]
    store.write_bytes("empty", b"")
    assert asked(lambda: store.open_read("empty").read()) == ["GET"]
    assert asked(lambda: store.put("big", big)) == ["POST", "PUT", "PUT", "PUT", "POST"]
    assert not any("expect" in request.headers for request in s3_proxy.requests)


# Where address and keys come from.


def options(**settings: object) -> S3Options:
    return S3Options.of(Settings.model_validate({"cache": "/nowhere", **settings}))


def test_keys_come_from_the_settings_the_variables_or_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert options().arguments().keys().isdisjoint({"key", "secret", "token"})
    (tmp_path / ".env").write_text(
        "AWS_ACCESS_KEY_ID=file-key\nAWS_SECRET_ACCESS_KEY=file-secret\nAWS_ENDPOINT_URL=http://file\n"
    )
    found = options()
    assert (found.key, found.secret, found.endpoint) == ("file-key", SecretStr("file-secret"), "http://file")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_ENDPOINT_URL": "http://general",
        "AWS_DEFAULT_REGION": "default-region",
    }.items():
        monkeypatch.setenv(name, value)
    arguments = options().arguments()
    assert (arguments["key"], arguments["secret"], arguments["token"]) == ("key", "secret", "token")
    assert arguments["endpoint_url"] == "http://general"
    assert arguments["client_kwargs"] == {"region_name": "default-region"}
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://of-s3")
    monkeypatch.setenv("AWS_REGION", "region")
    assert (options().endpoint, options().region) == ("http://of-s3", "region")
    for name, value in {
        "SCIRIFF_S3_ENDPOINT": "http://ours",
        "SCIRIFF_S3_KEY": "our-key",
        "SCIRIFF_S3_SECRET": "our-secret",
        "SCIRIFF_S3_REGION": "our-region",
        "SCIRIFF_S3_ATTEMPTS": "3",
    }.items():
        monkeypatch.setenv(name, value)
    arguments = options().arguments()
    assert (arguments["key"], arguments["secret"]) == ("our-key", "our-secret")
    assert "token" not in arguments  # which is of the other key
    assert arguments["endpoint_url"] == "http://ours"
    assert arguments["attempts"] == 3
    assert options(s3_key="given").key == "given"


def test_secrets_do_not_show(opened: Opened) -> None:
    settings = Settings.model_validate({"s3_key": "id", "s3_secret": "hidden-secret"})
    found = S3Options.of(settings)
    for shown in (
        str(settings),
        repr(settings),
        settings.model_dump_json(),
        repr(found),
        str(dataclasses.asdict(found)),
    ):
        assert "hidden-secret" not in shown
    store = opened("http://127.0.0.1:1", s3_secret="hidden-secret", s3_attempts=1)
    with pytest.raises(StoreError) as info:
        store.check_writable()
    assert "hidden-secret" not in str(info.value)


@pytest.mark.slow
def test_a_store_takes_its_keys_along_into_other_processes(store: Store) -> None:
    from loky import ProcessPoolExecutor

    store.write_bytes("file", b"x")
    executor = ProcessPoolExecutor(1)
    try:
        assert executor.submit(store.read_bytes, "file").result(60) == b"x"
    finally:
        executor.shutdown(wait=True, kill_workers=True)
