"""Sources of the summarisation tasks: articles, papers, trials and reviews with their summaries."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from samples.tool import corpus, papers, studies
from samples.tool.identifiers import hex_id
from samples.tool.markup import parse_markup
from samples.tool.packing import pack_gz, pack_tar_gz, pack_zip

_HUB_SPLIT = {"train": "train", "dev": "val", "test": "test"}
_SENTENCE_END = re.compile(r"(?<=[.?!]) (?=[A-Z])")
_TOKEN = re.compile(r"\w+(?:[.,*'/>-]\w+)*|\S")


def lay_summaries_elife() -> bytes:
    """Every second study as an eLife article; one has its methods before its results."""
    articles = {split: part[::2] for split, part in _lay_articles().items()}
    return _pack_articles(articles, "elife-{0}-v2", ["Introduction", "Results", "Discussion", "Materials and methods"])


def lay_summaries_plos() -> bytes:
    """The other studies as PLOS articles, in a folder of the archive."""
    articles = {split: part[1::2] for split, part in _lay_articles().items()}
    return _pack_articles(
        articles, "journal.pmed.9{0}", ["Introduction", "Results", "Discussion", "Methods"], folder="PLOS/"
    )


def _lay_articles() -> dict[str, list[tuple[int, dict[str, str], studies.Study]]]:
    """Number, added texts and study of each article, in the splits of the studies."""
    texts = corpus.load("lay_summaries")
    found = []
    for number, study in enumerate(studies.load_studies()):
        text = next((text for text in texts if study.title.startswith(text["study"])), None)
        found.append((number, text, study))
    parts = corpus.cut(found, studies.TRAIN, studies.DEV)
    return {split: [article for article in part if article[1] is not None] for split, part in parts.items()}


def _pack_articles(articles: Mapping[str, Any], id_form: str, headings: list[str], folder: str = "") -> bytes:
    members = {}
    for split, part in articles.items():
        records = [_lay_article(*article, id_form, headings) for article in part]
        members[f"{folder}{_HUB_SPLIT[split]}.json"] = json.dumps(records, ensure_ascii=False).encode()
    return pack_zip(members)


def _lay_article(
    number: int, text: dict[str, Any], study: studies.Study, id_form: str, headings: list[str]
) -> dict[str, Any]:
    plain = {name: parse_markup(study.source[name]).text for name in studies.SECTIONS}
    body = [
        text["introduction"],
        plain["results"],
        f"{text['discussion']} {plain['conclusion']}",
        f"{plain['methods']} Full protocols are available on request ( see the supplement ).",
    ]
    order = [0, 3, 1, 2] if number == 8 else [0, 1, 2, 3]
    return {
        "id": id_form.format(f"{90011 + 173 * number}"),
        "year": str(2014 + number % 8),
        "title": study.title,
        "sections": [_tokenised(body[place]) for place in order],
        "headings": [headings[place] for place in order],
        "abstract": _tokenised(study.abstract),
        "summary": _tokenised(text["lay"]),
        "keywords": text["keywords"],
    }


def scientific_papers() -> dict[str, bytes]:
    """arXiv: the papers on language technology; PubMed: the studies. Lower-case tokens, raw control characters."""
    archives = {"arxiv": _arxiv_lines(), "pubmed": _pubmed_lines()}
    return {
        name: pack_zip(
            {f"{name}-dataset/{_HUB_SPLIT[split]}.txt": "".join(part).encode() for split, part in lines.items()}
        )
        for name, lines in archives.items()
    }


def _arxiv_lines() -> dict[str, list[str]]:
    lines = []
    for number, paper in enumerate(papers.load_papers()):
        sections = {name if name != "~" else "": " ".join(paragraphs) for name, paragraphs in paper["sections"].items()}
        abstract = parse_markup(paper["abstract"].strip()).text
        lines.append(_science_line(papers.arxiv_id(number), sections, abstract, formulas=True))
    lines[5] = lines[5].replace(" the ", " \x0bthe ", 1)  # a raw control character, as some lines have
    return corpus.cut(lines, papers.TRAIN, papers.DEV)


def _pubmed_lines() -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for split, part in _lay_articles().items():
        lines[split] = []
        for number, text, study in part:
            plain = {name: parse_markup(study.source[name]).text for name in studies.SECTIONS}
            sections = {
                "1. Introduction": text["introduction"],
                "2. Methods": plain["methods"],
                "3. Results": plain["results"],
                "4. Discussion": text["discussion"],
            }
            # One article without abstract: it is left out.
            abstract = "" if number == 9 else study.abstract
            lines[split].append(_science_line(f"PMC{9000123 + 61 * number}", sections, abstract))
    return lines


def _science_line(name: str, sections: Mapping[str, str], abstract: str, formulas: bool = False) -> str:
    texts = [[_masked(text, formulas) for text in _tokenised(body)] for body in sections.values()]
    record = {
        "article_id": name,
        "article_text": [sentence for section in texts for sentence in section],
        "abstract_text": [f"<S> {_masked(sentence, formulas)} </S>" for sentence in _tokenised(abstract)],
        "labels": None,
        "section_names": list(sections),
        "sections": texts,
    }
    return json.dumps(record) + "\n"


def _masked(sentence: str, formulas: bool) -> str:
    lower = sentence.lower()
    return re.sub(r"\d+\.\d+", "@xmath0", lower) if formulas else lower


def scitldr() -> dict[str, bytes]:
    """SciTLDR: some papers with the abstract only, some scores missing, no newline at the end of a file."""
    lines = [
        json.dumps(_tldr_record(number, paper, summaries["tldr"]))
        for number, (paper, summaries) in enumerate(_summarised_papers())
    ]
    return {split: "\n".join(part).encode() for split, part in corpus.cut(lines, papers.TRAIN, papers.DEV).items()}


def _tldr_record(number: int, paper: Mapping[str, Any], targets: list[str]) -> dict[str, Any]:
    parts = [parse_markup(paper["abstract"].strip()).text]
    if number % 5 != 3:
        sections = list(paper["sections"].values())
        parts += [" ".join(sections[0]), " ".join(sections[-1])]
    source = [sentence for part in parts for sentence in _sentences(part)]
    scores = [round((7 * place + number) % 10 / 10, 2) for place in range(len(source))]
    return {
        "source": source,
        "source_labels": [int(score == max(scores)) for score in scores],
        "rouge_scores": scores[: -1 if number % 9 == 4 else None],
        "paper_id": hex_id("openreview", paper["title"])[:10],
        "ic": len(parts) > 1,
        "target": targets,
        "title": paper["title"],
    }


def multi_x_science() -> dict[str, bytes]:
    """Multi-XScience: a JSON list, gzipped; marks that begin alike, empty abstracts and works that are not listed."""
    records = [
        _related_work(number, paper, summaries) for number, (paper, summaries) in enumerate(_summarised_papers())
    ]
    return {
        _HUB_SPLIT[split]: pack_gz(json.dumps(part).encode())
        for split, part in corpus.cut(records, papers.TRAIN, papers.DEV).items()
    }


def _related_work(number: int, paper: Mapping[str, Any], summaries: Mapping[str, Any]) -> dict[str, Any]:
    cited = {marker: name for marker, name in summaries["cites"].items() if name is not None}
    return {
        "aid": "cs9912907" if number == 1 else papers.arxiv_id(number),
        "mid": f"{2990000017 + 4409 * number}",
        "abstract": parse_markup(paper["abstract"].strip()).text,
        "related_work": summaries["related"],
        "ref_abstract": {
            marker: {"mid": f"{2980000003 + 31 * number + place}", "abstract": _abstract_of(name)}
            for place, (marker, name) in enumerate(cited.items())
        },
    }


def _summarised_papers() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    summaries = corpus.load("paper_summaries")
    return [
        (paper, next(entry for entry in summaries if paper["title"].startswith(entry["paper"])))
        for paper in papers.load_papers()
    ]


def _abstract_of(title_begin: str) -> str:
    if not title_begin:
        return ""
    (paper,) = [paper for paper in papers.load_papers() if paper["title"].startswith(title_begin)]
    return parse_markup(paper["abstract"].strip()).text


def scireviewgen() -> bytes:
    """SciReviewGen: CSV files in a zip; units end with a label, and the last has no ``</s>`` behind it."""
    files: dict[str, list[tuple[str, str]]] = {"train": [], "dev": [], "test": []}
    for chapter in corpus.load("review_chapters"):
        units = [
            f"{chapter['review']} <s> {chapter['chapter']} <s> {_abstract_of(title)} <s> BIB{place:03d}"
            for place, title in enumerate(chapter["cites"], start=1)
        ]
        files[chapter["split"]].append((" </s> ".join(units), chapter["target"]))
    return pack_zip(
        {
            f"summarization_csv/{_HUB_SPLIT[split]}.csv": _csv(("reference", "target"), rows)
            for split, rows in files.items()
        }
    )


def mslr2022() -> bytes:
    """MSLR 2022: inputs, targets and background as CSV with an unnamed column of line numbers; test without targets."""
    members: dict[str, bytes] = {}
    for collection in ("ms2", "cochrane"):
        for split in ("train", "dev"):
            chosen = [
                (_review_id(number, review), review)
                for number, review in enumerate(corpus.load("trials"))
                if (review["of"], review["split"]) == (collection, split)
            ]
            members |= _reviews(f"mslr_data/{collection}/{split}", chosen)
        members[f"mslr_data/{collection}/test-inputs.csv"] = _csv(("", "ReviewID", "PMID", "Title", "Abstract"), ())
    return pack_tar_gz(members)


def _reviews(prefix: str, reviews: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, bytes]:
    inputs = [
        (name, f"{97000000 + 1000 * int(name[-3:]) + place}", study[0] or "", _trial_abstract(place, *study))
        for name, review in reviews
        for place, study in enumerate(review["studies"])
    ]
    background = "background" in reviews[0][1]
    columns = ("", "ReviewID", "Target", *(("Background",) if background else ()))
    targets = [(name, review["target"], *([review["background"]] if background else [])) for name, review in reviews]
    files = {
        f"{prefix}-inputs.csv": _csv(("", "ReviewID", "PMID", "Title", "Abstract"), _numbered(inputs)),
        f"{prefix}-targets.csv": _csv(columns, _numbered(targets)),
    }
    if background:
        info = _numbered((name, review["background"]) for name, review in reviews)
        files[f"{prefix}-reviews-info.csv"] = _csv(("", "ReviewID", "Background"), info)
    return files


def _review_id(number: int, review: Mapping[str, Any]) -> str:
    return f"CD{990101 + number}" if review["of"] == "cochrane" else f"{98000100 + number}"


def _trial_abstract(place: int, _title: str | None, people: int, finding: str | None) -> str:
    """The abstract of a trial; some are cut into paragraphs, so that the field holds line ends and quotes."""
    if finding is None:
        return ""
    opening = (
        f"OBJECTIVE: To compare the treatment with a control. METHODS: {people} people took part",
        f"A total of {people} people were allocated by means of sealed envelopes",
        f"We enrolled {people} people and analysed them in the group to which they had been assigned",
    )[place % 3]
    ending = ("\nCONCLUSION: The result should be confirmed.", "", ' The term "control" means usual care.')[place % 3]
    return f"{opening}. {finding}{ending}"


def _numbered(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return [(str(number), *row) for number, row in enumerate(rows)]


def _csv(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def _sentences(text: str) -> list[str]:
    return _SENTENCE_END.split(text) if text else []


def _tokenised(text: str) -> list[str]:
    """Sentences with a blank between all tokens."""
    return [" ".join(_TOKEN.findall(sentence)) for sentence in _sentences(text)]
