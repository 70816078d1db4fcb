"""Questions on full papers, answered from paragraphs that are cut to the window (QASA)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.budget import Budget
from sciriff.tasks.formatters.document_ids import arxiv_id
from sciriff.tasks.rendering import Fidelity
from sciriff.tasks.sentences import split_sentences

_WORD = re.compile(r"\w+(?:[-'’]\w+)*")


def format_qasa(
    record: Mapping[str, Any],
    *,
    budget: Budget,
    instruction_tokens: int = 200,
    removal_thresh_percentage: float = 0.2,
    fidelity: Fidelity = "corrected",
) -> Iterator[dict[str, Any]]:
    """Yield ``context`` (paragraphs with the evidence, joined by a space), ``question`` and ``composition``, the answer.

    A context beyond the budget loses sentences: those that share least with the answer first, of equal ones the longest.
    Brackets around the whole answer are taken off. Under ``original``, nothing is set aside for the instruction, words
    are compared with their case, and brackets come off only where the context is cut.

    Args:
        record: ``evidential_info`` (list with ``context``), ``question``, ``composition``, and ``arxiv_id``, ``s2orc_id``
            or ``paper_id``.
        budget: see :class:`~sciriff.tasks.formatters.budget.Budget`.
        instruction_tokens: tokens set aside for the instruction, the question and the answer.
        removal_thresh_percentage: share of the answer's words from which on a sentence may not be removed.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if context or answer are blank, or too much of the context bears on the answer.
        RecordError: if a field is missing.
    """
    try:
        context = " ".join(found["context"] for found in record["evidential_info"])
        question, answer = record["question"], record["composition"].strip()
        without_brackets = _unbracketed(answer)
    except (KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"question {record.get('_key')}", f"missing or malformed field: {error!r}") from error
    if not context.strip():
        raise Dropped("blank text")
    if not without_brackets:
        raise Dropped("blank answer")
    parity = fidelity == "original"
    room = budget.window - (0 if parity else instruction_tokens)
    fits = budget.count(context) <= room
    yield {
        "context": context if fits else _cut(context, answer, room, budget, removal_thresh_percentage, parity),
        "question": question,
        "composition": answer if parity and fits else without_brackets,
        "_document_id": _document_id(record),
    }


def _cut(context: str, answer: str, room: int, budget: Budget, threshold: float, keep_case: bool) -> str:
    """The sentences that are left, in order, once enough of the others are removed."""
    sentences = split_sentences(context)
    sizes = [budget.count(sentence) for sentence in sentences]
    wanted = _words(answer, keep_case) - _stop_words()
    shares = [len(wanted & _words(sentence, keep_case)) / len(wanted) if wanted else 0.0 for sentence in sentences]
    used = sum(sizes)
    removed = set()
    for place in sorted(range(len(sentences)), key=lambda place: (shares[place], -sizes[place])):
        if used < room:
            break
        if shares[place] >= threshold:
            raise Dropped("too much of the context bears on the answer to fit the window")
        removed.add(place)
        used -= sizes[place]
    kept = " ".join(sentence for place, sentence in enumerate(sentences) if place not in removed)
    if not kept:
        raise Dropped("no sentence of the context fits the window")
    return kept


def _words(text: str, keep_case: bool) -> frozenset[str]:
    return frozenset(_WORD.findall(text if keep_case else text.lower()))


def _stop_words() -> frozenset[str]:
    from spacy.lang.en.stop_words import STOP_WORDS

    return frozenset(STOP_WORDS)


def _unbracketed(answer: str) -> str:
    """The answer without one pair of square brackets that encloses all of it; ``[1] and [2]`` stays."""
    if not (answer.startswith("[") and answer.endswith("]")):
        return answer
    depth = 0
    for place, char in enumerate(answer):
        depth += (char == "[") - (char == "]")
        if depth == 0 and place < len(answer) - 1:
            return answer
    return answer[1:-1].strip()


def _document_id(record: Mapping[str, Any]) -> str | None:
    if record.get("arxiv_id"):
        return arxiv_id(str(record["arxiv_id"]))
    for name in ("s2orc_id", "paper_id"):
        if record.get(name):
            return f"{name} {record[name]}"
    return None
