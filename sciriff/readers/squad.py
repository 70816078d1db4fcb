"""SQuAD-like JSON (COVID-QA), see https://rajpurkar.github.io/SQuAD-explorer/. No options.

``{"data": [{"paragraphs": [{"context", "document_id", "qas": [{"id", "question", "answers": [{"text", ...}]}]}]}]}``;
one record for each question, in file order. Articles are read one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sciriff.errors import RecordError
from sciriff.readers.json_text import cut_container, load_json_object, require_field
from sciriff.readers.records import Row, SplitSpec

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield the questions; ``raw`` is ``(document id, context, question object)``, or what is wrong with an article.

    The context is shared by the questions of a paragraph, not copied.

    Raises:
        SourceError: if the file cannot be cut into articles.
    """
    split.check_options("squad")
    index = 0
    with view.open(split.path) as stream:
        for number, (_, raw) in enumerate(cut_container(stream, split.path, under="data"), start=1):
            for where, found in _questions(raw, f"article {number}"):
                yield Row(index, f"{split.path}:{where}", found)
                index += 1


def parse(row: Row, _split: SplitSpec) -> dict[str, Any]:
    """Parse one question: ``question_id``, ``document_id``, ``context``, ``question``, ``answers``.

    Context, question and answer texts are stripped; each answer keeps its other fields. ``answer_start`` counts in the
    unstripped context and is wrong for many answers of COVID-QA: search for the text.

    Raises:
        RecordError: if a field is missing or of another type, or a text is blank.
    """
    if isinstance(row.raw, str):
        raise RecordError(row.where, row.raw)
    document_id, context, qa = row.raw
    if "id" not in qa:
        raise RecordError(row.where, "field 'id' is missing")
    answers = require_field(qa, "answers", list, row.where)
    if not all(isinstance(answer, dict) for answer in answers):
        raise RecordError(row.where, "field 'answers': expected a list of objects")
    return {
        "question_id": qa["id"],
        "document_id": document_id,
        "context": context.strip(),
        "question": _stripped(qa, "question", row.where),
        "answers": [{**answer, "text": _stripped(answer, "text", row.where)} for answer in answers],
    }


def _stripped(record: dict[str, Any], name: str, where: str) -> str:
    text = str(require_field(record, name, str, where)).strip()
    if not text:
        raise RecordError(where, f"field {name!r} is blank")
    return text


def _questions(raw: bytes, where: str) -> Iterator[tuple[str, Any]]:
    """Yield ``(where, raw)`` of the questions of an article, or ``(where, reason)`` where it is malformed."""
    try:
        paragraphs = require_field(load_json_object(raw, where), "paragraphs", list, where)
    except RecordError as error:
        yield error.where, error.reason
        return
    for number, paragraph in enumerate(paragraphs, start=1):
        at = f"{where}, paragraph {number}"
        if not isinstance(paragraph, dict):
            yield at, "expected an object with context and qas"
            continue
        try:
            context = _stripped(paragraph, "context", at)
            questions = require_field(paragraph, "qas", list, at)
        except RecordError as error:
            yield error.where, error.reason
            continue
        document_id = paragraph.get("document_id", where)
        for place, qa in enumerate(questions, start=1):
            if isinstance(qa, dict):
                yield f"{at}, question {qa.get('id', place)}", (document_id, context, qa)
            else:
                yield f"{at}, question {place}", "expected an object with id, question and answers"
