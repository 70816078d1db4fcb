"""Choosing data sets for a research idea, out of options drawn by chance (dataset recommendation, MCQ)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from string import ascii_uppercase
from typing import Any, NamedTuple

from sciriff.errors import Dropped, RecordError
from sciriff.tasks.rendering import Fidelity
from sciriff.tasks.sentences import split_sentences

_FEWEST_RIGHT = 2
_FEWEST_OPTIONS = 5
_WRONG_BESIDE_ONE = 3
_BETWEEN_NAMES = ", "
_BETWEEN_OPTIONS = "  "


class _Candidates(NamedTuple):
    """Names of the data sets that a question may offer."""

    right: list[str]
    wrong: list[str]


def format_several_right(
    record: Mapping[str, Any],
    *,
    random: Random,
    num_sentences: int = 2,
    max_candidates: int = 7,
    max_positives: int = 5,
    fidelity: Fidelity = "corrected",
) -> Iterator[dict[str, Any]]:
    """Yield a question with two or more right options.

    - ``query``, ``keyphrase_query`` (str): the idea, in a sentence and in keyphrases;
    - ``options`` (str): ``A: name`` and so on, two blanks apart;
    - ``context`` (str): for each option, in their order, ``name: `` and the first sentences of its description, a line
      each;
    - ``answer`` (str): the right names in the order of the options, joined by a comma and a blank;
    - ``answer_names`` (list of str): the same as a list. Under ``original`` it is ``answer`` split at ``", "``, so that
      a name that holds a comma falls apart;
    - ``abstracts`` (dict): name -> description.

    Args:
        record: ``query``, ``keyphrase_query``, ``positive_cands``, ``negative_cands`` (lists of names), ``abstracts``
            (list of ``dkey``, ``dval``).
        random: the record's own generator.
        num_sentences: sentences of each description.
        max_candidates: most options.
        max_positives: most right options.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if there is no query, or fewer than two data sets are right.
        RecordError: if a field is missing, or a data set has no description.
    """
    described = _descriptions(record)
    right, wrong = _candidates(record, _names(record, "positive_cands"), fidelity)
    if len(right) < _FEWEST_RIGHT:
        raise Dropped("fewer than two right data sets")
    random.shuffle(right)
    random.shuffle(wrong)
    chosen = random.sample(right, random.randint(_FEWEST_RIGHT, min(len(right), max_positives)))
    others = random.randint(_FEWEST_OPTIONS, max_candidates) - len(chosen)
    options = random.sample(wrong, min(max(others, 0), len(wrong))) + chosen
    random.shuffle(options)
    names = [name for name in options if name in chosen]
    answer = _BETWEEN_NAMES.join(names)
    yield {
        **_question(record, options, described, num_sentences),
        "answer": answer,
        "answer_names": answer.split(_BETWEEN_NAMES) if fidelity == "original" else names,
    }


def format_one_right(
    record: Mapping[str, Any], *, random: Random, num_sentences: int = 2, fidelity: Fidelity = "corrected"
) -> Iterator[dict[str, Any]]:
    """Yield a question with one right and three wrong options.

    The variables are those of :func:`format_several_right` without ``answer_names``; ``answer`` is the right name, and
    ``year`` (int or str; None if it is not known) is when the idea was published.

    Args:
        record: ``query``, ``keyphrase_query``, ``year``, ``answer`` (a name), ``negative_cands`` (list of names),
            ``abstracts`` (list of ``dkey``, ``dval``).
        random: the record's own generator.
        num_sentences: sentences of each description.
        fidelity: ``corrected`` or ``original``.

    Raises:
        Dropped: if there is no query or no answer, or fewer than three data sets are wrong.
        RecordError: if a field is missing, or a data set has no description.
    """
    described = _descriptions(record)
    answer = _text(record, "answer")
    if not answer.strip():
        raise Dropped("blank answer")
    _, wrong = _candidates(record, [answer], fidelity)
    if len(wrong) < _WRONG_BESIDE_ONE:
        raise Dropped("fewer than three wrong data sets")
    random.shuffle(wrong)
    options = [*random.sample(wrong, _WRONG_BESIDE_ONE), answer]
    random.shuffle(options)
    yield {**_question(record, options, described, num_sentences), "answer": answer, "year": record.get("year")}


def _candidates(record: Mapping[str, Any], right: list[str], fidelity: Fidelity) -> _Candidates:
    """Right and wrong names; none twice, and none on both sides, unless as in the original."""
    wrong = _names(record, "negative_cands")
    if fidelity == "original":
        return _Candidates(right, wrong)
    return _Candidates(list(dict.fromkeys(right)), [name for name in dict.fromkeys(wrong) if name not in right])


def _question(
    record: Mapping[str, Any], options: Sequence[str], described: Mapping[str, str], num_sentences: int
) -> dict[str, Any]:
    query = _text(record, "query")
    if not query.strip():
        raise Dropped("blank query")
    if missing := [name for name in options if name not in described]:
        raise RecordError(_where(record), f"field 'abstracts': no description of {', '.join(map(repr, missing))}")
    lines = [f"{name}: {_beginning(described[name], num_sentences)}".strip() for name in options]
    return {
        **record,
        "query": query,
        "keyphrase_query": _text(record, "keyphrase_query"),
        "options": _BETWEEN_OPTIONS.join(
            f"{letter}: {name}" for letter, name in zip(ascii_uppercase, options, strict=False)
        ),
        "context": "\n".join(lines),
        "abstracts": dict(described),
        "_document_text": query,
    }


def _beginning(description: str, num_sentences: int) -> str:
    """The first sentences of a description, on one line."""
    return " ".join(" ".join(split_sentences(description)[:num_sentences]).splitlines())


def _descriptions(record: Mapping[str, Any]) -> dict[str, str]:
    pairs = record.get("abstracts")
    try:
        described = {pair["dkey"]: pair["dval"] for pair in pairs or ()}
    except (KeyError, TypeError) as error:
        raise RecordError(_where(record), "field 'abstracts': expected a list of {dkey, dval}") from error
    if not all(isinstance(text, str) for text in described.values()):
        raise RecordError(_where(record), "field 'abstracts': expected every dval to be a string")
    return described


def _names(record: Mapping[str, Any], field: str) -> list[str]:
    names = record.get(field)
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise RecordError(_where(record), f"field {field!r}: expected a list of names")
    return list(names)


def _text(record: Mapping[str, Any], field: str) -> str:
    text = record.get(field)
    if not isinstance(text, str):
        raise RecordError(_where(record), f"field {field!r}: expected a string, found {type(text).__name__}")
    return text


def _where(record: Mapping[str, Any]) -> str:
    return f"question {str(record.get('query'))[:60]!r}"
