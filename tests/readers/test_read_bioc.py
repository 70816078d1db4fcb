from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import MemoryView, names, only_error, outcomes, read, texts

from sciriff.errors import RecordError, SourceError, TaskFileError
from sciriff.readers import bioc
from sciriff.readers.records import Document, Entity, SplitSpec
from sciriff.sources.archives import ArchiveView

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


INDEX_TERM = (
    "<annotation id='9'><infon key='type'>MeSH_Indexing_Chemical</infon><infon key='entry_term'>Iron</infon>"
    "<text/></annotation>"
)


@pytest.mark.parametrize(
    ("unplaced", "reason"),
    [
        (INDEX_TERM, "type MeSH_Indexing_Chemical: there is no location"),
        (annotation("Chemical", "Iron"), "type Chemical: there is no location"),
        (annotation("Chemical", " \n", (0, 1)), "type Chemical: there is no text"),
    ],
)
def test_an_annotation_without_place_or_text_is_refused_unless_told_to_skip_it(unplaced: str, reason: str) -> None:
    files = collection(document("1", passage(0, "Iron.", unplaced, annotation("Chemical", "Iron", (0, 4)))))
    error = only_error("bioc", files)
    assert reason in error.reason
    assert "'unplaced: skip'" in error.reason
    assert read("bioc", files, unplaced="skip")[0].entities == (Entity("Chemical", ("Iron",)),)


def test_passages_without_text_are_left_out() -> None:
    files = collection(
        document(
            "1", passage(0, "Iron."), "<passage><offset>6</offset></passage>", passage(7, " "), passage(9, "Zinc.")
        )
    )
    assert read("bioc", files) == [Document("1", ("Iron.", "Zinc."), ())]


def test_annotations_of_sentences_are_read() -> None:
    first = f"<sentence><offset>0</offset><text>Iron.</text>{annotation('Chemical', 'Iron', (0, 4))}</sentence>"
    second = f"<sentence><offset>6</offset><text>Zinc.</text>{annotation('Chemical', 'Zinc', (6, 4))}</sentence>"
    files = collection(document("1", f"<passage><offset>0</offset>{first}{second}</passage>"))
    mentions = (Entity("Chemical", ("Iron",)), Entity("Chemical", ("Zinc",)))
    assert read("bioc", files) == [Document("1", ("Iron. Zinc.",), mentions)]


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


@pytest.mark.parametrize(
    ("place", "why"),
    [((0, 5), "ends one late"), ((1, 4), "begins one late"), ((0, 3), "end counted in"), ((99, 4), "elsewhere")],
)
def test_a_mention_is_what_its_annotation_says_wherever_its_offsets_point(place: tuple[int, int], why: str) -> None:
    files = collection(document("1", passage(0, "IL-2 and IL-4.", annotation("Gene", "IL-2", place))))
    assert read("bioc", files)[0].entities == (Entity("Gene", ("IL-2",)),), why


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["\n", ""])
def test_byte_order_mark_and_line_ends_do_not_matter(mark: str, ending: str, last: str) -> None:
    text = passage(0, "Iron\nand zinc.", annotation("Chemical", "Iron\nand zinc", (0, 13)))
    content = collection(document("1", text), tail="</collection>" + last)["f"].decode()
    found = read("bioc", {"f": (mark + content.replace("\n", ending)).encode()})
    assert found == [Document("1", ("Iron\nand zinc.",), (Entity("Chemical", ("Iron\nand zinc",)),))]


def test_documents_of_one_id_are_all_kept_and_numbered() -> None:
    files = collection(document("1", passage(0, "First.")), document("1", passage(0, "Second.")))
    assert [found.passages for found in read("bioc", files)] == [("First.",), ("Second.",)]


def test_further_collections_come_after_the_first_and_rows_are_numbered_on() -> None:
    files = {
        "a": collection(document("1", passage(0, "One.")), document("2", passage(0, "Two.")))["f"],
        "b": collection()["f"],
        "c": collection(document("3", passage(0, "Three.")), document("2", "<passage>"))["f"],
    }
    found = outcomes("bioc", files, "a", then=["b", "c"])
    assert [getattr(record, "id", None) for record in found] == ["1", "2", "3", None]
    assert only_error("bioc", files, "a", then=["b", "c"]).where == "c:document 2"
    assert [found.id for found in read("bioc", files, "a", then=[])] == ["1", "2"]


LISTED = {
    "x/12.BioC.XML": collection(document("12", passage(0, "Twelve.")))["f"],
    "x/2.BioC.XML": collection(document("2", passage(0, "Two.")))["f"],
    "x/122.BioC.XML": b"no XML at all",
    "x/3.BioC.XML": collection(document("3", passage(0, "Three.")))["f"],
}


