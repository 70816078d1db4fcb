"""Sources built on whole papers: QASA and MuP on the papers on language technology, ChemSum on the syntheses."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from samples.tool import corpus, papers
from samples.tool.identifiers import hex_id
from samples.tool.markup import parse_markup

_KINDS = {"s": "Shallow question", "t": "Testing question ", "d": "Deep/complex question"}
_MUP_TRAIN = papers.TRAIN + papers.DEV
_MUP_WORDS = 1500  # about the 2,000 tokens after which the real texts end
_CHEMSUM_SHARDS = 7


def qasa() -> bytes:
    """QASA: an object of questions by number; one paper is not on arXiv."""
    numbers = {paper["title"]: number for number, paper in enumerate(papers.load_papers())}
    records = {}
    for key, source in enumerate(corpus.load("paper_questions")):
        paper = _paper_of(source["paper"])
        number = numbers[paper["title"]]
        name = papers.arxiv_id(number)
        place = {"s2orc_id": 240090011 + number} if number == 12 else {"arxiv_id": name}
        records[str(key)] = {
            "paper_id": number,
            "title": paper["title"],
            "question_id": f"{number}_{key}",
            "question": source["ask"],
            "question_section": source["from"][0] if isinstance(source["from"][0], str) else source["from"][0][0],
            "question_trigger_sentence": paper["sections"]["Introduction"][0].partition(". ")[0],
            "question_type": _KINDS[source["kind"]].upper() if key % 11 == 5 else _KINDS[source["kind"]],
            "evidential_info": [
                {"context": paragraph, "rationale": f"{paragraph.partition('. ')[0]}."}
                for paragraph in _paragraphs(paper, source["from"])
            ],
            "composition": f"[{source['answer']}]" if source.get("bracket") else source["answer"],
            **place,
        }
    return json.dumps(records, ensure_ascii=False, indent=2).encode()


def _paper_of(begin: str) -> dict[str, Any]:
    (paper,) = [paper for paper in papers.load_papers() if paper["title"].startswith(begin)]
    return paper


def _paragraphs(paper: Mapping[str, Any], places: Sequence[str | Sequence[Any]]) -> Iterator[str]:
    appendix = {section["section_name"]: section["paragraphs"] for section in papers.appendix_sections()}
    for place in places:
        if isinstance(place, str):
            yield from appendix[place]
        else:
            section, number = place
            yield paper["sections"][section][number]


def mup() -> dict[str, bytes]:
    """MuP: CSV with a row for each reviewer of a paper; texts of many lines with quotes, long ones cut off."""
    reviews = corpus.load("paper_reviews")
    rows: dict[str, list[tuple[str, ...]]] = {"training": [], "validation": []}
    for number, paper in enumerate(papers.load_papers()):
        (review,) = [review for review in reviews if paper["title"].startswith(review["paper"])]
        # The title of one paper has a line end, as titles taken from PDF files do.
        title = paper["title"].replace(" for ", "\nfor ", 1) if number == 2 else paper["title"]
        name = f"SP:{hex_id('mup', paper['title'])}"
        split = "training" if number < _MUP_TRAIN else "validation"
        rows[split] += [(name, summary, _beginning(paper), title) for summary in review["summaries"]]
    return {split: _csv(("paper_id", "summary", "text", "paper_name"), part) for split, part in rows.items()}


def _beginning(paper: Mapping[str, Any]) -> str:
    """The first words of a paper, section by section."""
    sections = [(name, paragraphs) for name, paragraphs in paper["sections"].items() if name != "~"]
    if paper.get("appendix"):
        sections += [(section["section_name"], section["paragraphs"]) for section in papers.appendix_sections()]
    blocks = [f"{place} {name}\n" + "\n".join(text) for place, (name, text) in enumerate(sections, start=1)]
    left = _MUP_WORDS
    lines = []
    for line in "\n\n".join([f"Abstract\n{parse_markup(paper['abstract'].strip()).text}", *blocks]).split("\n"):
        words = line.split()[:left]
        left -= len(words)
        lines.append(" ".join(words))
        if not left:
            break
    return "\n".join(lines)


def _csv(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def chemsum() -> dict[str, bytes]:
    """ChemSum: Parquet, the training split in seven files; parts joined by ``<!>``, paragraphs in ``<p>``."""
    records: dict[str, list[dict[str, Any]]] = {"train": [], "dev": [], "test": []}
    for number, source in enumerate(corpus.load("chemistry_papers")):
        records[source["split"]].append(_chemistry_paper(number, source))
    shards = {f"train_{shard}": records["train"][shard::_CHEMSUM_SHARDS] for shard in range(_CHEMSUM_SHARDS)}
    files = shards | {"validation": records["dev"], "test": records["test"]}
    return {key: _parquet(rows) for key, rows in files.items()}


def _chemistry_paper(number: int, source: Mapping[str, Any]) -> dict[str, Any]:
    (procedure,) = [entry for entry in corpus.load("syntheses") if entry["title"].startswith(source["procedure"])]
    experimental = parse_markup(procedure["text"]).text.replace("<?>", "fi").strip()
    parts = {
        "1. Introduction": source["introduction"],
        "2. Experimental": experimental,
        "3. Results and discussion": source["results"],
    }
    identity = hex_id("chemsum", source["title"])
    return {
        "uuid": str(uuid.UUID(identity[:32])),
        "title": source["title"],
        "article_source": ("Beilstein", "Chem Cell", "Pubmed Author Manuscript")[number % 3],
        "abstract": f"\n{source['abstract']} " if source["abstract"] else "",
        "sections": "<!>".join(text if number % 3 == 2 else f"<p>{text}</p>" for text in parts.values()),
        "headers": "<!>".join(parts),
        "source": f"sample/{number:03d}",
    }


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    # As plain as Parquet can be, so that files differ between machines in the name of the writer only.
    pq.write_table(
        pa.Table.from_pylist(list(rows)), out, compression="none", store_schema=False, write_statistics=False
    )
    return out.getvalue()
