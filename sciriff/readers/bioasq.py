"""Questions of BioASQ task b, see http://participants-area.bioasq.org/general_information/Task11b/.

JSON files of one object ``{"questions": [...]}``. The path may be a pattern; the files that match are read in the order
of their names (the golden answers come in four batches).

Options:
    ``type``: ``factoid``, ``list``, ``summary`` or ``yesno``; only questions of that type are rows. Required.

Editions differ in what they hold: ``snippets`` may be absent, ``ideal_answer`` a string or a list of strings, and
``exact_answer`` a string, a list of strings, or a list of lists of synonyms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers.json_text import cut_container, load_json_object, require_field
from sciriff.readers.records import PassedOver, Row, SplitSpec

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView

TYPES = ("factoid", "list", "summary", "yesno")

COPY = "answer repeats the snippets"
"""Reason for which a summary question is passed over."""


class _Question(NamedTuple):
    """One question: where it stands, its bytes, its type if that can be read, and the whole record if it is sound."""

    where: str
    raw: bytes
    type: str | None
    record: dict[str, Any] | None


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row | PassedOver]:
    """Yield the questions of one type in file order; ``raw`` is ``(bytes, exact answer of another question or None)``.

    Summary questions whose longest answer is the snippets over again are passed over, as they were before the original
    numbered its questions. A question of no known type is a row of every type, so that ``parse`` says what is wrong
    with it.

    Raises:
        SourceError: where the rest of a file cannot be cut into questions.
    """
    split.check_options("bioasq", "type")
    wanted = split.options.get("type")
    if wanted not in TYPES:
        raise TaskFileError(f"{split.path}: reader 'bioasq' needs type {', '.join(TYPES)}, found {wanted!r}")
    questions = [question for question in _questions(view, split.path) if question.type in (wanted, None)]
    others = _other_answers(questions) if wanted == "factoid" else {}
    index = 0
    for place, question in enumerate(questions):
        if wanted == "summary" and question.record is not None and _is_copy(question.record):
            yield PassedOver(COPY, question.where)
            continue
        yield Row(index, question.where, (question.raw, others.get(place)))
        index += 1


def parse(row: Row, _split: SplitSpec) -> dict[str, Any]:
    """Parse one question: ``id``, ``type``, ``body``, those of ``snippets``, ``ideal_answer``, ``exact_answer`` it has.

    ``other_answer`` is the exact answer of another factoid question of the split, if possible of one that begins with
    the same two words; it is wrong for this question. None if there is no such question, and for the other types.

    Raises:
        RecordError: if the type is none of the four, or a field is missing or of another type.
    """
    raw, other = row.raw
    return {**_record(raw, row.where), "other_answer": other}


def joined_snippets(question: Mapping[str, Any]) -> str | None:
    """The texts of a question's snippets, a line each; None if it has no such field."""
    if question.get("snippets") is None:
        return None
    return "\n".join(snippet["text"].replace("\n", " ").strip() for snippet in question["snippets"])


def ideal_answers(question: Mapping[str, Any]) -> list[str]:
    """The answers in full sentences, in the order of the file."""
    found = question.get("ideal_answer")
    return [found] if isinstance(found, str) else list(found or ())


def exact_answers(answer: Any) -> list[str]:
    """All strings of an ``exact_answer`` of any shape, in the order of the file."""
    if isinstance(answer, str):
        return [answer]
    return [text for entry in answer or () for text in ([entry] if isinstance(entry, str) else entry)]


def _questions(view: ArchiveView, pattern: str) -> Iterator[_Question]:
    for path in view.names(pattern) or [pattern]:
        with view.open(path) as stream:
            for place, (_, raw) in enumerate(cut_container(stream, path, "questions")):
                yield _question(raw, f"{path}:questions[{place}]")


def _question(raw: bytes, where: str) -> _Question:
    try:
        record = _record(raw, where)
    except RecordError:
        return _Question(where, raw, _readable_type(raw), None)
    return _Question(where, raw, record["type"], record)


def _readable_type(raw: bytes) -> str | None:
    try:
        kind = load_json_object(raw, "").get("type")
    except RecordError:
        return None
    return kind if isinstance(kind, str) and kind in TYPES else None


def _record(raw: bytes, where: str) -> dict[str, Any]:
    record = load_json_object(raw, where)
    for name in ("id", "type", "body"):
        require_field(record, name, str, where)
    if record["type"] not in TYPES:
        raise RecordError(where, f"type is {record['type']!r}; expected one of {', '.join(TYPES)}")
    snippets = record.get("snippets")
    if snippets is not None and not _is_list_of(snippets, _is_snippet):
        raise RecordError(where, "field 'snippets': expected a list of objects with a string 'text'")
    ideal = record.get("ideal_answer")
    if ideal is not None and not isinstance(ideal, str) and not _is_list_of(ideal, _is_text):
        raise RecordError(where, "field 'ideal_answer': expected a string or a list of strings")
    exact = record.get("exact_answer")
    if exact is not None and not isinstance(exact, str) and not _is_list_of(exact, _is_text_or_texts):
        raise RecordError(where, "field 'exact_answer': expected a string, a list of strings or a list of such lists")
    return record


def _is_list_of(value: Any, holds: Any) -> bool:
    return isinstance(value, list) and all(map(holds, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_texts(value: Any) -> bool:
    return _is_text(value) or _is_list_of(value, _is_text)


def _is_snippet(value: Any) -> bool:
    return isinstance(value, dict) and _is_text(value.get("text"))


def _is_copy(question: Mapping[str, Any]) -> bool:
    longest = max(ideal_answers(question), key=len, default="")
    return bool(longest) and longest.casefold() == (joined_snippets(question) or "").casefold()


def _other_answers(questions: Sequence[_Question]) -> dict[int, Any]:
    """Place of a question -> the exact answer of the next one that shares no answer with it, going round at the end."""
    answers: dict[int, tuple[Any, frozenset[str]]] = {}
    alike: dict[str, list[int]] = {}
    for place, question in enumerate(questions):
        if question.record is not None and (texts := exact_answers(exact := question.record.get("exact_answer"))):
            answers[place] = exact, frozenset(text.strip().casefold() for text in texts)
            alike.setdefault(" ".join(question.record["body"].casefold().split()[:2]), []).append(place)
    found: dict[int, Any] = {}
    for group in (list(answers), *alike.values()):  # what questions that begin alike give wins
        for number, place in enumerate(group):
            following = (group[(number + step) % len(group)] for step in range(1, len(group)))
            rival = next((other for other in following if answers[other][1].isdisjoint(answers[place][1])), None)
            if rival is not None:
                found[place] = answers[rival][0]
    return found
