"""Read general chat records, row by row, from files as the Hub serves them: Parquet or JSON lines (also gzipped)."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import orjson

from sciriff.errors import SourceError

_BATCH_ROWS = 1_000


class ChatRow(NamedTuple):
    """One row of the general data.

    Args:
        place: row number over all files, in the order in which they were given.
        record: the record as it stands in the file, or None if it cannot be read.
    """

    place: int
    record: Any


def read_chat_rows(files: Sequence[Path]) -> Iterator[ChatRow]:
    """Return the rows of all files in order, holding one batch in memory.

    Raises:
        SourceError: if a file is missing or is neither Parquet nor JSON lines.
    """
    records = chain.from_iterable(map(_read_file, files))
    return (ChatRow(place, record) for place, record in enumerate(records))


def _read_file(path: Path) -> Iterator[Any]:
    """Tell the format by the first bytes: cached downloads do not always keep their file name."""
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
            stream.seek(0)
            if magic == b"PAR1":
                yield from _read_parquet(path)
            elif magic[:2] == b"\x1f\x8b":
                with gzip.open(stream) as unzipped:
                    yield from _read_json_lines(path, cast("IO[bytes]", unzipped))
            else:
                yield from _read_json_lines(path, stream)
    except (OSError, EOFError) as error:
        raise SourceError(f"Tulu file {path} cannot be read: {error}; give a Parquet or JSON lines file") from error


def _read_parquet(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if "messages" not in file.schema_arrow.names:
                raise SourceError(f"Tulu file {path} has no column 'messages' but {', '.join(file.schema_arrow.names)}")
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise SourceError(f"Tulu file {path} is not whole Parquet: {error}; fetch it again") from error


def _read_json_lines(path: Path, stream: IO[bytes]) -> Iterator[Any]:
    readable = False
    for line in stream:
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            if not readable:
                raise SourceError(
                    f"Tulu file {path} is neither Parquet nor JSON lines; it begins with {line[:60]!r} ({error})"
                ) from error
            record = None
        readable = True
        yield record
