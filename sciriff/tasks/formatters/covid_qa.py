"""Questions on full articles, the article cut to the sentences around the answer (COVID-QA)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.budget import Budget, piece_sizes
from sciriff.tasks.sentences import sentence_spans

_sentence_sizes = lru_cache(maxsize=256)(piece_sizes)


@lru_cache(maxsize=256)
def _sentences(context: str) -> tuple[str, ...]:
    return tuple(context[start:end] for start, end in sentence_spans(context))


def _grow(first: int, last: int, used: int, sizes: tuple[int, ...], budget: Budget) -> tuple[int, int]:
    """Widen the run of sentences ``first..last`` outward until one does not fit or none is left.

    The sentence just before the run comes first. After that one of the sentences still outside is drawn, and the run
    grows on that side as far as the drawn one; so which side grows, and how far, is chance.
    """
    target = first - 1 if first > 0 else None
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


def format_covid_qa(
    record: Mapping[str, Any], *, budget: Budget, instruction_tokens: int = 200
) -> Iterator[dict[str, Any]]:
    """Yield ``article`` (sentences around the answer that fit the window), ``question`` and ``answer``.

    The core is the sentence, or run of sentences, that covers the first occurrence of the answer, with its own
    whitespace, so that the answer always occurs in ``article``; sentences are added around it until the window is full.

    Args:
        record: ``question_id``, ``document_id``, ``context``, ``question`` and ``answers`` (list with ``text``).
        budget: see :class:`~sciriff.tasks.formatters.budget.Budget`.
        instruction_tokens: tokens set aside for the instruction and the question.

    Raises:
        Dropped: if the answer is blank.
        RecordError: if the answer does not occur in the context. (Answer offsets of the source are unreliable and not
            used.)
    """
    context: str = record["context"]
    answer = " ".join(found["text"] for found in record["answers"]).strip()
    if not answer:
        raise Dropped("blank answer")
    start = context.find(answer)
    if start < 0:
        raise RecordError(f"question {record['question_id']}", f"answer {answer!r} does not occur in the article")

    spans = sentence_spans(context)
    covering = [i for i, (begin, end) in enumerate(spans) if begin < start + len(answer) and end > start]
    first, last = covering[0], covering[-1]
    core = context[spans[first][0] : spans[last][1]]
    pieces = _sentences(context)
    used = instruction_tokens + budget.count(core)
    low, high = _grow(first, last, used, _sentence_sizes(budget.count, pieces), budget)
    yield {
        "article": " ".join([*pieces[low:first], core, *pieces[last + 1 : high + 1]]),
        "question": record["question"],
        "answer": answer,
        "_document_id": str(record["document_id"]),
    }
