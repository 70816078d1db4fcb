"""The biomedical studies, written out, as the LINNAEUS corpus: full texts and one table of tags."""

from __future__ import annotations

from samples.tool import corpus
from samples.tool.lexicon import Found, find
from samples.tool.markup import parse_markup
from samples.tool.packing import pack_tar_gz
from samples.tool.studies import SECTIONS, Study, load_studies

_ROOT = "manual-corpus-species-1.0"
_HEADER = "#species id\tdocument\tstart\tend\ttext\tcode\n"
_PEOPLE = (
    *("adolescents", "adults", "child", "human", "infants", "man", "men", "patient", "people", "volunteer", "woman"),
    *("children", "humans", "patients", "volunteers", "women"),
)
"""Words for humans, which share an id; the studies mark only some."""
_OTHERS = ("mites", "oat", "turmeric")
"""Other species that the studies do not mark."""
_MODIFIERS = {"human", "mouse", "rat"}
_UNTAGGED = 2
_LONG = 8
"""Every study from this one on is part of the longest document as well."""


def linnaeus() -> bytes:
    """LINNAEUS: tags with and without a code; two texts have no tag; one text is longer than 4,096 tokens."""
    studies = load_studies()
    ids = _species_ids(studies)
    texts = _texts(studies, ids)
    tags = [
        _line(name, texts[name], found, ids)
        for name in sorted(texts)
        for found in find(texts[name], dict.fromkeys(ids, "species"))
    ]
    scientific = [line for line in tags if line.split("\t")[4][0].isupper() and " " in line.split("\t")[4]]
    return pack_tar_gz(
        {
            f"{_ROOT}/README.txt": b"Sample written for this project.\n",
            f"{_ROOT}/filtered_tags.tsv": (_HEADER + "".join(scientific)).encode(),
            f"{_ROOT}/tags.tsv": (_HEADER + "".join(tags)).encode(),
            # The real archive is in the order of a directory, which is not that of the names.
            **{f"{_ROOT}/txt/{name}.txt": texts[name].encode() for name in sorted(texts, key=lambda name: name[::-1])},
        }
    )


def _texts(studies: list[Study], ids: dict[str, str]) -> dict[str, str]:
    """Document id -> text: studies that are written out, one of many studies, and excerpts that name no species."""
    articles = corpus.load("lay_summaries")
    texts = {
        f"pmcA9{number * 317 + 4021:05d}": _full_text(study, article)
        for number, study in enumerate(studies)
        for article in articles
        if study.title.startswith(article["study"])
    }
    reports = "\n\n\n".join(f"{study.title}\n\n{study.abstract}" for study in studies[_LONG:])
    texts["pmcA990001"] = f"Collected reports\n\n{reports}"
    excerpts = [parse_markup(excerpt["text"]).text for excerpt in corpus.load("anatomy_excerpts")]
    untagged = [excerpt for excerpt in excerpts if not find(excerpt, ids)]
    return texts | {f"pmcA99001{place}": text for place, text in enumerate(untagged[:_UNTAGGED])}


def _full_text(study: Study, article: dict[str, str]) -> str:
    plain = {name: parse_markup(study.source[name]).text for name in SECTIONS}
    sections = {
        "Introduction": article["introduction"],
        "Methods": plain["methods"],
        "Results": f"{plain['results']} Values are means ± standard errors.",
        "Discussion": f"{article['discussion']} {plain['conclusion']}",
    }
    body = "\n\n".join(f"{heading}\n{text}" for heading, text in sections.items())
    return f"{study.title}\n\nAbstract\n{study.abstract}\n\n{body}\n"


def _species_ids(studies: list[Study]) -> dict[str, str]:
    """Lower-cased name -> id."""
    marked = (mention.text.lower() for study in studies for mention in study.mentions if mention.code == "S")
    names = dict.fromkeys([*marked, *_PEOPLE, *_OTHERS])
    return {name: "9800001" if name in _PEOPLE else f"{9800002 + place}" for place, name in enumerate(names)}


def _line(document: str, text: str, found: Found, ids: dict[str, str]) -> str:
    surface = text[found.start : found.end]
    code = "4" if surface.lower() in _MODIFIERS else ""
    place = f"{document}\t{found.start}\t{found.end}"
    return f"{found.type}:ncbi:{ids[surface.lower()]}\t{place}\t{surface}\t{code}\n"
