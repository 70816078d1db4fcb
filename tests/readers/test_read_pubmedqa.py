from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import only_error, outcomes, read

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers.pubmedqa import parts

LABELS = ("yes", "no", "maybe")


def question(label: str, **change: Any) -> dict[str, Any]:
    return {"QUESTION": "Is it?", "CONTEXTS": ["c"], "LABELS": ["METHODS"], "final_decision": label, **change}


def corpus(*labels: str) -> dict[str, bytes]:
    return {"f": json.dumps({str(pmid): question(label) for pmid, label in enumerate(labels)}).encode()}


def test_a_question() -> None:
    files = corpus(*("yes", "no", "maybe") * 10)
    found = read("pubmedqa", files, part="dev")
    assert found == [{"pmid": record["pmid"], **question(record["final_decision"])} for record in found]
    assert len(found) > 0


@given(st.lists(st.sampled_from(LABELS), max_size=120), st.integers(0, 9))
def test_the_parts_hold_every_question_once(labels: list[str], fold: int) -> None:
    by_pmid = {str(pmid): label for pmid, label in enumerate(labels)}
    split = parts(by_pmid, fold)
    assert sorted(split["train"] + split["dev"] + split["test"]) == sorted(by_pmid)
    assert split["test"] == parts(by_pmid, 0)["test"]


@given(st.integers(1, 12), st.integers(0, 9))
def test_full_strata_are_shared_evenly(size: int, fold: int) -> None:
    by_pmid = {f"{label}{n}": label for label in LABELS for n in range(20 * size)}
    split = parts(by_pmid, fold)
    for name, share in (("train", 9 * size), ("dev", size), ("test", 10 * size)):
        found = [by_pmid[pmid] for pmid in split[name]]
        assert [found.count(label) for label in LABELS] == [share] * 3


def test_folds_are_disjoint_development_sets() -> None:
    by_pmid = {str(n): LABELS[n % 3] for n in range(200)}
    folds = [parts(by_pmid, fold)["dev"] for fold in range(10)]
    assert sum(map(len, folds)) == 100
    assert len({pmid for fold in folds for pmid in fold}) == 100


def test_a_miniature_corpus_has_all_three_parts() -> None:
    files = corpus(*["yes"] * 12 + ["no"] * 8 + ["maybe"] * 4)
    assert all(read("pubmedqa", files, part=part) for part in ("train", "dev", "test"))


def test_a_question_without_readable_label_is_reported_once() -> None:
    records: dict[str, Any] = {str(n): question(LABELS[n % 3]) for n in range(30)}
    broken = {"90": question("perhaps"), "91": "text", "92": {"QUESTION": "?", "CONTEXTS": [], "LABELS": []}}
    files = {"f": json.dumps({**broken, **records}).encode()}
    found = {part: outcomes("pubmedqa", files, part=part) for part in ("train", "dev", "test")}
    errors = [error for outcome in found.values() for error in outcome if isinstance(error, RecordError)]
    assert [error.where for error in errors] == ["f:90", "f:91", "f:92"]
    assert "final_decision is 'perhaps'; expected one of yes, no, maybe" in errors[0].reason
    assert "expected a JSON object, found a string" in errors[1].reason
    assert "field 'final_decision' is missing" in errors[2].reason
    assert sum(map(len, found.values())) == 33


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"LABELS": []}, "1 CONTEXTS but 0 LABELS"),
        ({"CONTEXTS": "text"}, "field 'CONTEXTS': expected a list, found a string"),
        ({"QUESTION": None}, "field 'QUESTION': expected a string, found null"),
    ],
)
def test_a_malformed_question_is_named(change: dict[str, Any], reason: str) -> None:
    records = {str(n): question("yes", **(change if n == 5 else {})) for n in range(40)}
    files = {"f": json.dumps(records).encode()}
    split = parts(dict.fromkeys(records, "yes"), 0)
    (part,) = [name for name, pmids in split.items() if "5" in pmids]
    error = only_error("pubmedqa", files, part=part)
    assert error.where == "f:5"
    assert reason in error.reason


@pytest.mark.parametrize(
    "options", [{}, {"part": "validation"}, {"part": "dev", "fold": 10}, {"part": "dev", "fold": "0"}]
)
def test_part_and_fold_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(TaskFileError, match="needs part train, dev or test and fold 0 to 9"):
        outcomes("pubmedqa", corpus("yes"), **options)
