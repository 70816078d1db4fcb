"""Git LFS pointer files: what stands in a repository in place of a large file.

Defined by https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md; identified by https://git-lfs.github.com/spec/v1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LIMIT = 1024
"""A pointer file is smaller than this many bytes; git-lfs looks at no larger file."""

_VERSIONS = ("https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1")
"""The second is the pre-release's, which readers accept."""

_START = tuple(f"version {version.rpartition('/')[0]}/".encode() for version in _VERSIONS)
_LINE = re.compile(r"([a-z0-9.-]+) ([^\r\n]+)")
_OID = re.compile(r"sha256:([0-9a-f]{64})")
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a pointer file names: the object's SHA-256 (64 hex digits) and its size in bytes."""

    oid: str
    size: int


def looks_like_pointer(head: bytes) -> bool:
    """Whether bytes begin as a pointer file of any version does; :func:`parse_pointer` tells whether it is good."""
    return head.startswith(_START)


def parse_pointer(data: bytes) -> Pointer:
    """Read a pointer file.

    Raises:
        ValueError: if it breaks a rule of the specification; says which line and how.
    """
    if len(data) >= LIMIT:
        raise ValueError(f"a pointer file has fewer than {LIMIT} bytes, found {len(data)}")
    values = _values(data)
    if values.get("version") not in _VERSIONS:
        raise ValueError(f"expected version {_VERSIONS[0]}, found {values.get('version')!r}")
    oid, size = _OID.fullmatch(values.get("oid", "")), _SIZE.fullmatch(values.get("size", ""))
    if oid is None:
        raise ValueError(f"expected oid sha256:<64 hex digits>, found {values.get('oid')!r}")
    if size is None:
        raise ValueError(f"expected size <bytes>, found {values.get('size')!r}")
    return Pointer(oid[1], int(size[0]))


def _values(data: bytes) -> dict[str, str]:
    """The values by key: ``key value`` lines, version first, then by key in ascending order."""
    try:
        *lines, rest = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8 ({error})") from error
    if rest:
        raise ValueError(f"the last line, {rest!r}, does not end in a newline")
    values: dict[str, str] = {}
    last = ""
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"line {number}: expected 'key value', found {line!r}")
        key = match[1]
        if (number == 1) != (key == "version"):
            raise ValueError(f"line {number}: version stands in the first line and nowhere else, found {key!r}")
        if number > 2 and key <= last:
            raise ValueError(f"line {number}: expected keys in ascending order, found {key!r} after {last!r}")
        values[key] = match[2]
        last = key
    return values
