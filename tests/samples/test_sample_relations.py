"""Samples of citation intents, topics, relations, findings and tables: sound, and odd where the real files are."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from typing import Any

import pytest
from sample_files import SAMPLES, json_file, tar_members, zip_members


def json_lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def csv_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_acl_arc_contexts_are_made_of_tokens() -> None:
    oddities: set[str] = set()
    papers: list[set[str]] = []
    for content in tar_members("acl_arc/acl-arc.tar.gz").values():
        records = json_lines(content)
        papers.append({record["citing_paper_id"] for record in records})
        assert {record["intent"] for record in records} >= {"Background", "Motivation", "Future"}
        for record in records:
            begin, end = record["cite_marker_offset"]
            assert record["text"][:begin] + "@@CITATION" + record["text"][end:] == record["cleaned_cite_text"]
            oddities |= {f"no {name}" for name in ("section_name", "section_title") if record[name] is None}
            for name in ("sents_before", "sents_after"):
                oddities |= {f"no {name}"} if not record[name] else set()
                for token in (token for sentence in record[name] for token in sentence):
                    assert token["originalText"]
                    oddities |= {repr(token["after"])} if token["after"].strip() else set()
    assert not papers[0] & papers[1]
    assert not (papers[0] | papers[1]) & papers[2]
    assert {"no section_name", "no section_title", "no sents_before", "no sents_after"} < oddities
    assert {r"'\x00\x00\x00\x00\x00\x00'", r"' î\x86¨î\x86\x95 '"} < oddities


def test_multicite_marks_its_citations() -> None:
    kinds: list[type] = []
    unmarked = 0
    labels: set[str] = set()
    files = {path.name: json.loads(path.read_text()) for path in (SAMPLES / "multicite").glob("*.json")}
    assert {name: len(records) for name, records in files.items()} == {"train.json": 14, "dev.json": 5, "test.json": 7}
    for record in (record for records in files.values() for record in records):
        kinds.append(type(record["x"]))
        excerpt = record["x"][0] if isinstance(record["x"], list) else record["x"]
        unmarked += re.search(r"<cite>.+</cite>", excerpt) is None
        labels |= set(record["y"].split())
        assert re.fullmatch(r"[0-9a-f]{30}_\d+", record["id"])
    assert kinds.count(list) == 3
    assert unmarked == 1
    assert labels == {"background", "motivation", "uses", "extends", "similarities", "differences", "future_work"}


def test_litcovid_has_quotes_line_ends_and_an_article_without_abstract() -> None:
    splits = {
        split: csv_rows((SAMPLES / "bc7_litcovid" / f"BC7-LitCovid-{split}.csv").read_bytes())
        for split in ("Train", "Dev", "Test-GS")
    }
    rows = [row for part in splits.values() for row in part]
    assert {split: len(part) for split, part in splits.items()} == {"Train": 8, "Dev": 4, "Test-GS": 4}
    assert all(len(row) == 9 and None not in row.values() for row in rows)
    abstracts = [row["abstract"] for row in rows]
    assert abstracts.count("") == 1
    assert any("\n" in abstract for abstract in abstracts)
    assert any('"' in abstract for abstract in abstracts)
    assert len({topic for row in rows for topic in row["label"].split(";")}) == 7
    assert any(";" in row["label"] for row in rows)


def test_chemprot_dygie_indices_are_in_range() -> None:
    labels: set[str] = set()
    names: set[str] = set()
    dropped = 0
    members = tar_members("chemprot_dygie/chemprot.tar.gz")
    assert list(members) == ["chemprot/train.json", "chemprot/validation.json", "chemprot/test.json"]
    for document in (document for content in members.values() for document in json_lines(content)):
        assert type(document["doc_key"]) is int
        assert document["dataset"] == "chemprot"
        assert "clusters" not in document
        tokens = [token for sentence in document["sentences"] for token in sentence]
        begin = 0
        for sentence, entities, relations in zip(
            document["sentences"], document["ner"], document["relations"], strict=True
        ):
            kinds = {(first, last): kind for first, last, kind in entities}
            assert all(begin <= first <= last < begin + len(sentence) for first, last in kinds)
            for first, last, other, other_last, label in relations:
                assert (kinds[first, last], kinds[other, other_last]) == ("CHEMICAL", "GENE"), document["doc_key"]
                labels.add(label)
                names |= {" ".join(tokens[first : last + 1]), " ".join(tokens[other : other_last + 1])}
            assert len({tuple(relation[:4]) for relation in relations}) == len(relations)
            begin += len(sentence)
        dropped += not any(document["relations"])
    assert {"NOT", "COFACTOR", "PART-OF", "DIRECT-REGULATOR", "SUBSTRATE", "ANTAGONIST"} <= labels
    assert dropped >= 3
    assert any(", " in name.replace(" ,", ",") for name in names)
    assert any(name.startswith("(") for name in names)
    assert any(name.endswith(")") for name in names)
    assert any("''" in name for name in names)


def test_drug_spans_and_relations() -> None:
    oddities: set[str] = set()
    sources = []
    for name in ("train", "test"):
        for record in json_lines((SAMPLES / "drug_combo" / f"final_{name}_set.jsonl").read_bytes()):
            sentence, spans = record["sentence"], {span["span_id"]: span for span in record["spans"]}
            assert sentence in record["paragraph"]
            tokens = sentence.split(" ")
            for span in spans.values():
                surface = sentence[span["start"] : span["end"]]
                assert " ".join(tokens[span["token_start"] : span["token_end"]]) == surface
                oddities |= {"cut wrongly"} if span["text"] != surface else set()
            relations = [(*(spans[one]["text"] for one in rel["spans"]), rel["class"]) for rel in record["rels"]]
            assert all(len(relation) >= 3 and relation[-1] in {"POS", "NEG", "COMB"} for relation in relations)
            oddities |= {"no relation"} if not relations else set()
            oddities |= {"relation twice"} if len(set(relations)) < len(relations) else set()
            oddities |= {"drug twice"} if any(len(set(drugs)) < len(drugs) for drugs in relations) else set()
            oddities |= {"no source"} if record["source"] is None else set()
            sources.append(record["source"])
    assert oddities == {"cut wrongly", "no relation", "relation twice", "drug twice", "no source"}
    assert len(sources) == 20
    assert len(set(filter(None, sources))) == 17


def test_findings_are_literals_of_python() -> None:
    members = zip_members("evidence_inference/evidence_inference_linearized.zip")
    tables = {name: content for name, content in members.items() if "__MACOSX" not in name}
    assert sorted(tables) == ["dev_wlabels.csv", "test_wlabels.csv", "train_wlabels.csv"]
    effects: set[str] = set()
    comparators: set[Any] = set()
    for content in tables.values():
        assert content.startswith(b"\xef\xbb\xbfX,Y\n")
        rows = csv_rows(content)
        assert len(rows) >= 3
        for row in rows:
            assert row["X"].startswith("ABSTRACT.")
            for _, _, comparator, evidence, linear in ast.literal_eval(row["Y"]):
                assert evidence in row["X"]
                effects |= set(re.findall(r"\[LABEL\] (.+?) \[OUT\]", linear))
                comparators.add(comparator)
    assert effects == {"significantly increased", "significantly decreased", "no significant difference"}
    assert None in comparators


@pytest.mark.parametrize(
    ("name", "sizes", "types"),
    [
        ("chemtables", {"train": 4, "dev": 3, "test": 3}, {"Other", "IC50", "EC50", "CC50", "MIC", "GI50"}),
        (
            "mltables",
            {"train": 5, "dev": 3, "test": 3},
            {"Other", "Result", "Data Stat.", "Hyper-parameter/Architecture"},
        ),
    ],
)
def test_cells_of_chemistry_and_machine_learning(name: str, sizes: dict[str, int], types: set[str]) -> None:
    members = zip_members(f"schema_to_json/{name}.zip")
    found: set[str] = set()
    lists = 0
    papers: dict[str, set[str]] = {}
    for split, size in sizes.items():
        tables = json.loads(members[f"{name}/{split}.json"])
        assert len(tables) == size
        papers[split] = {table["paper_id"] for table in tables.values()}
        for key, table in tables.items():
            assert key.startswith(table["paper_id"])
            assert len(table["target_cells"]) == len(table["gold_json_records"]) > 0
            for target, gold in zip(table["target_cells"], table["gold_json_records"], strict=True):
                cell = json.loads(gold["cell_record"])
                assert list(cell)[:2] == ["value", "type"]
                assert cell["value"] == target["cell_value"]
                assert target["cell_value"] in target["cell_raw"]
                if "cell_char_index" in gold:
                    start, end = gold["cell_char_index"]
                    assert table["table_code"][start:end] == cell["value"]
                found.add(cell["type"])
                lists += any(isinstance(value, list) for value in cell.values())
        assert all(bool(table["sup_text"]) == (name == "mltables") for table in tables.values())
    assert found == types
    assert (lists > 10) == (name == "mltables")
    assert not papers["train"] & (papers["dev"] | papers["test"])


def test_litcovid_and_drug_files_are_listed_under_their_addresses() -> None:
    paths = {url.rpartition("/")[2]: entry["path"] for url, entry in json_file("mirror.json").items()}
    assert paths["BC7-LitCovid-Test-GS.csv"] == "bc7_litcovid/BC7-LitCovid-Test-GS.csv"
    assert paths["final_train_set.jsonl"] == "drug_combo/final_train_set.jsonl"
