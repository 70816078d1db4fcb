from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import names, only_error, outcomes, read, texts

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers import load_reader
from sciriff.readers.records import Document, Entity, SplitSpec
from sciriff.sources.archives import ArchiveView

ABSTRACTS = b'7\tOf "kinases\tIt binds A1.\r\n8\tNo mention\tNothing, nil, NA.\n'
ENTITIES = b"7\tT2\tGENE-N\t4\t11\tkinases\n7\tT1\tCHEMICAL\t21\t23\tA1\n"
EXPECTED = [
    Document("7", ('Of "kinases\nIt binds A1.',), (Entity("GENE-N", ("kinases",)), Entity("CHEMICAL", ("A1",)))),
    Document("8", ("No mention\nNothing, nil, NA.",), ()),
]


def test_abstracts_and_mentions_are_put_together() -> None:
    assert read("chemprot", {"f": ABSTRACTS, "e": ENTITIES}, entities="e") == EXPECTED


def test_the_tables_lie_in_a_zip_in_a_zip(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("chemprot_test_gs/chemprot_test_abstracts_gs.tsv", ABSTRACTS)
        archive.writestr("chemprot_test_gs/chemprot_test_entities_gs.tsv", ENTITIES)
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("C/chemprot_test_gs.zip", inner.getvalue())
    stem = "corpus!C/chemprot_test_gs.zip!chemprot_test_gs/chemprot_test"
    reader = load_reader("chemprot")
    split = SplitSpec(f"{stem}_abstracts_gs.tsv", {"entities": f"{stem}_entities_gs.tsv"})
    rows = reader.rows(ArchiveView({"corpus": tmp_path / "c.zip"}), split)
    assert [reader.parse(row, split) for row in rows] == EXPECTED


@pytest.mark.parametrize(
    ("abstract", "entity", "where", "reason"),
    [
        (b"2\ttitle", b"", "f:2", "expected 3 fields (pmid, title, abstract), found 2"),
        (b"\ttitle\tx", b"", "f:2", "expected 3 fields"),
        (b"2\tt\ta\textra", b"", "f:2", "found 4"),
        (b"2\tt\t\xff", b"", "f:2", "not UTF-8"),
        (b"2\tt\ta", b"2\tT1\tCHEMICAL\t0\t1", "e:2", "expected 6 fields"),
        (b"2\tt\ta", b"2\tT1\tCHEMICAL\t0\tone\tt", "e:2", "whole number as offset, found 'one'"),
        (b"2\tt\ta", b"2\tT1\tCHEMICAL\t3\t1\tt", "e:2", "start <= end"),
        (b"2\tt\ta", b"2\tT1\t\t0\t1\tt", "e:2", "expected a type"),
    ],
)
def test_a_malformed_line_names_file_line_and_reason(abstract: bytes, entity: bytes, where: str, reason: str) -> None:
    files = {"f": b"1\ta\tb\n" + abstract + b"\n3\tc\td\n", "e": b"1\tT1\tCHEMICAL\t0\t1\ta\n" + entity + b"\n"}
    error = only_error("chemprot", files, entities="e")
    assert error.where == where
    assert reason in error.reason
    assert len(outcomes("chemprot", files, entities="e")) == 3


def test_mentions_of_an_absent_document_are_reported_at_the_end() -> None:
    found = outcomes("chemprot", {"f": b"1\ta\tb\n", "e": b"9\tT1\tCHEMICAL\t0\t1\ta\n"}, entities="e")
    assert isinstance(found[0], Document)
    assert isinstance(found[1], RecordError)
    assert found[1].where == "e:1"
    assert "1 mention(s) of a document without abstract" in found[1].reason


def test_the_mentions_table_must_be_given() -> None:
    with pytest.raises(TaskFileError, match="needs option 'entities'"):
        outcomes("chemprot", {"f": ABSTRACTS})


@given(
    st.dictionaries(
        st.integers(1, 10**8).map(str),
        st.tuples(texts("\t"), texts("\t"), st.lists(st.tuples(names(), texts("\t")), max_size=3)),
        max_size=4,
    )
)
def test_what_is_written_is_read_back(documents: dict[str, tuple[str, str, list[tuple[str, str]]]]) -> None:
    abstracts = "".join(f"{pmid}\t{title}\t{text}\n" for pmid, (title, text, _) in documents.items())
    entities = "".join(
        f"{pmid}\tT{n}\t{kind}\t{n}\t{n + 1}\t{surface}\n"
        for pmid, (_, _, mentions) in documents.items()
        for n, (kind, surface) in enumerate(mentions)
    )
    assert read("chemprot", {"f": abstracts.encode(), "e": entities.encode()}, entities="e") == [
        Document(pmid, (f"{title}\n{text}",), tuple(Entity(kind, (surface,)) for kind, surface in mentions))
        for pmid, (title, text, mentions) in documents.items()
    ]
