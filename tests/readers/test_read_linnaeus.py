from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import names, only_error, outcomes, passed_over, read, texts

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers.records import Document, Entity, PassedOver

HEADER = b"#species id\tdocument\tstart\tend\ttext\tcode\n"
TAGS = (
    HEADER
    + b"species:ncbi:4932\tpmcA2\t0\t5\tYeast\t\n"
    + b"species:ncbi:9606\tpmcA1\t6\t14\tpatients\t4\n"
    + b"species:ncbi:4932\tpmcA2\t14\t27\tS. cerevisiae\t0|4\n"
)
FILES = {
    "txt/pmcA3.txt": b"No organism.",
    "txt/pmcA2.txt": b"Yeast is also S. cerevisiae.",
    "tags": TAGS,
    "txt/pmcA1.txt": b"Seven patients\nwere seen.",
}


def found(files: dict[str, bytes], **changes: bytes) -> list[Document | RecordError]:
    return outcomes("linnaeus", {**files, **changes}, "txt/*.txt", tags="tags")  # type: ignore[return-value]


def test_tagged_documents_come_by_id_whatever_the_order_of_the_archive() -> None:
    expected = [
        Document("pmcA1", ("Seven patients\nwere seen.",), (Entity("species", ("patients",)),)),
        Document(
            "pmcA2",
            ("Yeast is also S. cerevisiae.",),
            (Entity("species", ("Yeast",)), Entity("species", ("S. cerevisiae",))),
        ),
    ]
    assert found(FILES) == expected
    members = list(FILES.items())
    for seed in range(5):
        random.Random(seed).shuffle(members)
        assert found(dict(members)) == expected


def test_documents_without_a_tag_are_passed_over_by_name() -> None:
    assert passed_over("linnaeus", FILES, "txt/*.txt", tags="tags") == [PassedOver("no tag", "txt/*.txt (pmcA3)")]


@pytest.mark.parametrize(
    "tags",
    [
        TAGS.rstrip(),
        b"\xef\xbb\xbf" + TAGS,
        TAGS.replace(b"\n", b"\r\n"),
        TAGS.replace(b"\n", b"\n\n"),
        TAGS.removeprefix(HEADER),
        TAGS.replace(b"\t\n", b"\n"),
    ],
    ids=["no newline at the end", "byte order mark", "CRLF", "blank lines", "no header", "no code"],
)
def test_forms_of_the_table(tags: bytes) -> None:
    assert found(FILES, tags=tags) == found(FILES)


def test_offsets_count_carriage_returns_and_the_text_loses_them() -> None:
    files = {"txt/a.txt": b"\xef\xbb\xbfOf mice\r\nand men\0.", "tags": b"species:ncbi:1\ta\t13\t16\tmen"}
    assert found(files) == [Document("a", ("Of mice\nand men\0.",), (Entity("species", ("men",)),))]


def test_a_place_that_does_not_fit_leaves_the_surface_text() -> None:
    files = {"txt/a.txt": b"mice", "tags": b"species:ncbi:1\ta\t90\t94\tmice\t"}
    assert read("linnaeus", files, "txt/*.txt", tags="tags")[0].entities == (Entity("species", ("mice",)),)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"species:ncbi:1\tpmcA2\t0\t5", "expected species id, document, start, end, text and code, found 4 fields"),
        (b"species:ncbi:1\tpmcA2\t0\t5\tYeast\t4\t4", "found 7 fields"),
        (b"species:ncbi:1\tpmcA2\tx\t5\tYeast\t", "whole number as offset, found 'x'"),
        (b"species:ncbi:1\tpmcA2\t0\t-5\tYeast\t", "whole number as offset, found '-5'"),
        (b"species:ncbi:1\tpmcA2\t5\t0\tYeast\t", "a mention with its place"),
        (b"species:ncbi:1\tpmcA2\t0\t5\t \t", "a mention with its place"),
        (b":ncbi:1\tpmcA2\t0\t5\tYeast\t", "expected a species id"),
        (b"species:ncbi:1\tpmcA2\t0\t5\tYe\xffst\t", "not UTF-8: byte 0xff"),
    ],
)
def test_a_malformed_line_is_named_and_stops_no_other_document(line: bytes, reason: str) -> None:
    one, bad = found(FILES, tags=TAGS + line)
    assert isinstance(one, Document)
    assert isinstance(bad, RecordError)
    assert bad.where == "tags:5"
    assert reason in bad.reason


@pytest.mark.parametrize("line", [b"species", b"species:ncbi:1\t\t0\t5\tYeast\t"])
def test_a_line_that_names_no_document_is_a_record_of_its_own(line: bytes) -> None:
    *documents, bad = found(FILES, tags=TAGS.replace(HEADER, line + b"\n"))
    assert [type(document) for document in documents] == [Document, Document]
    assert isinstance(bad, RecordError)
    assert bad.where == "tags:1"


def test_a_tagged_document_without_text_is_named() -> None:
    error = only_error("linnaeus", {**FILES, "tags": TAGS.replace(b"pmcA1", b"pmcA9")}, "txt/*.txt", tags="tags")
    assert str(error) == "txt/*.txt (pmcA9): there is no file pmcA9.txt, which tags:3 tags"


def test_a_text_that_is_not_utf8_is_named() -> None:
    error = only_error("linnaeus", {**FILES, "txt/pmcA1.txt": b"Seven \xffatients"}, "txt/*.txt", tags="tags")
    assert str(error) == "txt/*.txt (pmcA1): not UTF-8: byte 0xff at offset 6"


def test_the_table_must_be_named_and_nothing_else() -> None:
    with pytest.raises(TaskFileError, match="reader 'linnaeus' needs the option 'tags'"):
        outcomes("linnaeus", FILES, "txt/*.txt")
    with pytest.raises(TaskFileError, match="has no option 'tag'; it knows tags"):
        outcomes("linnaeus", FILES, "txt/*.txt", tag="tags")


@st.composite
def corpora(draw: st.DrawFn) -> tuple[dict[str, bytes], list[Document]]:
    """Files of a corpus, and the tagged documents in them."""
    files: dict[str, bytes] = {}
    lines: list[str] = []
    documents = []
    for name in sorted(draw(st.sets(names(), min_size=1, max_size=4))):
        words = draw(st.lists(texts("\t"), min_size=1, max_size=5))
        text = " ".join(words)
        files[f"txt/{name}.txt"] = text.encode()
        starts = [sum(len(word) + 1 for word in words[:place]) for place in range(len(words))]
        picked = draw(st.lists(st.integers(0, len(words) - 1), max_size=4))
        lines += [
            f"species:ncbi:{place}\t{name}\t{starts[place]}\t{starts[place] + len(words[place])}\t{words[place]}\t"
            for place in picked
        ]
        if picked:
            documents.append(Document(name, (text,), tuple(Entity("species", (words[place],)) for place in picked)))
    return {**files, "tags": HEADER + "\n".join(lines).encode()}, documents


@given(corpora())
def test_what_is_written_is_read_back(case: tuple[dict[str, bytes], list[Document]]) -> None:
    files, documents = case
    assert found(files) == documents


@given(st.integers(0, len(TAGS)))
def test_a_truncated_table_gives_named_errors_or_fewer_mentions(cut: int) -> None:
    whole = {document.id: document.entities for document in found(FILES) if isinstance(document, Document)}
    for record in found(FILES, tags=TAGS[:cut]):
        if isinstance(record, RecordError):
            assert "tags:" in str(record)
        else:
            kept = record.entities[:-1]
            assert kept == whole[record.id][: len(kept)]
            assert record.entities[-1].text[0] in record.passages[0]
