"""Papers of arXiv and PubMed Central with their abstracts (scientific_papers)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.document_ids import arxiv_id, pmc_id
from sciriff.tasks.rendering import Fidelity


def format_scientific_paper(
    record: Mapping[str, Any], *, min_words: int = 50, fidelity: Fidelity = "corrected"
) -> Iterator[dict[str, Any]]:
    """Yield ``article``, ``abstract`` and ``section_names``: the strings of the source's lists, joined by newlines.

    The marks ``<S>`` and ``</S>`` around sentences of the abstract are taken out; the blanks beside them stay.

    Args:
        record: a line of the release: ``article_id`` (of arXiv or PubMed Central), ``article_text``, ``abstract_text``,
            ``section_names``.
        min_words: papers whose article or abstract is shorter are left out; under ``original`` only the article counts.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if the article or the abstract is too short.
        RecordError: if a field is missing or is not a list of strings.
    """
    name = str(record.get("article_id") or "")
    article, abstract, section_names = (
        _joined(record, field, name) for field in ("article_text", "abstract_text", "section_names")
    )
    abstract = abstract.replace("<S>", "").replace("</S>", "")
    if len(article.split()) < min_words:
        raise Dropped(f"article of fewer than {min_words} words")
    if fidelity != "original" and len(abstract.split()) < min_words:
        raise Dropped(f"abstract of fewer than {min_words} words")
    yield {
        "article": article,
        "abstract": abstract,
        "section_names": section_names,
        "_document_id": pmc_id(name) if name.startswith("PMC") else arxiv_id(name),
    }


def _joined(record: Mapping[str, Any], field: str, name: str) -> str:
    texts = record.get(field)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RecordError(f"paper {name}", f"field {field!r}: expected a list of strings")
    return "\n".join(texts)
