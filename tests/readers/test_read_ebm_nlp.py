from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reader_kit import only_error, outcomes, passed_over, read, texts

from sciriff.errors import RecordError, TaskFileError
from sciriff.readers.ebm_nlp import LAYERS
from sciriff.readers.records import Document, Entity, PassedOver

TOKENS = b"Twelve\nmen\nwith\nasthma\ntook\nsalbutamol\n.\nPain\nfell\n."
PARTICIPANTS = b"3\n2\n0\n4\n0\n0\n0\n0\n0\n0"
INTERVENTIONS = b"0\n0\n0\n0\n0\n3\n0\n0\n0\n0"
OUTCOMES = b"0\n0\n0\n0\n0\n0\n0\n2\n0\n0"


def labels(layer: str, pmid: str, part: str = "train") -> str:
    return f"top/annotations/aggregated/hierarchical_labels/{layer}/{part}/{pmid}.AGGREGATED.ann"


FILES = {
    labels("outcomes", "7"): OUTCOMES,
    labels("interventions", "7"): INTERVENTIONS,
    labels("participants", "7"): PARTICIPANTS,
    labels("interventions", "12"): b"0\n3",
    "top/documents/7.tokens": TOKENS,
    "top/documents/12.tokens": b"No\ndrug",
}
DOCUMENT = Document(
    "7",
    ("Twelve men with asthma took salbutamol . Pain fell .",),
    (
        Entity("Participant_Sample-size", ("Twelve",)),
        Entity("Participant_Sex", ("men",)),
        Entity("Participant_Condition", ("asthma",)),
        Entity("Intervention_Pharmacological", ("salbutamol",)),
        Entity("Outcome_Pain", ("Pain",)),
    ),
)
OTHER = Document("12", ("No drug",), (Entity("Intervention_Pharmacological", ("drug",)),))


def found(files: dict[str, bytes], part: str = "train") -> list[Document | RecordError]:
    return outcomes("ebm_nlp", files, "top/*", part=part)  # type: ignore[return-value]


def test_documents_come_by_id_whatever_the_order_of_the_archive() -> None:
    members = list(FILES.items())
    for seed in range(5):
        random.Random(seed).shuffle(members)
        assert found(dict(members)) == [OTHER, DOCUMENT]


def test_a_change_of_label_begins_another_mention_and_an_equal_label_does_not() -> None:
    files = {
        "top/documents/1.tokens": b"a\nb\nc\nd\ne",
        labels("interventions", "1"): b"1\n1\n2\n0\n2",
        labels("outcomes", "1"): b"0\n6\n6\n6\n6",
    }
    assert read("ebm_nlp", files, "top/*", part="train")[0].entities == (
        Entity("Intervention_Surgical", ("a b",)),
        Entity("Intervention_Physical", ("c",)),
        Entity("Intervention_Physical", ("e",)),
        Entity("Outcome_Other", ("b c d e",)),
    )


def test_other_parts_layers_and_files_are_not_read() -> None:
    files = {
        **FILES,
        labels("interventions", "20", "test/gold"): b"5\n0",
        labels("interventions", "20", "test/crowd"): b"1\n1",
        "top/annotations/aggregated/starting_spans/interventions/test/gold/20.AGGREGATED.ann": b"1\n1",
        "top/annotations/individual/hierarchical_labels/interventions/test/gold/20.3.ann": b"1\n1",
        labels("comparators", "20", "test/gold"): b"1\n1",
        "top/documents/20.tokens": b"Therapy\nhelped",
        "top/documents/20.text": b"Therapy helped",
        "top/README.txt": b"",
    }
    assert found(files) == [OTHER, DOCUMENT]
    gold = Document("20", ("Therapy helped",), (Entity("Intervention_Psychological", ("Therapy",)),))
    assert found(files, "test/gold") == [gold]


def test_a_document_without_labels_of_interventions_is_passed_over() -> None:
    files = {labels("participants", "9"): b"0", "top/documents/9.tokens": b"Nothing"}
    assert found(files) == []
    assert passed_over("ebm_nlp", files, "top/*", part="train") == [
        PassedOver("no labels of interventions", labels("participants", "9"))
    ]


@pytest.mark.parametrize(
    ("ending", "after", "before"),
    [("\n", "\n", ""), ("\r\n", "", ""), ("\n", "\n\n \n", ""), ("\r\n", "\r\n", "\ufeff")],
)
def test_line_ends_and_byte_order_marks_do_not_count(ending: str, after: str, before: str) -> None:
    files = {path: (before + raw.decode().replace("\n", ending) + after).encode() for path, raw in FILES.items()}
    assert found(files) == [OTHER, DOCUMENT]


