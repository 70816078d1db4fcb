from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.sources.addresses import HubFile, LfsFile, drive_id, hub_file, lfs_file

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,10}", fullmatch=True)
parts = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=8).filter(
    lambda part: part not in (".", "..")
)
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)


@given(owner=names, name=names, revision=names | st.just("refs/convert/parquet"), path=paths)
def test_hub_addresses_come_apart_as_they_were_put_together(owner: str, name: str, revision: str, path: str) -> None:
    url = f"https://huggingface.co/datasets/{owner}/{name}/resolve/{quote(revision, safe='')}/{quote(path)}"
    assert hub_file(url) == HubFile(f"{owner}/{name}", revision, path)


@given(owner=names, name=names, ref=names.filter(lambda ref: ref != "refs"), path=paths)
def test_lfs_addresses_come_apart_as_they_were_put_together(owner: str, name: str, ref: str, path: str) -> None:
    url = f"https://raw.githubusercontent.com/{owner}/{name}/{ref}/{quote(path)}"
    assert lfs_file(url) == LfsFile(f"{owner}/{name}", ref, path)


def test_spellings_that_need_care() -> None:
    assert hub_file("https://huggingface.co/datasets/squad/resolve/main/train.json").dataset == "squad"
    full = lfs_file("https://raw.githubusercontent.com/a/b/refs/heads/main/x/y.zip")
    assert full == LfsFile("a/b", "refs/heads/main", "x/y.zip")
    assert drive_id("https://drive.google.com/uc?export=download&id=1WKW8BAqluOlXrpy1B9mV3j3CtAK3JdnE").startswith("1W")


@pytest.mark.parametrize(
    ("parse", "url"),
    [
        (hub_file, "https://huggingface.co/datasets/a/b/blob/main/x.csv"),
        (hub_file, "https://huggingface.co/datasets/a/b/resolve/main"),
        (hub_file, "https://huggingface.co/datasets/a/b/resolve/main/"),
        (hub_file, "https://huggingface.co/datasets/a/b/resolve/main/../../secret"),
        (hub_file, "https://huggingface.co/datasets/a/b/resolve/main/x%2F..%2F..%2Fy"),
        (hub_file, "https://huggingface.co/a/b/resolve/main/x.csv"),
        (hub_file, "https://huggingface.co/datasets/a/b/resolve/main/x.csv?download=true"),
        (hub_file, "https://huggingface.co.evil.example/datasets/a/b/resolve/main/x.csv"),
        (hub_file, "http://huggingface.co/datasets/a/b/resolve/main/x.csv"),
        (hub_file, "https://user@huggingface.co/datasets/a/b/resolve/main/x.csv"),
        (lfs_file, "https://github.com/a/b/raw/main/x.zip"),
        (lfs_file, "https://raw.githubusercontent.com/a/b/main"),
        (lfs_file, "https://raw.githubusercontent.com/a/b/main/../x"),
        (lfs_file, "https://raw.githubusercontent.com/a/../main/x"),
        (drive_id, "https://drive.google.com/file/d/1WKW8BAqluOlXrpy1B9mV3j3CtAK3JdnE/view"),
        (drive_id, "https://drive.google.com/uc?id=1WKW8BAqluOlXrpy1B9mV3j3CtAK3JdnE"),
        (drive_id, "https://drive.google.com/uc?export=download&id=short"),
        (drive_id, "https://drive.google.com/uc?export=download&id=1WKW8BAqluO&id=1lZ6PCAtXvm"),
        (drive_id, "https://docs.google.com/uc?export=download&id=1WKW8BAqluOlXrpy1B9mV3j3CtAK3JdnE"),
    ],
)
def test_other_addresses_are_refused_by_name(parse: Callable[[str], object], url: str) -> None:
    with pytest.raises(ValueError, match=r"https?://") as caught:
        parse(url)
    assert url in str(caught.value)
