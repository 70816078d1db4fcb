from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pytest

from sciriff.errors import SourceError, UsageError
from sciriff.sources.addresses import hub_file
from sciriff.sources.catalogue import Source, SourceFile, check_address, load_catalogue, source


def test_the_catalogue_is_valid_and_complete() -> None:
    catalogue = load_catalogue()
    assert {"anat_em", "annotated_materials_syntheses", "biored", "cdr", "chemprot", "scierc", "schema_to_json"} <= set(
        catalogue
    )
    assert {"scicite", "pubmedqa", "covid_deepset", "qasper", "tulu_v2_sft_mixture"} <= set(catalogue)
    assert list(catalogue["qasper"].files) == ["train_dev", "test"]
    assert catalogue["pubmedqa"].files["labelled"].bytes == 2584787


def test_every_address_is_named_once_and_every_file_has_a_name() -> None:
    files = [file for entry in load_catalogue().values() for file in entry.files.values()]
    assert len({file.url for file in files}) == len(files)
    assert all(file.name and "/" not in file.name for file in files)
    assert all(file.url.startswith(("https://", "http://")) for file in files)


def test_sources_without_a_stated_licence_are_not_called_redistributable() -> None:
    for entry in load_catalogue().values():
        assert not (entry.licence.id == "none-stated" and entry.licence.redistributable)


def test_unknown_sources_suggest_near_ones() -> None:
    assert source("scierc").id == "scierc"
    with pytest.raises(UsageError, match=r"unknown source 'scierk'; did you mean scierc"):
        source("scierk")


FILES = [
    pytest.param(entry, file, id=f"{entry.id}-{key}")
    for entry in load_catalogue().values()
    for key, file in entry.files.items()
]
READ_FROM_THE_HUB = {".parquet", ".jsonl", ".json", ".csv", ".tsv", ".txt", ".gz", ".zip"}


@pytest.mark.parametrize(("entry", "file"), FILES)
def test_every_address_fits_the_kind_of_its_source(entry: Source, file: SourceFile) -> None:
    for url in (file.url, *file.mirrors):
        split = urlsplit(url)
        assert split.hostname
        assert split.username is None
        assert not re.search(r"token|signature|expires", split.query, re.IGNORECASE), "a signed address does not last"
        assert "%25" not in url, "encoded twice"
    check_address(file.url, entry.kind)
    if entry.kind == "hub":
        assert PurePosixPath(hub_file(file.url).path).suffix in READ_FROM_THE_HUB, "data only, never a script"
    if urlsplit(file.url).hostname == "drive.google.com":
        assert file.filename, "the address does not say how the file is called"
    if entry.kind == "lfs":
        assert file.sha256, "the pointer names the hash"
        assert file.bytes, "and the size"


GOOD = """
title: Toy
homepage: http://toy.example
licence: {id: MIT, url: null, redistributable: true}
citation: "Nobody: Toy."
kind: http
files: {a: {url: "http://toy.example/a%20b.zip?raw=1"}}
"""


def test_file_names_come_from_the_path_of_the_address(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(GOOD)
    toy = source("toy", tmp_path)
    assert isinstance(toy, Source)
    assert toy.files["a"].name == "a b.zip"


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("title: Toy\n", "", r"key title"),
        ("kind: http", "kind: ftp", r"key kind"),
        ("id: MIT,", "id: MIT, colour: blue,", r"key licence\.colour"),
        ('raw=1"', 'raw=1", sha256: abc', r"key files\.a\.sha256"),
        ('files: {a: {url: "http://toy.example/a%20b.zip?raw=1"}}', "files: {}", r"key files"),
        ("title:", "title: [", "cannot be read"),
        ("kind: http", "kind: hub", r"files\.a\.url: .* is not the address of a Hub dataset's file; expected"),
        ("kind: http", "kind: lfs", r"files\.a\.url: .* is not the address of a file in a GitHub repository"),
        (
            "http://toy.example/a%20b.zip",
            "https://drive.google.com/open",
            r"files\.a\.url: .* of Google Drive; expected",
        ),
        ("http://toy.example/a%20b.zip", "https://huggingface.co/datasets/a/b/resolve/main/x", r"its kind is hub"),
    ],
)
def test_wrong_entries_name_file_and_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    path = tmp_path / "toy.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(SourceError, match=rf"toy\.yaml.*{key}"):
        source("toy", tmp_path)
