"""Google Drive, on a loopback server that asks for confirmation as Drive does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_support import Answer, LoopbackServer, body, make_settings, make_source, ranged, sha256, status

from sciriff.errors import SourceError, TransientError
from sciriff.settings import Settings
from sciriff.sources.drive import _Wanted, next_address
from sciriff.sources.exchange import Answer as Page
from sciriff.sources.failures import UnavailableError
from sciriff.sources.fetch import acquire
from sciriff.sources.lock import read_lock
from sciriff.sources.patience import RetryPolicy

ID = "1WKW8BAqluOlXrpy1B9mV3j3CtAK3JdnE"
URL = f"https://drive.google.com/uc?export=download&id={ID}"
ASKED = f"/drive/uc?export=download&id={ID}"
CONTENT = b"PK\x03\x04" + bytes(range(256)) * 2000


def warning(uuid: str, file_id: str = ID, action: str = "https://drive.usercontent.google.com/download") -> bytes:
    """The page for files too large to be scanned."""
    return f"""<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title><style>p {{ }}</style></head>
<body><div class="uc-main"><p class="uc-warning-caption">Google Drive can't scan this file for viruses.</p>
<p class="uc-warning-subcaption"><span class="uc-name-size"><a href="/open?id={file_id}">a &amp; b.zip</a> (413M)</span>
is too large.</p><form id="download-form" action="{action}" method="get">
<input type="submit" id="uc-download-link" value="Download anyway"/><input type="hidden" name="id" value="{file_id}">
<input type="hidden" name="export" value="download"><input type="hidden" name="confirm" value="t">
<input type="hidden" name="uuid" value="{uuid}"></form></div></body></html>""".encode()


QUOTA = b"""<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>
<p class="uc-error-caption">Sorry, you can&#39;t view or download this file at this time.</p>
<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently. Please try accessing the
file again later.</p></body></html>"""
SIGN_IN = b"<!doctype html><html><head><title>Google Drive: Sign-in</title></head><body></body></html>"


def page(content: bytes, code: int = 200) -> Answer:
    return body(content, content_type="text/html; charset=utf-8", code=code)


@pytest.fixture
def settings(tmp_path: Path, server: LoopbackServer) -> Settings:
    endpoints = f"https://drive.google.com={server.url}/drive,https://drive.usercontent.google.com={server.url}/content"
    return make_settings(tmp_path, endpoints=endpoints, samples="never", manual=str(tmp_path / "by-hand"))


@pytest.fixture
def fetch(settings: Settings, policy: RetryPolicy) -> Callable[[], Path]:
    source = make_source({"archive": {"url": URL, "filename": "corpus.zip"}})
    return lambda: acquire(source, settings, policy=policy).files["archive"].path


def confirmed(uuid: str) -> str:
    return f"/content/download?id={ID}&export=download&confirm=t&uuid={uuid}"


def test_a_small_file_comes_at_once(fetch: Callable[[], Path], server: LoopbackServer) -> None:
    server.serve(ASKED, body(CONTENT))
    assert fetch().read_bytes() == CONTENT


def test_a_large_file_comes_after_the_form_is_sent(fetch: Callable[[], Path], server: LoopbackServer) -> None:
    server.serve(ASKED, page(warning("5f0c1d2e-0000")))
    server.serve(confirmed("5f0c1d2e-0000"), body(CONTENT))
    assert sha256(fetch().read_bytes()) == sha256(CONTENT)


def test_a_cut_download_goes_on_although_the_form_has_changed(
    fetch: Callable[[], Path], server: LoopbackServer
) -> None:
    server.serve(ASKED, page(warning("one")), page(warning("two")))
    server.serve(confirmed("one"), body(CONTENT[:1000]), ranged(CONTENT, '"v1"', stop_at=300_000), status(404))
    server.serve(confirmed("two"), ranged(CONTENT, '"v1"'))
    with pytest.raises(SourceError, match="404"):
        fetch()
    assert fetch().read_bytes() == CONTENT
    assert server.requests[-1][1]["Range"] == "bytes=300000-"


@pytest.mark.parametrize("code", [200, 403])
def test_a_spent_quota_says_how_to_get_the_file_by_hand(
    fetch: Callable[[], Path], settings: Settings, server: LoopbackServer, code: int
) -> None:
    server.serve(ASKED, page(QUOTA, code))
    with pytest.raises(
        SourceError, match=r"its quota is spent \(the page: Google Drive - Quota exceeded\. Sorry"
    ) as it:
        fetch()
    assert f"save it as {settings.manual}/toy/corpus.zip" in str(it.value)
    assert "SCIRIFF_MIRROR" in str(it.value)
    assert not isinstance(it.value, TransientError)
    place = Path(settings.manual) / "toy"
    place.mkdir(parents=True)
    (place / "corpus.zip").write_bytes(CONTENT)
    got = fetch()
    assert (got.read_bytes(), got.name) == (CONTENT, "archive-corpus.zip")
    assert read_lock(settings.lock)[URL].sha256 == sha256(CONTENT)
    assert len(server.requests) == 1


def test_what_was_saved_by_hand_is_enough_without_a_network(settings: Settings) -> None:
    source = make_source({"archive": {"url": URL, "filename": "corpus.zip"}})
    offline = settings.model_copy(update={"offline": True})
    with pytest.raises(UnavailableError, match="the network is forbidden"):
        acquire(source, offline)
    place = Path(settings.manual)
    place.mkdir()
    (place / "corpus.zip").write_bytes(SIGN_IN)
    with pytest.raises(UnavailableError, match="the network is forbidden"):
        acquire(source, offline)
    (place / "corpus.zip").write_bytes(CONTENT)
    assert acquire(source, offline).files["archive"].sha256 == sha256(CONTENT)


def test_what_was_saved_by_hand_is_held_to_the_lock(
    fetch: Callable[[], Path], settings: Settings, server: LoopbackServer
) -> None:
    server.serve(ASKED, body(CONTENT))
    fetch().unlink()
    place = Path(settings.manual)
    place.mkdir()
    (place / "corpus.zip").write_bytes(CONTENT[:-1])
    with pytest.raises(SourceError, match=rf"fetched by hand: .*expected sha256 {sha256(CONTENT)}"):
        fetch()


def test_a_quota_that_is_spent_after_the_form(fetch: Callable[[], Path], server: LoopbackServer) -> None:
    server.serve(ASKED, page(warning("u")))
    server.serve(confirmed("u"), page(QUOTA))
    with pytest.raises(SourceError, match="its quota is spent"):
        fetch()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (page(SIGN_IN), "wants a sign-in: the file is no longer shared with everybody"),
        (page(b"<html><title>Error 404 (Not Found)!!1</title></html>", 404), r"another page \(Error 404 \(Not Found\)"),
        (status(404), r"expected the file, the server answered 404"),
        (page(b""), "unreadable page"),
        (page(warning("u", file_id="another-file")), r"another page \(Google Drive - Virus scan warning"),
        (page(warning("u", action="https://evil.example/download")), r"another page \(Google Drive - Virus scan"),
        (page(warning("u", action="http://drive.usercontent.google.com/download")), "another page"),
    ],
)
def test_other_pages_are_named(fetch: Callable[[], Path], server: LoopbackServer, answer: Answer, message: str) -> None:
    server.serve(ASKED, answer)
    with pytest.raises(SourceError, match=rf"id={ID}.*{message}"):
        fetch()
    assert [name for name, _ in server.requests if "content" in name] == []


def test_a_form_that_leads_to_itself_ends(fetch: Callable[[], Path], server: LoopbackServer) -> None:
    server.serve(ASKED, page(warning("u")))
    server.serve(confirmed("u"), page(warning("u")))
    with pytest.raises(SourceError, match="one confirmation page after another"):
        fetch()


def test_a_busy_drive_is_waited_for(fetch: Callable[[], Path], server: LoopbackServer, policy: RetryPolicy) -> None:
    server.serve(ASKED, status(503), body(CONTENT))
    assert fetch().read_bytes() == CONTENT
    server.serve(ASKED, status(503))
    fetch().unlink()
    with pytest.raises(TransientError, match=r"given up after 5 failures.*503"):
        fetch()


@given(st.binary(max_size=300))
def test_whatever_a_page_is_it_leads_nowhere_else(junk: bytes) -> None:
    for content in (junk, b"<html>" + junk, warning("u").replace(b"<form", junk + b"<form")):
        with suppress(SourceError):
            leads = next_address(Page(URL, 200, "text/html", content, True), URL, _Wanted(ID, URL, "by hand"))
            assert leads.startswith(("https://drive.usercontent.google.com/", "https://drive.google.com/"))