@pytest.mark.parametrize("pmids", [b"3\n12", b"\xef\xbb\xbf3\r\n\r\n 12 \r\n"])
def test_a_list_chooses_and_orders_files_of_one_document(pmids: bytes) -> None:
    files = {**LISTED, "ids": pmids}
    assert [found.id for found in read("bioc", files, "x/*.BioC.XML", list="ids")] == ["3", "12"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "it is listed, but there is no such file"),
        (b"", "expected BioC XML, found no <collection>"),
        (collection(GOOD, tail="")["f"], "ends without </collection>: it is cut off"),
        (collection()["f"], "expected one document, found 0"),
        (collection(GOOD, GOOD)["f"], "expected one document, found 2"),
        (collection(GOOD, head="<!DOCTYPE c [<!ENTITY x 'y'>]><collection>")["f"], "declares the entity 'x'"),
        (collection("<document><id>9</id>")["f"], "not well-formed XML"),
    ],
)
def test_a_bad_file_of_a_list_is_one_malformed_record_in_its_place(content: bytes | None, reason: str) -> None:
    files = {**LISTED, "ids": b"2\n9\n3\n"} | ({} if content is None else {"x/9.BioC.XML": content})
    found = outcomes("bioc", files, "x/*.BioC.XML", list="ids")
    assert [getattr(record, "id", None) for record in found] == ["2", None, "3"]
    error = only_error("bioc", files, "x/*.BioC.XML", list="ids")
    assert error.where == "x/9.BioC.XML"
    assert error.reason.startswith(reason)


@pytest.mark.parametrize(
    ("path", "options", "reason"),
    [
        ("x/1.BioC.XML", {"list": "ids"}, "with a list, expected one \\* in the path"),
        ("*/*.BioC.XML", {"list": "ids"}, "with a list, expected one \\* in the path"),
        ("x/*.BioC.XML", {"list": "ids", "then": ["x/1"]}, "list and then do not go together"),
        ("f", {"then": "g"}, "then is 'g'; expected a list of member paths"),
        ("f", {"unplaced": "keep"}, "unplaced is 'keep'; expected refuse or skip"),
        ("f", {"skip": "x"}, "no option 'skip'; it knows list, then, unplaced"),
    ],
)
def test_wrong_options_are_refused(path: str, options: dict[str, object], reason: str) -> None:
    with pytest.raises(TaskFileError, match=reason):
        outcomes("bioc", {**collection(GOOD), "ids": b"1"}, path, **options)


def test_a_collection_is_read_out_of_a_tar_that_is_named_as_if_it_were_xml(tmp_path: Path) -> None:
    content = collection(document("1", passage(0, "Iron.")), document("2", passage(0, "Zinc.")))["f"]
    path = tmp_path / "corpus_v2.BioC.xml.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("train.BioC.xml", "test.BioC.xml"):
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    view, split = ArchiveView({"archive": path}), SplitSpec("archive!test.BioC.xml")
    rows = list(bioc.rows(view, split))
    assert [row.where for row in rows] == ["archive!test.BioC.xml:document 1", "archive!test.BioC.xml:document 2"]
    assert [bioc.parse(row, split).id for row in rows] == ["1", "2"]


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
        (document("2", passage(0, "\x00")), "not well-formed XML"),
        (document("2", passage(0, "a")).replace("a<", "&#0;<"), "not well-formed XML"),
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


@given(collections().filter(lambda case: _is_xml(case[0]["f"].decode())), st.data())
def test_a_file_cut_anywhere_gives_its_first_documents_and_an_error(
    case: tuple[dict[str, bytes], list[Document]], data: st.DataObject
) -> None:
    content, whole = case[0]["f"], case[1]
    cut = content[: data.draw(st.integers(0, content.rindex(b"</collection")))]
    found: list[Document | RecordError] = []
    split = SplitSpec("f")
    stopped = ""
    try:
        for row in bioc.rows(MemoryView({"f": cut}), split):  # type: ignore[arg-type]
            try:
                found.append(bioc.parse(row, split))
            except RecordError as error:
                found.append(error)
    except SourceError as error:
        stopped = str(error)
    assert stopped.startswith(("f: expected BioC XML", "f ends without </collection>"))
    documents = [record for record in found if isinstance(record, Document)]
    assert documents == whole[: len(documents)]
    assert len(found) - len(documents) <= 1
    assert cut.count(b"</document>") == len(documents)


@given(st.lists(st.sampled_from(["<document>", "</document>", "<id>1</id>", "<!--", "-->", "&x;", "a", "]]>"])))
def test_any_order_of_tags_gives_documents_or_record_errors(parts: list[str]) -> None:
    try:
        found = outcomes("bioc", collection(*parts))
    except SourceError:
        return
    assert all(isinstance(record, (Document, RecordError)) for record in found)
