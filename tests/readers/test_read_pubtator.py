from __future__ import annotations

import gzip
import io
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import names, only_error, outcomes, passed_over, read, texts

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers import load_reader, pubtator
from sciriff.readers.records import Document, Entity, PassedOver, SplitSpec
from sciriff.sources.archives import ArchiveView

CORPUS = b"""
11|t|Aspirin | a note
11|a|It lowers fever|pain in mice.
11\t0\t7\tAspirin\tChemicalEntity\tD001241
11\t28\t33\tfever\tDiseaseOrPhenotypicFeature\tD005334,D000001
11\t0\t33\tAspirin fever\tComposite\tD1|D2\tAspirin|fever
11\tNegative_Correlation\tD001241\tD005334\tNovel
11\tCID\tD001241\tD005334

12|t|No abstract here
12|a|
"""
FIRST = Document(
    "11",
    ("Aspirin | a note", "It lowers fever|pain in mice."),
    (
        Entity("ChemicalEntity", ("Aspirin",)),
        Entity("DiseaseOrPhenotypicFeature", ("fever",)),
        Entity("Composite", ("Aspirin fever",)),
    ),
)
SECOND = Document("12", ("No abstract here", ""), ())


@pytest.mark.parametrize(
    "corpus", [CORPUS, CORPUS.replace(b"\n", b"\r\n"), CORPUS.lstrip() + b"\n\n\n", CORPUS.rstrip(b"\n")]
)
def test_line_ends_and_blank_lines_do_not_matter(corpus: bytes) -> None:
    assert read("pubtator", {"f": corpus}) == [FIRST, SECOND]


def test_gzip_is_read_through_the_view(tmp_path: Path) -> None:
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(CORPUS))
    reader, split = load_reader("pubtator"), SplitSpec("corpus")
    rows = list(reader.rows(ArchiveView({"corpus": tmp_path / "c.txt.gz"}), split))
    assert [row.where for row in rows] == ["corpus:2", "corpus:10"]
    assert [reader.parse(row, split) for row in rows] == [FIRST, SECOND]


def test_the_first_of_duplicates_is_kept_and_rows_are_numbered_after() -> None:
    corpus = b"1|t|a\n1|a|b\n\n1|t|again\n1|a|b\n\n2|t|c\n2|a|d\n"
    assert [d.passages[0] for d in read("pubtator", {"f": corpus})] == ["a", "c"]
    assert [d.passages[0] for d in read("pubtator", {"f": corpus}, duplicates="keep")] == ["a", "again", "c"]


def test_repeated_documents_are_told() -> None:
    corpus = b"\n1|t|a\n1|a|b\n\n2|t|c\n2|a|d\n\n1|t|again\n1|a|b\n\n1|t|again\n1|a|b\n"
    assert passed_over("pubtator", {"f": corpus}) == [
        PassedOver("repeated pmid", "f:8 (1)"),
        PassedOver("repeated pmid", "f:11 (1)"),
    ]
    assert passed_over("pubtator", {"f": corpus}, duplicates="keep") == []


THREE = b"1|t|a\n1|a|\n\n2|t|b\n2|a|\n\n3|t|c\n3|a|\n"


@pytest.mark.parametrize("pmids", [b"3\r\n1\r\n", b"3\n\n 1 ", b"\xef\xbb\xbf3\n1\n1\n"])
def test_a_pmid_list_selects_in_corpus_order(pmids: bytes) -> None:
    files = {"f": THREE, "ids": pmids}
    assert [document.id for document in read("pubtator", files, list="ids")] == ["1", "3"]
    assert passed_over("pubtator", files, list="ids") == []


def test_listed_documents_that_the_corpus_lacks_are_told() -> None:
    files = {"f": THREE, "ids": b"7\n2\n9\n7\n"}
    assert [document.id for document in read("pubtator", files, list="ids")] == ["2"]
    assert passed_over("pubtator", files, list="ids") == [
        PassedOver("listed, but not in the corpus", "ids (7)"),
        PassedOver("listed, but not in the corpus", "ids (9)"),
    ]


