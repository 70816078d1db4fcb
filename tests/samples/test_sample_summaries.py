"""The sources of the summarisation tasks hold the oddities of the real files, checked without the package's readers."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from typing import Any

import pytest
from sample_files import SAMPLES, tar_members, zip_members

LAY_SHAPE = ["Introduction", "Results", "Discussion"]


def json_lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line, strict=False) for line in content.split(b"\n") if line]


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


@pytest.mark.parametrize("name", ["elife", "plos"])
def test_lay_articles_are_tokenised_and_mostly_of_one_shape(name: str) -> None:
    (path,) = [path for path in (SAMPLES / f"lay_summaries_{name}").iterdir() if path.suffix == ".zip"]
    members = zip_members(path.relative_to(SAMPLES).as_posix())
    articles = [article for content in members.values() for article in json.loads(content)]
    assert sorted(member.rpartition("/")[2] for member in members) == ["test.json", "train.json", "val.json"]
    assert len({article["id"] for article in articles}) == len(articles) == 12
    for article in articles:
        assert len(article["headings"]) == len(article["sections"]) == 4
        assert all(text.endswith((" .", " ?")) for text in article["summary"])
    shapes = [article["headings"][:3] == LAY_SHAPE for article in articles]
    assert shapes.count(False) == (name == "elife")


def test_reviews_lack_titles_and_abstracts_and_some_targets() -> None:
    members = tar_members("mslr2022/mslr_data.tar.gz")
    lacking = set()
    for collection in ("cochrane", "ms2"):
        assert table(members[f"mslr_data/{collection}/test-inputs.csv"]) == []
        assert f"mslr_data/{collection}/test-targets.csv" not in members
        for split in ("train", "dev"):
            studies = table(members[f"mslr_data/{collection}/{split}-inputs.csv"])
            targets = table(members[f"mslr_data/{collection}/{split}-targets.csv"])
            assert next(iter(studies[0])) == ""
            assert {study["ReviewID"] for study in studies} == {target["ReviewID"] for target in targets}
            assert len({target["ReviewID"] for target in targets}) == len(targets) >= 4
            lacking |= {name for study in studies for name in ("Title", "Abstract") if not study[name]}
            assert any("\n" in study["Abstract"] for study in studies)
    assert lacking == {"Title", "Abstract"}


def test_marks_of_related_work_begin_alike_or_are_not_listed() -> None:
    alike = unlisted = empty = 0
    for split in ("train", "val", "test"):
        for paper in json.loads(gzip.decompress((SAMPLES / f"multi_x_science/{split}.json.gz").read_bytes())):
            marks = list(paper["ref_abstract"])
            cited = set(re.findall(r"@cite_\d+", paper["related_work"]))
            alike += any(one != other and other.startswith(one) for one in marks for other in cited)
            unlisted += bool(cited - set(marks))
            empty += any(not work["abstract"] for work in paper["ref_abstract"].values())
    assert min(alike, unlisted, empty) >= 1


def test_long_papers_hold_a_raw_control_character_and_a_missing_abstract() -> None:
    archives = [zip_members(f"scientific_papers/{name}-dataset.zip") for name in ("arxiv", "pubmed")]
    papers = [paper for members in archives for content in members.values() for paper in json_lines(content)]
    assert sum(not paper["abstract_text"] for paper in papers) == 1
    assert all(text.startswith("<S> ") for paper in papers for text in paper["abstract_text"])
    assert all(text == text.lower() for paper in papers for text in paper["article_text"])
    assert any("@xmath0" in text for paper in papers for text in paper["article_text"])
    assert sum(content.count(b"\x0b") for members in archives for content in members.values()) == 1


def test_chapters_cite_the_labels_of_their_units() -> None:
    (path,) = [path for path in (SAMPLES / "scireviewgen").iterdir() if path.suffix == ".zip"]
    members = zip_members(path.relative_to(SAMPLES).as_posix())
    chapters = [chapter for content in members.values() for chapter in table(content)]
    assert len(chapters) == 16
    for chapter in chapters:
        units = chapter["reference"].split(" </s> ")
        labels = [unit.split(" <s> ")[-1] for unit in units]
        assert labels == [f"BIB{place:03d}" for place in range(1, len(units) + 1)]
        assert set(re.findall(r"BIB\d+", chapter["target"])) <= set(labels)


def test_short_summaries_come_in_several_and_scores_are_missing() -> None:
    contents = [(SAMPLES / f"scitldr/{split}.jsonl").read_bytes() for split in ("train", "dev", "test")]
    papers = [paper for content in contents for paper in json_lines(content)]
    assert not contents[0].endswith(b"\n")
    assert {len(paper["target"]) for paper in json_lines(contents[0])} == {1}
    assert max(len(paper["target"]) for paper in papers) > 1
    assert any(len(paper["rouge_scores"]) < len(paper["source"]) for paper in papers)
    assert {paper["ic"] for paper in papers} == {True, False}
