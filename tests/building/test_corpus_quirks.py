"""What real corpora do, from the file to the built task: odd bytes and odd records change nothing but themselves."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from build_kit import change_source, copy_of_samples, lines, manifest, sample_settings

from sciriff import api
from sciriff.building.outcome import TaskOutcome

WINDOW = 4096
NCBI, NLM_GENE, GNORMPLUS = (
    "ncbi_disease/NCBItrainset_corpus.zip",
    "nlm_gene/NLM-Gene-Corpus.zip",
    "gnormplus/GNormPlusCorpus.zip",
)
ODD = "\x00\x07\x1b\u2028\u0085\ufffe\u200b𝛼"
"""Characters that readers, JSON, Parquet or line counting may trip over; none is a blank at the end of a text."""


def edited_zip(content: bytes, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, member in change(members).items():
            archive.writestr(name, member)
    return out.getvalue()


def build(
    folder: Path, task: str, path: str = "", change: Callable[[dict[str, bytes]], dict[str, bytes]] | None = None
) -> TaskOutcome:
    """Build one task from the samples, one zip of which is changed, into ``folder/store``."""
    mirror = copy_of_samples(folder / "mirror")
    if change is not None:
        change_source(mirror, path, edited_zip((mirror / path).read_bytes(), change))
    settings = sample_settings(folder / "store", folder, mirror=str(mirror), samples="never")
    (outcome,) = api.build([task], windows=[WINDOW], settings=settings).outcomes
    assert outcome.state == "built", outcome.message
    return outcome


def built(folder: Path, task: str) -> dict[str, dict[str, Any]]:
    """Instance id -> its line, and the split it is in."""
    return {
        line["_instance_id"]: {**line, "final": split}
        for split in ("train", "validation", "test")
        for line in lines(folder / "store", WINDOW, task, split)
    }


@pytest.fixture(scope="module")
def as_they_are(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, dict[str, Any]]]:
    """Builds a task from the samples as they are."""

    def make(task: str) -> dict[str, dict[str, Any]]:
        folder = tmp_path_factory.mktemp(task)
        build(folder, task)
        return built(folder, task)

    return make


def test_odd_bytes_of_a_pubtator_file(tmp_path: Path, as_they_are: Callable[[str], dict[str, dict[str, Any]]]) -> None:
    """Byte order mark, CRLF, no final line feed, ends counted in, characters that are no text."""

    def change(members: dict[str, bytes]) -> dict[str, bytes]:
        ((name, content),) = members.items()
        text = content.decode().rstrip("\n")
        text = text.replace("was defined by a rise of", f"was {ODD} defined by a rise of")
        text = "\n".join(_end_counted_in(line) for line in text.split("\n"))
        return {name: ("\ufeff" + text.replace("\n", "\r\n")).encode()}

    build(tmp_path, "ncbi_ner", NCBI, change)
    plain, odd = as_they_are("ncbi_ner"), built(tmp_path, "ncbi_ner")
    assert odd.keys() == plain.keys()
    changed = {name for name in plain if odd[name] != plain[name]}
    assert changed == {"ncbi_ner:train:3"}
    assert odd["ncbi_ner:train:3"]["input"].replace(f"{ODD} ", "") == plain["ncbi_ner:train:3"]["input"]
    assert odd["ncbi_ner:train:3"]["output"] == plain["ncbi_ner:train:3"]["output"]
    combined = pq.read_table(tmp_path / f"store/instructions_hf/{WINDOW}/train.parquet").to_pylist()
    assert sum(ODD in row["input"] for row in combined) == 1
    raw = (tmp_path / f"store/instructions_hf/{WINDOW}/train.jsonl").read_bytes()
    assert [json.loads(line)["input"] for line in raw.splitlines()] == [row["input"] for row in combined]


def _end_counted_in(line: str) -> str:
    fields = line.split("\t")
    return "\t".join([*fields[:2], str(int(fields[2]) - 1), *fields[3:]]) if len(fields) == 6 else line


def test_bad_and_missing_files_of_a_list(
    tmp_path: Path, as_they_are: Callable[[str], dict[str, dict[str, Any]]]
) -> None:
    def change(members: dict[str, bytes]) -> dict[str, bytes]:
        listed = members["Corpus/Pmidlist.Train.txt"].decode().split()
        missing, cut, garbled, marked = (f"Corpus/FINAL/{pmid}.BioC.XML" for pmid in listed[:4])
        content = members[cut]
        changed = {
            cut: content[: content.index(b"</document>")],
            garbled: members[garbled].replace(b"<text>", b"<text>\x00", 1),
            marked: b"\xef\xbb\xbf" + members[marked].replace(b"\n", b"\r\n"),
        }
        return {name: changed.get(name, member) for name, member in members.items() if name != missing}

    outcome = build(tmp_path, "nlmgene_ner", NLM_GENE, change)
    plain, odd = as_they_are("nlmgene_ner"), built(tmp_path, "nlmgene_ner")
    assert plain.keys() - odd.keys() == {f"nlmgene_ner:train:{row}" for row in range(3)}
    assert all(odd[name]["output"] == plain[name]["output"] for name in odd)
    assert outcome.dropped == {"malformed record": 3}
    told = manifest(tmp_path / "store", WINDOW, "nlmgene_ner")["malformed"]["train"]
    assert sum("there is no such file" in message for message in told) == 1
    assert sum("it is cut off" in message for message in told) == 1
    assert sum("not well-formed XML" in message for message in told) == 1


def test_a_document_that_stands_in_both_collections(tmp_path: Path) -> None:
    """Both stay, as in the original; they are one document, so carving does not part them."""

    def change(members: dict[str, bytes]) -> dict[str, bytes]:
        first, second = "GNormPlusCorpus/BC2GNtrain.BioC.xml", "GNormPlusCorpus/NLMIAT.BioC.xml"
        start, end = members[first].index(b"<document>"), members[first].index(b"</document>") + len(b"</document>")
        members[second] = members[second].replace(b"</collection>", members[first][start:end] + b"</collection>")
        return members

    build(tmp_path, "gnormplus_ner", GNORMPLUS, change)
    found = built(tmp_path, "gnormplus_ner")
    twice = [line for line in found.values() if line["_document_id"] == found["gnormplus_ner:train:0"]["_document_id"]]
    assert [line["_instance_id"] for line in sorted(twice, key=lambda line: line["_instance_id"])] == [
        "gnormplus_ner:train:0",
        "gnormplus_ner:train:22",
    ]
    assert len({line["final"] for line in twice}) == 1
