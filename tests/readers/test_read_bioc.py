from __future__ import annotations

import pickle
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import MemoryView, names, only_error, outcomes, read, texts

from sciriff.errors import RecordError, SourceError
from sciriff.readers import bioc
from sciriff.readers.records import Document, Entity, SplitSpec

HEAD = "<?xml version='1.0' encoding='UTF-8'?><!DOCTYPE collection SYSTEM 'BioC.dtd'>\n<collection><source>s</source>"
TAIL = "</collection>\n"


def collection(*documents: str, head: str = HEAD, tail: str = TAIL) -> dict[str, bytes]:
    return {"f": (head + "\n".join(documents) + tail).encode()}


def annotation(kind: str, text: str, *locations: tuple[int, int], role: str = "") -> str:
    places = "".join(f"<location offset='{offset}' length='{length}' />" for offset, length in locations)
    infon = f"<infon key='CompositeRole'>{role}</infon>" if role else ""
    return f"<annotation id='0'><infon key='type'>{kind}</infon>{infon}{places}<text>{escape(text)}</text></annotation>"


def passage(offset: int, text: str, *annotations: str) -> str:
    return f"<passage><offset>{offset}</offset><text>{escape(text)}</text>{''.join(annotations)}</passage>"


def document(name: str, *passages: str) -> str:
    return f"<document>\n<id>{name}</id>{''.join(passages)}</document>"


GOOD = document("1", passage(0, "Fine."))


def test_composite_mentions_are_cut_by_passage_offsets() -> None:
    title, abstract = "A report.", "Ocular and auditory toxicity in 3 patients, p < 0.05."
    shift = len(title) + 1
    files = collection(
        document(
            "42",
            passage(0, title),
            passage(
                shift,
                abstract,
                annotation("Disease", "Ocular and auditory toxicity", (shift, 28), role="CompositeMention"),
                annotation("Disease", "Ocular toxicity", (shift, 6), (shift + 20, 8), role="IndividualMention"),
                annotation("Disease", "auditory toxicity", (shift + 11, 17), role="IndividualMention"),
            ),
            "<relation id='R0'><infon key='relation'>CID</infon></relation>",
        )
    )
    assert read("bioc", files) == [
        Document(
            "42",
            (title, abstract),
            (
                Entity("Disease", ("Ocular and auditory toxicity",)),
                Entity("Disease", ("Ocular", "toxicity")),
                Entity("Disease", ("auditory toxicity",)),
            ),
        )
    ]


@pytest.mark.parametrize("locations", [((1, 3), (8, 3)), ((0, 3), (90, 3)), ((2, 3), (0, 3))])
def test_locations_that_do_not_fit_leave_the_surface_text_whole(locations: tuple[tuple[int, int], ...]) -> None:
    files = collection(document("1", passage(2, "red and blue cells", annotation("Cell", "red cells", *locations))))
    assert read("bioc", files)[0].entities == (Entity("Cell", ("red cells",)),)


def test_annotations_without_place_or_text_and_empty_passages_are_left_out() -> None:
    index_term = "<annotation id='9'><infon key='type'>MeSH_Indexing_Chemical</infon><text/></annotation>"
    files = collection(
        document(
            "1",
            passage(0, "Iron.", index_term, annotation("Chemical", "Iron"), annotation("Chemical", " ", (0, 1))),
            "<passage><offset>6</offset></passage>",
        )
    )
    assert read("bioc", files) == [Document("1", ("Iron.",), ())]


def test_annotations_of_sentences_are_read() -> None:
    sentence = f"<sentence><offset>0</offset><text>Iron.</text>{annotation('Chemical', 'Iron', (0, 4))}</sentence>"
    files = collection(document("1", f"<passage><offset>0</offset>{sentence}</passage>"))
    assert read("bioc", files)[0].entities == (Entity("Chemical", ("Iron",)),)


def test_commented_documents_and_tags_in_cdata_are_no_documents() -> None:
    cdata = "<passage><offset>0</offset><text><![CDATA[</document><document>]]></text></passage>"
    files = collection("<!-- <document><id>0</id></document> -->", document("1", cdata), "<!-- </document> -->")
    assert read("bioc", files) == [Document("1", ("</document><document>",), ())]


def test_a_declared_encoding_is_honoured() -> None:
    text = f"<?xml version='1.0' encoding='ISO-8859-1'?><collection>{document('1', passage(0, 'Ménière'))}</collection>"
    assert read("bioc", {"f": text.encode("latin-1")})[0].passages == ("Ménière",)


def test_documents_longer_than_a_read_and_in_great_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bioc, "_READ", 7)
    files = collection(*(document(str(n), passage(0, "word " * n)) for n in range(1, 30)))
    assert [found.id for found in read("bioc", files)] == [str(n) for n in range(1, 30)]


def test_an_empty_collection_has_no_documents() -> None:
    assert read("bioc", collection()) == []


