"""The biomedical studies as the NCBI disease corpus and as MedMentions: PubTator, and nothing but mentions."""

from __future__ import annotations

import re
from typing import NamedTuple

from samples.tool import corpus
from samples.tool.lexicon import concepts, exceptions, find, phrases
from samples.tool.markup import join_marked, parse_markup
from samples.tool.packing import pack_gz, pack_zip
from samples.tool.studies import DEV, SYMBOLS, TRAIN, ConceptIds, Mention, Study, load_studies

_MODIFIED = re.compile(r" (?:cells|clinics|viruses)\b")
_SPLITS = {"train": "train", "dev": "develop", "test": "test"}
_PMID_FILES = {"train": "pmids_train", "dev": "pmids_validation", "test": "pmids_test"}


class _Line(NamedTuple):
    """A mention line: characters [start, end), what is written, its type and its concept ids."""

    start: int
    end: int
    text: str
    type: str
    concept: str


def ncbi_disease() -> dict[str, bytes]:
    """NCBI disease corpus: each zip has one file that begins with a blank line; train has one article twice."""
    studies = load_studies()
    ids = ConceptIds(studies)
    files = {}
    for split, part in corpus.cut(studies, TRAIN, DEV).items():
        blocks = [_block(study.pmid, study.title, study.abstract, _diseases(study, ids)) for study in part]
        if split == "train":
            again = part[4]  # annotated a second time, less fully
            blocks.insert(11, _block(again.pmid, again.title, again.abstract, _diseases(again, ids)[:1]))
        name = f"NCBI{_SPLITS[split]}set_corpus.txt"
        files[_SPLITS[split]] = pack_zip({name: ("\n" + "\n".join(blocks)).encode("ascii")})
    return files


def _diseases(study: Study, ids: ConceptIds) -> list[_Line]:
    classes = phrases("ncbi")
    lines = []
    for mention in (mention for mention in study.mentions if mention.code == "D"):
        if mention.members:
            kind = "CompositeMention"
        elif _MODIFIED.match(study.text, mention.end):
            kind = "Modifier"
        else:
            kind = classes.get(mention.text.lower(), "SpecificDisease")
        # "|" parts the members of a composite, "+" the ids of one name; one surface has blanks at its end
        concept = ids.join(mention.concepts, "|")
        concept = f"{concept}+D900000" if mention.text == "traumatic brain injury" else concept
        text = f"{mention.text}  " if mention.text == "digoxin toxicity" else mention.text
        lines.append(_Line(mention.start, mention.end, text, kind, concept))
    return lines


def medmentions() -> dict[str, bytes]:
    """MedMentions: all splits in one gzipped file, in no order, and a list of pmids for each."""
    studies = load_studies(SYMBOLS)
    splits = {
        split: [(study.pmid, study.title, study.abstract, _concepts(study)) for study in part]
        for split, part in corpus.cut(studies, TRAIN, DEV).items()
    }
    for number, text in enumerate(concepts("medmentions_texts")["texts"]):
        splits[text["split"]].append(_written_out(f"{90009001 + 7 * number}", text))
    articles = [article for part in splits.values() for article in part]
    mixed = [articles[(place * 7) % len(articles)] for place in range(len(articles))]
    files = {"corpus": pack_gz("\n".join(_block(*article) for article in mixed).encode())}
    for split, part in splits.items():
        files[_PMID_FILES[split]] = "".join(f"{pmid}\n" for pmid, *_ in reversed(part)).encode()
    return files


def _written_out(pmid: str, text: dict[str, str]) -> tuple[str, str, str, list[_Line]]:
    title, abstract = parse_markup(text["title"]), parse_markup(text["abstract"])
    whole = join_marked([title, abstract], " ")
    lines = [
        _Line(span.start, span.end, whole.surface(span), span.code, _umls(whole.surface(span))) for span in whole.spans
    ]
    return pmid, title.text, abstract.text, lines


def _concepts(study: Study) -> list[_Line]:
    """Mentions that do not overlap: of nested ones the outermost, and of a composite its members where they can be."""
    codes, changed = concepts("medmentions_codes")["types"], exceptions("medmentions_codes")
    lines: list[_Line] = []
    taken: list[tuple[int, int]] = []
    for outer in study.mentions:
        if taken and outer.start < taken[-1][1]:
            continue
        taken.append((outer.start, outer.end))
        for mention in _parts(outer):
            kind = changed.get(mention.text.lower(), codes[mention.code])
            if kind != "none":
                lines.append(_Line(mention.start, mention.end, mention.text, kind, _umls(mention.concepts[0])))
    for found in find(study.text, phrases("medmentions"), taken):
        text = study.text[found.start : found.end]
        lines.append(_Line(found.start, found.end, text, found.type, _umls(text.lower())))
    return sorted(lines)


def _parts(mention: Mention) -> tuple[Mention, ...]:
    if mention.members and all(len(member.fragments) == 1 for member in mention.members):
        return mention.members
    return (mention,)


def _umls(concept: str) -> str:
    """An id in the form of the UMLS that is none of its ids."""
    return f"UMLS:C99{sum(place * ord(char) for place, char in enumerate(concept.lower(), 1)) % 100000:05d}"


def _block(pmid: str, title: str, abstract: str, mentions: list[_Line]) -> str:
    lines = [f"{pmid}|t|{title}", f"{pmid}|a|{abstract}"]
    lines += ["\t".join(map(str, (pmid, *mention))) for mention in mentions]
    return "\n".join(lines) + "\n"