def test_an_empty_pmid_list_selects_nothing() -> None:
    assert read("pubtator", {"f": THREE, "ids": b"\n"}, list="ids") == []


def test_a_comma_list_of_types_is_split_on_request() -> None:
    corpus = b"1|t|a\n1|a|\n1\t0\t1\ta\tT047,T191\tUMLS:C1\n"
    assert read("pubtator", {"f": corpus})[0].entities == (Entity("T047,T191", ("a",)),)
    split = read("pubtator", {"f": corpus}, split_types=True)[0].entities
    assert split == (Entity("T047", ("a",)), Entity("T191", ("a",)))


def test_the_surface_text_is_kept_as_it_is_written() -> None:
    corpus = b'1|t|a\n1|a|\n1\t0\t9\tseizures " plus "  \tDisease\tD1\n'
    assert read("pubtator", {"f": corpus})[0].entities[0].text == ('seizures " plus "  ',)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("start", [b"", b"\n", b" \r\n\n"])
def test_byte_order_mark_before_or_without_a_blank_line(mark: bytes, start: bytes) -> None:
    assert read("pubtator", {"f": mark + start + CORPUS.lstrip()}) == [FIRST, SECOND]


@pytest.mark.parametrize("odd", ["\x00", "\x07", "\x0b", "\x0c", "\x1c", "\x1b[0m", "\u0085", "\u2028", "\ufffe", "\r"])
def test_control_characters_inside_a_text_stay(odd: str) -> None:
    corpus = f"1|t|T{odd}x\n1|a|A{odd}{odd}y\n1\t0\t3\tT{odd}x\tGene\t5\n\n2|t|b\n2|a|c\n"
    first, second = read("pubtator", {"f": corpus.encode()})
    assert first == Document("1", (f"T{odd}x", f"A{odd}{odd}y"), (Entity("Gene", (f"T{odd}x",)),))
    assert second.id == "2"


@pytest.mark.parametrize("place", ["0\t6", "0\t7", "1\t8", "0\t0", "900\t907"])
def test_a_mention_is_what_its_line_says_wherever_its_offsets_point(place: str) -> None:
    corpus = f"1|t|Aspirin helps\n1|a|\n1\t{place}\tAspirin\tChemical\tD1\n"
    assert read("pubtator", {"f": corpus.encode()})[0].entities == (Entity("Chemical", ("Aspirin",)),)


def test_a_missing_blank_line_does_not_glue_documents() -> None:
    assert [d.id for d in read("pubtator", {"f": b"1|t|a\n1|a|b\n2|t|c\n2|a|d\n"})] == ["1", "2"]


