"""Articles of eLife and PLOS with lay summaries, see https://github.com/TGoldsack1/Corpora_for_Lay_Summarisation.

A JSON list of ``{id, year, title, sections, headings, abstract, summary, keywords}``; texts are lists of sentences, and
``sections`` a list of such lists. The path may be a pattern that matches one member. No options.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sciriff.errors import RecordError
from sciriff.readers.json_text import cut_container, load_json_object, require_field
from sciriff.readers.members import open_only
from sciriff.readers.records import Row, SplitSpec

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield the articles in file order; ``raw`` is the JSON object as bytes.

    Raises:
        SourceError: where the rest of the file cannot be cut into records.
    """
    split.check_options("lay_summaries")
    path, stream = open_only(view, split.path)
    with stream:
        for index, (_, raw) in enumerate(cut_container(stream, path)):
            yield Row(index, f"{path}:[{index}]", raw)


def parse(row: Row, _split: SplitSpec) -> dict[str, Any]:
    """Parse one article.

    Raises:
        RecordError: if a field is missing or of another type.
    """
    record = load_json_object(row.raw, row.where)
    require_field(record, "title", str, row.where)
    for name in ("headings", "abstract", "summary", "keywords"):
        _require_texts(require_field(record, name, list, row.where), name, row.where)
    for section in require_field(record, "sections", list, row.where):
        _require_texts(section, "sections", row.where)
    return record


def _require_texts(value: Any, name: str, where: str) -> None:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise RecordError(where, f"field {name!r}: expected {'lists' if name == 'sections' else 'a list'} of strings")
