"""Questions on full papers, answered from paragraphs that are cut to the window (QASA)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
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
    """Yield one instance: the record's fields, with

    - ``context`` (str): the paragraphs with the evidence, joined by a space, while they fit the window;
    - ``question`` (str);
    - ``composition`` (str): the answer, without brackets around the whole of it;
    - ``qix`` (str): the record's key in the file.

    A context beyond the budget loses sentences: those that share least with the answer first, of equal ones the
    longest. Under ``original``, nothing is set aside for the instruction, words are compared with their case, and
    brackets come off only where the context is cut.

    Args:
        record: ``evidential_info`` (list with ``context``), ``question``, ``composition``, ``title`` and mostly
            ``arxiv_id``; and the reader's ``_key``.
        budget: see :class:`~sciriff.tasks.formatters.budget.Budget`.
        instruction_tokens: tokens set aside for the instruction, the question and the answer. Where those need more,
            the instance ends up too long for the window and is left out by the build, which counts it.
        removal_thresh_percentage: share of the answer's words from which on a sentence may not be removed.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if context or answer are blank, or what bears on the answer does not fit the window.
        RecordError: if a field is missing.
    """
    try:
        context = " ".join(found["context"] for found in record["evidential_info"])
        question, answer = record["question"].strip(), record["composition"].strip()
    except (KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"question {record.get('_key')}", f"missing or malformed field: {error!r}") from error
    unbracketed = _unbracketed(answer)
    if not context.strip():
        raise Dropped("blank text")
    if not unbracketed:
        raise Dropped("blank answer")
    original = fidelity == "original"
    room = budget.window - (0 if original else instruction_tokens)
    fits = budget.count(context) <= room
    yield {
        **record,
        "context": context if fits else _cut(context, answer, room, budget, removal_thresh_percentage, original),
        "question": question,
        "composition": answer if original and fits else unbracketed,
        "qix": record.get("_key"),
        "_document_id": arxiv_id(str(record["arxiv_id"])) if record.get("arxiv_id") else None,
        "_document_text": record.get("title"),
    }


def _cut(context: str, answer: str, room: int, budget: Budget, threshold: float, keep_case: bool) -> str:
    """The sentences that are left, in order, once enough of the others are removed."""
    sentences = split_sentences(context)
    sizes = [budget.count(sentence) for sentence in sentences]
    wanted = {word for word in _words(answer, keep_case) if word.lower() not in _stop_words()}
    shares = [len(wanted & _words(sentence, keep_case)) / max(len(wanted), 1) for sentence in sentences]
    used = sum(sizes)
    removed = set()
    for place in sorted(range(len(sentences)), key=lambda place: (shares[place], -sizes[place])):
        if used < room:
            break
        if shares[place] >= threshold:
            raise Dropped("what bears on the answer does not fit the window")
        removed.add(place)
        used -= sizes[place]
    kept = " ".join(sentence for place, sentence in enumerate(sentences) if place not in removed)
    if not kept:
        raise Dropped("no sentence of the context fits the window")
    return kept


def _words(text: str, keep_case: bool) -> frozenset[str]:
    return frozenset(_WORD.findall(text if keep_case else text.lower()))


@cache
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