@pytest.mark.parametrize(
    ("block", "where", "reason"),
    [
        (b"2|t|title", "f:4", "document 2: expected a second line"),
        (b"2|t", "f:4", "expected 'pmid|t|title', found '2|t'"),
        (b"2\t0\t1\ta\tGene\t5", "f:4", "expected 'pmid|t|title'"),
        (b"2|t|x\n2|b|y", "f:5", "expected 'pmid|a|abstract'"),
        (b"2|t|x\n3|a|y", "f:5", "abstract of '3' under the title of '2'"),
        (b"2|t|x\n2|a|y\n2\t0\t1\tx", "f:6", "expected 5 to 7 fields between tabs, found 4"),
        (b"2|t|x\n2|a|y\n2\t0", "f:6", "expected 5 to 7 fields between tabs, found 2"),
        (b"2|t|x\n2|a|y\n2\tzero\t1\tx\tGene\t5", "f:6", "whole number as offset, found 'zero'"),
        (b"2|t|x\n2|a|y\n2\t0\t1.5\tx\tGene\t5", "f:6", "whole number as offset, found '1.5'"),
        (b"2|t|x\n2|a|y\n2\t3\t1\tx\tGene\t5", "f:6", "expected 'pmid, start, end, text, type'"),
        (b"2|t|x\n2|a|y\n2\t0\t1\tx\t\t5", "f:6", "expected 'pmid, start, end, text, type'"),
        (b"2|t|x\n2|a|y\n7\t0\t1\tx\tGene\t5", "f:6", "expected a line of document 2"),
        (b"2|t|x\n2|a|\xc3(", "f:5", "not UTF-8: byte 0xc3 at offset 4"),
    ],
)
def test_a_malformed_block_names_line_and_reason(block: bytes, where: str, reason: str) -> None:
    found = outcomes("pubtator", {"f": b"1|t|a\n1|a|b\n\n" + block + b"\n\n3|t|c\n3|a|d\n"})
    assert [type(record) for record in found] == [Document, RecordError, Document]
    error = only_error("pubtator", {"f": b"1|t|a\n1|a|b\n\n" + block + b"\n\n3|t|c\n3|a|d\n"})
    assert error.where == where
    assert reason in error.reason


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(TaskFileError, match="duplicates is 'last'; expected first or keep"):
        outcomes("pubtator", {"f": CORPUS}, duplicates="last")


@st.composite
def corpora(draw: st.DrawFn) -> tuple[bytes, list[Document]]:
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    blocks, documents = [], []
    for pmid in draw(st.lists(st.integers(1, 10**8).map(str), unique=True, max_size=4)):
        title, abstract = draw(texts()), draw(texts(min_size=0))
        entities = draw(st.lists(st.builds(Entity, names(), st.tuples(texts("\t"))), max_size=4))
        lines = [f"{pmid}|t|{title}", f"{pmid}|a|{abstract}"]
        lines += [f"{pmid}\t{i}\t{i + 1}\t{e.text[0]}\t{e.type}\tX{i}" for i, e in enumerate(entities)]
        lines += [f"{pmid}\tAssociation\tX0\tX1\tNo"] * draw(st.integers(0, 1))
        blocks.append(ending.join(lines) + ending)
        documents.append(Document(pmid, (title, abstract), tuple(entities)))
    return ending.join(blocks).encode(), documents


@given(corpora())
def test_what_is_written_is_read_back(case: tuple[bytes, list[Document]]) -> None:
    assert read("pubtator", {"f": case[0]}) == case[1]


@given(corpora(), st.data())
def test_a_corpus_cut_anywhere_gives_its_first_documents_and_at_most_one_error(
    case: tuple[bytes, list[Document]], data: st.DataObject
) -> None:
    content, whole = case
    found = outcomes("pubtator", {"f": content[: data.draw(st.integers(0, len(content)))]})
    assert not any(isinstance(record, RecordError) for record in found[:-1])
    assert found[:-1] == whole[: max(len(found) - 1, 0)]
    if found and isinstance(found[-1], RecordError):
        assert found[-1].where.startswith("f:")


@given(st.text("1|ta\t0x\n").map(str.encode) | st.binary(max_size=60))
def test_any_bytes_give_documents_or_record_errors(corpus: bytes) -> None:
    for found in outcomes("pubtator", {"f": corpus}):
        assert isinstance(found, (Document, RecordError))


@given(
    st.lists(
        st.sampled_from(["1|t|T", "1|a|A", "1\t0\t1\tx\tG", "", "  ", "\r", "2|t|U", "junk", "33|t|"]), max_size=25
    ),
    st.integers(1, 9),
)
def test_cutting_does_not_depend_on_the_size_of_the_chunks_read(lines: list[str], chunk: int) -> None:
    text = "\n".join(lines).encode()
    whole = list(pubtator._blocks(io.BytesIO(text)))
    with mock.patch.object(pubtator, "_CHUNK", chunk):
        assert list(pubtator._blocks(io.BytesIO(text))) == whole
