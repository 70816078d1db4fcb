"""Tagged tokens in two columns, one ``token<TAB>tag`` a line, with a blank line after each sentence. No options.

Tags are ``O``, ``B-TYPE`` at the first token of a mention and ``I-TYPE`` at its others. Tolerated: a byte order mark,
CRLF, several blank lines in a row, and no newline at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sciriff.errors import RecordError
from sciriff.readers.records import Row, SplitSpec
from sciriff.readers.text import decode, numbered_lines

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView

_TAG = re.compile(r"O|[BI]-\S+")


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield the sentences in file order; ``raw`` is ``(number of the first line, lines joined by LF)``."""
    split.check_options("iob")
    index = 0
    with view.open(split.path) as stream:
        for start, lines in _sentences(numbered_lines(stream)):
            yield Row(index, f"{split.path}:{start}", (start, b"\n".join(lines)))
            index += 1


def parse(row: Row, split: SplitSpec) -> dict[str, Any]:
    """Parse one sentence: ``tokens`` and ``tags``, two lists of strings of the same length.

    Raises:
        RecordError: if a line is not UTF-8 or not a token and a tag.
    """
    start, lines = row.raw
    tokens, tags = [], []
    for number, line in enumerate(lines.split(b"\n"), start=start):
        where = f"{split.path}:{number}"
        token, *columns = decode(line, where).split("\t")
        if len(columns) != 1 or not token.strip(" "):
            raise RecordError(where, f"expected 'token<tab>tag', found {line[:80]!r}")
        tag = columns[0].strip()
        if not _TAG.fullmatch(tag):
            raise RecordError(where, f"expected tag O, B-TYPE or I-TYPE, found {tag!r}")
        tokens.append(token)
        tags.append(tag)
    return {"tokens": tokens, "tags": tags}


def _sentences(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the number of the first line, and the lines, of each run of lines that are not blank."""
    start = 0
    held: list[bytes] = []
    for number, line in lines:
        if line.strip():
            start = start if held else number
            held.append(line)
        elif held:
            yield start, held
            held = []
    if held:
        yield start, held
