"""Every annotation of the samples points at what it says, checked without the package's readers."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from sample_files import SAMPLES, json_file, nested_zip_members, tar_members, zip_members


def _brat_pairs(members: dict[str, bytes]) -> list[tuple[str, str, list[list[str]]]]:
    names = [name for name in members if name.endswith(".ann") and "/._" not in name]
    return [
        (
            name,
            members[name.removesuffix(".ann") + ".txt"].decode(),
            [line.split("\t") for line in members[name].decode().splitlines()],
        )
        for name in names
    ]


@pytest.mark.parametrize(
    "members",
    [tar_members("anat_em/AnatEM-1.0.2.tar.gz"), zip_members("annotated_materials_syntheses/master.zip")],
    ids=["anat_em", "syntheses"],
)
def test_brat_offsets(members: dict[str, bytes]) -> None:
    mentions = 0
    for name, text, lines in _brat_pairs(members):
        for fields in lines:
            if fields[0].startswith("T"):
                _, start, end = fields[1].split()
                assert text[int(start) : int(end)] == fields[2], name
                mentions += 1
    assert mentions > 200


def test_anat_em_has_the_oddities_of_the_real_archive() -> None:
    members = tar_members("anat_em/AnatEM-1.0.2.tar.gz")
    kinds = {fields[1].split()[0] for _, _, lines in _brat_pairs(members) for fields in lines}
    assert len(kinds) == 12
    assert any(content == b"" for name, content in members.items() if name.endswith(".ann"))
    assert any(name.rpartition("/")[2].startswith("._") for name in members)
    assert any(
        not content.isascii() for name, content in members.items() if name.endswith(".txt") and "/._" not in name
    )
    assert all(any(part in name for name in members) for part in ("-sec-", "-caption-"))


def _mentions_in_pieces(members: dict[str, bytes]) -> Iterator[tuple[str, str, list[str], str]]:
    """Name, type, pieces cut out of the text, and surface of each T line, of which some go over several lines."""
    for name, content in members.items():
        if name.endswith(".ann"):
            text = members[name.removesuffix(".ann") + ".txt"].decode()
            for number, entry in enumerate(re.split(r"^(?=[TRA*]\d*\t)", content.decode(), flags=re.MULTILINE)):
                assert entry or number == 0, name
                if entry.startswith("T"):
                    _, place, surface = entry.removesuffix("\n").split("\t")
                    kind, spans = place.split(" ", 1)
                    pieces = [text[slice(*map(int, span.split()))] for span in spans.split(";")]
                    yield name, kind, pieces, surface


@pytest.mark.parametrize(
    ("members", "types"),
    [(zip_members("chia/21728850"), 20), (zip_members("ddi/DDICorpus-2013(BRAT).zip"), 4)],
    ids=["chia", "ddi"],
)
def test_brat_offsets_count_carriage_returns(members: dict[str, bytes], types: int) -> None:
    kinds = set()
    in_pieces = 0
    for name, kind, pieces, surface in _mentions_in_pieces(members):
        assert " ".join(pieces).replace("\r\n", "\n") == surface, name
        kinds.add(kind)
        in_pieces += len(pieces) > 1
    assert len(kinds) == types
    assert in_pieces >= 3
    assert any(b"\r\n" in content for name, content in members.items() if name.endswith(".txt"))
    assert not all(b"\r\n" in content for name, content in members.items() if name.endswith(".txt"))
    files = [name for name in members if name.endswith((".txt", ".ann"))]
    assert files != sorted(files)


def test_chia_has_the_oddities_of_the_real_archive() -> None:
    members = zip_members("chia/21728850")
    stems = {name.rpartition("/")[2][:-4] for name in members if name.endswith(".txt")}
    trials = {stem.partition("_")[0] for stem in stems}
    assert stems == {f"{trial}_{half}" for trial in trials for half in ("inc", "exc")}
    assert len(trials) >= 12
    texts = [content for name, content in members.items() if name.endswith(".txt")]
    assert b"" in texts
    assert b"NA" in texts
    annotations = b"".join(content for name, content in members.items() if name.endswith(".ann"))
    assert re.search(rb"^\*\tOR T\d+ T\d+$", annotations, re.MULTILINE)
    assert re.search(rb"^R\d+\tHas_temporal ", annotations, re.MULTILINE)
    assert re.search(rb"^(?![TRA]\d+\t|\*\t).+", annotations, re.MULTILINE)


def test_ddi_has_the_oddities_of_the_real_archive() -> None:
    members = zip_members("ddi/DDICorpus-2013(BRAT).zip")
    folders = {name.rpartition("/")[0] for name in members}
    assert folders == {
        f"DDICorpusBrat/{split}/{kind}" for split in ("Train", "Test") for kind in ("DrugBank", "MedLine")
    }
    assert any(" (" in name for name in members)
    assert any(not content for name, content in members.items() if name.endswith(".ann"))


def test_linnaeus_tags_stand_where_they_say() -> None:
    members = tar_members("linnaeus/download")
    root = "manual-corpus-species-1.0"
    texts = {
        name.rpartition("/")[2].removesuffix(".txt"): content.decode()
        for name, content in members.items()
        if "/txt/" in name
    }
    header, *tags = members[f"{root}/tags.tsv"].decode().removesuffix("\n").split("\n")
    assert header == "#species id\tdocument\tstart\tend\ttext\tcode"
    codes, documents = set(), set()
    for species, document, start, end, surface, code in (tag.split("\t") for tag in tags):
        assert texts[document][int(start) : int(end)] == surface
        assert re.fullmatch(r"species:ncbi:\d+", species)
        codes.add(code)
        documents.add(document)
    assert codes == {"", "4"}
    assert len(texts.keys() - documents) == 2
    assert any(not text.isascii() for text in texts.values())
    assert list(texts) != sorted(texts)
    filtered = members[f"{root}/filtered_tags.tsv"].decode().removesuffix("\n").split("\n")[1:]
    assert filtered
    assert set(filtered) < set(tags)


def test_ebm_nlp_has_a_label_for_every_token() -> None:
    members = tar_members("ebm_nlp/ebm_nlp_2_00.tar.gz")
    assert not any(content.endswith(b"\n") for name, content in members.items() if name.endswith((".ann", ".tokens")))
    tokens = {
        re.split(r"[/.]", name)[-2]: content.decode().split("\n")
        for name, content in members.items()
        if name.endswith(".tokens")
    }
    seen: dict[str, set[str]] = {}
    parts: dict[str, set[str]] = {}
    for name, content in members.items():
        if found := re.search(r"hierarchical_labels/(\w+)/([\w/]+)/(\d+)\.AGGREGATED\.ann$", name):
            layer, part, pmid = found.groups()
            labels = content.decode().split("\n")
            assert len(labels) == len(tokens[pmid])
            seen.setdefault(layer, set()).update(labels)
            parts.setdefault(f"{layer}/{part}", set()).add(pmid)
    assert {layer: max(labels) for layer, labels in seen.items()} == {
        "participants": "4",
        "interventions": "7",
        "outcomes": "6",
    }
    assert parts["interventions/test/gold"] == parts["interventions/test/crowd"]
    assert parts["interventions/train"] > parts["participants/train"]
    assert not parts["interventions/train"] & parts["interventions/test/gold"]


def test_craft_tags_follow_each_other() -> None:
    for name in ("train", "devel", "test"):
        content = (SAMPLES / f"craft_chem/{name}.tsv").read_text(encoding="utf-8")
        assert content.endswith("\n\n")
        sentences = [block.split("\n") for block in content.removesuffix("\n\n").split("\n\n")]
        assert ["Abstract\tO"] in sentences
        tagged = 0
        for sentence in sentences:
            before = "O"
            for token, tag in (line.split("\t") for line in sentence):
                assert token
                assert " " not in token
                assert tag in {"O", "B-CHEBI"} or (tag == "I-CHEBI" and before != "O")
                before = tag
            tagged += any(line.endswith("B-CHEBI") for line in sentence)
        assert 0 < tagged < len(sentences) / 2


def test_genia_indices_are_in_range() -> None:
    kinds: set[str] = set()
    ids: list[str] = []
    nested = anaphors = 0
    for name, content in tar_members("genia/genia.tar.gz").items():
        assert re.fullmatch(r"genia/(?:train|validation|test)\.json", name)
        for document in map(json.loads, content.split(b"\n")):
            total = sum(map(len, document["sentences"]))
            spans = {(start, end): kind for sentence in document["ner"] for start, end, kind in sentence}
            others = {tuple(span) for cluster in document["clusters"] for span in cluster} - spans.keys()
            assert all(0 <= start <= end < total for start, end in {*spans, *others})
            kinds |= set(spans.values())
            anaphors += len(others)
            nested += sum(a < c <= d <= b or a <= c <= d < b for a, b in spans for c, d in spans)
            ids.append(document["doc_key"].rpartition("_")[0])
    assert kinds == {"DNA", "RNA", "protein", "cell_line", "cell_type"}
    assert len(set(ids)) == len(ids) - 1
    assert anaphors > 5
    assert nested > 3


def test_synthesis_events_name_annotated_things() -> None:
    members = zip_members("annotated_materials_syntheses/master.zip")
    roles: set[str] = set()
    lone = silent = 0
    for name, _, lines in _brat_pairs(members):
        types = {fields[0]: fields[1].split()[0] for fields in lines if fields[0].startswith("T")}
        events = [fields[1] for fields in lines if fields[0].startswith("E")]
        silent += not events
        for event in events:
            (kind, trigger), *arguments = (part.split(":") for part in event.split())
            assert (kind, types[trigger]) == ("Operation", "Operation"), name
            assert all(types[target] == "Material" for _, target in arguments), name
            roles |= {role for role, _ in arguments}
            lone += not arguments and event.endswith(" ")
    assert len(roles) == 5
    assert lone > 20
    assert silent == 1
    fold_lists = [members[name].decode().split() for name in members if name.endswith("fnames.txt")]
    listed = [name for names in fold_lists for name in names]
    assert sorted(listed) == sorted(
        name.rpartition("/")[2][:-4] for name in members if name.endswith(".txt") and "/data/" in name
    )
    assert any(names != sorted(names) for names in fold_lists)
    assert any("[?]" in content.decode() for content in members.values())


def test_bioasq_snippets_lie_in_their_abstracts_and_answers_have_old_shapes() -> None:
    training = json.loads(zip_members("bioasq/BioASQ-training11b.zip")["BioASQ-training11b/training11b.json"])
    golden = zip_members("bioasq/Task11BGoldenEnriched.zip")
    assert sorted(golden) == [f"Task11BGoldenEnriched/11B{batch}_golden.json" for batch in (1, 2, 3, 4)] != list(golden)
    batches = [json.loads(content)["questions"] for content in golden.values()]
    questions = [question for batch in (training["questions"], *batches) for question in batch]
    assert len({question["id"] for question in questions}) == len(questions)
    assert {question["type"] for question in training["questions"]} == {"factoid", "list", "summary", "yesno"}
    shapes = set()
    for question in questions:
        for snippet in question.get("snippets", []):
            length = snippet["offsetInEndSection"] - snippet["offsetInBeginSection"]
            assert len(snippet["text"]) == length > 0
        exact, ideal = question.get("exact_answer"), question["ideal_answer"]
        shapes |= {"no snippets"} if "snippets" not in question else set()
        shapes |= {"broken line"} if any("\n" in text["text"] for text in question.get("snippets", [])) else set()
        shapes |= {"bare ideal"} if isinstance(ideal, str) else set()
        shapes |= {f"bare {question['type']}"} if isinstance(exact, str) else set()
        shapes |= {f"flat {question['type']}"} if isinstance(exact, list) and isinstance(exact[0], str) else set()
        shapes |= {"comma"} if question["type"] == "list" and any(", " in names[0] for names in exact) else set()
    assert shapes == {
        "bare factoid", "bare ideal", "bare yesno", "broken line", "comma", "flat factoid", "flat list", "no snippets",
    }  # fmt: skip
    spelled = {question["exact_answer"] for question in questions if question["type"] == "yesno"}
    assert spelled == {"yes", "no", "Yes.", "Yes", "No"}


def test_biored_offsets_and_line_ends() -> None:
    members = zip_members("biored/BIORED.zip")
    types: set[str] = set()
    relations = composite = 0
    for name, content in members.items():
        text = content.decode("ascii")
        assert text.count("\n") == text.count("\r\n") > 0, name
        for document in text.replace("\r\n", "\n").strip().split("\n\n"):
            title, abstract, *lines = document.split("\n")
            body = f"{title.split('|', 2)[2]} {abstract.split('|', 2)[2]}"
            ids: set[str] = set()
            for fields in (line.split("\t") for line in lines):
                if fields[1].isdigit():
                    assert body[int(fields[1]) : int(fields[2])] == fields[3], name
                    types.add(fields[4])
                    ids |= set(fields[5].split(","))
                    composite += "," in fields[5]
                else:
                    assert len(fields) == 5
                    assert {fields[2], fields[3]} <= ids, fields
                    relations += 1
    assert len(types) == 6
    assert relations > 60
    assert composite


def test_cdr_offsets_and_composites() -> None:
    members = zip_members("cdr/CDR_Data.zip")
    roles: list[str] = []
    split = 0
    for name in (name for name in members if name.endswith("BioC.xml")):
        assert b"<!DOCTYPE collection SYSTEM 'BioC.dtd'>" in members[name]
        for document in ElementTree.fromstring(members[name]).iter("document"):
            passages = list(document.iter("passage"))
            text = " ".join(passage.findtext("text", "") for passage in passages)
            assert int(passages[1].findtext("offset", "")) == len(passages[0].findtext("text", "")) + 1
            ids = {part for node in document.iter("annotation") for part in _infons(node)["MESH"].split("|")}
            for node in document.iter("annotation"):
                places = [
                    (int(place.get("offset", "")), int(place.get("length", ""))) for place in node.iter("location")
                ]
                pieces = [text[offset : offset + length] for offset, length in places]
                assert " ".join(pieces) == node.findtext("text")
                roles += filter(None, [_infons(node).get("CompositeRole")])
                split += len(places) > 1
            for relation in document.iter("relation"):
                assert {_infons(relation)["Chemical"], _infons(relation)["Disease"]} <= ids
    assert roles.count("CompositeMention") == 2
    assert roles.count("IndividualMention") == 4
    assert split == 2


def _infons(node: ElementTree.Element) -> dict[str, str]:
    return {infon.get("key", ""): infon.text or "" for infon in node.findall("infon")}


def test_cdr_says_the_same_in_both_formats() -> None:
    members = zip_members("cdr/CDR_Data.zip")
    for name in (name for name in members if name.endswith("PubTator.txt")):
        tree = ElementTree.fromstring(members[name.replace("PubTator.txt", "BioC.xml")])
        whole = [node for node in tree.iter("annotation") if _infons(node).get("CompositeRole") != "IndividualMention"]
        mentions = [line.split("\t")[3] for line in members[name].decode().split("\n") if line.count("\t") >= 5]
        assert mentions == [node.findtext("text") for node in whole]


def _articles(content: str) -> list[tuple[str, str, list[list[str]]]]:
    """``(pmid, title and abstract, fields of the mention lines)`` of each document of a PubTator file."""
    found = []
    for document in content.strip().split("\n\n"):
        title, abstract, *lines = document.split("\n")
        pmid, _, text = title.split("|", 2)
        found.append((pmid, f"{text} {abstract.split('|', 2)[2]}", [line.split("\t") for line in lines]))
    return found


def test_ncbi_disease_offsets_and_oddities() -> None:
    kinds: set[str] = set()
    separators: set[str] = set()
    padded = 0
    pmids = []
    for split in ("train", "develop", "test"):
        ((name, content),) = zip_members(f"ncbi_disease/NCBI{split}set_corpus.zip").items()
        assert name == f"NCBI{split}set_corpus.txt"
        assert content.startswith(b"\n")
        for pmid, text, mentions in _articles(content.decode("ascii")):
            pmids.append(pmid)
            for owner, start, end, surface, kind, concept in mentions:
                assert owner == pmid
                assert text[int(start) : int(end)] == surface.strip()
                padded += surface != surface.strip()
                kinds.add(kind)
                separators |= {mark for mark in "|+" if mark in concept}
    assert kinds == {"SpecificDisease", "DiseaseClass", "Modifier", "CompositeMention"}
    assert separators == {"|", "+"}
    assert (len(pmids), len(set(pmids)), padded) == (31, 30, 1)


def test_medmentions_offsets_and_lists() -> None:
    lists = {
        part: (SAMPLES / f"medmentions/corpus_pubtator_pmids_{part}.txt").read_text().split()
        for part in ("trng", "dev", "test")
    }
    content = gzip.decompress((SAMPLES / "medmentions/corpus_pubtator.txt.gz").read_bytes())
    assert not content.isascii()
    articles = _articles(content.decode())
    pmids = [pmid for pmid, _, _ in articles]
    listed = [pmid for part in lists.values() for pmid in part]
    assert sorted(listed) == sorted(pmids)
    assert pmids != sorted(pmids)
    assert all(part != sorted(part) for part in lists.values())
    kinds: set[str] = set()
    several = 0
    for _, text, mentions in articles:
        reached = 0
        for _, start, end, surface, kind, concept in mentions:
            assert text[int(start) : int(end)] == surface
            assert reached <= int(start), "mentions do not overlap"
            reached = int(end)
            assert concept.startswith("UMLS:C")
            kinds |= set(kind.split(","))
            several += "," in kind
    assert len(kinds) == 21
    assert several


def _documents(content: bytes) -> list[tuple[ElementTree.Element, list[tuple[int, str, ElementTree.Element]]]]:
    """Each document of a BioC collection, with ``(offset of its passage, text of it, annotation)``."""
    return [
        (
            document,
            [
                (int(passage.findtext("offset", "")), passage.findtext("text", ""), node)
                for passage in document.iter("passage")
                for node in passage.iter("annotation")
            ],
        )
        for document in ElementTree.fromstring(content).iter("document")
    ]


def _place(node: ElementTree.Element) -> tuple[int, int]:
    (place,) = node.findall("location")
    return int(place.get("offset", "")), int(place.get("length", ""))


@pytest.mark.parametrize(
    ("path", "names", "sizes"),
    [
        (
            "chemdner/BC7T2-CHEMDNER-corpus_v2.BioC.xml.gz",
            [f"BC7T2-CHEMDNER-corpus-{split}.BioC.xml" for split in ("training", "development", "evaluation")],
            [16, 6, 8],
        ),
        (
            "nlm_chem/BC7T2-NLMChem-corpus_v2.BioC.xml.gz",
            [f"BC7T2-NLMChem-corpus-{split}.BioC.xml" for split in ("train", "dev", "test")],
            [9, 4, 5],
        ),
    ],
)
def test_chemical_offsets_and_index_terms(path: str, names: list[str], sizes: list[int]) -> None:
    members = tar_members(path)
    assert list(members) == names
    assert [len(_documents(content)) for content in members.values()] == sizes
    placed = indexing = 0
    for document, mentions in (found for content in members.values() for found in _documents(content)):
        for offset, text, node in mentions:
            infons, surface = _infons(node), node.findtext("text")
            if infons["type"] == "MeSH_Indexing_Chemical":
                assert not node.findall("location")
                assert not surface
                assert infons["entry_term"] in " ".join(document.itertext()).lower()
                indexing += 1
            else:
                start, length = _place(node)
                assert infons["type"] == "Chemical"
                assert text[start - offset : start - offset + length] == surface
                placed += 1
    assert placed > 200
    assert indexing > 20


def test_nlm_chem_passages() -> None:
    members = tar_members("nlm_chem/BC7T2-NLMChem-corpus_v2.BioC.xml.gz")
    for content in members.values():
        assert content.count(b"\n") == content.count(b"\r\n")
        lengths = []
        for document, _ in _documents(content):
            passages = list(document.iter("passage"))
            kinds = {_infons(passage)["type"] for passage in passages}
            assert {"front", "abstract", "title_1", "paragraph", "ref"} <= kinds
            assert any(passage.find("text") is None for passage in passages)
            lengths.append(sum(len(passage.findtext("text", "")) for passage in passages))
        assert max(lengths) > 3 * min(lengths)


def test_gnormplus_offsets_are_off_by_one_at_most() -> None:
    members = zip_members("gnormplus/GNormPlusCorpus.zip")
    assert {name: len(_documents(content)) for name, content in members.items()} == {
        "GNormPlusCorpus/BC2GNtrain.BioC.xml": 16,
        "GNormPlusCorpus/NLMIAT.BioC.xml": 6,
        "GNormPlusCorpus/BC2GNtest.BioC.xml": 8,
    }
    kinds: set[str] = set()
    amiss = 0
    for document, mentions in (found for content in members.values() for found in _documents(content)):
        title, abstract = document.iter("passage")
        assert int(abstract.findtext("offset", "")) > len(title.findtext("text", "")) + 1
        for offset, text, node in mentions:
            start, length = _place(node)
            surface, infons = node.findtext("text", ""), _infons(node)
            assert infons[infons["type"]]
            kinds.add(infons["type"])
            start -= offset
            assert surface in text[max(start, 0) : start + length + 1]
            amiss += text[max(start, 0) : start + length] != surface
    assert kinds == {"Gene", "FamilyName", "DomainMotif"}
    assert amiss > 10


def test_nlm_gene_files_and_lists() -> None:
    members = zip_members("nlm_gene/NLM-Gene-Corpus.zip")
    lists = [members.pop(f"Corpus/Pmidlist.{name}.txt").decode().split() for name in ("Train", "Test")]
    assert list(map(len, lists)) == [22, 8]
    assert all(pmids != sorted(pmids) for pmids in lists)
    assert sorted(members) == sorted(f"Corpus/FINAL/{pmid}.BioC.XML" for pmids in lists for pmid in pmids)
    kinds: set[str] = set()
    identifiers: set[str | None] = set()
    for name, content in members.items():
        ((document, mentions),) = _documents(content)
        assert f"{document.findtext('id')}.BioC.XML" == name.rpartition("/")[2]
        for offset, text, node in mentions:
            start, length = _place(node)
            assert text[start - offset : start - offset + length] == node.findtext("text")
            kinds.add(_infons(node)["type"])
            identifiers.add(_infons(node).get("NCBI Gene identifier"))
    assert kinds == {"Gene", "GENERIF", "STARGENE", "Domain", "Other"}
    assert {None, "-"} < identifiers
    assert any("," in identifier for identifier in identifiers if identifier)


def test_chemprot_offsets_and_arguments() -> None:
    members = nested_zip_members("chemprot/ChemProt_Corpus.zip")
    assert {name.partition("/")[0] for name in members} == {
        f"chemprot_{split}" for split in ("sample", "training", "development", "test_gs")
    }
    types: set[str] = set()
    for name in (name for name in members if "_abstracts" in name):
        texts = {row[0]: f"{row[1]} {row[2]}" for row in _table(members[name])}
        known: dict[tuple[str, str], str] = {}
        for pmid, number, kind, start, end, surface in _table(members[name.replace("_abstracts", "_entities")]):
            assert texts[pmid][int(start) : int(end)] == surface
            known[pmid, number] = kind
        types |= set(known.values())
        for pmid, group, verdict, _, first, second in _table(members[name.replace("_abstracts", "_relations")]):
            assert known[pmid, first.removeprefix("Arg1:")] == "CHEMICAL"
            assert known[pmid, second.removeprefix("Arg2:")].startswith("GENE-")
            assert verdict == ("Y " if group in {"CPR:3", "CPR:4", "CPR:5", "CPR:6", "CPR:9"} else "N ")
    assert types == {"CHEMICAL", "GENE-Y", "GENE-N"}
    assert "chemprot_test_gs/chemprot_test_abstracts_gs.tsv" in members
    assert "chemprot_test_gs/chemprot_test_gold_standard.tsv" in members


def _table(content: bytes) -> list[list[str]]:
    return [line.split("\t") for line in content.decode().split("\n") if line]


def test_scierc_indices_are_in_range() -> None:
    types: set[str] = set()
    labels: set[str] = set()
    silent = clustered = 0
    tokens: set[str] = set()
    for content in tar_members("scierc/sciERC_processed.tar.gz").values():
        assert not content.endswith(b"\n")
        for document in map(json.loads, content.split(b"\n")):
            bounds = [0]
            for sentence in document["sentences"]:
                bounds.append(bounds[-1] + len(sentence))
                tokens |= set(sentence)
            mentions = set()
            for number, sentence in enumerate(document["ner"]):
                for start, end, kind in sentence:
                    assert bounds[number] <= start <= end < bounds[number + 1], document["doc_key"]
                    mentions.add((start, end))
                    types.add(kind)
            for first, last, other, other_last, label in (row for rows in document["relations"] for row in rows):
                assert {(first, last), (other, other_last)} <= mentions
                labels.add(label)
            for cluster in document["clusters"]:
                assert len(cluster) > 1
                assert {tuple(span) for span in cluster} <= mentions
            silent += not any(document["relations"])
            clustered += bool(document["clusters"])
    assert len(types) == 6
    assert len(labels) >= 6
    assert silent
    assert clustered > 15
    assert {"-LRB-", "-RRB-", "``", "''", "%", "-"} <= tokens


def test_table_cells_hold_their_values() -> None:
    members = zip_members("schema_to_json/discomat.zip")
    assert members["discomat/train.json"] == members["discomat/dev.json"]
    assert not json.loads(members["discomat/train.json"]).keys() & json.loads(members["discomat/test.json"]).keys()
    for tables in (json.loads(members[f"discomat/{split}.json"]) for split in ("train", "test")):
        for key, table in tables.items():
            assert key == f"{table['paper_id']}::{table['table_id']}"
            grid = [line.strip("|").split("|") for line in table["table_code"].partition("\n\n")[0].split("\n")]
            places = [record["cell_index"] for record in table["gold_json_records"]]
            assert places == sorted(places)
            for record in table["gold_json_records"]:
                i, j, k = record["cell_index"]
                cell = json.loads(record["cell_record"])
                assert re.findall(r"-?[\d.]+", grid[i][j])[k] == cell["value"]
                if cell["type"] == "Glass_Compound_Amount":
                    assert cell["constituent"] in table["table_code"]
                    assert cell["material"] in table["table_code"]
                    assert cell["unit"] in {"mol", "wt"}


def test_scicite_has_nan_and_repeated_ids() -> None:
    oddities: set[str] = set()
    for content in tar_members("scicite/scicite.tar.gz").values():
        seen: dict[str, str] = {}
        for record in map(json.loads, content.decode().splitlines()):
            start, end = record["citeStart"], record["citeEnd"]
            if math.isnan(start):
                oddities.add("no offset")
            else:
                assert 0 <= start < end <= len(record["string"])
                oddities |= {"float offset"} if isinstance(start, float) else set()
            if isinstance(record["sectionName"], float):
                oddities.add("no section")
            if record["unique_id"] in seen:
                oddities.add("same label" if seen[record["unique_id"]] == record["label"] else "other label")
            seen[record["unique_id"]] = record["label"]
        assert set(seen.values()) == {"method", "background", "result"}
    assert oddities == {"no offset", "float offset", "no section", "same label", "other label"}


def test_covid_answers_stand_in_their_contexts() -> None:
    questions = 0
    starts, counts, strayed = set(), set(), 0
    for article in json_file("covid_deepset/COVID-QA.json")["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                (answer,) = question["answers"]
                start, text = answer["answer_start"], answer["text"]
                assert paragraph["context"][start : start + len(text)] == text
                starts.add(start)
                counts.add(paragraph["context"].count(text))
                strayed += text != text.strip()
                questions += 1
    assert questions >= 20
    assert 0 in starts
    assert max(counts) > 1
    assert strayed >= 3


def test_pubmedqa_records() -> None:
    records = json_file("pubmedqa/ori_pqal.json")
    decisions = [record["final_decision"] for record in records.values()]
    assert {label: decisions.count(label) for label in ("yes", "no", "maybe")} == {"yes": 25, "no": 24, "maybe": 11}
    assert all(len(record["CONTEXTS"]) == len(record["LABELS"]) for record in records.values())
    assert any(record["YEAR"] is None for record in records.values())
    assert len({record["QUESTION"] for record in records.values()}) == len(records) == 60


def test_qasper_evidence_stands_in_the_paper() -> None:
    kinds: set[str] = set()
    members = tar_members("qasper/qasper-train-dev-v0.3.tgz") | tar_members("qasper/qasper-test-and-evaluator-v0.3.tgz")
    papers = [
        paper for name, content in members.items() if name.endswith(".json") for paper in json.loads(content).values()
    ]
    for paper in papers:
        paragraphs = [paragraph for section in paper["full_text"] for paragraph in section["paragraphs"]]
        captions = [figure["caption"] for figure in paper["figures_and_tables"]]
        for answer in (entry["answer"] for question in paper["qas"] for entry in question["answers"]):
            for evidence in answer["evidence"]:
                assert evidence in paragraphs or evidence.removeprefix("FLOAT SELECTED: ") in captions
            assert all(any(span in text for text in answer["evidence"]) for span in answer["extractive_spans"])
            kinds.add(_answer_kind(answer))
            kinds |= {"float"} if any(text.startswith("FLOAT") for text in answer["evidence"]) else set()
    assert kinds == {"open", "decided", "copied", "said", "float"}
    assert any(section["section_name"] is None for paper in papers for section in paper["full_text"])
    assert any(section["paragraphs"] == [""] for paper in papers for section in paper["full_text"])


def _answer_kind(answer: dict[str, Any]) -> str:
    """Which of its four kinds an answer is; it must be just one."""
    found = [
        name
        for name, holds in (
            ("open", answer["unanswerable"]),
            ("decided", answer["yes_no"] is not None),
            ("copied", bool(answer["extractive_spans"])),
            ("said", bool(answer["free_form_answer"])),
        )
        if holds
    ]
    assert len(found) == 1
    return found[0]
