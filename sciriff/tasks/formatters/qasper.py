"""Questions on a full paper, answered with evidence (QASPER), the paper cut to evidence plus chance other sections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.formatters.budget import Budget, piece_sizes
from sciriff.tasks.rendering import Fidelity

QuestionType = Literal["abstractive", "extractive"]

_UNNAMED_SECTION = "(section without a title)"
_FLOAT_MARK = "FLOAT SELECTED"
_FORMULA_MARK = "inlineform"


_block_sizes = lru_cache(maxsize=4)(piece_sizes)  # the windows of one paper follow one another


@dataclass(frozen=True, slots=True)
class _Paper:
    """A paper in blocks: ``head`` (title, abstract), which every document has, ``body`` (sections, then captions)."""

    head: tuple[str, ...]
    body: tuple[str, ...]

    def locate(self, evidence: str) -> int:
        """Index of the first block of the body that has the evidence, sections before captions."""
        for index, block in enumerate(self.body):
            if evidence in block:
                return index
        raise Dropped("evidence not found in the paper")

    def with_spans(self, blocks: frozenset[int], spans: Iterable[str]) -> frozenset[int]:
        """The blocks, and for each span that neither they nor the head hold, the first block of the body that does."""
        found = set(blocks)
        for span in spans:
            if not any(_holds(text, span) for text in (*self.head, *(self.body[index] for index in found))):
                holder = next((index for index, block in enumerate(self.body) if _holds(block, span)), None)
                if holder is None:
                    raise Dropped("answer not found in the paper")
                found.add(holder)
        return frozenset(found)


def _holds(text: str, span: str) -> bool:
    """Whether a text has a span, whatever the white space between its words."""
    return span in text or " ".join(span.split()) in " ".join(text.split())


@dataclass(frozen=True, slots=True)
class _Question:
    """A question with its chosen answer and the body blocks that hold its evidence."""

    question: str
    answer: str | list[str]
    evidence: list[str]
    blocks: frozenset[int]


def _paper(record: Mapping[str, Any]) -> _Paper:
    sections = []
    for section in record["full_text"]:
        paragraphs = section["paragraphs"]
        if paragraphs != [""]:
            name = section["section_name"]
            title = _UNNAMED_SECTION if name is None else name
            sections.append("\n".join([title, *(paragraph for paragraph in paragraphs if paragraph)]))
    captions = [float_["caption"] for float_ in record.get("figures_and_tables") or ()]
    head = (record["title"] or "", record["abstract"] or "")
    return _Paper(head, (*sections, *captions))


def _chosen_answer(answers: Sequence[Mapping[str, Any]], question_type: QuestionType) -> Mapping[str, Any]:
    """First annotator's answer of the wanted kind; one with free-form text is abstractive whatever else it has."""
    field = "free_form_answer" if question_type == "abstractive" else "extractive_spans"
    for annotation in answers:
        answer: Mapping[str, Any] = annotation["answer"]
        if answer[field]:
            if question_type == "extractive" and answer["free_form_answer"]:
                break
            return answer
    raise Dropped(f"no {question_type} answer")


def _question(qa: Mapping[str, Any], paper: _Paper, question_type: QuestionType) -> _Question:
    answer = _chosen_answer(qa["answers"], question_type)
    if any(_FORMULA_MARK in highlighted.lower() for highlighted in answer["highlighted_evidence"]):
        raise Dropped("evidence with a formula placeholder")
    evidence = [text for text in answer["evidence"] if text.strip() and _FLOAT_MARK not in text]
    if not evidence:
        raise Dropped("no textual evidence")
    return _Question(
        question=qa["question"],
        answer=answer["free_form_answer"] if question_type == "abstractive" else list(answer["extractive_spans"]),
        evidence=evidence,
        blocks=frozenset(paper.locate(text) for text in evidence),
    )


def _document(paper: _Paper, needed: frozenset[int], budget: Budget, instruction_tokens: int) -> str:
    """Title, abstract, the needed blocks and as many others, drawn by chance, as fit; in the paper's order."""
    sizes = _block_sizes(budget.count, paper.head + paper.body)
    head_size, body_sizes = sum(sizes[: len(paper.head)]), sizes[len(paper.head) :]
    used = instruction_tokens + head_size + sum(body_sizes[index] for index in needed)
    others = [index for index in range(len(paper.body)) if index not in needed]
    budget.random.shuffle(others)
    kept = set(needed)
    while others and used < budget.window:
        index = others.pop()
        used += body_sizes[index]
        if used > budget.window:
            break
        kept.add(index)
    return "\n\n".join([*paper.head, *(paper.body[index] for index in sorted(kept))])


def format_qasper(
    record: Mapping[str, Any],
    *,
    budget: Budget,
    question_type: QuestionType,
    instruction_tokens: int = 300,
    fidelity: Fidelity = "corrected",
) -> Iterator[dict[str, Any]]:
    """Yield one instance per question that has a usable answer of the wanted kind.

    - ``paper`` (str): title, abstract, the sections and captions with the evidence, and others by chance, in the
      paper's order with a blank line between them, while they fit the window;
    - ``question`` (str);
    - ``answer``: free text (abstractive, str) or the spans (extractive, list of str);
    - ``evidence`` (list of str): the paragraphs or captions that support the answer;
    - ``unanswerable`` (bool): False, because only answered questions are kept.

    The ``_suffix`` counts the paper's kept questions from 0; it does not depend on the window. Not all spans stand in
    the evidence; ``paper`` also has a section or caption with each of the others, except under ``original``, which does
    not look for them.

    Args:
        record: a paper of the release: ``title``, ``abstract``, ``full_text`` (list of ``section_name``,
            ``paragraphs``), ``figures_and_tables`` (list with ``caption``; may be absent), ``qas``; and
            the reader's ``_key`` (paper id).
        budget: see :class:`~sciriff.tasks.formatters.budget.Budget`.
        question_type: which answers to take. Per question, the first annotator's answer of that kind counts.
        instruction_tokens: tokens set aside for the instruction, the question and the answer. Where those need more,
            the instance ends up too long for the window and is left out by the build, which counts it.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: at the end, if questions were left out: no answer of the kind, no textual evidence, evidence
            with a formula placeholder, or evidence or a span that is not found in the paper.
        RecordError: if a field is missing.
    """
    where = f"paper {record.get('_key')}"
    dropped: list[str] = []
    kept: list[_Question] = []
    try:
        paper = _paper(record)
        for qa in record["qas"]:
            try:
                kept.append(_question(qa, paper, question_type))
            except Dropped as drop:
                dropped += drop.reasons
    except (KeyError, TypeError) as error:
        raise RecordError(where, f"missing or malformed field: {error!r}") from error
    spans_shown = question_type == "extractive" and fidelity == "corrected"
    for number, chosen in enumerate(kept):
        try:
            needed = paper.with_spans(chosen.blocks, chosen.answer) if spans_shown else chosen.blocks
        except Dropped as drop:
            dropped += drop.reasons
            continue
        yield {
            "paper": _document(paper, needed, budget, instruction_tokens),
            "question": chosen.question,
            "answer": chosen.answer,
            "evidence": chosen.evidence,
            "unanswerable": False,
            "_suffix": number,
            "_document_id": record.get("_key"),
        }
    if dropped:
        raise Dropped(*dropped)
