from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import names, only_error, outcomes, read, texts

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers import load_reader
from sciriff.readers.records import Argument, Document, Entity, Event, SplitSpec
from sciriff.sources.archives import ArchiveView

TEXT = "Ba oxide was dissolved\r\nin water and upper and lower limbs rinsed."


def span(fragment: str, after: int = 0) -> str:
    start = TEXT.index(fragment, after)
    return f"{start} {start + len(fragment)}"


ANNOTATIONS = "\n".join(
    [
        f"T1\tMaterial {span('Ba oxide')}\tBa oxide",
        f"T2\tOperation {span('dissolved')}\tdissolved",
        f"T3\tProperty-Misc {span('water')}\twater",
        f"T4\tLimb {span('upper')};{span('limbs')}\tupper limbs",
        f"T5\tOperation {span('rinsed')}\trinsed",
        "E1\tOperation:T2 Recipe_Precursor:T1 Solvent_Material:T3",
        "E2\tOperation:T5 Participant_Material:T4 Then:E1",
        "R1\tNumber_Of Arg1:T3 Arg2:T1",
        "A1\tNegated E1",
        "*\tOR T1 T3",
        "N1\tReference T1 Chem:42\tBa oxide",
        "#1\tAnnotatorNotes T1\tis this the target?",
        "",
    ]
)


def test_mentions_events_and_lines_passed_over() -> None:
    files = {"d/doc.txt": TEXT.encode(), "d/doc.ann": ANNOTATIONS.encode()}
    ba, water, limbs = ("Ba oxide",), ("water",), ("upper", "limbs")
    assert read("brat", files, "d/*") == [
        Document(
            id="doc",
            passages=(TEXT.replace("\r\n", "\n"),),
            entities=(Entity("Material", ba), Entity("Property-Misc", water), Entity("Limb", limbs)),
            events=(
                Event(
                    "Operation", ("dissolved",), (Argument("Recipe_Precursor", ba), Argument("Solvent_Material", water))
                ),
                Event(
                    "Operation",
                    ("rinsed",),
                    (Argument("Participant_Material", limbs), Argument("Then", ("dissolved",))),
                ),
            ),
        )
    ]


def test_event_without_arguments_may_end_in_a_blank() -> None:
    files = {"a.txt": b"it was mixed", "a.ann": b"T1\tOperation 7 12\tmixed\nE1\tOperation:T1 \n"}
    assert read("brat", files, "*")[0].events == (Event("Operation", ("mixed",), ()),)


def test_annotations_may_have_crlf_and_no_newline_at_the_end() -> None:
    files = {"a.txt": b"cells", "a.ann": b"\xef\xbb\xbfT1\tCell 0 5\tcells\r\nT2\tCell 0 4\tcell"}
    assert read("brat", files, "*")[0].entities == (Entity("Cell", ("cells",)), Entity("Cell", ("cell",)))


def test_spans_that_do_not_fit_leave_the_surface_text_whole() -> None:
    files = {"a.txt": b"upper and lower limbs", "a.ann": b"T1\tLimb 1 5;16 21\tupper limbs\nT2\tLimb 90 95\tarms"}
    assert [entity.text for entity in read("brat", files, "*")[0].entities] == [("upper limbs",), ("arms",)]


def test_a_surface_text_broken_over_lines_is_put_together() -> None:
    text = "Established T2DM\nwith T4 stage or E2 use"
    annotations = f"T1\tCondition 0 {len(text)}\tEstablished T2DM\n with T4 stage\nor E2 use\nT2\tDrug 36 38\tE2\n"
    files = {"a.txt": text.encode(), "a.ann": annotations.encode()}
    assert [entity.text for entity in read("brat", files, "*")[0].entities] == [
        ("Established T2DM with T4 stage or E2 use",),
        ("E2",),
    ]


def spans_in(text: str, *pieces: str) -> str:
    """Offsets of pieces that stand in order in a text, as brat writes them."""
    places = []
    at = 0
    for piece in pieces:
        at = text.index(piece, at)
        places.append(f"{at} {at + len(piece)}")
    return ";".join(places)


