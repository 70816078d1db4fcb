"""YAML, JSON, XML, CSV and Parquet made to harm: an error that names the file, and nothing else happens."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sciriff.errors import RecordError, SourceError, TaskFileError, UsageError
from sciriff.models.registry import load_models
from sciriff.plain_yaml import load_yaml
from sciriff.readers import load_reader
from sciriff.readers.json_text import load_json
from sciriff.readers.records import PassedOver, SplitSpec
from sciriff.settings import Settings
from sciriff.sources.archives import ArchiveView
from sciriff.sources.drive import _Wanted, next_address
from sciriff.sources.exchange import Answer
from sciriff.sources.mirror import load_mirror
from sciriff.tasks.taskfile import load_task

_LAUGHS = "a0: &a0 [lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
_MERGES = "a0: &a0 {k: v}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 10)
)
HOSTILE_YAML = {
    "system": "name: !!python/object/apply:os.system ['touch {mark}']",
    "new": "name: !!python/object/new:subprocess.Popen [['touch', '{mark}']]",
    "name": "name: !!python/name:os.system",
    "module": "name: !!python/module:os",
    "tuple": "name: !!python/tuple [a]",
    "own tag": "name: !exec 'touch {mark}'",
    "laughing anchors": _LAUGHS,
    "laughing merges": _MERGES,
    "an anchor in itself": "name: &a [*a]",
    "a merge of itself": "name: &a {<<: *a}",
    "deep lists": "[" * 100_000,
    "deep closed lists": "[" * 100_000 + "]" * 100_000,
    "deep mappings": "{a: " * 100_000,
    "deep blocks": "\n".join(" " * n + "a:" for n in range(2_000)),
    "deep dashes": "- " * 100_000 + "a",
    "many values": "[" + "a, " * 200_000 + "]",
    "many bytes": "# " + "a" * (2 << 20),
    "many digits": "name: " + "9" * 5_000,
    "sixties": "name: 1:" + ":".join(["59"] * 5_000),
    "no date": "name: 2024-13-45",
    "no timestamp": "name: !!timestamp x",
    "no number": "name: !!int x",
    "NUL": "name: \x00",
    "two keys": "name: a\nname: b",
    "a list as key": "? [a]\n: b",
    "no anchor": "name: *a",
}


@pytest.mark.parametrize("text", HOSTILE_YAML.values(), ids=HOSTILE_YAML)
def test_yaml_of_people_is_plain_data(text: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = tmp_path / "evil.yaml"
    path.write_text(text.replace("{mark}", str(mark)), encoding="utf-8")
    with pytest.raises(TaskFileError, match=r"evil\.yaml"):
        load_task(path)
    with pytest.raises(UsageError, match=r"evil\.yaml"):
        load_models(Settings(models=path))
    assert not mark.exists()


def test_honest_anchors_stay() -> None:
    content = load_yaml(b"\xef\xbb\xbfbase: &base {a: 1}\none: {<<: *base, b: 2}\ntwo: [*base, *base]\n")
    assert content == {"base": {"a": 1}, "one": {"a": 1, "b": 2}, "two": [{"a": 1}, {"a": 1}]}


HOSTILE_JSON = {
    "deep": b"[" * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "many digits": b'{"a": ' + b"9" * 5_000 + b"}",
    "half a surrogate": b'{"a": "\\ud800"}',
    "not UTF-8": b'{"a": "\xff"}',
    "cut": b'{"a":',
}
_JSON_READERS = ("bioasq", "dygie", "json_lines", "json_object", "json_records", "json_table", "pubmedqa", "squad")


@pytest.mark.parametrize("content", HOSTILE_JSON.values(), ids=HOSTILE_JSON)
def test_json_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(RecordError, match="corpus"):
        load_json(content, "corpus")


@pytest.mark.parametrize("reader", _JSON_READERS)
@pytest.mark.parametrize("content", HOSTILE_JSON.values(), ids=HOSTILE_JSON)
def test_readers_of_json_name_what_is_wrong(reader: str, content: bytes, tmp_path: Path) -> None:
    for around in (b"%s", b"[%s]", b'{"data": %s}', b'{"k": [%s, {"a": 1}]}'):
        read_all(reader, around.replace(b"%s", content), tmp_path)


def test_json_that_is_merely_odd_has_one_meaning() -> None:
    assert load_json(b'{"a": 1, "a": 2}', "corpus") == {"a": 2}
    assert load_json(b'{"a": NaN, "b": -Infinity}', "corpus") == {"a": None, "b": None}
    assert load_json(b'{"a": 1e999999999}', "corpus") == {"a": float("inf")}


@pytest.mark.parametrize("content", HOSTILE_JSON.values(), ids=HOSTILE_JSON)
def test_a_mirror_is_data(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "mirror.json").write_bytes(content)
    with pytest.raises(SourceError, match=r"mirror\.json"):
        load_mirror(str(tmp_path))


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside", "a/../../outside"])
def test_a_mirror_does_not_leave_its_folder(path: str, tmp_path: Path) -> None:
    entry = f'{{"http://host/f": {{"path": "{path}", "sha256": "{"0" * 64}"}}}}'
    (tmp_path / "mirror.json").write_text(entry, encoding="utf-8")
    with pytest.raises(SourceError, match="leaves the mirror"):
        load_mirror(str(tmp_path))


_DOCUMENT = "<document><id>1</id><passage><offset>0</offset><text>{text}</text></passage></document>"
_COLLECTION = '<?xml version="1.0"?>{doctype}<collection>{documents}</collection>'
_LOLS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


def xml(doctype: str = "", text: str = "words", encoding: str = "utf-8") -> bytes:
    return _COLLECTION.format(doctype=doctype, documents=_DOCUMENT.format(text=text)).encode(encoding)


@contextmanager
def listening() -> Iterator[tuple[int, list[bytes]]]:
    """A port of this machine, and what was asked there."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    asked.append(connection.recv(1000))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], asked
        finally:
            done.set()
            thread.join()


