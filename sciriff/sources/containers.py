"""Walking zip and tar archives without trusting them.

Nothing is ever unpacked to a path that an archive names: members are listed, checked and read as streams. An archive
with a hostile member (a name that leaves the folder, a link, a device, an encrypted or oversized member) is refused as
soon as its listing meets that member.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, cast

from sciriff.errors import SourceError

_BUFFER = 1 << 20
_TAR_BLOCK = 512
_ZIP_HEADER = 30  # bytes in front of a member, besides its name
_DRIVE = re.compile(r"[A-Za-z]:")

_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    UnicodeDecodeError,
    NotImplementedError,  # zipfile: unknown compression method
    RuntimeError,  # zipfile: encrypted although the listing does not say so
)
"""What the standard library raises on damaged or unsupported archives."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may ask of us.

    Attributes:
        member_bytes: uncompressed size of one member, in bytes. The largest honest one of the catalogue (a corpus of
            full papers) is a few tens of GiB at most.
        loaded_bytes: uncompressed size of a member that is held as a whole: by ``members()`` or as an inner archive.
        members: number of members of one archive.
        ratio: uncompressed bytes per compressed byte, of a member and of a whole archive. Text and markup reach 5 to
            30; deflate itself ends at 1032.
        ratio_floor: the ratio is not looked at below this many uncompressed bytes.
    """

    member_bytes: int = 64 << 30
    loaded_bytes: int = 1 << 30
    members: int = 1_000_000
    ratio: int = 200
    ratio_floor: int = 50 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in an archive; ``open`` is valid until the walk goes on to the next member."""

    name: str
    size: int
    open: Callable[[], BinaryIO]


@contextmanager
def named_damage(label: str, advice: str) -> Iterator[None]:
    """Turn what the standard library raises on a damaged archive into a SourceError that names it."""
    try:
        yield
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise SourceError(f"{label} is damaged or cut off ({reason}); {advice}") from error


class GuardedStream(io.RawIOBase):
    """A stream whose damage is reported by name, also when it shows in mid-stream; closes what it hangs on."""

    def __init__(self, source: BinaryIO, label: str, advice: str, close: Callable[[], object] | None = None) -> None:
        super().__init__()
        self._source = cast(io.BufferedIOBase, source)  # the standard library's, all of them
        self._label = label
        self._advice = advice
        self._close = close

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from the source.

        Raises:
            SourceError: if the source turns out to be damaged here.
        """
        with named_damage(self._label, self._advice):
            return self._source.readinto(buffer)

    def close(self) -> None:
        """Close the source and the archive around it."""
        if not self.closed:
            self._source.close()
            if self._close is not None:
                self._close()
        super().close()


class _Gunzipped(io.RawIOBase):
    """The content of a gzip stream, refused once it grows beyond the allowed ratio."""

    def __init__(self, source: BinaryIO, label: str, limits: Limits) -> None:
        super().__init__()
        self._source = source
        self._content = gzip.GzipFile(fileobj=source, mode="rb")
        self._label = label
        self._limits = limits
        self._produced = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        chunk = self._content.read(len(buffer))
        self._produced += len(chunk)
        check_ratio(self._produced, self._source.tell(), self._label, self._limits)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._content.close()
            self._source.close()
        super().close()


def check_ratio(uncompressed: int, compressed: int, label: str, limits: Limits) -> None:
    """Refuse a decompression bomb.

    Raises:
        SourceError: if more than the floor came out, at more than the allowed ratio.
    """
    if uncompressed > limits.ratio_floor and uncompressed > limits.ratio * max(compressed, 1):
        raise SourceError(
            f"{label} is refused: {compressed:,} bytes unpack to {uncompressed:,} or more, beyond the limit of "
            f"{limits.ratio} to 1; this is no honest text archive, check where it comes from"
        )


def is_gzip(stream: BinaryIO) -> bool:
    """Whether a seekable stream holds gzip data, by its magic bytes."""
    return _peek(stream, 2) == b"\x1f\x8b"


def is_zip(stream: BinaryIO) -> bool:
    """Whether a seekable stream holds a zip archive, by its magic bytes."""
    return _peek(stream, 4) in (b"PK\x03\x04", b"PK\x05\x06")


def is_tar(stream: BinaryIO) -> bool:
    """Whether a seekable stream holds an uncompressed tar archive, by the checksum of its first header."""
    return _is_tar_header(_peek(stream, _TAR_BLOCK))


def is_gzipped_tar(stream: BinaryIO) -> bool:
    """Whether a seekable gzip stream holds a tar archive. Raises as gzip does on damage within the first block."""
    position = stream.tell()
    block = gzip.GzipFile(fileobj=stream, mode="rb").read(_TAR_BLOCK)
    stream.seek(position)
    return _is_tar_header(block)


def gunzip(stream: BinaryIO, label: str, limits: Limits) -> BinaryIO:
    """The content of a seekable gzip stream; closing it closes the stream."""
    return cast(BinaryIO, io.BufferedReader(_Gunzipped(stream, label, limits), _BUFFER))


def _peek(stream: BinaryIO, size: int) -> bytes:
    position = stream.tell()
    head = stream.read(size)
    stream.seek(position)
    return head


def _is_tar_header(block: bytes) -> bool:
    if len(block) == _TAR_BLOCK and not any(block):
        return True  # an archive without members
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def walk(stream: BinaryIO, label: str, limits: Limits, advice: str) -> Iterator[Member]:
    """Yield the regular files of an archive, in archive order, without macOS resource forks.

    Args:
        stream: seekable; its format is told by its content, not its name.
        label: what to call the archive in messages.
        limits: what the archive may ask of us.
        advice: what to do about a damaged archive.

    Raises:
        SourceError: if it is no archive, is damaged, or has a hostile member.
    """
    with named_damage(label, advice):
        if is_zip(stream):
            yield from _walk_zip(stream, label, limits)
        elif is_tar(stream):
            yield from _walk_tar(stream, label, limits)
            _check_end_mark(stream)
        elif is_gzip(stream) and is_gzipped_tar(stream):
            with gunzip(stream, label, limits) as content:
                yield from _walk_tar(content, label, limits)
                while content.read(_BUFFER):  # to the checksum at the end
                    pass
        else:
            raise SourceError(f"{label} holds no members: it is neither a zip nor a tar archive; {advice}")


def _walk_zip(stream: BinaryIO, label: str, limits: Limits) -> Iterator[Member]:
    with zipfile.ZipFile(stream) as archive:
        infos = archive.infolist()
        _check_count(len(infos), label, limits)
        _check_overlap(infos, label)
        check_ratio(sum(info.file_size for info in infos), sum(info.compress_size for info in infos), label, limits)
        members = []
        for info in infos:
            name = _checked_name(info.filename, label)
            _check_kind(info, label)
            if info.is_dir() or _is_resource_fork(name):
                continue
            _check_size(info.file_size, f"{label}!{name}", limits)
            check_ratio(info.file_size, info.compress_size, f"{label}!{name}", limits)
            members.append(Member(name, info.file_size, cast(Callable[[], BinaryIO], partial(archive.open, info))))
        yield from members


def _check_overlap(infos: list[zipfile.ZipInfo], label: str) -> None:
    """Refuse members that share their bytes: a small archive of them can unpack to any size."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise _refusal(label, info.filename, "it shares its bytes with another member")
        end = info.header_offset + _ZIP_HEADER + info.compress_size


