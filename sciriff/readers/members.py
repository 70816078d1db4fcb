"""Opening the one member that a pattern names, for archives whose folders are not known beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from sciriff.errors import SourceError

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
