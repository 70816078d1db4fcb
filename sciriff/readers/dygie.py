"""DyGIE++ JSON lines, see the ``doc/data.md`` of https://github.com/dwadden/dygiepp. No options.

One document a line: ``doc_key`` (a string, or a number where it is a PubMed id), ``sentences`` (lists of tokens),
``ner`` and ``relations`` (a list for each sentence) and ``clusters``. Token indices count over the document, ends are
inclusive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sciriff.errors import RecordError
from sciriff.readers.json_lines import lines
from sciriff.readers.json_text import load_json_object, require_field
from sciriff.readers.records import DygieDocument, Row, SplitSpec

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield the documents in file order; ``raw`` is the line."""
    split.check_options("dygie")
    for index, (where, line) in enumerate(lines(view, split.path)):
        yield Row(index, where, line)


def parse(row: Row, _split: SplitSpec) -> DygieDocument:
    """Parse one line. ``relations`` and ``clusters`` may be missing, as in corpora that have none.

    Raises:
        RecordError: if a field is missing or of another shape, or an index lies outside the document.
    """
    where = row.where
    record = load_json_object(row.raw, where)
    sentences = require_field(record, "sentences", list, where)
    if not all(isinstance(sentence, list) and all(isinstance(t, str) for t in sentence) for sentence in sentences):
        raise RecordError(where, "field 'sentences': expected lists of token strings")
    check = _Spans(where, sum(map(len, sentences)))
    return DygieDocument(
        id=_doc_key(record, where),
        sentences=tuple(map(tuple, sentences)),
        ner=tuple(check.labelled("ner", 2, require_field(record, "ner", list, where), len(sentences))),
        relations=tuple(check.labelled("relations", 4, _optional(record, "relations", where), len(sentences))),
        clusters=tuple(tuple(check.spans("clusters", c)) for c in _optional(record, "clusters", where)),
    )


def _doc_key(record: dict[str, Any], where: str) -> str:
    key = record.get("doc_key")
    return str(key) if type(key) is int else str(require_field(record, "doc_key", str, where))


def _optional(record: dict[str, Any], name: str, where: str) -> list[Any]:
    found: list[Any] = require_field(record, name, list, where) if name in record else []
    return found


class _Spans:
    """Checks token indices against the length of one document."""

    def __init__(self, where: str, tokens: int) -> None:
        self._where = where
        self._tokens = tokens

    def labelled(self, name: str, width: int, per_sentence: list[Any], sentences: int) -> Iterator[Any]:
        """Yield the items (``width`` indices and a label) of all sentences."""
        if per_sentence and len(per_sentence) != sentences:
            self._fail(name, f"expected a list for each of the {sentences} sentences, found {len(per_sentence)}")
        for items in per_sentence:
            for item in self._list(name, items):
                if len(self._list(name, item)) != width + 1 or not isinstance(item[-1], str):
                    self._fail(name, f"expected {width} indices and a label, found {item!r}")
                for start, end in zip(item[0:width:2], item[1:width:2], strict=True):
                    self._check(name, start, end)
                yield tuple(item)

    def spans(self, name: str, items: Any) -> Iterator[tuple[int, int]]:
        """Yield the ``[start, end]`` pairs of one list."""
        for item in self._list(name, items):
            if len(self._list(name, item)) != 2:
                self._fail(name, f"expected [start, end], found {item!r}")
            self._check(name, *item)
            yield item[0], item[1]

    def _list(self, name: str, value: Any) -> list[Any]:
        if not isinstance(value, list):
            self._fail(name, f"expected a list, found {value!r}")
        found: list[Any] = value
        return found

    def _check(self, name: str, start: Any, end: Any) -> None:
        # type() and not isinstance(): true and false are no indices.
        if type(start) is not int or type(end) is not int or not 0 <= start <= end < self._tokens:
            self._fail(name, f"span [{start!r}, {end!r}] does not lie within the document's {self._tokens} tokens")

    def _fail(self, name: str, reason: str) -> None:
        raise RecordError(self._where, f"field {name!r}: {reason}")
