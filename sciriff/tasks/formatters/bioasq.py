"""Questions on biomedicine with snippets of articles (BioASQ task b), one formatter for each type of question.

All of them give ``question`` (str) and ``snippets`` (str, one snippet a line).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from rapidfuzz import fuzz

from sciriff.errors import Dropped, RecordError
from sciriff.readers.bioasq import exact_answers, ideal_answers, joined_snippets
from sciriff.tasks.rendering import Fidelity

_COPIED = 80
"""Above this likeness, in percent, an answer counts as copied from the snippets."""


def format_bioasq_factoid(
    record: Mapping[str, Any], *, random: Random, fidelity: Fidelity = "corrected"
) -> Iterator[dict[str, Any]]:
    """Yield one instance of a question that asks for a name, a number or a short phrase.

    - ``correct_ans`` (str): the longest of the accepted answers, the first of several; under ``original`` a bare string
      is taken for a list of letters;
    - ``student_ans`` (str): an answer to be checked, with even chances one of the accepted answers or the answer of
      another question;
    - ``student_eval`` (str): one or two sentences that call it correct, or incorrect and name ``correct_ans``.

    Args:
        record: a question as the reader ``bioasq`` gives it.
        random: source of chance, seeded by the record.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if it has no snippets or no exact answer.
    """
    accepted = _exact_answers(record)
    letters = fidelity == "original" and isinstance(record["exact_answer"], str)
    correct = max(record["exact_answer"] if letters else accepted, key=len)
    wrong = _filled(exact_answers(record.get("other_answer")))
    is_right = random.random() < 0.5 or not wrong
    yield {
        **_shared(record, fidelity),
        "correct_ans": correct,
        "student_ans": random.choice(accepted if is_right else wrong),
        "student_eval": "The answer is correct."
        if is_right
        else f"The answer is incorrect. The correct answer is {correct.strip().removesuffix('.')}.",
    }


def format_bioasq_list(record: Mapping[str, Any], *, fidelity: Fidelity = "corrected") -> Iterator[dict[str, Any]]:
    """Yield one instance of a question that asks for several things.

    - ``answers`` (list of str): the first name of each thing; under ``original`` ``correct_ans`` cut at ``", "``, so
      that a name with a comma falls apart;
    - ``correct_ans`` (str): the names joined by ``", "``; under ``original`` a thing that is not a list of names gives
      its first letter.

    Args:
        record: a question as the reader ``bioasq`` gives it.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if it has no snippets or no exact answer.
    """
    _exact_answers(record)
    exact = record["exact_answer"]
    if fidelity == "original":
        names = [entry[0] for entry in exact if entry]
    else:
        things = [exact] if isinstance(exact, str) else exact
        names = _filled([next(iter(_filled(exact_answers([thing]))), "") for thing in things])
    joined = ", ".join(names)
    yield {
        **_shared(record, fidelity),
        "answers": joined.split(", ") if fidelity == "original" else names,
        "correct_ans": joined,
    }


def format_bioasq_summary(record: Mapping[str, Any], *, fidelity: Fidelity = "corrected") -> Iterator[dict[str, Any]]:
    """Yield one instance of a question that asks for a summary: ``answer`` (str).

    It is the longest answer, or the shortest if the longest is copied from the snippets. Under ``original`` a bare
    string is taken for a list of letters.

    Args:
        record: a question as the reader ``bioasq`` gives it.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if it has no snippets or no answer.
    """
    shared = _shared(record, fidelity)
    answers = _filled(ideal_answers(record))
    if not answers:
        raise Dropped("no ideal answer")
    if fidelity == "original":
        answers = list(record["ideal_answer"])
    longest = max(answers, key=len)
    # thefuzz, which the original asks, rounds the value of this very function
    copied = round(fuzz.ratio(shared["snippets"], longest)) > _COPIED
    yield {**shared, "answer": min(answers, key=len) if copied else longest}


def format_bioasq_yesno(
    record: Mapping[str, Any], *, random: Random, fidelity: Fidelity = "corrected"
) -> Iterator[dict[str, Any]]:
    """Yield one instance of a question that is answered by yes or no.

    - ``binary_ans`` (str): ``yes`` or ``no``; under ``original`` as the source spells it (``Yes.``);
    - ``long_ans`` (str): the answers in full sentences, joined by blanks;
    - ``student_binary_ans`` (str): ``yes`` or ``no`` with even chances, an answer to be checked;
    - ``student_binary_eval`` (str): ``yes`` if it is right, else ``no``.

    Args:
        record: a question as the reader ``bioasq`` gives it.
        random: source of chance, seeded by the record.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if it has no snippets or no exact answer.
        RecordError: if the answer is neither yes nor no.
    """
    spelled = _exact_answers(record)[0]
    answer = spelled.strip().lower().removesuffix(".")
    if answer not in ("yes", "no"):
        raise RecordError(f"question {record['id']}", f"exact_answer is {spelled!r}; expected yes or no")
    proposed = random.choice(("yes", "no"))
    yield {
        **_shared(record, fidelity),
        "binary_ans": spelled if fidelity == "original" else answer,
        "long_ans": " ".join(ideal_answers(record)),
        "student_binary_ans": proposed,
        "student_binary_eval": "yes" if proposed == answer else "no",
    }


def _shared(record: Mapping[str, Any], fidelity: Fidelity) -> dict[str, Any]:
    """The variables of all types. A question with an empty list of snippets stays under ``original``."""
    snippets = joined_snippets(record)
    if snippets is None or (fidelity != "original" and not snippets.strip()):
        raise Dropped("no snippets")
    return {"question": record["body"], "snippets": snippets, "_document_id": record["id"]}


def _exact_answers(record: Mapping[str, Any]) -> list[str]:
    """The accepted answers that are not blank; at least one."""
    answers = _filled(exact_answers(record.get("exact_answer")))
    if not answers:
        raise Dropped("no exact answer")
    return answers


def _filled(texts: list[str]) -> list[str]:
    return [text for text in texts if text.strip()]
