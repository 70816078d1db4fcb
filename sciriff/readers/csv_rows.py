"""CSV with a header line, see RFC 4180: comma-separated, fields in double quotes may hold commas, line ends and ``""``.

The path may be a pattern that matches one member, such as ``archive!*train.csv``.

Options:
    ``columns``: list of column names that the file must have, so that a file of another layout is one error.

A file is cut where a line ends outside quotes; a record is parsed only when it is wanted. Tolerated: a byte order mark,
CRLF, blank lines, NUL bytes, fields of any length, and no newline at the end.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from sciriff.errors import RecordError, SourceError
from sciriff.readers.members import open_only
from sciriff.readers.records import Row, SplitSpec
from sciriff.readers.text import BYTE_ORDER_MARK, decode

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView

LONGEST_RECORD = 64 << 20
"""Bytes after which a quote that was opened is held to be stray rather than the start of a long field."""


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield the records in file order; ``raw`` is ``(header line, record)``, both as bytes.

    Raises:
        SourceError: if the file is empty, its header cannot be read, names a column twice or lacks one, or a quote is
            never closed.
    """
    split.check_options("csv", "columns")
    path, stream = open_only(view, split.path)
    with stream:
        header, records = cut_records(stream, path)
        columns = cells(header, path)
        if missing := [name for name in split.options.get("columns", ()) if name not in columns]:
            raise SourceError(f"{path}: no column {', '.join(missing)}; found {', '.join(columns)}")
        for index, (where, record) in enumerate(records):
            yield Row(index, where, (header, record))


def parse(row: Row, _split: SplitSpec) -> dict[str, str]:
    """Parse one record: column name -> text. An empty field is an empty string.

    Raises:
        RecordError: see :func:`parse_record`.
    """
    header, record = row.raw
    return parse_record(header, record, row.where)


def cut_records(stream: BinaryIO, path: str) -> tuple[bytes, Iterator[tuple[str, bytes]]]:
    """Cut a file into its header line and ``(path:line number, record)`` of each record.

    A quote inside a field is doubled, so a line ends a record when the quotes so far are even in number.

    Raises:
        SourceError: as :func:`rows`; a quote that is never closed shows while the records are iterated.
    """
    records = _each_record(stream, path)
    try:
        where, header = next(records)
    except StopIteration:
        raise SourceError(f"{path} is empty; expected a line of column names, then records") from None
    try:
        columns = cells(header, where)
    except RecordError as error:
        raise SourceError(f"{where}: expected a line of column names ({error.reason})") from error
    if len(set(columns)) < len(columns):
        raise SourceError(f"{where}: a column name occurs twice in {columns}; the file is of another format")
    return header, records


def parse_record(header: bytes, record: bytes, where: str) -> dict[str, str]:
    """Column name -> text of one record.

    Raises:
        RecordError: if it is not UTF-8, its quotes are broken, or it has more or fewer fields than the header.
    """
    columns, found = cells(header, where), cells(record, where)
    if len(columns) != len(found):
        raise RecordError(where, f"expected {len(columns)} fields ({', '.join(columns)}), found {len(found)}")
    return dict(zip(columns, found, strict=True))


def cells(record: bytes, where: str) -> list[str]:
    """The fields of one record.

    Raises:
        RecordError: if it is not UTF-8 or its quotes are broken.
    """
    csv.field_size_limit(sys.maxsize)
    try:
        found = list(csv.reader([decode(record, where)], strict=True))
    except csv.Error as error:
        raise RecordError(where, f"not CSV: {error}") from error
    return found[0] if found else []


def _each_record(stream: BinaryIO, path: str) -> Iterator[tuple[str, bytes]]:
    held: list[bytes] = []
    size = start = 0
    for number, line in enumerate(stream, start=1):
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        quotes = line.count(b'"')
        if held:
            held.append(line)
            size += len(line)
            if quotes % 2:
                yield f"{path}:{start}", b"".join(held).rstrip(b"\r\n")
                held = []
            elif size > LONGEST_RECORD:
                raise SourceError(
                    f"{path}:{start}: a quote is opened here and not closed within {LONGEST_RECORD:,} bytes; "
                    "the file is damaged or of another format"
                )
        elif quotes % 2:
            held, size, start = [line], len(line), number
        elif line.strip():
            yield f"{path}:{number}", line.rstrip(b"\r\n")
    if held:
        yield f"{path}:{start}", b"".join(held)
