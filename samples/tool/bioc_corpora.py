"""The biomedical studies as CHEMDNER, GNormPlus, NLM-Chem and NLM-Gene: BioC XML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from samples.tool import bioc, corpus
from samples.tool.bioc import Annotation, Passage
from samples.tool.lexicon import find, phrases
from samples.tool.markup import Marked, parse_markup
from samples.tool.packing import pack_tar_gz, pack_zip
from samples.tool.studies import DEV, SYMBOLS, TRAIN, ConceptIds, Study, load_studies

_SECTIONS = {"background": "INTRO", "methods": "METHODS", "results": "RESULTS"}
_PMC = {"train": 9300000, "dev": 9400000, "test": 9500000}
_GAP = 3
"""Characters between two passages of GNormPlus and NLM-Chem, whose offsets do not run on."""


_CHEMICALS_AND_RECEPTORS = {**phrases("chemicals"), **phrases("families")}
"""A chemical within the name of a receptor is no mention, so both are looked for."""


class _Typed(NamedTuple):
    """A mention: characters [start, end) of title + blank + abstract, its type, and the concepts it names."""

    start: int
    end: int
    type: str
    concepts: tuple[str, ...]


def _marked(study: Study, types: Mapping[str, str], further: Mapping[str, str]) -> list[_Typed]:
    """Mentions of the mark-up with certain codes (code -> type), and further phrases (phrase -> type) beside them."""
    found = [
        _Typed(mention.start, mention.end, types[mention.code], mention.concepts)
        for mention in study.mentions
        if mention.code in types
    ]
    taken = [(mention.start, mention.end) for mention in found]
    found += [
        _Typed(*extra, (study.text[extra.start : extra.end].lower(),)) for extra in find(study.text, further, taken)
    ]
    return sorted(found)


def _two_passages(study: Study, mentions: Iterable[tuple[_Typed, dict[str, str]]], gap: int = 1) -> list[Passage]:
    """Title and abstract, each with its mentions and their infons; the gap is what lies between them in offsets."""
    boundary = len(study.title) + 1
    parts: tuple[list[Annotation], list[Annotation]] = ([], [])
    for mention, infons in mentions:
        late = mention.start >= boundary
        shift = gap - 1 if late else 0
        place = (mention.start + shift, mention.end - mention.start)
        parts[late].append(Annotation(infons, (place,), study.text[mention.start : mention.end]))
    return [
        Passage({"type": "title"}, 0, study.title, parts[0]),
        Passage({"type": "abstract"}, boundary + gap - 1, study.abstract, parts[1]),
    ]


def nlm_gene() -> bytes:
    """NLM-Gene: a file for each article, and lists of those that are for training and for test."""
    studies = load_studies(SYMBOLS)
    ids = ConceptIds(studies)
    members = {
        f"Corpus/FINAL/{study.pmid}.BioC.XML": bioc.collection(
            [bioc.document(study.pmid, _genes(study, ids))], "PubTator", "BioC.key"
        ).encode()
        for study in studies
    }
    parts = corpus.cut(studies, TRAIN + DEV, 0)
    for split, name in (("train", "Train"), ("test", "Test")):
        pmids = sorted(
            (study.pmid for study in parts[split]), key=lambda pmid: pmid[::-1]
        )  # in no order of the numbers
        members[f"Corpus/Pmidlist.{name}.txt"] = "".join(f"{pmid}\n" for pmid in pmids).encode()
    return pack_zip(members)


def _genes(study: Study, ids: ConceptIds) -> list[Passage]:
    """A gene of the title is what the article is about; families have a code and may name several genes."""
    mentions = _marked(
        study,
        {"G": "Gene", "F": "Family"},
        dict.fromkeys(phrases("families"), "Other") | dict.fromkeys(phrases("domains"), "Domain"),
    )
    in_title = {mention.concepts[0] for mention in mentions if mention.start < len(study.title)}
    in_conclusion = {mention.concepts[0] for mention in mentions if mention.start >= study.text.rindex(". ")}
    described: list[tuple[_Typed, dict[str, str]]] = []
    for mention in mentions:
        concept = mention.concepts[0]
        if mention.type == "Family":
            infons = {"code": "222", "NCBI Gene identifier": f"{ids[concept]},{ids[concept]}1", "type": "Gene"}
        elif mention.type == "Other":
            infons = {"NCBI Gene identifier": "-", "type": "Other"}
        elif mention.type == "Domain":
            infons = {"type": "Domain"}
        else:
            kind = ("GENERIF" if concept in in_conclusion else "STARGENE") if concept in in_title else "Gene"
            infons = {"NCBI Gene identifier": ids[concept], "type": kind}
        described.append((mention, infons))
    return _two_passages(study, described)


def gnormplus() -> bytes:
    """GNormPlus: three collections; offsets have a gap, and some are off by one."""
    studies = load_studies(SYMBOLS)
    ids = ConceptIds(studies)
    names = {"train": "BC2GNtrain", "dev": "NLMIAT", "test": "BC2GNtest"}
    return pack_zip(
        {
            f"GNormPlusCorpus/{names[split]}.BioC.xml": bioc.collection(
                (bioc.document(study.pmid, _families(study, ids)) for study in part), "PubMed", "BioC.key"
            ).encode()
            for split, part in corpus.cut(studies, TRAIN, DEV).items()
        }
    )


def _families(study: Study, ids: ConceptIds) -> list[Passage]:
    mentions = _marked(study, {"G": "Gene", "F": "FamilyName"}, {**phrases("families"), **phrases("domains")})
    described = [(mention, {"type": mention.type, mention.type: _gene_id(mention, ids)}) for mention in mentions]
    return [_off_by_one(passage) for passage in _two_passages(study, described, _GAP)]


def _gene_id(mention: _Typed, ids: ConceptIds) -> str:
    if mention.type == "DomainMotif":
        return "PSSMID:99001"
    number = ids.get(mention.concepts[0], "99002")
    return f"{number}(Tax:9606)" if mention.type == "Gene" else number


def _off_by_one(passage: Passage) -> Passage:
    """Move every third mention of a passage one to the left, and make every fourth one too long."""
    moved = []
    for number, annotation in enumerate(passage.annotations, 1):
        ((start, length),) = annotation.places
        moved.append(annotation._replace(places=((start - (number % 3 == 0), length + (number % 4 == 0)),)))
    return passage._replace(annotations=moved)


def chemdner() -> bytes:
    """CHEMDNER of BioCreative VII: a tar although its name ends in ``.xml.gz``; the title holds index terms as well."""
    studies = load_studies(SYMBOLS)
    ids = ConceptIds(studies)
    names = {"train": "training", "dev": "development", "test": "evaluation"}
    return pack_tar_gz(
        {
            f"BC7T2-CHEMDNER-corpus-{names[split]}.BioC.xml": bioc.collection(
                (bioc.document(study.pmid, _chemicals(study, ids)) for study in part), "PubMed", "chemdner.key"
            ).encode()
            for split, part in corpus.cut(studies, TRAIN, DEV).items()
        }
    )


def _chemicals(study: Study, ids: ConceptIds) -> list[Passage]:
    found = _marked(study, {"C": "Chemical"}, _CHEMICALS_AND_RECEPTORS)
    mentions = [mention for mention in found if mention.type == "Chemical"]
    described = [(mention, {"type": "Chemical", "identifier": "-"}) for mention in mentions]
    title, abstract = _two_passages(study, described)
    names = dict.fromkeys(concept for mention in mentions for concept in mention.concepts if concept in ids)
    return [title._replace(annotations=[*title.annotations, *_index_terms(list(names)[:2], ids)]), abstract]


def _index_terms(concepts: Iterable[str], ids: ConceptIds) -> Iterator[Annotation]:
    """Annotations that index the document: no place and no text."""
    for concept in concepts:
        infons = {"type": "MeSH_Indexing_Chemical", "identifier": f"MESH:{ids[concept]}", "entry_term": concept}
        yield Annotation(infons, (), "")


def nlm_chem() -> bytes:
    """NLM-Chem: full texts in a tar whose name ends in ``.xml.gz``; passages without text, gaps between offsets."""
    studies = load_studies(SYMBOLS)
    ids = ConceptIds(studies)
    numbers = {study.pmid: number for number, study in enumerate(studies)}
    members = {}
    for split, part in corpus.cut(studies, TRAIN, DEV).items():
        articles = [_article(study, numbers[study.pmid]) for study in part if numbers[study.pmid] % 2 == 0]
        articles.insert(1, _review(split, part))
        documents = [
            bioc.document(str(_PMC[split] + 37 * place), _full_text(article, ids), ending="\r\n")
            for place, article in enumerate(articles, 1)
        ]
        content = bioc.collection(documents, "PMC", "pmc.key", doctype=False, ending="\r\n")
        members[f"BC7T2-NLMChem-corpus-{split}.BioC.xml"] = content.encode()
    return pack_tar_gz(members)


class _Part(NamedTuple):
    """A passage of an article: section, kind, and its marked text or none."""

    section: str
    kind: str
    text: str | None


def _article(study: Study, number: int) -> list[_Part]:
    """A short communication: the conclusion stands as abstract, the other parts of the study as sections."""
    source = study.source
    parts = [_Part("TITLE", "front", source["title"]), _Part("ABSTRACT", "abstract", source["conclusion"])]
    for name, section in _SECTIONS.items():
        heading = {"background": "Introduction", "methods": "Methods", "results": "Results"}[name]
        parts += [_Part(section, "title_1", heading), _Part(section, "paragraph", source[name])]
    for caption in corpus.load("chemical_articles"):
        if caption["kind"] == "caption" and caption["study"] == number:
            parts += [_Part("FIG", "fig_caption", caption["text"]), _Part("TABLE", "table", None)]
    return [*parts, _Part("REF", "title", "References"), *_references(number)]


def _review(split: str, studies: list[Study]) -> list[_Part]:
    """A long article whose sections are the studies of a split."""
    (text,) = (text for text in corpus.load("chemical_articles") if text["kind"] == "review" and text["split"] == split)
    parts = [_Part("TITLE", "front", text["title"]), _Part("ABSTRACT", "abstract", text["abstract"])]
    parts += [_Part("INTRO", "title_1", "Why read reports"), _Part("INTRO", "paragraph", text["opening"])]
    for study in studies:
        parts.append(_Part("RESULTS", "title_2", study.source["title"]))
        parts += [_Part("RESULTS", "paragraph", study.source[name]) for name in (*_SECTIONS, "conclusion")]
    parts.append(_Part("DISCUSS", "title_1", "Questions that the reports answer"))
    parts += [_Part("DISCUSS", "paragraph", _questions(study)) for study in studies]
    parts += [_Part("CONCL", "title_1", "Conclusion"), _Part("CONCL", "paragraph", text["closing"])]
    return [*parts, _Part("REF", "title", "References"), *_references(len(studies))]


def _questions(study: Study) -> str:
    """The questions of a study with their answers, its chemicals marked."""
    sentences = []
    for question, verdict, *reason in study.source["questions"]:
        sentences += [question, {"yes": "Yes.", "no": "No.", "maybe": "That is open."}[verdict], *reason]
    text = " ".join(sentences)
    chemicals = {mention.text.lower(): "C" for mention in study.mentions if mention.code == "C"}
    marked, at = [], 0
    for found in find(text, chemicals) if chemicals else []:
        marked += [text[at : found.start], f"[C|{text[found.start : found.end]}]"]
        at = found.end
    return "".join([*marked, text[at:]])


def _references(number: int) -> list[_Part]:
    """References, of which some have a title and the others no text at all."""
    return [
        _Part("REF", "ref", "Notes on a register of adverse events" if number % 3 else None),
        _Part("REF", "ref", None),
    ]


def _full_text(parts: list[_Part], ids: ConceptIds) -> list[Passage]:
    offset = 0
    passages: list[Passage] = []
    for part in parts:
        infons = {"section_type": part.section, "type": part.kind}
        if part.text is None:
            passages.append(Passage(infons, offset, None))
            continue
        marked = parse_markup(part.text)
        passages.append(Passage(infons, offset, marked.text, list(_chemical_mentions(marked, offset, ids))))
        offset += len(marked.text) + _GAP
    names = dict.fromkeys(mention.text.lower() for passage in passages for mention in passage.annotations)
    terms = list(_index_terms([name for name in names if name in ids][:3], ids))
    first = passages[0]
    return [first._replace(annotations=[*first.annotations, *terms]), *passages[1:]]


def _chemical_mentions(marked: Marked, offset: int, ids: ConceptIds) -> Iterator[Annotation]:
    spans = [(span.start, span.end) for span in marked.spans if span.code == "C"]
    further = [
        (found.start, found.end)
        for found in find(marked.text, _CHEMICALS_AND_RECEPTORS, spans)
        if found.type == "Chemical"
    ]
    for start, end in sorted(spans + further):
        surface = marked.text[start:end]
        identifier = f"MESH:{ids[surface.lower()]}" if surface.lower() in ids else "-"
        yield Annotation({"identifier": identifier, "type": "Chemical"}, ((offset + start, end - start),), surface)
