"""The samples of claims, papers and dataset choices say what they should, checked without the package's readers."""

from __future__ import annotations

import csv
import json
from collections import Counter
from typing import Any

import pyarrow.parquet as pq
from sample_files import SAMPLES, json_file, tar_members


def _json_lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.decode().splitlines()]


def _held_against(claims: list[dict[str, Any]]) -> list[tuple[int, list[dict[str, Any]]]]:
    """Document and groups of evidence of each claim with each of its documents."""
    return [
        (document, claim["evidence"].get(str(document), []))
        for claim in claims
        for document in claim.get("cited_doc_ids", claim.get("doc_ids"))
    ]


def test_scifact_evidence_lies_in_the_documents_cited() -> None:
    members = tar_members("scifact/data.tar.gz")
    abstracts = {document["doc_id"]: document["abstract"] for document in _json_lines(members["data/corpus.jsonl"])}
    assert len(abstracts) == 30
    pairs = []
    for split in ("train", "dev"):
        claims = _json_lines(members[f"data/claims_{split}.jsonl"])
        pairs += _held_against(claims)
        for claim in claims:
            assert set(map(int, claim["evidence"])) <= set(claim["cited_doc_ids"]) <= set(abstracts)
    assert len(pairs) == 42
    verdicts = Counter(groups[0]["label"] if groups else "NEI" for _, groups in pairs)
    assert set(verdicts) == {"SUPPORT", "CONTRADICT", "NEI"}
    assert min(verdicts.values()) >= 5
    for document, groups in pairs:
        assert len({group["label"] for group in groups}) <= 1
        for group in groups:
            assert group["sentences"] == sorted(set(group["sentences"]))
            assert all(0 <= place < len(abstracts[document]) for place in group["sentences"])
    assert any(len(groups) > 1 for _, groups in pairs)
    assert all(claim.keys() == {"id", "claim"} for claim in _json_lines(members["data/claims_test.jsonl"]))


def test_scifact_splits_share_no_document() -> None:
    members = tar_members("scifact/data.tar.gz")
    train, dev = (
        {document for document, _ in _held_against(_json_lines(members[f"data/claims_{split}.jsonl"]))}
        for split in ("train", "dev")
    )
    assert not train & dev


def test_covidfact_claims_come_in_pairs_of_opposites() -> None:
    members = tar_members("multivers/data.tar.gz")
    abstracts = _json_lines(members["data/covidfact/corpus.jsonl"])
    assert any(sentence != sentence.strip() for document in abstracts for sentence in document["abstract"])
    assert any(not sentence.isascii() for document in abstracts for sentence in document["abstract"])
    claims = [
        claim for split in ("train", "test") for claim in _json_lines(members[f"data/covidfact/claims_{split}.jsonl"])
    ]
    labels: dict[int, list[str]] = {}
    for document, groups in _held_against(claims):
        assert groups
        labels.setdefault(document, []).extend(group["label"] for group in groups)
    assert len(labels) == len(abstracts) == 15
    assert all(found == ["SUPPORT", "CONTRADICT"] for found in labels.values())


def test_healthver_shows_evidence_of_every_kind() -> None:
    members = tar_members("multivers/data.tar.gz")
    sizes = {
        document["doc_id"]: len(document["abstract"])
        for document in _json_lines(members["data/healthver/corpus.jsonl"])
    }
    oddities: set[str] = set()
    for split in ("train", "dev", "test"):
        claims = _json_lines(members[f"data/healthver/claims_{split}.jsonl"])
        oddities |= {"two documents"} if any(len(claim["doc_ids"]) > 1 for claim in claims) else set()
        for document, groups in _held_against(claims):
            places = [place for group in groups for place in group["sentences"]]
            oddities |= {groups[0]["label"] if groups else "NEI"}
            oddities |= {"repeated"} if len(set(places)) < len(places) else set()
            oddities |= {"out of order"} if places != sorted(places) else set()
            oddities |= {"beyond the abstract"} if any(place >= sizes[document] for place in places) else set()
    assert oddities == {
        "SUPPORT",
        "CONTRADICT",
        "NEI",
        "two documents",
        "repeated",
        "out of order",
        "beyond the abstract",
    }


