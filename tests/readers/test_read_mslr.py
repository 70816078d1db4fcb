from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import MemoryView, outcomes, read

from sciriff.errors import RecordError, SourceError, TaskFileError
from sciriff.readers import mslr
from sciriff.readers.records import SplitSpec

INPUTS = ["", "ReviewID", "PMID", "Title", "Abstract"]
TARGETS = ["", "ReviewID", "Target"]


def table(columns: list[str], rows: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([columns, *([str(at), *row] for at, row in enumerate(rows))])
    return text.getvalue().encode()


def corpus(studies: list[list[str]], targets: list[list[str]]) -> dict[str, bytes]:
    return {"inputs": table(INPUTS, studies), "targets": table(TARGETS, targets)}


def reviews(files: dict[str, bytes]) -> list[Any]:
    return read("mslr", files, "inputs", targets="targets")


def test_a_review_has_its_studies_and_its_target() -> None:
    files = corpus(
        [["CD1", "11", "First", "one\ntwo"], ["CD1", "12", "", "b, c"], ["CD2", "13", 'A "third"', ""]],
        [["CD2", "It is unclear."], ["CD1", "It works."]],
    )
    assert reviews(files) == [
        {
            "review_id": "CD1",
            "pmid": ["11", "12"],
            "title": ["First", ""],
            "abstract": ["one\ntwo", "b, c"],
            "target": "It works.",
        },
        {
            "review_id": "CD2",
            "pmid": ["13"],
            "title": ['A "third"'],
            "abstract": [""],
            "target": "It is unclear.",
        },
    ]


def test_background_of_ms2() -> None:
    files = corpus([["7", "11", "t", "a"]], [])
    files["targets"] = table([*TARGETS, "Background"], [["7", "It works.", "It was unknown."]])
    assert reviews(files)[0]["background"] == "It was unknown."


def test_quoted_ids_and_blanks_around_them() -> None:
    files = {
        "inputs": b',ReviewID,PMID,Title,Abstract\n0,"7",1,t,a\n1, 7,2,u,b\n',
        "targets": b",ReviewID,Target\n0,7 ,It works.\n",
    }
    assert reviews(files)[0]["pmid"] == ["1", "2"]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_scattered_studies_come_together_in_the_order_of_first_appearance(order: list[int]) -> None:
    studies = [[str(review), str(at), f"t{at}", "a"] for at, review in enumerate(order)]
    found = reviews(corpus(studies, [[str(review), f"r{review}"] for review in range(6)]))
    assert [record["review_id"] for record in found] == [str(review) for review in dict.fromkeys(order)]
    for record in found:
        expected = [str(at) for at, review in enumerate(order) if str(review) == record["review_id"]]
        assert record["pmid"] == expected
        assert record["target"] == f"r{record['review_id']}"


def test_a_review_is_handed_on_as_soon_as_its_last_study_has_come() -> None:
    files = corpus([["1", "11", "t", "a"], ["1", "12", "t", "a"], ["2", "13", "t", "a"]], [["1", "x"], ["2", "y"]])
    rows = mslr.rows(MemoryView(files), SplitSpec("inputs", {"targets": "targets"}))  # type: ignore[arg-type]
    assert [(row.index, row.where, len(row.raw)) for row in rows] == [(0, "inputs:2", 6), (1, "inputs:4", 5)]


@pytest.mark.parametrize(
    ("targets", "reason"),
    [
        ([["1", "x"]], "review '2' has no targets in targets; expected one"),
        ([["1", "x"], ["2", "y"], ["2", "z"]], "review '2' has 2 targets in targets; expected one"),
    ],
)
def test_a_review_without_its_one_target_is_malformed(targets: list[list[str]], reason: str) -> None:
    found = outcomes(
        "mslr", corpus([["1", "11", "t", "a"], ["2", "12", "t", "a"]], targets), "inputs", targets="targets"
    )
    assert isinstance(found[0], dict)
    assert isinstance(found[1], RecordError)
    assert str(found[1]) == f"inputs:3: {reason}"


def test_a_broken_line_costs_its_review_only() -> None:
    files = corpus([["1", "11", "t", "a"], ["2", "12", "t", "a"], ["3", "13", "t", "a"]], [["1", "x"], ["3", "z"]])
    files["inputs"] = files["inputs"].replace(b"1,2,12,t,a", b"1")
    found = outcomes("mslr", files, "inputs", targets="targets")
    assert [record["review_id"] for record in found if isinstance(record, dict)] == ["1", "3"]
    assert isinstance(found[1], RecordError)
    assert found[1].where == "inputs:3"
    assert "found 1" in found[1].reason


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"inputs": b",ReviewID,PMID,Title\n", "targets": table(TARGETS, [["1", "x"]])}, "inputs: no column Abstract"),
        ({"inputs": table(INPUTS, []), "targets": b"a,b\n1,2\n"}, "targets: no column ReviewID, Target; found a, b"),
        ({"inputs": table(INPUTS, []), "targets": table(TARGETS, [])}, "targets has no targets"),
    ],
)
def test_files_of_another_format(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        outcomes("mslr", files, "inputs", targets="targets")


@pytest.mark.parametrize("options", [{}, {"target": "targets"}])
def test_the_targets_must_be_named(options: dict[str, str]) -> None:
    with pytest.raises(TaskFileError, match=r"needs the option 'targets'|has no option 'target'"):
        outcomes("mslr", corpus([], []), "inputs", **options)


@given(st.binary(max_size=60))
def test_any_bytes_give_reviews_or_named_errors(content: bytes) -> None:
    files = corpus([["1", "11", "t", "a"]], [["1", "x"]])
    files["inputs"] += content
    for found in outcomes("mslr", files, "inputs", targets="targets"):
        assert isinstance(found, (dict, RecordError))