def test_offsets_of_mentions_in_pieces_count_carriage_returns() -> None:
    text = "Any emergency\r\nor life-threatening\r\nsituation.\r\nAge over 90\r\n"
    annotations = (
        f"T1\tCondition {spans_in(text, 'emergency', 'situation')}\temergency situation\n"
        f"T2\tQualifier {spans_in(text, 'life-threatening')}\tlife-threatening\n"
        f"T3\tScope {spans_in(text, 'Any', 'emergency', 'situation')}\tAny emergency situation\n"
        f"T4\tValue {spans_in(text, 'over 90')}\tover 90\n"
    )
    for ending in ("\n", "\r\n"):
        files = {"a.txt": text.encode(), "a.ann": annotations.replace("\n", ending).encode()}
        (document,) = read("brat", files, "*")
        assert document.passages == ("Any emergency\nor life-threatening\nsituation.\nAge over 90\n",)
        assert [entity.text for entity in document.entities] == [
            ("emergency", "situation"),
            ("life-threatening",),
            ("Any", "emergency", "situation"),
            ("over 90",),
        ]


def test_a_piece_that_runs_over_a_line_end_has_a_plain_newline() -> None:
    text = "renal\r\nor liver failure"
    annotations = f"T1\tScope {spans_in(text, text[:12], 'failure')}\trenal or li failure\n"
    files = {"a.txt": text.encode(), "a.ann": annotations.encode()}
    assert read("brat", files, "*")[0].entities[0].text == ("renal\nor li", "failure")


def test_control_characters_of_a_text_count_and_stay() -> None:
    text = "NUL\0 and\x0b tabs\tin\x1b text\u2028here"
    annotations = f"T1\tA {spans_in(text, 'tabs')}\ttabs\nT2\tB {spans_in(text, 'NUL' + chr(0), 'here')}\tNUL\0 here"
    (document,) = read("brat", {"a.txt": text.encode(), "a.ann": annotations.encode()}, "*")
    assert document.passages == (text,)
    assert [entity.text for entity in document.entities] == [("tabs",), ("NUL\0", "here")]


def test_a_byte_order_mark_and_blank_lines_do_not_count() -> None:
    text = "aspirin or heparin"
    annotations = (
        f"\n\nT1\tDRUG {spans_in(text, 'heparin')}\theparin\n \nT2\tDRUG {spans_in(text, 'aspirin')}\taspirin\n\n\n"
    )
    files = {"a.txt": b"\xef\xbb\xbf" + text.encode(), "a.ann": b"\xef\xbb\xbf" + annotations.encode()}
    (document,) = read("brat", files, "*")
    assert document.passages == (text,)
    assert [entity.text for entity in document.entities] == [("heparin",), ("aspirin",)]


def test_documents_of_several_folders_are_sorted_together() -> None:
    files = {
        f"c/{folder}/{name}{suffix}": b""
        for suffix in (".ann", ".txt")
        for folder, name in (
            ("MedLine", "9"),
            ("DrugBank", "Iron (oral)_ddi"),
            ("MedLine", "10"),
            ("DrugBank", "Ace b"),
        )
    }
    assert [document.id for document in read("brat", files, "c/*")] == ["10", "9", "Ace b", "Iron (oral)_ddi"]


def test_documents_come_by_id_and_resource_forks_are_passed_over() -> None:
    files = {
        "x/b.ann": b"",
        "x/._a.txt": b"\0",
        "x/README": b"",
        "x/a.txt": b"A",
        "x/b.txt": b"B",
        "x/a.ann": b"",
        "x/annotation.conf": b"",
    }
    assert [(d.id, d.passages, d.entities) for d in read("brat", files, "x/*")] == [
        ("a", ("A",), ()),
        ("b", ("B",), ()),
    ]


def test_a_fold_list_gives_membership_and_order() -> None:
    files = {f"data/{name}{suffix}": b"" for name in "abcd" for suffix in (".txt", ".ann")}
    files["folds.txt"] = b"c\r\n\na\n"
    assert [d.id for d in read("brat", files, "data/*", list="folds.txt")] == ["c", "a"]


def test_a_listed_document_without_files_is_named() -> None:
    files = {"data/a.txt": b"", "data/a.ann": b"", "folds.txt": b"gone\na\n"}
    found = outcomes("brat", files, "data/*", list="folds.txt")
    assert str(found[0]) == "data/*:gone: there is no file gone.txt"
    assert isinstance(found[1], Document)


def test_members_of_a_tar_may_come_in_any_order(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "c.tar.gz", "w:gz") as archive:
        for name in ("c/b.txt", "c/a.ann", "c/b.ann", "c/a.txt"):
            info = tarfile.TarInfo(name)
            info.size = 2
            archive.addfile(info, io.BytesIO(b"\n\n"))
    reader, split = load_reader("brat"), SplitSpec("corpus!c/*")
    rows = list(reader.rows(ArchiveView({"corpus": tmp_path / "c.tar.gz"}), split))
    assert [(row.index, row.where, reader.parse(row, split).id) for row in rows] == [  # type: ignore[union-attr]
        (0, "corpus!c/a", "a"),
        (1, "corpus!c/b", "b"),
    ]


