"""Citation sentences with the sentences around them and their intent (ACL-ARC)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.rendering import Fidelity

LABELS: Mapping[str, str] = {
    "Background": "Background",
    "Extends": "Extends",
    "Uses": "Uses",
    "Motivation": "Motivation",
    "CompareOrContrast": "CompareOrContrast",
    "Future": "FutureWork",
}
"""The corpus's name of an intent -> ours, in the order in which prompts list them."""

_PUNCTUATION = frozenset(".,;:!?")
_HIGH = re.compile("[\x80-\xff]+")
_UNREADABLE = frozenset({"Cc", "Cn", "Co", "Cs"})  # control, unassigned, private use, surrogate


def format_acl_arc(record: Mapping[str, Any], *, fidelity: Fidelity = "corrected") -> Iterator[dict[str, Any]]:
    """Yield one instance.

    - ``citation_sentence`` (str);
    - ``section`` (str): the title of its section, else the kind of section, else blank;
    - ``context_before``, ``context_after`` (str): the sentences around it, made of their tokens; may be blank;
    - ``label`` (str): the intent, and ``all_distinct_labels`` (list of str): all intents.

    The papers' conversion left UTF-8 read as Latin-1, NUL bytes, and the codes of fonts that were not resolved: the
    first is undone, the others are dropped. Under ``original`` all stay, and a section without a name is ``None``.

    Args:
        record: a line of the release: ``text``, ``intent``, ``section_title``, ``section_name``, ``sents_before`` and
            ``sents_after`` (lists of sentences, each a list of tokens with ``originalText`` and ``after``, what stands
            between the token and the next), ``citing_paper_id`` (of the ACL Anthology).
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if the sentence is blank.
        RecordError: if the intent is unknown, or a field is of another type.
    """
    where = f"citation {record.get('citation_id')}"
    if record.get("intent") not in tuple(LABELS):
        raise RecordError(where, f"intent is {record.get('intent')!r}, expected one of {', '.join(LABELS)}")
    if not isinstance(record.get("text"), str):
        raise RecordError(where, "field 'text': expected a string")
    parity = fidelity == "original"
    sentence = record["text"] if parity else _readable(record["text"])
    if not sentence.strip():
        raise Dropped("blank text")
    section = str(record.get("section_title") or record.get("section_name") or (None if parity else ""))
    yield {
        "citation_sentence": sentence,
        "section": section if parity else _readable(section),
        "context_before": _context(record, "sents_before", where, parity),
        "context_after": _context(record, "sents_after", where, parity),
        "label": LABELS[record["intent"]],
        "all_distinct_labels": list(LABELS.values()),
        "_document_id": record.get("citing_paper_id"),
        "_document_text": sentence,
    }


def _context(record: Mapping[str, Any], name: str, where: str, parity: bool) -> str:
    try:
        sentences = [
            "".join(_with_gap(token["originalText"], token["after"], parity) for token in sentence).strip()
            for sentence in record[name]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            where, f"field {name!r}: expected lists of tokens with the strings 'originalText' and 'after'"
        ) from error
    return " ".join(sentences).strip()


def _with_gap(token: str, after: str, parity: bool) -> str:
    """A token and what follows it. Text between tokens that is no punctuation gets a blank before it."""
    if not parity:
        token, gap = _readable(token), _readable(after)
        after = gap if gap == after or gap.strip() else " "
    stripped = after.strip()
    return token + (f" {after}" if stripped and stripped not in _PUNCTUATION else after)


def _readable(text: str) -> str:
    """Undo UTF-8 that was read as Latin-1, then drop what cannot be read."""
    if text.isascii() and text.isprintable():
        return text
    text = _HIGH.sub(_decoded, text)
    return "".join(char for char in text if char in "\t\n" or unicodedata.category(char) not in _UNREADABLE)


def _decoded(run: re.Match[str]) -> str:
    try:
        return run[0].encode("latin-1").decode()
    except UnicodeDecodeError:
        return run[0]
