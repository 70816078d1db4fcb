"""Formatters on real records, with the counts of the task catalogue. Skips where the mirror is absent."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sciriff.errors import Dropped
from sciriff.readers import load_reader
from sciriff.readers.records import Row, SplitSpec
from sciriff.sources.archives import ArchiveView
from sciriff.tasks.binding import load_binding
from sciriff.tasks.formatters import given_parameters, load_formatter
from sciriff.tasks.rendering import Fidelity

_CHECKOUT = Path(__file__).resolve().parents[2]
MIRROR = Path(os.environ.get("SCIRIFF_SHARED", _CHECKOUT.parent / "shared")) / "mirror"

pytestmark = pytest.mark.skipif(not MIRROR.is_dir(), reason="the mirror of real sources is not here")


def variables_of(
    task: str, split: str, files: dict[str, str], fidelity: Fidelity = "corrected"
) -> list[dict[str, Any]]:
    """The template variables of all records of a split."""
    return [variables for _, variables in records_of(task, split, files, fidelity)]


def records_of(
    task: str, split: str, files: dict[str, str], fidelity: Fidelity = "corrected"
) -> Iterator[tuple[Any, dict[str, Any]]]:
    binding = load_binding(task)
    view = ArchiveView({key: MIRROR / path for key, path in files.items()})
    reader, spec = load_reader(binding.reader), binding.split_specs()[split]
    formatter = load_formatter(binding.formatter.name)
    given = {"fidelity": fidelity} if "fidelity" in given_parameters(formatter) else {}
    for row in reader.rows(view, spec):
        assert isinstance(row, Row)
        record = reader.parse(row, spec)
        for variables in formatter(record, **binding.formatter.args, **given):
            yield record, variables


DRUGS = {split: f"drug_combo/final_{split}_set.jsonl" for split in ("train", "test")}


@pytest.mark.parametrize(
    ("split", "rows", "without", "classes", "named", "changed"),
    [
        ("train", 1362, 494, {"POS": 688, "COMB": 235, "NEG": 116}, 1268, 12),
        ("test", 272, 97, {"POS": 150, "COMB": 43, "NEG": 16}, 272, 0),
    ],
)
def test_drug_combinations(
    split: str, rows: int, without: int, classes: dict[str, int], named: int, changed: int
) -> None:
    original = variables_of("drug_combo_extraction_re", split, DRUGS, "original")
    corrected = variables_of("drug_combo_extraction_re", split, DRUGS)
    assert len(original) == len(corrected) == rows
    assert Counter(relation[-1] for variables in original for relation in variables["relations"]) == classes
    assert sum(not variables["relations"] for variables in corrected) == without
    assert sum(variables["_document_id"] is not None for variables in corrected) == named
    assert sum(a["relations"] != b["relations"] for a, b in zip(original, corrected, strict=True)) == changed
    for variables in corrected:
        assert variables["sentence"] in variables["paragraph"]
        assert all(name in variables["sentence"] for relation in variables["relations"] for name in relation[:-1])


@pytest.mark.parametrize(("split", "lists", "most", "tied"), [("train", 913, 3, 41), ("validation", 127, 3, 28)])
def test_alternatives_in_tables_on_machine_learning(split: str, lists: int, most: int, tied: int) -> None:
    found: list[int] = []
    ties = 0
    for record, variables in records_of("mltables_te", split, {"mltables": "schema_to_json/mltables.zip"}):
        table = record["table_code"].lower()
        lines = variables["json_records"].split("\n")
        assert len(lines) == len(record["gold_json_records"])
        for line, stored in zip(map(json.loads, lines), map(json.loads, record["gold_json_records"]), strict=True):
            assert line.keys() == stored.keys()
            for attribute, value in stored.items():
                if isinstance(value, list):
                    shares = [sum(word in table for word in one.lower().split()) / len(one.split()) for one in value]
                    found.append(len(value))
                    ties += shares.count(max(shares)) > 1
                    assert line[attribute] == value[shares.index(max(shares))]
                else:
                    assert line[attribute] == value
    assert (len(found), max(found), round(100 * ties / len(found))) == (lists, most, tied)


@pytest.mark.parametrize(
    ("task", "namespace", "ids"),
    [
        ("chemtables_te", "pmc", {"3131785", "3910272", "4018117", "4106271", "4203399"}),
        ("mltables_te", "arxiv", {"2211.05596", "2211.05599", "2211.05610"}),
    ],
)
def test_tables_name_their_papers_as_other_tasks_do(task: str, namespace: str, ids: set[str]) -> None:
    name = task.removesuffix("_te")
    found = {
        variables["_document_id"] for variables in variables_of(task, "train", {name: f"schema_to_json/{name}.zip"})
    }
    assert load_binding(task).documents == namespace
    assert ids <= found


def test_citations_of_acl_papers() -> None:
    files = {"archive": "acl_arc/acl-arc.tar.gz"}
    corrected = variables_of("acl_arc_intent_classification", "train", files)
    original = variables_of("acl_arc_intent_classification", "train", files, "original")
    assert Counter(variables["label"] for variables in corrected) == {
        "Background": 8,
        "CompareOrContrast": 1,
        "FutureWork": 1,
    }
    assert [variables["section"] for variables in original].count("None") == 4
    assert [variables["section"] for variables in corrected].count("") == 4
    texts = [f"{variables['context_before']} {variables['context_after']}" for variables in corrected]
    assert not any("\0" in text or "\u00ee\u0086" in text or "  " in text for text in texts)
    assert sum("\0" in f"{v['context_before']} {v['context_after']}" for v in original) == 2
    assert any("B\u00a8ohmov\u00b4a" in text for text in texts)
    assert any("\u2018wrong\u2019" in text for text in texts)
    assert all(
        variables["citation_sentence"] == other["citation_sentence"]
        for variables, other in zip(corrected, original, strict=True)
    )


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_related_work_cites_its_works_by_number(split: str) -> None:
    files = {key: f"multi_x_science/{key}.json.gz" for key in ("train", "val", "test")}
    corrected = variables_of("multixscience_multidoc_summarization", split, files)
    assert corrected == variables_of("multixscience_multidoc_summarization", split, files, "original")
    for variables in corrected:
        assert variables["cited_abstracts_transformed"].startswith("[1]: ")
        assert "[1]" in variables["related_work_transformed"]
        assert "@cite" not in variables["related_work_transformed"]


@pytest.mark.parametrize(
    ("name", "split", "words"),
    [
        ("arxiv", "train", [(4467, 145), (3223, 61)]),
        ("arxiv", "validation", [(7174, 154), (17345, 211)]),
        ("arxiv", "test", [(5834, 213), (6526, 99)]),
        ("pubmed", "train", [(4811, 248), (3258, 366)]),
        ("pubmed", "validation", [(4289, 332), (3485, 206)]),
        ("pubmed", "test", [(3146, 213), (2522, 99)]),
    ],
)
def test_long_papers(name: str, split: str, words: list[tuple[int, int]]) -> None:
    files = {name: f"scientific_papers/{name}-dataset.zip"}
    corrected = variables_of(f"scientific_papers_summarization_single_doc_{name}", split, files)
    assert corrected == variables_of(f"scientific_papers_summarization_single_doc_{name}", split, files, "original")
    assert [(len(found["article"].split()), len(found["abstract"].split())) for found in corrected] == words
    assert not any("<S>" in found["abstract"] for found in corrected)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_short_summaries(split: str) -> None:
    files = {key: f"scitldr/{key}.jsonl" for key in ("train", "dev", "test")}
    found = variables_of("scitldr_aic", split, files)
    assert len({variables["_document_id"] for variables in found}) == len(found) == 5
    assert all(variables["target"][0].strip() for variables in found)


SCIERC_TYPES = ("Task", "Method", "Metric", "Material", "OtherScientificTerm", "Generic")


@pytest.mark.parametrize(
    ("split", "dropped", "names", "spaced", "documents", "with_itself", "without"),
    [("train", 4, 4147, 35, 32, 10, 4), ("dev", 0, 610, 6, 5, 2, 1), ("test", 1, 1291, 15, 13, 0, 0)],
)
def test_scierc_as_the_original_made_it(
    split: str, dropped: int, names: int, spaced: int, documents: int, with_itself: int, without: int
) -> None:
    view = ArchiveView({"archive": MIRROR / "scierc/sciERC_processed.tar.gz"})
    spec, reader = SplitSpec(f"archive!processed_data/json/{split}.json"), load_reader("dygie")
    records = [reader.parse(row, spec) for row in reader.rows(view, spec) if isinstance(row, Row)]

    def kept(fidelity: Fidelity) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for record in records:
            with suppress(Dropped):
                found += load_formatter("dygie")(record, types=SCIERC_TYPES, fidelity=fidelity)
        return found

    original, corrected = kept("original"), kept("corrected")
    assert len(corrected) == len(records) == len(original) + dropped
    assert sum(len(variables["ner_answer"]) for variables in original) == names
    lost = [[name for name, _ in each["ner_answer"] if name not in each["org_text"]] for each in original]
    assert (sum(map(len, lost)), sum(map(bool, lost))) == (spaced, documents)
    assert sum(head == tail for each in original for head, tail, _ in each["re_answer"]) == with_itself
    assert sum(not each["re_answer"] for each in original) == without
    for each in corrected:
        assert all(name in each["org_text"] for name, _ in each["ner_answer"])
        assert all(head != tail for head, tail, _ in each["re_answer"])