@pytest.mark.parametrize(
    ("annotations", "place", "reason"),
    [
        (b"T1\tCell 0 5\tcells\nT2\tCell", ".ann:2", "expected 'type start end"),
        (b"T1\tCell 0 5\tcells\nT2", ".ann:2", "expected 'type start end"),
        (b"T1\tCell 0 5", ".ann:1", "expected 'type start end"),
        (b"T1\tCell 0 5\t ", ".ann:1", "expected 'type start end"),
        (b"T1\tCell 0 x\tcells", ".ann:1", "whole number as offset, found 'x'"),
        (b"T1\tCell 0 -5\tcells", ".ann:1", "whole number as offset, found '-5'"),
        ("T1\tCell 0 ٥\tcells".encode(), ".ann:1", "whole number as offset"),
        (b"T1\tCell 5 0\tcells", ".ann:1", "before its start"),
        (b"T1\tCell 0 5\tcells\nT1\tCell 0 4\tcell", ".ann:2", "T1 is used twice"),
        (b"T1\tUse 0 5\tcells\nE1\tUse:T9", ".ann:2", "no annotation T9"),
        (b"T1\tUse 0 5\tcells\nE1\tUse:T1 Role:T8", ".ann:2", "no annotation T8"),
        (b"T1\tUse 0 5\tcells\nE1\tUse:T1 Role", ".ann:2", "expected 'role:id'"),
        (b"T1\tUse 0 5\tcells\nE1\tUse", ".ann:2", "expected 'type:trigger"),
        (b"T1\tCell 0 5\t\xffells", ".ann", "not UTF-8: byte 0xff at offset 12"),
    ],
)
def test_a_malformed_line_names_file_line_and_reason(annotations: bytes, place: str, reason: str) -> None:
    files = {
        "d/a.ann": b"",
        "d/a.txt": b"",
        "d/b.txt": b"cells",
        "d/b.ann": annotations,
        "d/c.txt": b"",
        "d/c.ann": b"",
    }
    error = only_error("brat", files, "d/*")
    assert error.where == f"d/b{place}"
    assert reason in error.reason


def test_a_missing_annotation_file_is_named() -> None:
    assert only_error("brat", {"d/a.txt": b"text"}, "d/*").reason == "there is no file a.ann"


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TaskFileError, match="reader 'brat' has no option 'lst'; it knows list"):
        outcomes("brat", {}, "d/*", lst="x")


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, str, Document]:
    """A text, its annotations in brat, and the document that they say."""
    words = draw(st.lists(texts(), min_size=1, max_size=8))
    gap = draw(st.sampled_from([" ", "\n", "\r\n"]))
    text = gap.join(words)
    starts = [sum(len(word) + len(gap) for word in words[:i]) for i in range(len(words))]
    lines, entities = [], []
    for number in range(draw(st.integers(0, 5))):
        picked = sorted(draw(st.sets(st.integers(0, len(words) - 1), min_size=1, max_size=3)))
        kind = draw(names())
        spans = ";".join(f"{starts[i]} {starts[i] + len(words[i])}" for i in picked)
        parts = tuple(words[i] for i in picked)
        lines.append(f"T{number}\t{kind} {spans}\t{' '.join(parts)}")
        entities.append(Entity(kind, parts))
    triggers = draw(st.sets(st.integers(0, len(entities) - 1))) if entities else set()
    events = []
    for number, trigger in enumerate(sorted(triggers)):
        arguments = draw(st.lists(st.tuples(names(), st.integers(0, len(entities) - 1)), max_size=3))
        lines.append(f"E{number}\tAct:T{trigger} {' '.join(f'{role}:T{i}' for role, i in arguments)}")
        events.append(
            Event("Act", entities[trigger].text, tuple(Argument(role, entities[i].text) for role, i in arguments))
        )
    kept = tuple(entity for i, entity in enumerate(entities) if i not in triggers)
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    return text, ending.join(lines), Document("x", (text.replace("\r\n", "\n"),), kept, tuple(events))


@given(documents())
def test_what_is_written_is_read_back(case: tuple[str, str, Document]) -> None:
    text, annotations, document = case
    assert read("brat", {"x.txt": text.encode(), "x.ann": annotations.encode()}, "x.*") == [document]


@given(st.binary(max_size=60) | st.text("TEA1\t0 :;x\n").map(str.encode))
def test_any_bytes_give_a_document_or_a_record_error(annotations: bytes) -> None:
    (found,) = outcomes("brat", {"x.txt": b"some text", "x.ann": annotations}, "x.*")
    assert isinstance(found, (Document, RecordError))
