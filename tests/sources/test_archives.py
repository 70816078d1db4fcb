from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sciriff.errors import SourceError
from sciriff.sources.archives import ArchiveView, MissingMemberError
from sciriff.sources.containers import Limits

Members = Iterable[tuple[str, bytes]]


def zip_bytes(members: Members, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return out.getvalue()


def tar_bytes(members: Members, **header: object) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in header.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def targz_bytes(members: Members) -> bytes:
    return gzip.compress(tar_bytes(members))


BUILDERS: dict[str, Callable[[Members], bytes]] = {"zip": zip_bytes, "tar": tar_bytes, "tar.gz": targz_bytes}

CORPUS = [
    ("corpus/b.txt", b"second\nline two\n"),
    ("corpus/a.txt", b"first\n"),
    ("corpus/a.ann", b"T1\tx 0 1\tf\n"),
    ("corpus/empty.txt", b""),
]


@pytest.fixture(params=sorted(BUILDERS))
def build(request: pytest.FixtureRequest) -> Callable[[Members], bytes]:
    return BUILDERS[request.param]


def view_of(tmp_path: Path, content: bytes, limits: Limits | None = None) -> ArchiveView:
    """The file has a name that says nothing about its format."""
    (tmp_path / "file.dat").write_bytes(content)
    return ArchiveView({"archive": tmp_path / "file.dat"}, limits=limits)


def drain(view: ArchiveView) -> dict[str, bytes]:
    """Use all doors of a view."""
    names = view.names("archive!*")
    content = dict(view.members("archive!*")) if names else {}
    for name in names:
        with view.open(name) as stream:
            assert stream.read() == content[name]
    return content


def test_one_door_for_all_formats(tmp_path: Path, build: Callable[[Members], bytes]) -> None:
    view = view_of(tmp_path, build(CORPUS))
    assert view.names("archive!corpus/*.txt") == [
        "archive!corpus/a.txt",
        "archive!corpus/b.txt",
        "archive!corpus/empty.txt",
    ]
    assert list(view.members("archive!*.txt")) == [
        (f"archive!{name}", content) for name, content in CORPUS if name.endswith(".txt")
    ]
    with view.open("archive!corpus/b.txt") as stream:
        assert list(stream) == [b"second\n", b"line two\n"]
    assert view.open("archive!corpus/empty.txt").read() == b""


def test_whole_files_are_gunzipped_by_content(tmp_path: Path) -> None:
    files = {"plain": b"one\ntwo\n", "packed": gzip.compress(b"one\ntwo\n"), "tgz": targz_bytes(CORPUS)}
    for key, content in files.items():
        (tmp_path / key).write_bytes(content)
    view = ArchiveView({key: tmp_path / key for key in files})
    assert view.open("plain").read() == view.open("packed").read() == b"one\ntwo\n"
    assert view.open("tgz").read() == files["tgz"]
    assert view.names("p*") == ["packed", "plain"]
    assert list(view.members("p*")) == [("plain", b"one\ntwo\n"), ("packed", b"one\ntwo\n")]


@pytest.mark.parametrize("outer", sorted(BUILDERS))
@pytest.mark.parametrize("inner", sorted(BUILDERS))
def test_archives_in_archives(tmp_path: Path, outer: str, inner: str) -> None:
    deepest = zip_bytes([("deep/file.txt", b"found")])
    middle = BUILDERS[inner]([("more.zip", deepest), ("x.tsv", b"1\t2\n")])
    view = view_of(tmp_path, BUILDERS[outer]([("c/inner", middle), ("other", b"")]))
    assert view.open("archive!c/inner!x.tsv").read() == b"1\t2\n"
    assert view.names("archive!c/inner!*") == ["archive!c/inner!more.zip", "archive!c/inner!x.tsv"]
    assert list(view.members("archive!c/inner!more.zip!*")) == [("archive!c/inner!more.zip!deep/file.txt", b"found")]


def test_resource_forks_and_folders_do_not_exist(tmp_path: Path, build: Callable[[Members], bytes]) -> None:
    view = view_of(tmp_path, build([("__MACOSX/a.txt", b"x"), ("d/._a.txt", b"x"), ("./d/a.txt", b"real")]))
    assert drain(view) == {"archive!d/a.txt": b"real"}


def test_windows_names_get_forward_slashes(tmp_path: Path) -> None:
    view = view_of(tmp_path, zip_bytes([("corpus\\a.txt", b"x")]))
    assert view.names("archive!*") == ["archive!corpus/a.txt"]


def test_what_is_not_there_is_named(tmp_path: Path, build: Callable[[Members], bytes]) -> None:
    view = view_of(tmp_path, build(CORPUS))
    with pytest.raises(MissingMemberError, match=r"nothing matches archive!corpus/c\.txt.*corpus/b\.txt"):
        view.open("archive!corpus/c.txt")
    with pytest.raises(MissingMemberError, match=r"nothing matches archive!\*\.xml"):
        list(view.members("archive!*.xml"))
    assert view.names("archive!*.xml") == []
    with pytest.raises(MissingMemberError, match="no file 'other'; it has archive"):
        view.open("other!x")


def test_a_plain_file_is_told_from_packed_ones(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"text")
    (tmp_path / "g").write_bytes(gzip.compress(b"text"))
    view = ArchiveView({"f": tmp_path / "f", "g": tmp_path / "g"})
    assert view.plain_file("f") == tmp_path / "f"
    assert view.plain_file("g") is None
    assert view.plain_file("f!member") is None
    with pytest.raises(MissingMemberError):
        view.plain_file("h")


def test_a_file_that_could_not_be_had_says_why() -> None:
    with pytest.raises(MissingMemberError, match="the mirror lacks it"):
        ArchiveView({}, missing={"test": "the mirror lacks it"}).open("test!x")


def test_a_view_can_be_pickled(tmp_path: Path) -> None:
    view = pickle.loads(pickle.dumps(view_of(tmp_path, zip_bytes(CORPUS))))
    assert view.open("archive!corpus/a.txt").read() == b"first\n"


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/etc/evil", "C:\\evil.txt", "..\\evil.txt"])
def test_names_that_leave_the_folder(tmp_path: Path, build: Callable[[Members], bytes], name: str) -> None:
    view = view_of(tmp_path, build([(name, b"x"), *CORPUS]))
    for use in (lambda: view.names("archive!*"), lambda: list(view.members("archive!*.txt")), lambda: drain(view)):
        with pytest.raises(SourceError, match=r"file\.dat is refused because of its member .*evil.*leaves the folder"):
            use()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tar(tmp_path: Path, kind: bytes) -> None:
    view = view_of(tmp_path, tar_bytes([("evil", b"")], type=kind, linkname="/etc/passwd"))
    with pytest.raises(SourceError, match=r"its member 'evil': it is a link, a device"):
        view.names("archive!*")


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o010666])
def test_links_and_devices_in_zip(tmp_path: Path, mode: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("evil")
        info.external_attr = mode << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(SourceError, match=r"its member 'evil': it is a link or a device"):
        view_of(tmp_path, out.getvalue()).names("archive!*")


def test_encrypted_members(tmp_path: Path) -> None:
    content = bytearray(zip_bytes([("secret.txt", b"x")]))
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(SourceError, match=r"secret\.txt.*it is encrypted"):
        view_of(tmp_path, bytes(content)).names("archive!*")


SMALL = Limits(member_bytes=1 << 20, loaded_bytes=1 << 18, members=10, ratio=50, ratio_floor=1 << 16)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_bombs_are_refused_by_ratio(tmp_path: Path, kind: str) -> None:
    view = view_of(tmp_path, BUILDERS[kind]([("bomb.txt", bytes(1 << 19))]), SMALL)
    with pytest.raises(SourceError, match=r"refused: .*beyond the limit of 50 to 1"):
        drain(view)


def test_a_gzip_bomb_is_refused_while_it_streams(tmp_path: Path) -> None:
    view = view_of(tmp_path, gzip.compress(b"x" * (4 << 20)), SMALL)
    with pytest.raises(SourceError, match=r"beyond the limit of 50 to 1"), view.open("archive") as stream:
        stream.read()


def test_oversized_members_are_refused_by_name(tmp_path: Path, build: Callable[[Members], bytes]) -> None:
    import random

    noise = random.Random(0).randbytes((1 << 20) + 1)
    with pytest.raises(SourceError, match=r"file\.dat!big\.bin is refused: it unpacks to 1,048,577 bytes"):
        view_of(tmp_path, build([("big.bin", noise)]), SMALL).names("archive!*")
    view = view_of(tmp_path, build([("big.bin", noise[: 1 << 19])]), SMALL)
    assert view.open("archive!big.bin").read() == noise[: 1 << 19]
    with pytest.raises(SourceError, match=r"archive!big\.bin is refused.*held as a whole"):
        list(view.members("archive!*"))


def test_too_many_members(tmp_path: Path, build: Callable[[Members], bytes]) -> None:
    with pytest.raises(SourceError, match="more than 10 members"):
        view_of(tmp_path, build([(f"{n}.txt", b"") for n in range(11)]), SMALL).names("archive!*")


def test_no_archive_at_all(tmp_path: Path) -> None:
    for content in (b"", b"just text\n" * 100, gzip.compress(b"just text")):
        with pytest.raises(
            SourceError, match=r"neither a zip nor a tar archive; delete .*file\.dat and fetch it again"
        ):
            view_of(tmp_path, content).names("archive!*")


NOISE = [(f"{n}.bin", bytes((n * i * i + i) % 251 for i in range(5000))) for n in range(1, 6)]


def test_archives_cut_off_anywhere_are_named(tmp_path: Path, build: Callable[[Members], bytes]) -> None:
    whole = build(NOISE)
    for keep in range(600, len(whole) - 1, len(whole) // 37):
        with pytest.raises(SourceError, match=r"file\.dat"):
            drain(view_of(tmp_path, whole[:keep]))


def test_damage_in_mid_stream_is_named(tmp_path: Path) -> None:
    content = bytearray(zip_bytes([("big.bin", bytes(2_000_000) + NOISE[0][1] * 400)], zipfile.ZIP_STORED))
    content[3_000_000] ^= 0xFF
    view = view_of(tmp_path, bytes(content))
    stream = view.open("archive!big.bin")
    assert stream.read(10) == bytes(10)
    with pytest.raises(SourceError, match=r"archive!big\.bin is damaged .*delete .*file\.dat and fetch it again"):
        stream.read()


def test_a_cut_gzip_file_is_named_in_mid_stream(tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(content for _, content in NOISE) * 50)
    view = view_of(tmp_path, packed[:-9])
    with pytest.raises(SourceError, match=r"file\.dat is damaged or cut off.*fetch it again"):
        sum(1 for _ in view.open("archive"))


def test_a_cut_inner_archive_is_named(tmp_path: Path) -> None:
    view = view_of(tmp_path, zip_bytes([("inner.zip", zip_bytes(NOISE)[:-30])]))
    with pytest.raises(SourceError, match=r"file\.dat!inner\.zip is damaged"):
        view.names("archive!inner.zip!*")


part_names = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\!\0:", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12
).filter(lambda part: part not in (".", "..", "__MACOSX") and not part.startswith("._"))
names = st.lists(part_names, min_size=1, max_size=3).map("/".join)
corpora = st.lists(st.tuples(names, st.binary(max_size=300)), max_size=6, unique_by=lambda member: member[0])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(members=corpora, kind=st.sampled_from(sorted(BUILDERS)))
def test_what_is_written_is_read_back(tmp_path: Path, members: list[tuple[str, bytes]], kind: str) -> None:
    view = view_of(tmp_path, BUILDERS[kind](members))
    assert drain(view) == {f"archive!{name}": content for name, content in members}
    if members:
        assert [path for path, _ in view.members("archive!*")] == [f"archive!{name}" for name, _ in members]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(BUILDERS)),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4),
    keep=st.floats(0.3, 1),
)
def test_damage_gives_source_errors_and_nothing_else(
    tmp_path: Path, kind: str, flips: list[tuple[float, int]], keep: float
) -> None:
    content = bytearray(BUILDERS[kind](NOISE))
    for place, mask in flips:
        content[int(place * len(content))] ^= mask
    with suppress(SourceError):
        drain(view_of(tmp_path, bytes(content[: int(keep * len(content))])))
