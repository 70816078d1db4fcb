"""Articles to be summarised for lay readers (eLife, PLOS)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped
from sciriff.tasks.rendering import Fidelity

_SHOWN = {0: "Abstract", 1: "Introduction", 3: "Discussion"}
"""Place of each section that the prompt shows -> the heading it must have there."""

_GAP_BEFORE_CLOSING = re.compile(r" (?=[.,;:!?)\]}…])")
_GAP_BEFORE_ANY_MARK = re.compile(r" (?=[.,;:!?)\]}…(\[{—-])")
_ELIFE_ID = re.compile(r"elife-(\d+)(?:-v\d+)?")
_PLOS_ID = re.compile(r"journal\.p[a-z]{3}\.\d+")


def format_lay_summary(record: Mapping[str, Any], *, fidelity: Fidelity = "corrected") -> Iterator[dict[str, Any]]:
    """Yield one instance.

    - ``input_transformed`` (str): abstract, introduction and discussion, each below its heading and a colon;
    - ``summary`` (str): the lay summary, tokenised as in the source;
    - ``metadata``: ``title``, ``year`` and ``keywords`` (str, separated by commas).

    The source puts blanks around all punctuation. In ``input_transformed`` the blank before a closing mark is taken
    out; under ``original`` also the one before an opening bracket or a dash.

    Args:
        record: an article as the reader ``lay_summaries`` gives it.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if the sections are not abstract, introduction, another, discussion; or the summary is blank.
    """
    headings = ["Abstract", *record["headings"]]
    sections = [record["abstract"], *record["sections"]]
    if len(headings) != len(sections):
        raise Dropped("headings and sections differ in number")
    if len(headings) <= max(_SHOWN) or any(headings[place] != name for place, name in _SHOWN.items()):
        raise Dropped("no introduction or discussion in its usual place")
    summary = " ".join(record["summary"])
    if not summary.strip():
        raise Dropped("blank summary")
    text = "\n".join(f"{name}:\n{' '.join(sections[place])}" for place, name in _SHOWN.items())
    gap = _GAP_BEFORE_ANY_MARK if fidelity == "original" else _GAP_BEFORE_CLOSING
    yield {
        "input_transformed": gap.sub("", text),
        "summary": summary,
        "metadata": {
            "title": record["title"],
            "year": str(record.get("year") or ""),
            "keywords": ", ".join(record["keywords"]),
        },
        "_document_id": _doi(str(record.get("id") or "")),
        "_document_text": record["title"],
    }


def _doi(name: str) -> str | None:
    """DOI of an article of either publisher; None if the id has neither form."""
    if found := _ELIFE_ID.fullmatch(name):
        return f"10.7554/elife.{found[1]}"
    if _PLOS_ID.fullmatch(name):
        return f"10.1371/{name}"
    return None
