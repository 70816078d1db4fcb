"""What the reader tests share: a view of files in memory, short ways to read, and texts that formats must survive."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, BinaryIO

from hypothesis import strategies as st

from sciriff.errors import RecordError
from sciriff.readers import load_reader
from sciriff.readers.records import PassedOver, Record, Row, SplitSpec

# Not line ends for these formats, although str.splitlines() thinks so; blanks and marks that formats use themselves.
TRICKY = "aB9 ,.|:;-#*{}[]\"'<>&\\/\u0085\u00a0\u2028é≥λ\u200b𝛼"


def texts(forbidden: str = "", min_size: int = 1) -> st.SearchStrategy[str]:
    """Texts without line ends and outer blanks, rich in characters that trip parsers."""
    banned = set(forbidden)
    alphabet = st.sampled_from([c for c in TRICKY if c not in banned]) | st.characters(
        codec="utf-8", exclude_characters="\r\n\ufeff" + forbidden, exclude_categories=("Cc", "Cs")
    )
    return st.text(alphabet, min_size=min_size, max_size=30).map(str.strip).filter(lambda text: len(text) >= min_size)


def names() -> st.SearchStrategy[str]:
    """Ids and type names: one word of ASCII."""
    return st.text("abcdefgXYZ0123456789_-", min_size=1, max_size=10)


class MemoryView:
    """An ``ArchiveView`` of files in memory, in the order given."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = dict(files)

    def open(self, path: str) -> BinaryIO:
        return io.BytesIO(self._files[path])

    def open_seekable(self, path: str) -> BinaryIO:
        return self.open(path)

    def names(self, pattern: str) -> list[str]:
        return sorted(path for path in self._files if fnmatchcase(path, pattern))

    def members(self, pattern: str) -> Iterator[tuple[str, bytes]]:
        return ((path, content) for path, content in self._files.items() if fnmatchcase(path, pattern))


def outcomes(reader: str, files: Mapping[str, bytes], path: str = "f", **options: Any) -> list[Record | RecordError]:
    """Read a split; a malformed record stands as its error."""
    reading = load_reader(reader)
    split = SplitSpec(path, options)
    found: list[Record | RecordError] = []
    cut = reading.rows(MemoryView(files), split)  # type: ignore[arg-type]
    for place, row in enumerate(row for row in cut if isinstance(row, Row)):
        assert row.index == place
        try:
            found.append(reading.parse(row, split))
        except RecordError as error:
            found.append(error)
    return found


def passed_over(reader: str, files: Mapping[str, bytes], path: str = "f", **options: Any) -> list[PassedOver]:
    """What a reader leaves out of a split on purpose."""
    cut = load_reader(reader).rows(MemoryView(files), SplitSpec(path, options))  # type: ignore[arg-type]
    return [item for item in cut if isinstance(item, PassedOver)]


def read(reader: str, files: Mapping[str, bytes], path: str = "f", **options: Any) -> list[Any]:
    """Read a split in which nothing is malformed."""
    found = outcomes(reader, files, path, **options)
    for record in found:
        if isinstance(record, RecordError):
            raise record
    return found


def only_error(reader: str, files: Mapping[str, bytes], path: str = "f", **options: Any) -> RecordError:
    """The error of a split in which exactly one record is malformed."""
    errors = [found for found in outcomes(reader, files, path, **options) if isinstance(found, RecordError)]
    assert len(errors) == 1, errors
    return errors[0]
