"""Questions on full articles, the article cut to the sentences around the answer (COVID-QA)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.budget import Budget, piece_sizes
from sciriff.tasks.rendering import Fidelity
from sciriff.tasks.sentences import sentence_spans

_sentence_sizes = lru_cache(maxsize=256)(piece_sizes)


@lru_cache(maxsize=256)
def _sentences(context: str) -> tuple[str, ...]:
    return tuple(context[start:end] for start, end in sentence_spans(context))


def _grow(
    first: int, last: int, target: int | None, used: int, sizes: tuple[int, ...], budget: Budget
) -> tuple[int, int]:
    """Widen the run of pieces ``first..last`` outward until one does not fit or none is left.

    The run grows as far as ``target``, if there is one. After that one of the pieces still outside is drawn, and the
    run grows on that side as far as the drawn one; so which side grows, and how far, is chance.
    """
    while outside := len(sizes) - (last - first + 1):
        if target is None:
            draw = budget.random.randrange(outside)
            target = draw if draw < first else draw + (last - first + 1)
        following = first - 1 if target < first else last + 1
        used += sizes[following]
        if used > budget.window:
            break
        first, last = min(first, following), max(last, following)
        if following == target:
            target = None
    return first, last


def _article(context: str, start: int, answer: str, budget: Budget, instruction_tokens: int) -> str:
    """The sentence, or run of sentences, that covers the answer at ``start``, and others around it.

    The core keeps its own white space, so that the answer occurs in the article. The sentence before it comes first.
    """
    spans = sentence_spans(context)
    covering = [i for i, (begin, end) in enumerate(spans) if begin < start + len(answer) and end > start]
    first, last = covering[0], covering[-1]
    core = context[spans[first][0] : spans[last][1]]
    pieces = _sentences(context)
    used = instruction_tokens + budget.count(core)
    target = first - 1 if first > 0 else None
    low, high = _grow(first, last, target, used, _sentence_sizes(budget.count, pieces), budget)
    return " ".join([*pieces[low:first], core, *pieces[last + 1 : high + 1]])


def _article_of_the_original(context: str, answer: str, budget: Budget, instruction_tokens: int) -> str:
    """The answer, cut out of its sentence, and others around it; the answer alone if the context begins with it.

    The sentence before the answer is taken whether it fits or not. Where the answer occurs again, it is left out there.
    """
    before, *after = context.split(answer)
    if not before:
        return answer
    leading = _sentences(before)
    pieces = (*leading, answer, *_sentences(" ".join(after)))
    sizes = _sentence_sizes(budget.count, pieces)
    first = max(len(leading) - 1, 0)
    used = instruction_tokens + sum(sizes[first : len(leading) + 1])
    low, high = _grow(first, len(leading), None, used, sizes, budget)
    return " ".join(pieces[low : high + 1])


def format_covid_qa(
    record: Mapping[str, Any], *, budget: Budget, instruction_tokens: int = 200, fidelity: Fidelity = "corrected"
) -> Iterator[dict[str, Any]]:
    """Yield ``article`` (sentences around the answer that fit the window), ``question`` and ``answer``.

    The answer always occurs in ``article``: whole sentences are kept, those with its first occurrence among them, and
    around them others until the window is full.

    Args:
        record: ``question_id``, ``document_id``, ``context``, ``question`` and ``answers`` (list with ``text``).
        budget: see :class:`~sciriff.tasks.formatters.budget.Budget`.
        instruction_tokens: tokens set aside for the instruction and the question.
        fidelity: ``corrected`` or ``original``, see :func:`_article_of_the_original`.

    Raises:
        Dropped: if the answer is blank.
        RecordError: if the answer does not occur in the context. (Answer offsets of the source are unreliable and not
            used.)
    """
    context: str = record["context"]
    answer = " ".join(found["text"] for found in record["answers"])
    if not answer.strip():
        raise Dropped("blank answer")
    if fidelity != "original":
        answer = answer.strip()
    start = context.find(answer)
    if start < 0:
        raise RecordError(f"question {record['question_id']}", f"answer {answer!r} does not occur in the article")
    if fidelity == "original":
        article = _article_of_the_original(context, answer, budget, instruction_tokens)
    else:
        article = _article(context, start, answer, budget, instruction_tokens)
    yield {
        "article": article,
        "question": record["question"],
        "answer": answer,
        "_document_id": str(record["document_id"]),
    }