def test_qasa_questions() -> None:
    questions: dict[str, Any] = json_file("qasa/testset_answerable_1554_v1.1.json")
    assert list(questions) == [str(number) for number in range(len(questions))]
    assert len({question["paper_id"] for question in questions.values()}) >= 12
    assert all(("arxiv_id" in question) != ("s2orc_id" in question) for question in questions.values())
    assert sum("s2orc_id" in question for question in questions.values()) == 1
    bracketed = [question for question in questions.values() if question["composition"].startswith("[")]
    assert len(bracketed) == 3
    assert all(question["composition"].endswith("]") for question in bracketed)
    kinds = {question["question_type"] for question in questions.values()}
    assert len({kind.strip().lower() for kind in kinds}) == 3 < len(kinds)
    for question in questions.values():
        assert all(found["context"].startswith(found["rationale"][:-1]) for found in question["evidential_info"])
    longest = max(len(" ".join(found["context"] for found in q["evidential_info"]).split()) for q in questions.values())
    assert longest > 2000


def test_mup_rows() -> None:
    rows: list[dict[str, str]] = []
    for name in ("training", "validation"):
        with (SAMPLES / "mup" / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
            rows += csv.DictReader(stream)
    assert list(rows[0]) == ["paper_id", "summary", "text", "paper_name"]
    reviews = Counter(row["paper_id"] for row in rows)
    assert (len(rows), len(reviews), max(reviews.values())) == (33, 24, 2)
    assert all("\n" in row["text"] for row in rows)
    assert any('"' in row["summary"] for row in rows)
    assert any("\n" in row["paper_name"] for row in rows)
    texts = {row["text"] for row in rows}
    assert len(texts) == 24
    assert sum(not text.endswith((".", "?")) for text in texts) == 1  # the one that is cut off
    assert max(len(text.split()) for text in texts) == 1500


def test_chemsum_shards() -> None:
    tables = {path.name: pq.read_table(path).to_pylist() for path in sorted((SAMPLES / "chemsum").glob("*.parquet"))}
    assert len(tables) == 9
    papers = [paper for rows in tables.values() for paper in rows]
    assert (len(papers), len({paper["uuid"] for paper in papers})) == (16, 16)
    assert all(len(paper["headers"].split("<!>")) == len(paper["sections"].split("<!>")) == 3 for paper in papers)
    assert sum(not paper["abstract"] for paper in papers) == 1
    assert all(paper["abstract"] != paper["abstract"].strip() for paper in papers if paper["abstract"])
    assert any("<p>" in paper["sections"] for paper in papers)
    assert all(rows for rows in tables.values())


def test_dataset_questions() -> None:
    several = json_file("data_reco/several-train.json")
    lines = (SAMPLES / "data_reco" / "single-train.json").read_text(encoding="utf-8").splitlines()
    single = [json.loads(line) for line in lines]
    assert (len(several), len(single)) == (14, 15)
    for question in [*several, *single]:
        right = question.get("positive_cands", [question.get("answer")])
        described = {pair["dkey"]: pair["dval"] for pair in question["abstracts"]}
        assert set(described) == {*right, *question["negative_cands"]}
        assert not set(right) & set(question["negative_cands"])
        assert all(described.values())
        assert len(question["negative_cands"]) >= 5
    numbers = [len(question["positive_cands"]) for question in several]
    assert (min(numbers), max(numbers)) == (1, 6)
    assert any(", " in name for question in several for name in question["positive_cands"])
    assert any("\n" in pair["dval"] for question in several for pair in question["abstracts"])
    assert not {question["query"] for question in several} & {question["query"] for question in single}
