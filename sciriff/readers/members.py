"""What readers do with members of a source: open the one that a pattern names, read a list of document ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from sciriff.errors import SourceError
from sciriff.readers.text import numbered_lines

if TYPE_CHECKING:
    from sciriff.sources.archives import ArchiveView


def open_only(view: ArchiveView, pattern: str) -> tuple[str, BinaryIO]:
    """Open the only member that a pattern matches; return its member path and stream.

    A path without ``*`` or ``?`` is opened as it stands, without listing the archive.

    Raises:
        MissingMemberError: if nothing matches.
        SourceError: if several members match; names them.
    """
    if "*" not in pattern and "?" not in pattern:
        return pattern, view.open(pattern)
    names = view.names(pattern)
    if len(names) > 1:
        raise SourceError(f"{pattern} should name one member, but matches {', '.join(names)}; check the binding")
    path = names[0] if names else pattern
    return path, view.open(path)


def listed_ids(view: ArchiveView, path: str) -> list[str]:
    """Read a file with one document id a line, such as the list of the documents of a split.

    Blank lines, blanks around an id, CRLF and a byte order mark do not count. An id listed twice stands twice.

    Raises:
        SourceError: as opening the member.
    """
    with view.open(path) as stream:
        ids = (line.decode("utf-8", "replace").strip() for _, line in numbered_lines(stream))
        return [name for name in ids if name]
