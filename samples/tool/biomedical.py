"""The biomedical studies as AnatEM, BioRED, CDR and ChemProt archives."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

from samples.tool import corpus
from samples.tool.markup import Marked, parse_markup
from samples.tool.packing import pack_tar_gz, pack_zip
from samples.tool.studies import DEV, SECTIONS, TRAIN, ConceptIds, Mention, Study, load_studies

_ANATOMY = {
    "organ": "Organ",
    "tissue": "Tissue",
    "cell": "Cell",
    "L": "Cell",
    "subcell": "Cellular_component",
    "multi": "Multi-tissue_structure",
    "fluid": "Organism_substance",
    "cancer": "Cancer",
    "lesion": "Pathological_formation",
    "part": "Organism_subdivision",
    "system": "Anatomical_system",
    "embryo": "Developing_anatomical_structure",
    "space": "Immaterial_anatomical_entity",
}
_BIORED = {
    "C": "ChemicalEntity",
    "D": "DiseaseOrPhenotypicFeature",
    "G": "GeneOrGeneProduct",
    "F": "GeneOrGeneProduct",
    "S": "OrganismTaxon",
    "V": "SequenceVariant",
    "L": "CellLine",
}
_CDR = {"C": "Chemical", "D": "Disease"}
_CHEMPROT = {"C": "CHEMICAL", "G": "GENE-Y", "F": "GENE-N"}
_EVALUATED = ("CPR:3", "CPR:4", "CPR:5", "CPR:6", "CPR:9")
_PMC = {"train": 9000000, "dev": 9100000, "test": 9200000}
# An AppleDouble header, as macOS leaves it beside files in archives: to be skipped by readers.
RESOURCE_FORK = bytes.fromhex("0005160700020000") + b"Mac OS X        " + bytes(2)


def anat_em() -> bytes:
    """AnatEM: brat standoff, one pair of files per text, resource forks in between."""
    root = "AnatEM-1.0.2"
    members: dict[str, bytes] = {}
    excerpts = corpus.cut(corpus.load("anatomy_excerpts"), 5, 2)
    names = {"train": "train", "dev": "devel", "test": "test"}
    for split, studies in corpus.cut(load_studies(), TRAIN, DEV).items():
        files = {f"PMID-{study.pmid}": _anatomy_of_study(study) for study in studies}
        for number, excerpt in enumerate(excerpts[split], 1):
            files[f"PMC-{_PMC[split] + number}-{excerpt['kind']}-{number:02d}"] = parse_markup(excerpt["text"])
        folder = f"{root}/standoff/{names[split]}"
        for name, marked in sorted(files.items()):
            members[f"{folder}/{name}.ann"] = _brat_lines(marked)
            members[f"{folder}/{name}.txt"] = marked.text.encode()
        members[f"{folder}/._PMID-{studies[0].pmid}.txt"] = RESOURCE_FORK
        members[f"{root}/splits/{names[split]}-documents.list"] = "".join(
            f"{name}\n" for name in sorted(files)
        ).encode()
    return pack_tar_gz(dict(sorted(members.items())))


def _anatomy_of_study(study: Study) -> Marked:
    body = " ".join(study.source[name] for name in SECTIONS)
    return parse_markup(f"{study.source['title']}\n{body}\n")


def _brat_lines(marked: Marked) -> bytes:
    lines: list[str] = []
    for span in marked.spans:
        if kind := _ANATOMY.get(span.code):
            lines.append(f"T{len(lines) + 1}\t{kind} {span.start} {span.end}\t{marked.surface(span)}\n")
    return "".join(lines).encode()


def biored() -> bytes:
    """BioRED: PubTator with relation lines and CRLF line ends."""
    studies = load_studies()
    ids = ConceptIds(studies)
    names = {"train": "Train", "dev": "Dev", "test": "Test"}
    return pack_zip(
        {
            f"BioRED/{names[split]}.PubTator": "".join(_pubtator(study, ids) for study in part)
            .replace("\n", "\r\n")
            .encode("ascii")
            for split, part in corpus.cut(studies, TRAIN, DEV).items()
        }
    )


def _pubtator(study: Study, ids: ConceptIds) -> str:
    lines = [f"{study.pmid}|t|{study.title}", f"{study.pmid}|a|{study.abstract}"]
    for mention in study.mentions:
        if kind := _BIORED.get(mention.code):
            fields = (study.pmid, mention.start, mention.end, mention.text, kind, ids.join(mention.concepts, ","))
            lines.append("\t".join(map(str, fields)))
    for relation, first, second, novelty in study.source["biored"]:
        lines.append("\t".join((study.pmid, relation, ids[first], ids[second], novelty)))
    return "\n".join(lines) + "\n\n"


def cdr() -> bytes:
    """CDR: BioC XML with a DTD that is not shipped and composite mentions, and the same texts as PubTator."""
    studies = load_studies()
    ids = ConceptIds(studies)
    root = "CDR_Data/CDR.Corpus.v010516/CDR_"
    names = {"train": "Training", "dev": "Development", "test": "Test"}
    members: dict[str, bytes] = {}
    for split, part in corpus.cut(studies, TRAIN, DEV).items():
        members[f"{root}{names[split]}Set.BioC.xml"] = _bioc(part, ids).encode("ascii")
        members[f"{root}{names[split]}Set.PubTator.txt"] = "".join(_cdr_pubtator(study, ids) for study in part).encode()
    return pack_zip(dict(sorted(members.items())))


def _bioc(studies: list[Study], ids: ConceptIds) -> str:
    head = (
        "<?xml version='1.0' encoding='UTF-8'?><!DOCTYPE collection SYSTEM 'BioC.dtd'>\n"
        "<collection>\n<source>PubTator</source>\n<date>0/0/0</date>\n<key>PubTator.key</key>\n"
    )
    return head + "".join(_bioc_document(study, ids) for study in studies) + "</collection>\n"


def _bioc_document(study: Study, ids: ConceptIds) -> str:
    lines = ["<document>", f"<id>{study.pmid}</id>"]
    number = 0
    boundary = len(study.title) + 1
    for kind, text, begin, end in (
        ("title", study.title, 0, boundary),
        ("abstract", study.abstract, boundary, len(study.text) + 1),
    ):
        lines += [
            "<passage>",
            f'<infon key="type">{kind}</infon>',
            f"<offset>{begin}</offset>",
            f"<text>{escape(text)}</text>",
        ]
        for mention in study.mentions:
            if mention.code in _CDR and begin <= mention.start < end:
                for part, role in _roles(mention):
                    lines += _bioc_annotation(part, role, number, ids)
                    number += 1
        lines.append("</passage>")
    for place, (chemical, disease) in enumerate(study.source["cid"]):
        lines += [
            f"<relation id='R{place}'>",
            '<infon key="relation">CID</infon>',
            f'<infon key="Chemical">{ids[chemical]}</infon>',
            f'<infon key="Disease">{ids[disease]}</infon>',
            "</relation>",
        ]
    return "\n".join([*lines, "</document>"]) + "\n"


def _roles(mention: Mention) -> list[tuple[Mention, str]]:
    if not mention.members:
        return [(mention, "")]
    return [(mention, "CompositeMention"), *((member, "IndividualMention") for member in mention.members)]


def _bioc_annotation(mention: Mention, role: str, number: int, ids: ConceptIds) -> list[str]:
    return [
        f"<annotation id='{number}'>",
        f'<infon key="type">{_CDR[mention.code]}</infon>',
        f'<infon key="MESH">{ids.join(mention.concepts, "|")}</infon>',
        *([f'<infon key="CompositeRole">{role}</infon>'] if role else []),
        *(f"<location offset='{start}' length='{end - start}' />" for start, end in mention.fragments),
        f"<text>{escape(mention.text)}</text>",
        "</annotation>",
    ]


def _cdr_pubtator(study: Study, ids: ConceptIds) -> str:
    lines = [f"{study.pmid}|t|{study.title}", f"{study.pmid}|a|{study.abstract}"]
    for mention in study.mentions:
        if kind := _CDR.get(mention.code):
            fields = [study.pmid, mention.start, mention.end, mention.text, kind, ids.join(mention.concepts, "|")]
            if mention.members:
                fields.append("|".join(member.text for member in mention.members))
            lines.append("\t".join(map(str, fields)))
    lines += [f"{study.pmid}\tCID\t{ids[chemical]}\t{ids[disease]}" for chemical, disease in study.source["cid"]]
    return "\n".join(lines) + "\n\n"


def chemprot() -> bytes:
    """ChemProt: tables in zips in a zip; the test files carry ``_gs``, and the sample zip repeats training texts."""
    parts = corpus.cut(load_studies(), TRAIN, DEV)
    tables = {
        "training": parts["train"],
        "development": parts["dev"],
        "test_gs": parts["test"],
        "sample": parts["train"][:2],
    }
    members: dict[str, bytes] = {"ChemProt_Corpus/": b""}
    for split, studies in tables.items():
        members[f"ChemProt_Corpus/chemprot_{split}.zip"] = pack_zip(_chemprot_tables(split, studies))
        members[f"__MACOSX/ChemProt_Corpus/._chemprot_{split}.zip"] = RESOURCE_FORK
    return pack_zip(members)


def _chemprot_tables(split: str, studies: list[Study]) -> dict[str, bytes]:
    stem = f"chemprot_{split}/chemprot_{split.removesuffix('_gs')}"
    suffix = "_gs" if split.endswith("_gs") else ""
    abstracts = [f"{study.pmid}\t{study.title}\t{study.abstract}\n" for study in studies]
    entities: list[str] = []
    relations: list[str] = []
    gold: list[str] = []
    if split == "training":
        excerpt = corpus.load("anatomy_excerpts")[2]["text"].strip().split("\n\n")
        abstracts.append("\t".join(("90009999", *excerpt)) + "\n")
    for study in studies:
        numbered = _numbered(study)
        entities += [
            f"{study.pmid}\t{name}\t{_CHEMPROT[mention.code]}\t{mention.start}\t{mention.end}\t{mention.text}\n"
            for name, mention in numbered
        ]
        for group, label, chemical, gene in study.source["chemprot"]:
            for first, second in _pairs(study, numbered, chemical, gene):
                verdict = "Y " if group in _EVALUATED else "N "
                arguments = f"Arg1:{first}\tArg2:{second}\n"
                relations.append(f"{study.pmid}\t{group}\t{verdict}\t{label}\t{arguments}")
                if verdict == "Y ":
                    gold.append(f"{study.pmid}\t{group}\t{arguments}")
    return {
        f"chemprot_{split}/": b"",
        f"{stem}_abstracts{suffix}.tsv": "".join(abstracts).encode(),
        f"{stem}_entities{suffix}.tsv": "".join(entities).encode(),
        f"{stem}_relations{suffix}.tsv": "".join(relations).encode(),
        f"{stem}_gold_standard.tsv": "".join(gold).encode(),
    }


def _numbered(study: Study) -> list[tuple[str, Mention]]:
    """Chemicals first, then genes, each in text order, as the real files number them."""
    mentions = [mention for mention in study.mentions if mention.code in _CHEMPROT]
    ordered = sorted(mentions, key=lambda mention: (mention.code != "C", mention.start))
    return [(f"T{number}", mention) for number, mention in enumerate(ordered, 1)]


def chemprot_pairs(study: Study) -> list[tuple[str, Mention, Mention]]:
    """Label, chemical and gene of every pair of mentions that a ChemProt relation of the study holds for."""
    mentions = dict(_numbered(study))
    return [
        (label, mentions[first], mentions[second])
        for _, label, chemical, gene in study.source["chemprot"]
        for first, second in _pairs(study, list(mentions.items()), chemical, gene)
    ]


def _pairs(study: Study, numbered: list[tuple[str, Mention]], chemical: str, gene: str) -> list[tuple[str, str]]:
    """Pairs of mentions of two concepts in one sentence.

    Raises:
        ValueError: if no sentence holds both, since the relation would then be written nowhere.
    """
    ends = [match.end() for match in re.finditer(r"\.(?= [A-Z])", study.text)]
    where = {name: sum(end <= mention.start for end in ends) for name, mention in numbered}
    pairs = [
        (first, second)
        for first, chemical_mention in numbered
        for second, gene_mention in numbered
        if chemical_mention.code == "C"
        and gene_mention.code != "C"
        and chemical in chemical_mention.concepts
        and gene in gene_mention.concepts
        and where[first] == where[second]
    ]
    if not pairs:
        raise ValueError(f"study {study.pmid}: no sentence has both {chemical!r} and {gene!r}")
    return pairs