def test_rows_can_be_pickled() -> None:
    split = SplitSpec("f")
    rows = list(bioc.rows(MemoryView(collection(GOOD)), split))  # type: ignore[arg-type]
    assert bioc.parse(pickle.loads(pickle.dumps(rows[0])), split).id == "1"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("<document><id>2</id><passage>", "not well-formed XML"),
        ("<document><id>2</id></passage></document>", "not well-formed XML"),
        ("<document><id>2</id>&nbsp;</document>", "Entity 'nbsp' not defined"),
        ("<document><id> </id></document>", "the document has no <id>"),
        (
            document("2", passage(0, "a", annotation("X", "a", (0, 1)).replace("'type'", "'kind'"))),
            "<infon key='type'>",
        ),
        (document("2", passage(0, "a", annotation("X", "a", (0, 1)).replace("'1'", "'one'"))), "found 'one'"),
        (document("2", passage(0, "a", annotation("X", "a", (0, 1))).replace("<offset>0", "<offset>")), "found ''"),
        (document("2", passage(0, "\x0b")), "not well-formed XML"),
    ],
)
def test_a_malformed_document_does_not_take_the_others_with_it(broken: str, reason: str) -> None:
    files = collection(GOOD, broken, GOOD.replace("<id>1", "<id>3"))
    found = outcomes("bioc", files)
    assert [getattr(record, "id", None) for record in found] == ["1", None, "3"]
    error = only_error("bioc", files)
    assert error.where.startswith("f:document 2")
    assert reason in error.reason


def test_invalid_utf8_stays_with_its_document() -> None:
    content = collection(GOOD, document("2", passage(0, "BAD")), GOOD)["f"].replace(b"BAD", b"\xff\xfe")
    assert "not well-formed XML" in only_error("bioc", {"f": content}).reason


def test_declared_entities_are_refused_by_name() -> None:
    head = "<?xml version='1.0'?><!DOCTYPE collection [<!ENTITY lol SYSTEM 'file:///etc/passwd'>]><collection>"
    with pytest.raises(SourceError, match="f declares the entity 'lol'"):
        outcomes("bioc", collection(document("1", passage(0, "&lol;").replace("&amp;", "&")), head=head))


@pytest.mark.parametrize("tail", ["", "<document><id>2</id>"])
def test_a_file_that_is_cut_off_is_an_error_after_its_documents(tail: str) -> None:
    rows = bioc.rows(MemoryView(collection(GOOD, tail=tail)), SplitSpec("f"))  # type: ignore[arg-type]
    assert bioc.parse(next(rows), SplitSpec("f")).id == "1"
    with pytest.raises(SourceError, match="f ends without </collection>"):
        list(rows)


def test_another_format_is_an_error() -> None:
    with pytest.raises(SourceError, match="found no <collection>"):
        outcomes("bioc", {"f": b"<html><body>404</body></html>"})


@st.composite
def collections(draw: st.DrawFn) -> tuple[dict[str, bytes], list[Document]]:
    elements, documents = [], []
    for number in range(draw(st.integers(0, 4))):
        passages, spoken, entities, at = [], [], [], draw(st.integers(0, 50))
        for words in draw(st.lists(st.lists(texts(), min_size=1, max_size=6), max_size=3)):
            text = " ".join(words)
            annotations = []
            for _ in range(draw(st.integers(0, 3))):
                picked = sorted(draw(st.sets(st.integers(0, len(words) - 1), min_size=1, max_size=3)))
                starts = [at + sum(len(word) + 1 for word in words[:i]) for i in picked]
                parts = tuple(words[i] for i in picked)
                kind = draw(names())
                annotations.append(annotation(kind, " ".join(parts), *zip(starts, map(len, parts), strict=True)))
                entities.append(Entity(kind, parts))
            passages.append(passage(at, text, *annotations))
            spoken.append(text)
            at += len(text) + draw(st.integers(1, 5))
        elements.append(document(f"d{number}", *passages))
        documents.append(Document(f"d{number}", tuple(spoken), tuple(entities)))
    return collection(*elements, head=HEAD + f"<infon key={quoteattr(draw(texts()))}/>"), documents


def _is_xml(text: str) -> bool:
    return "\ufffe" not in text and "\uffff" not in text


@given(collections().filter(lambda case: _is_xml(case[0]["f"].decode())))
def test_what_is_written_is_read_back(case: tuple[dict[str, bytes], list[Document]]) -> None:
    assert read("bioc", case[0]) == case[1]


@given(st.lists(st.sampled_from(["<document>", "</document>", "<id>1</id>", "<!--", "-->", "&x;", "a", "]]>"])))
def test_any_order_of_tags_gives_documents_or_record_errors(parts: list[str]) -> None:
    try:
        found = outcomes("bioc", collection(*parts))
    except SourceError:
        return
    assert all(isinstance(record, (Document, RecordError)) for record in found)
