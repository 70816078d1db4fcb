"""Brat, tagged tokens and labels from the file to the built task: what changes nothing, and what changes one record."""

from __future__ import annotations

import io
import json
import random
import re
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from build_kit import change_source, copy_of_samples, lines, manifest, sample_settings

from sciriff import api

WINDOW = 4096
TASKS = ("chia_ner", "craftchem_ner", "ddi_ner", "genia_ner", "linnaeus_ner", "pico_ner")
CHIA, DDI = "chia/21728850", "ddi/DDICorpus-2013(BRAT).zip"
LINNAEUS, EBM_NLP, GENIA = "linnaeus/download", "ebm_nlp/ebm_nlp_2_00.tar.gz", "genia/genia.tar.gz"
CRAFT = "craft_chem/train.tsv"
MARK = b"\xef\xbb\xbf"

Members = dict[str, bytes]
Instances = dict[str, dict[str, Any]]


def unpacked(content: bytes) -> Members:
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]


def packed_like(content: bytes, members: Members) -> bytes:
    out = io.BytesIO()
    if content.startswith(b"PK"):
        with zipfile.ZipFile(out, "w") as archive:
            for name, member in members.items():
                archive.writestr(name, member)
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for name, member in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(member)
                archive.addfile(entry, io.BytesIO(member))
    return out.getvalue()


def build(
    folder: Path, changes: Mapping[str, Callable[[Members], Members]], tasks: Sequence[str] = TASKS
) -> dict[str, Instances]:
    """Build tasks from samples of which some files are changed; task -> instance id -> its line."""
    mirror = copy_of_samples(folder / "mirror")
    for path, change in changes.items():
        content = (mirror / path).read_bytes()
        if path.endswith(".tsv"):
            change_source(mirror, path, change({path: content})[path])
        else:
            change_source(mirror, path, packed_like(content, change(unpacked(content))))
    settings = sample_settings(folder / "store", folder, mirror=str(mirror), samples="never")
    outcomes = api.build(list(tasks), windows=[WINDOW], settings=settings).outcomes
    assert {outcome.task: outcome.state for outcome in outcomes} == dict.fromkeys(tasks, "built")
    return {
        task: {
            line["_instance_id"]: line
            for split in ("train", "validation", "test")
            for line in lines(folder / "store", WINDOW, task, split)
        }
        for task in tasks
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Instances]:
    return build(tmp_path_factory.mktemp("plain"), {})


def test_instances_name_their_documents(plain: dict[str, Instances]) -> None:
    documents = {task: {line["_document_id"] for line in plain[task].values()} for task in TASKS}
    forms = {
        "chia_ner": r"nct:NCT\d{8}",
        "craftchem_ner": r"text:[0-9a-f]{24}",
        "ddi_ner": r"ddi:(?:\d{8}|[\w ()]+_ddi)",
        "genia_ner": r"genia:\d{8}",
        "linnaeus_ner": r"pmc:\d{6}",
        "pico_ner": r"pmid:\d{8}",
    }
    for task, form in forms.items():
        assert all(re.fullmatch(form, name) for name in documents[task]), task
    assert len(documents["chia_ner"]) == 14  # both halves of a trial are one document
    assert len(documents["genia_ner"]) == len(plain["genia_ner"]) - 1  # one lies in two splits


def shuffled(members: Members) -> Members:
    names = list(members)
    random.Random(7).shuffle(names)
    return {name: members[name] for name in names}


def changed_ends(suffix: str, change: Callable[[bytes], bytes]) -> Callable[[Members], Members]:
    """Change all members of a suffix, and put all members in another order."""
    return lambda members: shuffled(
        {name: change(content) if name.endswith(suffix) else content for name, content in members.items()}
    )


def crlf(content: bytes) -> bytes:
    return MARK + content.replace(b"\n", b"\r\n")


def flat(members: Members) -> Members:
    return {name.rpartition("/")[2]: content for name, content in changed_ends(".ann", crlf)(members).items()}


def test_order_marks_line_ends_and_blank_lines_change_no_instance(tmp_path: Path, plain: dict[str, Instances]) -> None:
    found = build(
        tmp_path,
        {
            CHIA: flat,
            CRAFT: lambda members: {CRAFT: MARK + b"\n\n" + members[CRAFT].rstrip().replace(b"\n", b"\r\n")},
            DDI: changed_ends(".ann", lambda content: content.rstrip(b"\n").replace(b"\n", b"\n\n")),
            EBM_NLP: changed_ends(".ann", lambda content: crlf(content) + b"\r\n"),
            GENIA: changed_ends(".json", lambda content: crlf(content.replace(b"\n", b"\n \n")) + b"\r\n"),
            LINNAEUS: changed_ends(".tsv", lambda content: crlf(content).rstrip()),
        },
    )
    assert found == plain


