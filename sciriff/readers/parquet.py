"""Parquet, see https://parquet.apache.org/docs/file-format/: one record a row.

The path is one file or member, or a pattern such as ``train_*``. Files that match are read in the order of their names,
and rows are numbered on through them.

Options:
    ``columns``: list of column names; other columns are not read at all. Without it every column is.

A few rows are held at a time, whatever the size of a file and its row groups. A record is a dict from column name to a
plain value: str, bytes, int, float, bool or None; date, time and Decimal objects; lists, and dicts for structs. A map
is a list of pairs. Categories are given as their values.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO

from sciriff.errors import RecordError, SourceError, TaskFileError
from sciriff.readers.records import Row, SplitSpec
from sciriff.sources.containers import Limits, check_ratio

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView

_ROWS_AT_ONCE = 64
_READ_AHEAD = 1 << 20


def rows(view: ArchiveView, split: SplitSpec) -> Iterator[Row]:
    """Yield the rows in file order; ``raw`` is ``(schema, row)``, both in Arrow's own encoding.

    Raises:
        MissingMemberError: if nothing matches, or one of the files could not be had.
        SourceError: if a file is not Parquet, is truncated or damaged, lacks a column asked for, or holds far more than
            a file of its size honestly can.
    """
    split.check_options("parquet", "columns")
    columns = _wanted_columns(split)
    paths = view.names(split.path) if "*" in split.path or "?" in split.path else []
    index = 0
    for path in paths or [split.path]:
        with view.open_seekable(path) as stream:
            for number, raw in enumerate(_cut(stream, path, columns), start=1):
                yield Row(index, f"{path}:row {number}", raw)
                index += 1


def parse(row: Row, _split: SplitSpec) -> dict[str, Any]:
    """Make plain values of one row.

    Raises:
        RecordError: if a string is not UTF-8, or a date is beyond what Python can hold.
    """
    import pyarrow as pa

    schema, content = row.raw
    batch = pa.ipc.read_record_batch(pa.py_buffer(content), _schema(schema))
    record: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            record[name] = column[0].as_py()
        except (ValueError, OverflowError, pa.ArrowException) as error:
            raise RecordError(row.where, f"column {name!r}: {error}") from error
    return record


def _wanted_columns(split: SplitSpec) -> list[str] | None:
    columns = split.options.get("columns")
    if columns is None or (isinstance(columns, Sequence) and not isinstance(columns, str)):
        return None if columns is None else [str(name) for name in columns]
    raise TaskFileError(f"{split.path}: option 'columns' of reader 'parquet': expected a list, found {columns!r}")


def _cut(stream: BinaryIO, path: str, columns: list[str] | None) -> Iterator[tuple[bytes, bytes]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = stream.seek(0, io.SEEK_END)
    unpacked = 0
    try:
        file = pq.ParquetFile(stream, buffer_size=_READ_AHEAD, pre_buffer=False)
        schema = _plain_schema(_chosen(file.schema_arrow, columns, path))
        encoded = schema.serialize().to_pybytes()
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns, use_threads=False):
            unpacked += batch.nbytes
            check_ratio(unpacked, size, path, Limits())
            plain = batch.select(schema.names).cast(schema)
            for place in range(plain.num_rows):
                yield encoded, plain.slice(place, 1).serialize().to_pybytes()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(
            f"{path} is not Parquet, or is damaged or cut off ({reason}); delete the file and fetch it again"
        ) from error


def _chosen(schema: Any, columns: list[str] | None, path: str) -> Any:
    """The columns asked for, in the order asked for."""
    import pyarrow as pa

    names = schema.names if columns is None else columns
    if unknown := [name for name in names if name not in schema.names]:
        raise SourceError(
            f"{path} has no column {', '.join(unknown)}; it has {', '.join(schema.names)}; check the binding's columns"
        )
    if doubled := sorted({name for name in names if schema.names.count(name) > 1}):
        raise SourceError(f"{path}: column {', '.join(doubled)} occurs more than once; the file is of another format")
    return pa.schema([schema.field(name) for name in names])


def _plain_schema(schema: Any) -> Any:
    """The schema without notes of the writer, which can be long, and with categories as their values."""
    import pyarrow as pa

    return pa.schema([pa.field(field.name, _plain_type(field.type)) for field in schema])


def _plain_type(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _plain_type(field.type)) for field in kind])
    return kind


@lru_cache(maxsize=8)
def _schema(encoded: bytes) -> Any:
    import pyarrow as pa

    return pa.ipc.read_schema(pa.py_buffer(encoded))
