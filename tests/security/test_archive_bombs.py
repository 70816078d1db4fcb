"""Archives made to harm, beside those of ``tests/sources/test_archives.py``: bombs of many parts, lies, odd names."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from sciriff.errors import SourceError
from sciriff.sources.archives import ArchiveView
from sciriff.sources.containers import Limits

MIB = 1 << 20


def overlapping(names: list[bytes], size: int = 5 * MIB) -> bytes:
    """A zip whose members are all the same compressed bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(b"a" * size) + packer.flush()
    checksum = zlib.crc32(b"a" * size)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, checksum, len(packed), size, len(names[0]), 0)
    body = local + names[0] + packed
    listing = b"".join(
        struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0, checksum, len(packed), size, len(name), 0, 0, 0, 0, 0, 0
        )
        + name
        for name in names
    )
    return body + listing + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(names), len(names), len(listing), len(body), 0)


def zipped(members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, kind
            archive.writestr(info, content)
    return out.getvalue()


def lying(declared: int, content: bytes) -> bytes:
    """A zip that gives a size for its member which it does not have."""
    archive = bytearray(zipped({"x": content}))
    struct.pack_into("<I", archive, archive.index(b"PK\1\2") + 24, declared)
    struct.pack_into("<I", archive, 22, declared)
    return bytes(archive)


def tarred(info: tarfile.TarInfo, content: bytes = b"") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def with_headers(**headers: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo("x")
    info.pax_headers = headers
    return info


def negative() -> bytes:
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 12
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]
    return bytes(header) + bytes(1024)


def huge() -> bytes:
    info = tarfile.TarInfo("x")
    info.size = 1 << 40
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


Make = Callable[[], bytes]


def bombs(size: int) -> dict[str, Make]:
    """What unpacks to so many bytes, or more."""
    return {
        "members that share their bytes": lambda: overlapping([b"%06d" % number for number in range(50)], size),
        "one member, many times": lambda: overlapping([b"x"] * 50, size // 2),
        "many members below the limit of one": lambda: zipped({f"{n}": b"a" * (size * 2 // 5) for n in range(4)}),
        "a header": lambda: gzip.compress(tarred(with_headers(comment="a" * size))),
        "a tar": lambda: gzip.compress(tarred(sized(size), b"a" * size)),
    }


HOSTILE: dict[str, Make] = {
    **bombs(3 * MIB),
    "LZMA": lambda: zipped({"x": b"a" * (3 * MIB)}, zipfile.ZIP_LZMA),
    "bzip2": lambda: zipped({"x": b"a" * (3 * MIB)}, zipfile.ZIP_BZIP2),
    "a size that is too small": lambda: lying(10, b"a" * (3 * MIB)),
    "a size that is too large": lambda: lying(1 << 30, b"a" * 1000),
    "a tar without end": huge,
    "a tar of less than nothing": negative,
    "a name in an extended header": lambda: tarred(with_headers(path="../evil")),
    "a link in an extended header": lambda: tarred(with_headers(path="/etc/evil", linkpath="/etc/passwd")),
    "no name": lambda: zipped({"": b"x"}),
}


def sized(size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo("x")
    info.size = size
    return info


def read_all(content: bytes, folder: Path, pattern: str = "archive!*", limits: Limits | None = None) -> int:
    (folder / "file.dat").write_bytes(content)
    view = ArchiveView({"archive": folder / "file.dat"}, limits=limits)
    return sum(len(content) for _, content in view.members(pattern))


@pytest.mark.parametrize("made", HOSTILE.values(), ids=HOSTILE)
def test_it_is_refused_by_name(made: Make, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"file\.dat|archive!"):
        read_all(made(), tmp_path, limits=Limits(ratio_floor=MIB))
    assert [path.name for path in tmp_path.iterdir()] == ["file.dat"], "nothing was unpacked"


@pytest.mark.parametrize("parts", [1, 8])
def test_gzip_bombs_in_one_part_or_many(parts: int, tmp_path: Path) -> None:
    (tmp_path / "file.gz").write_bytes(gzip.compress(b"a" * (64 * MIB // parts)) * parts)
    with (
        ArchiveView({"f": tmp_path / "file.gz"}).open("f") as stream,
        pytest.raises(SourceError, match="beyond the limit of 200 to 1"),
    ):
        sum(map(len, iter(lambda: stream.read(MIB), b"")))


def test_archives_in_archives_open_no_further_than_asked(tmp_path: Path) -> None:
    """Five in each of five in each of ...: only those on the path that a binding names are looked into."""
    archive = zipped({f"{number}": b"words" * 10_000 for number in range(5)})
    for _ in range(8):
        archive = zipped({f"{number}.zip": archive for number in range(5)})
    assert read_all(archive, tmp_path, "archive!" + "0.zip!" * 8 + "*") == 5 * 50_000


@pytest.mark.parametrize(
    "name", ["..%2f..%2fetc", "%2e%2e/x", "．．/x", "a∕b", "a\nb", "con", "~/.bashrc", "-rf", "a!b", "x" * 5_000]
)
def test_names_are_never_decoded_nor_used_as_paths(name: str, tmp_path: Path) -> None:
    assert read_all(zipped({name: b"1234"}), tmp_path) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["file.dat"]


@pytest.mark.slow
def test_bombs_cost_little_memory(tmp_path: Path) -> None:
    """All of them, in a process that the system would end at one gigabyte."""
    program = (
        "import resource, tempfile; from pathlib import Path\n"
        "from tests.security.test_archive_bombs import *\n"
        "made = [make() for make in bombs(64 * MIB).values()]\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "for content in made:\n"
        "    try: read_all(content, Path(tempfile.mkdtemp(dir='%s')))\n"
        "    except SourceError: continue\n"
        "    raise SystemExit('it was read')\n"
    )
    command = [sys.executable, "-c", program % tmp_path]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, timeout=300)
