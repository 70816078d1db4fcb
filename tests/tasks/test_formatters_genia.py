from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.readers.records import DygieDocument
from sciriff.tasks.formatters.genia import format_genia
from sciriff.tasks.rendering import Fidelity

TYPES = {"DNA": "DNA", "RNA": "RNA", "cell_line": "CellLine", "cell_type": "CellType", "protein": "Protein"}


def document(text: str, ner: Any = (), clusters: Any = (), key: str = "99100021_train") -> DygieDocument:
    return DygieDocument(key, (tuple(text.split(" ")),), tuple(ner), (), tuple(clusters))


def variables_of(record: DygieDocument, fidelity: Fidelity = "corrected") -> dict[str, Any]:
    (variables,) = format_genia(record, types=TYPES, fidelity=fidelity)
    return variables


def answer(record: DygieDocument, fidelity: Fidelity = "corrected") -> dict[str, list[str]]:
    """The types that have mentions."""
    return {kind: found for kind, found in variables_of(record, fidelity)["ner_dict"].items() if found}


TEXT = "IL - 2 gene and its promoter , 70 % in T cells : it binds IL - 2 ."
NER = [(0, 2, "protein"), (0, 3, "DNA"), (6, 6, "DNA"), (11, 12, "cell_type"), (16, 18, "protein")]


def test_mentions_nested_ones_too_are_written_as_in_the_text() -> None:
    assert variables_of(document(TEXT, NER)) == {
        "ner_type_list": ["DNA", "RNA", "CellLine", "CellType", "Protein"],
        "abstract": "IL-2 gene and its promoter, 70% in T cells: it binds IL-2.",
        "ner_dict": {
            "DNA": ["IL-2 gene", "promoter"],
            "RNA": [],
            "CellLine": [],
            "CellType": ["T cells"],
            "Protein": ["IL-2"],
        },
        "_document_id": "99100021",
    }


def test_the_original_keeps_the_spacing_of_the_tokens() -> None:
    variables = variables_of(document(TEXT, NER), "original")
    assert variables["abstract"] == "IL-2 gene and its promoter, 70% in T cells: it binds IL-2."
    assert variables["ner_dict"]["DNA"] == ["IL - 2 gene", "promoter"]
    assert variables["ner_dict"]["Protein"] == ["IL - 2"]


@pytest.mark.parametrize("name", ["99100021_train", "99100021_dev", "99100021_test", "99100021"])
def test_the_document_is_the_same_in_every_split(name: str) -> None:
    assert variables_of(document("x", key=name))["_document_id"] == "99100021"


def test_coreferent_mentions_are_no_entities_but_in_the_original() -> None:
    record = document("NF-x binds ; it and the factor act", [(0, 0, "protein")], [((0, 0), (3, 3), (5, 6))])
    assert answer(record) == {"Protein": ["NF-x"]}
    assert answer(record, "original") == {"Protein": ["NF-x", "it", "the factor"]}


def test_the_original_takes_the_type_of_any_string_that_holds_the_first_mention() -> None:
    record = document("NF gene . It binds NF", [(0, 1, "DNA"), (5, 5, "protein")], [((5, 5), (3, 3))])
    assert answer(record, "original") == {"DNA": ["NF gene", "It"], "Protein": ["NF"]}


def test_the_original_knows_no_type_of_a_cluster_without_entity() -> None:
    record = document("The factor acts . It binds DNA", [(6, 6, "DNA")], [((0, 1), (4, 4))])
    assert answer(record, "original") == {"DNA": ["DNA"]}


def test_colons_stay_in_names_but_in_the_original() -> None:
    record = document("the Ig:mu chain", [(1, 2, "protein")])
    assert answer(record) == {"Protein": ["Ig:mu chain"]}
    assert answer(record, "original") == {"Protein": ["Igmu chain"]}


def test_a_type_after_a_colon_of_the_name_is_none_and_leaves_the_mention_out_in_the_original() -> None:
    record = document("a : b binds ; it acts", [(0, 2, "protein")], [((0, 2), (5, 5))])
    assert answer(record) == {"Protein": ["a: b"]}
    assert answer(record, "original") == {"Protein": ["a  b"]}


def test_an_unknown_type_is_refused_but_in_the_original() -> None:
    record = document("NF binds lipid", [(0, 0, "protein"), (2, 2, "lipid")])
    with pytest.raises(
        RecordError, match=r"document 99100021_train: entity 'lipid' has type 'lipid', expected one of DNA"
    ):
        variables_of(record)
    assert answer(record, "original") == {"Protein": ["NF"]}


def test_only_the_original_keeps_blank_texts() -> None:
    record = DygieDocument("1_test", (), (), (), ())
    with pytest.raises(Dropped, match="blank text"):
        variables_of(record)
    assert variables_of(record, "original")["abstract"] == ""


def test_a_cluster_without_mentions_is_harmless() -> None:
    assert answer(document("NF", [(0, 0, "protein")], [()]), "original") == {"Protein": ["NF"]}


words = st.sampled_from(["NF", "-", "kappa", "B", "(", ")", ",", ":", "5", "'", "%", ".", "gene", "/"])


@st.composite
def documents(draw: st.DrawFn) -> DygieDocument:
    tokens = ["Start", *draw(st.lists(words, max_size=20)), "end"]
    solid = [place for place, token in enumerate(tokens) if token != "'"]
    span = st.tuples(st.sampled_from(solid), st.sampled_from(solid)).map(lambda pair: (min(pair), max(pair)))
    ner = draw(st.dictionaries(span, st.sampled_from(sorted(TYPES)), max_size=6))
    clusters = draw(st.lists(st.lists(span, min_size=1, max_size=3).map(tuple), max_size=2))
    return DygieDocument(
        "g_dev", (tuple(tokens),), tuple((*place, kind) for place, kind in ner.items()), (), tuple(clusters)
    )


@given(documents())
def test_every_mention_occurs_in_the_text(record: DygieDocument) -> None:
    variables = variables_of(record)
    assert list(variables["ner_dict"]) == variables["ner_type_list"] == list(TYPES.values())
    for found in variables["ner_dict"].values():
        assert len(set(found)) == len(found)
        assert all(mention in variables["abstract"] for mention in found)


@given(documents())
def test_the_original_never_refuses_a_document(record: DygieDocument) -> None:
    variables = variables_of(record, "original")
    assert variables["abstract"] == variables_of(record)["abstract"]
    assert list(variables["ner_dict"]) == list(TYPES.values())