def test_a_line_that_is_blank_in_both_files_is_no_token() -> None:
    files = {"top/documents/1.tokens": b"one\n\ntwo\n", labels("interventions", "1"): b"1\n\n1\n"}
    assert found(files) == [Document("1", ("one two",), (Entity("Intervention_Surgical", ("one",)), _second()))]


def _second() -> Entity:
    return Entity("Intervention_Surgical", ("two",))


def test_control_characters_are_parts_of_tokens() -> None:
    files = {"top/documents/1.tokens": "a\0b\n\x1b\n½\u2028c\u0085".encode(), labels("interventions", "1"): b"0\n0\n4"}
    assert found(files) == [
        Document("1", ("a\0b \x1b ½\u2028c\u0085",), (Entity("Intervention_Educational", ("½\u2028c\u0085",)),))
    ]


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        (INTERVENTIONS + b"\n0", "", "found 11 labels, expected one for each of the 10 tokens"),
        (INTERVENTIONS[:-2], "", "found 9 labels, expected one for each of the 10 tokens"),
        (b"", "", "found 1 labels, expected one for each of the 10 tokens"),
        (INTERVENTIONS.replace(b"3", b"8"), ":6", "found label '8', expected a whole number from 0 to 7"),
        (INTERVENTIONS.replace(b"3", b"-1"), ":6", "found label '-1'"),
        (INTERVENTIONS.replace(b"3", b"x"), ":6", "found label 'x'"),
        (INTERVENTIONS.replace(b"3", b""), ":6", "found label ''"),
        (INTERVENTIONS.replace(b"3", "３".encode()), ":6", "found label"),
        (INTERVENTIONS.replace(b"3", b"3 3"), ":6", "found label '3 3'"),
        (INTERVENTIONS.replace(b"3", b"9" * 5000), ":6", "found label '999"),
        (INTERVENTIONS.replace(b"3", b"\xff"), "", "not UTF-8: byte 0xff at offset 10"),
    ],
)
def test_malformed_labels_are_named_and_stop_no_other_document(content: bytes, place: str, reason: str) -> None:
    path = labels("interventions", "7")
    other, error = found({**FILES, path: content})
    assert other == OTHER
    assert isinstance(error, RecordError)
    assert error.where == f"{path}{place}"
    assert reason in error.reason


def test_the_layer_that_does_not_fit_is_the_one_named() -> None:
    error = only_error("ebm_nlp", {**FILES, labels("outcomes", "7"): b"0"}, "top/*", part="train")
    assert str(error) == f"{labels('outcomes', '7')}: found 1 labels, expected one for each of the 10 tokens"


def test_labels_without_tokens_are_named() -> None:
    files = {path: content for path, content in FILES.items() if path != "top/documents/7.tokens"}
    error = only_error("ebm_nlp", files, "top/*", part="train")
    assert str(error) == f"{labels('interventions', '7')}: there is no file documents/7.tokens"


def test_the_part_must_be_named_and_nothing_else() -> None:
    with pytest.raises(TaskFileError, match="reader 'ebm_nlp' needs the option 'part'"):
        outcomes("ebm_nlp", FILES, "top/*")
    with pytest.raises(TaskFileError, match="has no option 'fold'; it knows part"):
        outcomes("ebm_nlp", FILES, "top/*", fold="train")


@given(st.lists(st.tuples(texts(), st.integers(0, 4), st.integers(0, 7), st.integers(0, 6)), min_size=1, max_size=12))
def test_labels_written_are_read_back(rows: list[tuple[str, int, int, int]]) -> None:
    tokens = [token for token, *_ in rows]
    files = {"top/documents/1.tokens": "\n".join(tokens).encode()}
    for column, layer in enumerate(LAYERS, start=1):
        files[labels(layer, "1")] = "\n".join(str(row[column]) for row in rows).encode()
    (document,) = read("ebm_nlp", files, "top/*", part="train")
    assert document.passages == (" ".join(tokens),)
    words = {kind: 0 for kind, _ in LAYERS.values()}
    for entity in document.entities:
        assert entity.text[0] in document.passages[0]
        words[entity.type.partition("_")[0]] += len(entity.text[0].split(" "))
    for column, (kind, _) in enumerate(LAYERS.values(), start=1):
        assert words[kind] == sum(len(row[0].split(" ")) for row in rows if row[column])


@given(st.integers(0, len(TOKENS)), st.sampled_from(list(FILES)))
def test_a_truncated_file_gives_a_named_error_or_the_document(cut: int, path: str) -> None:
    for record in found({**FILES, path: FILES[path][:cut]}):
        if isinstance(record, Document):
            assert record.id in {"7", "12"}
            assert len(record.passages[0]) <= len(DOCUMENT.passages[0])
        else:
            assert "/7." in record.where or "/12." in record.where
