from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from source_support import LoopbackServer, body, make_settings, make_source, sha256, status

from sciriff.errors import BlockedError, SourceError, TransientError, UsageError
from sciriff.sources.catalogue import SourceKind
from sciriff.sources.endpoints import endpoints, routed
from sciriff.sources.errand import Errand, shown
from sciriff.sources.failures import RefusedError, UnreachableError, joined
from sciriff.sources.kinds import FETCHERS, fetch
from sciriff.sources.patience import RetryPolicy

CONTENT = b"the corpus\n"


def make_errand(
    tmp_path: Path, policy: RetryPolicy, *urls: str, sha: str | None = None, kind: str = "http", **fields: str
) -> Errand:
    source = make_source({"text": {"url": urls[0], "mirrors": urls[1:]}}, kind=kind)
    settings = make_settings(tmp_path, **fields)
    return Errand(source, source.files["text"], tmp_path / "f", sha, None, settings, {}, None, policy)


def test_every_kind_that_is_downloaded_has_its_function() -> None:
    assert set(FETCHERS) == set(get_args(SourceKind)) - {"manual"}


def test_addresses_are_tried_in_order(server: LoopbackServer, tmp_path: Path, policy: RetryPolicy) -> None:
    urls = [server.serve("/a", status(404)), server.serve("/b", body(b"wrong")), server.serve("/c", body(CONTENT))]
    fetch(make_errand(tmp_path, policy, *urls, sha=sha256(CONTENT)))
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/a", "/b", "/c"]


def test_other_addresses_of_a_hub_file_are_plain_ones(
    server: LoopbackServer, tmp_path: Path, policy: RetryPolicy
) -> None:
    urls = ["https://huggingface.co/datasets/a/b/resolve/main/x.csv", server.serve("/c", body(CONTENT))]
    assert fetch(make_errand(tmp_path, policy, *urls, kind="hub", hub_endpoint=server.url)).sha256 == sha256(CONTENT)
    assert server.requests[0][0] == "HEAD /datasets/a/b/resolve/main/x.csv"


def test_if_all_addresses_fail_each_is_named(server: LoopbackServer, tmp_path: Path, policy: RetryPolicy) -> None:
    urls = [server.serve("/a", status(404)), server.serve("/b", status(410))]
    with pytest.raises(SourceError, match=rf"{urls[0]}.*404.*{urls[1]}.*410"):
        fetch(make_errand(tmp_path, policy, *urls))


@pytest.mark.parametrize(
    ("failures", "kind"),
    [
        ([UnreachableError("a"), UnreachableError("b")], UnreachableError),
        ([UnreachableError("a"), RefusedError("b", 404)], TransientError),
        ([RefusedError("a", 404), TransientError("b")], TransientError),
        ([BlockedError("a"), TransientError("b")], TransientError),
        ([BlockedError("a"), RefusedError("b", 404)], BlockedError),
        ([RefusedError("a", 404), SourceError("b")], SourceError),
    ],
)
def test_the_best_that_can_be_done_decides(failures: list[SourceError], kind: type[Exception]) -> None:
    error = joined(failures)
    assert (type(error), str(error)) == (kind, "a; b")
    assert joined(failures[:1]) is failures[0]


def test_endpoints_take_the_place_of_origins(tmp_path: Path) -> None:
    settings = make_settings(
        tmp_path,
        hub_endpoint="https://hub.lab.example/",
        endpoints="https://github.com=https://proxy.lab.example/gh/, http://a.example=http://user:pw@b.example:8080",
    )
    assert routed("https://github.com/x/y.git", settings) == "https://proxy.lab.example/gh/x/y.git"
    assert routed("https://github.company.example/x", settings) == "https://github.company.example/x"
    assert routed("https://huggingface.co/datasets/x", settings) == "https://hub.lab.example/datasets/x"
    assert routed("https://huggingface.co", settings) == "https://hub.lab.example"
    assert shown("http://a.example/f", settings) == "http://a.example/f (by way of b.example:8080)"
    assert shown("http://c.example/f", settings) == "http://c.example/f"


@pytest.mark.parametrize("wrong", ["github.com=https://x", "https://github.com", "https://github.com/a=https://x", "="])
def test_endpoints_that_make_no_sense_are_named(wrong: str) -> None:
    with pytest.raises(UsageError, match=r"SCIRIFF_ENDPOINTS: found .*; expected ORIGIN=BASE"):
        endpoints(f"https://a.example=https://b.example, {wrong}")