def _check_kind(info: zipfile.ZipInfo, label: str) -> None:
    if info.flag_bits & 0x1:
        raise _refusal(label, info.filename, "it is encrypted")
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise _refusal(label, info.filename, "it is a link or a device")


def _walk_tar(stream: BinaryIO, label: str, limits: Limits) -> Iterator[Member]:
    count = 0
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_BUFFER) as archive:
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else it keeps every header of the archive
            count += 1
            _check_count(count, label, limits)
            name = _checked_name(info.name, label)
            if not (info.isreg() or info.isdir()) or info.issparse():
                raise _refusal(label, info.name, "it is a link, a device or a sparse file")
            if info.isdir() or _is_resource_fork(name):
                continue
            _check_size(info.size, f"{label}!{name}", limits)
            yield Member(name, info.size, cast(Callable[[], BinaryIO], partial(archive.extractfile, info)))


def _check_end_mark(stream: BinaryIO) -> None:
    """An uncompressed tar has no checksum over its content: its end mark is the only sign that nothing is missing."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(-min(size, _TAR_BLOCK), io.SEEK_END)
    if size % _TAR_BLOCK or any(stream.read(_TAR_BLOCK)):
        raise EOFError("no end-of-archive mark")


def _checked_name(name: str, label: str) -> str:
    """The member's name with forward slashes and no leading ``./``."""
    if not name:
        raise _refusal(label, name, "it has no name")
    normal = name.replace("\\", "/")
    parts = normal.split("/")
    if normal.startswith("/") or _DRIVE.match(normal) or ".." in parts:
        raise _refusal(label, name, "its name leaves the folder")
    return "/".join(part for part in parts if part not in ("", "."))


def _is_resource_fork(name: str) -> bool:
    parts = name.split("/")
    return "__MACOSX" in parts or parts[-1].startswith("._")


def _check_count(count: int, label: str, limits: Limits) -> None:
    if count > limits.members:
        raise SourceError(f"{label} is refused: it has more than {limits.members:,} members; check where it comes from")


def _check_size(size: int, label: str, limits: Limits) -> None:
    if size < 0:
        raise SourceError(f"{label} is refused: its size is given as {size:,}; check where the archive comes from")
    if size > limits.member_bytes:
        raise SourceError(
            f"{label} is refused: it unpacks to {size:,} bytes, beyond the limit of {limits.member_bytes:,}; "
            "check where the archive comes from"
        )


def _refusal(label: str, member: str, reason: str) -> SourceError:
    return SourceError(
        f"archive {label} is refused because of its member {member!r}: {reason}; no published corpus of the catalogue "
        "needs that, check where the archive comes from"
    )
