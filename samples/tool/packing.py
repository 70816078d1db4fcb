"""Archives that are the same bytes on every machine: no times, no owners, and stored rather than deflated.

Stored members keep the bytes independent of the zlib at hand, and git packs them well.
"""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping

_BLOCK = 0xFFFF
_EPOCH = (2020, 1, 1, 0, 0, 0)


def pack_zip(members: Mapping[str, bytes]) -> bytes:
    """A zip of the members in the order given; a name that ends in a slash is a folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = (0o40755 << 16 | 0x10) if name.endswith("/") else (0o100644 << 16)
            archive.writestr(info, content)
    return buffer.getvalue()


def pack_tar_gz(members: Mapping[str, bytes]) -> bytes:
    """A gzipped tar of the members in the order given."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return pack_gz(buffer.getvalue())


def pack_gz(content: bytes) -> bytes:
    """A gzip file of the content: RFC 1952 around stored blocks of RFC 1951."""
    blocks = [content[at : at + _BLOCK] for at in range(0, len(content), _BLOCK)] or [b""]
    body = b"".join(
        struct.pack("<BHH", number == len(blocks) - 1, len(block), len(block) ^ 0xFFFF) + block
        for number, block in enumerate(blocks)
    )
    header = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return header + body + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)
