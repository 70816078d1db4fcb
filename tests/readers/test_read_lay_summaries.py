from __future__ import annotations

import json
from typing import Any

import pytest
from reader_kit import only_error, outcomes, read

from sciriff.errors import SourceError, TaskFileError

ARTICLE: dict[str, Any] = {
    "id": "elife-1-v1",
    "year": "2020",
    "title": "Mice",
    "sections": [["One .", "Two ."], []],
    "headings": ["Introduction", "Results"],
    "abstract": ["We look at mice ."],
    "summary": ["Mice are small ."],
    "keywords": [],
}


def files(*articles: dict[str, Any]) -> dict[str, bytes]:
    return {"a!eLife/val.json": json.dumps(articles).encode(), "a!eLife/train.json": b"[]"}


def test_articles_are_found_in_whatever_folder_they_lie() -> None:
    second = {**ARTICLE, "title": "Rats"}
    assert read("lay_summaries", files(ARTICLE, second), "a!*val.json") == [ARTICLE, second]
    assert read("lay_summaries", files(), "a!eLife/train.json") == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"title": None}, "field 'title': expected a string, found null"),
        ({"headings": "Introduction"}, "field 'headings': expected a list, found a string"),
        ({"abstract": [None]}, "field 'abstract': expected a list of strings"),
        ({"sections": [["a"], "b"]}, "field 'sections': expected lists of strings"),
        ({"keywords": 3}, "field 'keywords': expected a list, found a number"),
    ],
)
def test_a_malformed_article_is_named_and_the_others_go_on(change: dict[str, Any], reason: str) -> None:
    content = files(ARTICLE, {**ARTICLE, **change}, ARTICLE)
    error = only_error("lay_summaries", content, "a!*val.json")
    assert error.where == "a!eLife/val.json:[1]"
    assert error.reason == reason
    assert len(outcomes("lay_summaries", content, "a!*val.json")) == 3


def test_a_missing_field_is_named() -> None:
    broken = {name: value for name, value in ARTICLE.items() if name != "summary"}
    assert "field 'summary' is missing" in only_error("lay_summaries", files(broken), "a!*val.json").reason


def test_a_truncated_file_keeps_what_came_before() -> None:
    content = files(ARTICLE, ARTICLE)["a!eLife/val.json"][:-10]
    with pytest.raises(SourceError, match=r"ends too early|not JSON"):
        outcomes("lay_summaries", {"f": content})


def test_an_option_is_refused() -> None:
    with pytest.raises(TaskFileError, match="has no option 'under'"):
        outcomes("lay_summaries", files(), "a!*val.json", under="x")