def test_bad_records_are_named_and_leave_the_others_as_they_are(tmp_path: Path, plain: dict[str, Instances]) -> None:
    def chia(members: Members) -> Members:
        lost, garbled = (f"chia_with_scope/NCT{number}_inc.ann" for number in ("99000104", "99000835"))
        return {
            name: b"T1\tCondition 3\tasthma\n" + content if name == garbled else content
            for name, content in members.items()
            if name != lost
        }

    def craft(members: Members) -> Members:
        first, second, rest = members[CRAFT].split(b"\n\n", 2)
        return {CRAFT: b"\n\n".join([first.replace(b"dose\tO", b"dose O"), second, rest])}

    def ebm(members: Members) -> Members:
        root = "ebm_nlp_2_00/annotations/aggregated/hierarchical_labels"
        more, fewer = (
            f"{root}/interventions/train/90081003.AGGREGATED.ann",
            f"{root}/outcomes/train/90081274.AGGREGATED.ann",
        )
        return {**members, more: members[more] + b"\n0", fewer: members[fewer].rpartition(b"\n")[0]}

    def genia(members: Members) -> Members:
        first, rest = members["genia/train.json"].split(b"\n", 1)
        return {**members, "genia/train.json": first[:200] + b"\n" + rest}

    def linnaeus(members: Members) -> Members:
        root = "manual-corpus-species-1.0"
        bad = b"species:ncbi:9800001\tpmcA904021\tten\t15\tadults\t\nspecies\n"
        missing = f"{root}/txt/pmcA904338.txt"
        return {
            name: content + bad if name == f"{root}/tags.tsv" else content
            for name, content in members.items()
            if name != missing
        }

    changes = {CHIA: chia, CRAFT: craft, EBM_NLP: ebm, GENIA: genia, LINNAEUS: linnaeus}
    found = build(tmp_path, changes)
    told = {
        task: manifest(tmp_path / "store", WINDOW, task)["malformed"].get("train", [])
        for task in TASKS
        if task != "ddi_ner"
    }
    reasons = {
        "chia_ner": ["there is no file NCT99000104_inc.ann", "NCT99000835_inc.ann:1: expected 'type start end"],
        "craftchem_ner": ["train:3: expected 'token<tab>tag', found b'dose O'"],
        "genia_ner": ["train.json:1: not JSON"],
        "linnaeus_ner": [
            "whole number as offset, found 'ten'",
            "there is no file pmcA904338.txt, which ",
            "tags.tsv:",
        ],
        "pico_ner": [
            "interventions/train/90081003.AGGREGATED.ann: found 74 labels, expected one for each of the 73 tokens",
            "outcomes/train/90081274.AGGREGATED.ann: found 77 labels, expected one for each of the 78 tokens",
        ],
    }
    for task, expected in reasons.items():
        assert len(told[task]) == len(expected), told[task]
        for reason in expected:
            assert any(reason in message for message in told[task]), (reason, told[task])
    for task in TASKS:
        lines_of_no_document = 1 if task == "linnaeus_ner" else 0
        assert len(plain[task].keys() - found[task].keys()) == len(reasons.get(task, [])) - lines_of_no_document
        assert all(found[task][name]["output"] == plain[task][name]["output"] for name in found[task])


def test_odd_characters_reach_the_instance_and_a_list_may_begin_with_an_inside_tag(
    tmp_path: Path, plain: dict[str, Instances]
) -> None:
    odd = "\x00\x07\x1b\u2028\u0085"

    def craft(members: Members) -> Members:
        content = members[CRAFT].replace(b"methotrexate\tB-CHEBI", f"m{odd}x\tI-CHEBI".encode(), 1)
        return {CRAFT: b"Zinc\tI-CHEBI\n" + content}

    def ebm(members: Members) -> Members:
        name = "ebm_nlp_2_00/documents/90081003.tokens"
        return {**members, name: members[name].replace(b"stroke", f"str{odd}ke".encode(), 1)}

    def genia(members: Members) -> Members:  # raw control characters in a JSON string, which the standard forbids
        name = "genia/train.json"
        return {**members, name: members[name].replace(b'"zinc"', b'"zi\x07\x1bnc"', 1)}

    found = build(tmp_path, {CRAFT: craft, EBM_NLP: ebm, GENIA: genia})
    assert json.loads(found["craftchem_ner"]["craftchem_ner:train:0"]["output"]) == ["Zinc", f"m{odd}x"]
    assert found["pico_ner"]["pico_ner:train:0"]["input"].count(odd) == 1
    assert f"str{odd}ke" in json.loads(found["pico_ner"]["pico_ner:train:0"]["output"])["Participant"]
    assert "zi\x07\x1bnc finger protein" in json.loads(found["genia_ner"]["genia_ner:train:0"]["output"])["Protein"]
    changed = [name for task in TASKS for name in plain[task] if found[task][name] != plain[task][name]]
    assert changed == ["craftchem_ner:train:0", "genia_ner:train:0", "pico_ner:train:0"]


def test_a_split_of_which_all_is_passed_over_says_so(tmp_path: Path) -> None:
    def change(members: Members) -> Members:
        return {name: content for name, content in members.items() if "interventions/train" not in name}

    found = build(tmp_path, {EBM_NLP: change}, ["pico_ner"])
    assert {name.split(":")[1] for name in found["pico_ner"]} == {"test"}
    notes = manifest(tmp_path / "store", WINDOW, "pico_ner")["notes"]
    assert "source split train holds no records" in notes
    assert any(note.startswith("passed over in train: no labels of interventions: 10, the first: ") for note in notes)
