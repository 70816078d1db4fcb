"""What readers see of a source: its files and the members of its archives, as streams.

A *member path* names one stream:

- ``key``: the source file itself, gunzipped if it is gzip data that is not a tar archive;
- ``key!inner/name``: a member of a zip or tar (plain or gzipped) archive;
- ``key!inner.zip!name``: a member of an archive inside the archive, to any depth.

Formats are told by content, never by name. Members called ``__MACOSX/...`` or ``._*`` do not exist for readers.
Nothing is unpacked to disk; an inner archive beyond 64 MiB passes through an anonymous temporary file.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, cast

from sciriff.errors import SourceError
from sciriff.sources.containers import (
    GuardedStream,
    Limits,
    Member,
    gunzip,
    is_gzip,
    is_gzipped_tar,
    named_damage,
    walk,
)

_BUFFER = 1 << 20
_SPOOL = 64 << 20
_SHOWN = 5


class MissingMemberError(SourceError):
    """A member path names nothing: the file was not acquired, or the (intact) archive has no such member."""


class ArchiveView:
    """Read-only view of the files of one source. Holds only paths, so it can be pickled; safe to share."""

    def __init__(
        self, files: Mapping[str, Path], *, missing: Mapping[str, str] | None = None, limits: Limits | None = None
    ) -> None:
        """Look at local files.

        Args:
            files: catalogue key of each file and where it lies.
            missing: keys of files that could not be had, and why; quoted when one is asked for.
            limits: what archives may ask of us.
        """
        self._files = dict(files)
        self._missing = dict(missing or {})
        self._limits = limits or Limits()

    def open(self, path: str) -> BinaryIO:
        """Open one member for streaming; line iteration runs at C speed.

        A tar archive is read up to the member, so use :meth:`members` to read many.

        Raises:
            MissingMemberError: if there is no such member.
            SourceError: if the archive is hostile, or damaged; the latter also while the stream is read.
        """
        parts = path.split("!")
        if len(parts) == 1:
            return self._open_file(path)
        walker = self._walk(parts[:-1])
        seen: list[str] = []
        for member in walker:
            if member.name == parts[-1]:
                with named_damage(path, self._advice(parts[0])):
                    source = member.open()
                guarded = GuardedStream(source, path, self._advice(parts[0]), close=walker.close)
                return cast(BinaryIO, io.BufferedReader(guarded, _BUFFER))
            seen.append(member.name)
        raise self._no_member(path, seen)

    def open_seekable(self, path: str) -> BinaryIO:
        """Open one file or member for random access: the file itself, as it is (not gunzipped), or a spooled copy.

        Damage that shows while the stream is read is the caller's to name.

        Raises:
            MissingMemberError: if there is no such member.
            SourceError: as :meth:`open`; also if a member is too large to be held as a whole.
        """
        key, _, inner = path.partition("!")
        if not inner:
            with named_damage(str(self._path(key)), self._advice(key)):
                return self._path(key).open("rb")
        spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL)  # noqa: SIM115 - the caller closes it
        try:
            with self.open(path) as stream:
                while chunk := stream.read(_BUFFER):
                    spool.write(chunk)
                    self._check_loadable(path, spool.tell())
        except BaseException:
            spool.close()
            raise
        spool.seek(0)
        return cast(BinaryIO, spool)

    def plain_file(self, path: str) -> Path | None:
        """The local file whose bytes a member path names as they are: no member of an archive, not gzipped.

        Raises:
            MissingMemberError: if there is no such file.
        """
        if "!" in path:
            return None
        with self.open_seekable(path) as stream:
            return None if is_gzip(stream) else self._path(path)

    def members(self, pattern: str) -> Iterator[tuple[str, bytes]]:
        """Yield (member path, content) of all members that match, in archive order, in one pass.

        Args:
            pattern: a member path whose last part is a glob (``*`` also crosses slashes); keys match in catalogue
                order.

        Raises:
            MissingMemberError: if nothing matches.
            SourceError: as :meth:`open`; also if a matching member is too large to be held in memory.
        """
        found = False
        seen: list[str] = []
        *outer, last = pattern.split("!")
        if not outer:
            for key in self._matching_keys(last):
                found = True
                with self.open(key) as stream:
                    yield key, stream.read()
        else:
            prefix = "!".join(outer)
            with closing(self._walk(outer)) as walker:
                for member in walker:
                    seen.append(member.name)
                    if fnmatchcase(member.name, last):
                        found = True
                        path = f"{prefix}!{member.name}"
                        self._check_loadable(path, member.size)
                        with named_damage(path, self._advice(outer[0])), member.open() as stream:
                            content = stream.read()
                        yield path, content
        if not found:
            raise self._no_member(pattern, seen)

    def names(self, pattern: str) -> list[str]:
        """Member paths that match a pattern (see :meth:`members`), sorted; empty if there are none.

        Keys of files that could not be had are among them: opening those says why.
        """
        *outer, last = pattern.split("!")
        if not outer:
            return sorted(self._matching_keys(last))
        prefix = "!".join(outer)
        with closing(self._walk(outer)) as walker:
            return sorted(f"{prefix}!{member.name}" for member in walker if fnmatchcase(member.name, last))

    def _matching_keys(self, pattern: str) -> list[str]:
        return [key for key in (*self._files, *self._missing) if fnmatchcase(key, pattern)]

    def _path(self, key: str) -> Path:
        if key in self._files:
            return self._files[key]
        if key in self._missing:
            raise MissingMemberError(self._missing[key])
        raise MissingMemberError(
            f"the source has no file {key!r}; it has {', '.join(self._files) or 'none'}; check the path in the binding"
        )

    def _advice(self, key: str) -> str:
        return f"delete {self._files[key]} and fetch it again"

    def _open_file(self, key: str) -> BinaryIO:
        path = self._path(key)
        advice = self._advice(key)
        with named_damage(str(path), advice):
            raw: BinaryIO = path.open("rb")
            try:
                if is_gzip(raw) and not is_gzipped_tar(raw):
                    raw = gunzip(raw, str(path), self._limits)
            except BaseException:
                raw.close()
                raise
        return cast(BinaryIO, io.BufferedReader(GuardedStream(raw, str(path), advice), _BUFFER))

    def _walk(self, parts: list[str]) -> Generator[Member, None, None]:
        """Walk the archive that the parts name; the walk owns and closes its streams."""
        label = "!".join([self._path(parts[0]).name, *parts[1:]])
        advice = self._advice(parts[0])
        with self.open_seekable("!".join(parts)) as stream:
            yield from walk(stream, label, self._limits, advice)

    def _check_loadable(self, path: str, size: int) -> None:
        if size > self._limits.loaded_bytes:
            raise SourceError(
                f"{path} is refused: it unpacks to {size:,} bytes or more, beyond the limit of "
                f"{self._limits.loaded_bytes:,} for what is held as a whole; check where the archive comes from"
            )

    def _no_member(self, path: str, seen: list[str]) -> MissingMemberError:
        shown = ", ".join(seen[:_SHOWN]) + (f" and {len(seen) - _SHOWN} more" if len(seen) > _SHOWN else "")
        key = path.split("!")[0]
        local = self._files.get(key)
        return MissingMemberError(
            f"nothing matches {path}" + (f" in {local}" if local else "") + f"; it has {shown or 'nothing'}; "
            "a partial stand-in lacks members of the full file, otherwise check the path in the binding"
        )
