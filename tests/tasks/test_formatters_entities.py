from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.readers.records import Argument, Document, Entity, Event
from sciriff.tasks.formatters.entities import format_entities
from sciriff.tasks.formatters.events import format_events

TYPES = {"GeneOrGeneProduct": "Gene", "FamilyName": "Gene", "OrganismTaxon": "Species"}
ROLES = {"Precursor": "Recipe_Precursor", "Target": "Recipe_Target"}


def entities_of(document: Document, types: dict[str, str] = TYPES) -> dict[str, Any]:
    (variables,) = format_entities(document, types=types)
    return variables


def events_of(*events: Event, **options: Any) -> list[dict[str, Any]]:
    (variables,) = format_events(Document("d1", ("Text.",), (), events), roles=ROLES, **options)
    found: list[dict[str, Any]] = variables["events"]
    return found


def event(*arguments: tuple[str, str], trigger: tuple[str, ...] = ("heated",)) -> Event:
    return Event("Operation", trigger, tuple(Argument(role, (text,)) for role, text in arguments))


def test_entities_fold_types_keep_order_and_drop_repeats() -> None:
    document = Document(
        "42",
        ("A title. ", " An abstract\nof two lines. "),
        (
            Entity("OrganismTaxon", ("mouse",)),
            Entity("FamilyName", ("MAPK",)),
            Entity("GeneOrGeneProduct", ("left", "lobe")),
            Entity("GeneOrGeneProduct", ("MAPK",)),
            Entity("GeneOrGeneProduct", ("mapk",)),
        ),
    )
    assert entities_of(document) == {
        "ner_type_list": ["Gene", "Species"],
        "abstract": "A title. An abstract\nof two lines.",
        "ner_dict": {"Gene": ["MAPK", "left lobe", "mapk"], "Species": ["mouse"]},
        "_document_id": "42",
    }


def test_one_string_may_have_two_types() -> None:
    document = Document("1", ("x",), (Entity("OrganismTaxon", ("virus",)), Entity("FamilyName", ("virus",))))
    assert entities_of(document)["ner_dict"] == {"Gene": ["virus"], "Species": ["virus"]}


def test_document_without_entities_is_kept() -> None:
    assert entities_of(Document("1", ("x",), ()))["ner_dict"] == {"Gene": [], "Species": []}


def test_blanks_around_a_mention_are_no_part_of_it_but_for_the_original() -> None:
    document = Document("1", ("x",), (Entity("FamilyName", ("MAPK  ",)), Entity("FamilyName", (" MAPK",))))
    assert entities_of(document)["ner_dict"]["Gene"] == ["MAPK"]
    (variables,) = format_entities(document, types=TYPES, fidelity="original")
    assert variables["ner_dict"]["Gene"] == ["MAPK  ", " MAPK"]


def test_unmapped_type_names_type_and_document() -> None:
    with pytest.raises(RecordError, match=r"document 77: .*'Planet'.*GeneOrGeneProduct, FamilyName, OrganismTaxon"):
        entities_of(Document("77", ("x",), (Entity("Planet", ("Mars",)),)))


@pytest.mark.parametrize("passages", [(), ("",), (" \n", "\t")])
def test_blank_text_is_dropped(passages: tuple[str, ...]) -> None:
    with pytest.raises(Dropped, match="blank text"):
        entities_of(Document("1", passages, ()))


def test_types_beside_those_asked_for_can_be_left_out() -> None:
    document = Document("1", ("Mars",), (Entity("Planet", ("Mars",)), Entity("OrganismTaxon", ("mouse",))))
    (variables,) = format_entities(document, types=TYPES, other_types="leave_out")
    assert variables["ner_dict"] == {"Gene": [], "Species": ["mouse"]}


def test_only_the_original_keeps_blank_texts() -> None:
    (variables,) = format_entities(Document("1", (" \n",), ()), types=TYPES, fidelity="original")
    assert (variables["abstract"], variables["_document_id"]) == ("", "1")


@pytest.mark.parametrize(
    ("name", "bare"),
    [("NCT99000001_inc", "NCT99000001"), ("NCT99000001_exc", "NCT99000001"), ("notes_inc", "notes_inc")],
)
def test_a_pattern_takes_the_document_out_of_the_id(name: str, bare: str) -> None:
    document = Document(name, ("Adults.",), ())
    (variables,) = format_entities(document, types=TYPES, id_pattern=r"(NCT\d+)_(?:inc|exc)")
    assert variables["_document_id"] == bare


words = st.text(min_size=1).filter(str.strip)


@given(st.lists(st.tuples(st.sampled_from(sorted(TYPES)), st.lists(words, min_size=1, max_size=3))))
def test_every_mention_is_answered_once_under_its_type(mentions: list[tuple[str, list[str]]]) -> None:
    document = Document("1", ("text",), tuple(Entity(type_, tuple(text)) for type_, text in mentions))
    answer = entities_of(document)["ner_dict"]
    assert list(answer) == ["Gene", "Species"]
    pairs = [(target, mention) for target, found in answer.items() for mention in found]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == {(TYPES[type_], " ".join(text).strip()) for type_, text in mentions}


def test_events_keep_annotation_order_and_drop_repeated_arguments() -> None:
    first = event(("Target", "TiO2"), ("Precursor", "TiCl4"), ("Target", "TiO2"))
    assert events_of(first, event(("Precursor", "water"))) == [
        {"trigger": "heated", "arguments": [["TiO2", "Recipe_Target"], ["TiCl4", "Recipe_Precursor"]]},
        {"trigger": "heated", "arguments": [["water", "Recipe_Precursor"]]},
    ]


def test_events_without_arguments_or_with_a_two_role_argument_are_left_out() -> None:
    two_roles = event(("Target", "TiO2"), ("Precursor", "TiO2"))
    assert events_of(event(), two_roles) == []
    assert events_of(event(), min_arguments=0) == [{"trigger": "heated", "arguments": []}]


def test_event_types_appear_only_when_asked_for() -> None:
    assert events_of(event(("Target", "x")), types={"Operation": "Step"})[0]["type"] == "Step"
    with pytest.raises(RecordError, match="'Operation', expected one of Reaction"):
        events_of(event(("Target", "x")), types={"Reaction": "Reaction"})


def test_role_list_follows_the_role_map() -> None:
    (variables,) = format_events(Document("d1", ("Text.",), ()), roles=ROLES)
    assert variables == {
        "abstract": "Text.",
        "events": [],
        "role_types_list": ["Recipe_Precursor", "Recipe_Target"],
        "_document_id": "d1",
    }


def test_event_defects_name_the_document() -> None:
    with pytest.raises(RecordError, match=r"document d1: .*role 'Solvent'.*Precursor, Target"):
        events_of(event(("Solvent", "water")))
    with pytest.raises(RecordError, match=r"document d1: event trigger 'heat \.\.\. up' has 2 fragments"):
        events_of(event(("Target", "x"), trigger=("heat", "up")))
