"""Related work written from abstracts (Multi-XScience)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.document_ids import arxiv_id
from sciriff.tasks.rendering import Fidelity


def format_multixscience(record: Mapping[str, Any], *, fidelity: Fidelity = "corrected") -> Iterator[dict[str, Any]]:
    """Yield one instance.

    - ``main_abstract`` (str): the abstract of the citing paper;
    - ``cited_abstracts_transformed`` (str): ``[1]: abstract``, ``[2]: abstract``, ... with a blank line between them;
    - ``related_work_transformed`` (str): the paragraph, its markers ``@cite_12`` replaced by those numbers. A marker of
      a paper that is not among the cited ones stays.

    Under ``original`` markers are replaced one after the other, so that ``@cite_1`` spoils ``@cite_12``.

    Args:
        record: ``aid`` (arXiv id of the citing paper), ``abstract``, ``related_work`` and ``ref_abstract`` (marker ->
            object with ``abstract``, in the order of the list).
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if the paragraph is blank, or the abstract (under ``original`` such a paper stays).
        RecordError: if a field is missing or of another type.
    """
    where = f"paper {record.get('aid')}"
    abstract, related_work = (_text(record, name, where) for name in ("abstract", "related_work"))
    cited = record.get("ref_abstract")
    if not isinstance(cited, dict) or not all(isinstance(paper, dict) for paper in cited.values()):
        raise RecordError(where, "field 'ref_abstract': expected an object of objects by marker")
    if not related_work.strip() or (fidelity != "original" and not abstract.strip()):
        raise Dropped("blank text")
    abstracts = [f"[{place}]: {_text(paper, 'abstract', where)}" for place, paper in enumerate(cited.values(), start=1)]
    numbers = {marker: f"[{place}]" for place, marker in enumerate(cited, start=1)}
    yield {
        "main_abstract": abstract,
        "cited_abstracts_transformed": "\n\n".join(abstracts).strip(),
        "related_work_transformed": _numbered(related_work, numbers, fidelity),
        "_document_id": arxiv_id(str(record.get("aid") or "")),
    }


def _numbered(text: str, numbers: Mapping[str, str], fidelity: Fidelity) -> str:
    if fidelity == "original":
        for marker, number in numbers.items():
            text = text.replace(marker, number)
        return text
    if not numbers:
        return text
    markers = "|".join(re.escape(marker) for marker in sorted(numbers, key=len, reverse=True))
    return re.sub(rf"(?:{markers})(?![0-9])", lambda found: numbers[found[0]], text)


def _text(record: Mapping[str, Any], name: str, where: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise RecordError(where, f"field {name!r}: expected a string")
    return value