def test_xml_expands_and_fetches_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden", encoding="utf-8")
    with listening() as (port, asked):
        attacks = {
            "laughs": xml(f'<!DOCTYPE c [<!ENTITY l0 "lol">{_LOLS}]>', "&l9;"),
            "blow-up": xml(f'<!DOCTYPE c [<!ENTITY a "{"a" * 100_000}">]>', "&a;" * 100_000),
            "file": xml(f'<!DOCTYPE c [<!ENTITY x SYSTEM "file://{secret}">]>', "&x;"),
            "address": xml(f'<!DOCTYPE c [<!ENTITY x SYSTEM "http://127.0.0.1:{port}/x">]>', "&x;"),
            "parameter": xml(f'<!DOCTYPE c [<!ENTITY % x SYSTEM "http://127.0.0.1:{port}/x"> %x;]>'),
            "DTD": xml(f'<!DOCTYPE c SYSTEM "http://127.0.0.1:{port}/BioC.dtd">'),
            "undeclared": xml(text="&l9;"),
            "inclusion": xml(text=f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file://{secret}"/>'),
            "instruction": b'<?xml-stylesheet href="http://127.0.0.1:%d/x"?>' % port + xml(),
            "UTF-16": xml(f'<!DOCTYPE c [<!ENTITY x SYSTEM "file://{secret}">]>', "&x;", "utf-16"),
            "UTF-7": xml().replace(b'"1.0"', b'"1.0" encoding="UTF-7"'),
            "doctype in a document": xml(text='<!DOCTYPE c [<!ENTITY x "y">]>&x;'),
        }
        found = {name: read_all("bioc", content, tmp_path) for name, content in attacks.items()}
    assert asked == []
    assert "hidden" not in str(found)
    assert max(len(str(documents)) for documents in found.values()) < 10_000


@pytest.mark.parametrize(
    "text", ["<a>" * 100_000, "<a>" * 5_000 + "</a>" * 5_000, "<a " + "".join(f'b{n}="" ' for n in range(9_999)) + "/>"]
)
def test_xml_may_be_deep_or_wide(text: str, tmp_path: Path) -> None:
    assert len(str(read_all("bioc", xml(text=text), tmp_path))) < 10_000


def test_a_page_of_a_download_host_may_be_deep() -> None:
    page = Answer("https://drive.google.com/x", 200, "text/html", b"<div><form>" * 20_000, True)
    with pytest.raises(SourceError, match="the file"):
        next_address(page, page.url, _Wanted("id", "the file", "get it by hand"))


def test_csv_with_fields_without_end(tmp_path: Path) -> None:
    assert read_all("csv", b'a,b\n1,"' + b"x" * (65 << 20) + b"\n" * 3, tmp_path) == []
    wide = read_all("csv", b"a,b\n1," + b"x" * (1 << 20) + b"\n", tmp_path)
    assert len(wide) == 1


def test_parquet_with_a_forged_footer(tmp_path: Path) -> None:
    whole = parquet(pa.table({"a": ["text"] * 10}))
    end = len(whole) - 8
    for size in (0, 1, 7, end, end + 1, 0x7FFFFFFF, 0xFFFFFFFF):
        assert read_all("parquet", whole[:end] + size.to_bytes(4, "little") + b"PAR1", tmp_path) == []
    for place in range(end - 300, end, 7):
        forged = bytearray(whole)
        forged[place] ^= 0x7F
        read_all("parquet", bytes(forged), tmp_path)


def test_parquet_that_unpacks_to_far_more_than_it_is(tmp_path: Path) -> None:
    text = "a" * 1_000_000
    bomb = parquet(pa.table({"a": [text] * 100}))
    assert len(bomb) < 100_000
    (tmp_path / "file").write_bytes(bomb)
    view = ArchiveView({"file": tmp_path / "file"})
    with pytest.raises(SourceError, match="beyond the limit of 200 to 1"):
        sum(1 for _ in load_reader("parquet").rows(view, SplitSpec("file", {})))


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def read_all(reader: str, content: bytes, tmp_path: Path) -> list[object]:
    """All records; errors of records and of the file must be ours, and name the file."""
    (tmp_path / "file").write_bytes(content)
    options = {"pubmedqa": {"part": "train"}, "bioasq": {"type": "yesno"}}.get(reader, {})
    view, split = ArchiveView({"file": tmp_path / "file"}), SplitSpec("file", options)
    module = load_reader(reader)
    records: list[object] = []
    errors: list[Exception] = []
    try:
        for row in module.rows(view, split):
            if isinstance(row, PassedOver):
                continue
            try:
                records.append(module.parse(row, split))
            except RecordError as error:
                errors.append(error)
    except (SourceError, RecordError) as error:
        errors.append(error)
    assert all("file" in str(error) for error in errors)
    return records
