from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import Dropped, RecordError
from sciriff.readers.records import DygieDocument
from sciriff.tasks.formatters.detokenise import detokenise, fix_surface
from sciriff.tasks.formatters.dygie import format_dygie
from sciriff.tasks.formatters.mentions import Mentions

TYPES = ("Task", "Method", "Generic")


def document(text: str, ner: Any = (), relations: Any = (), clusters: Any = ()) -> DygieDocument:
    return DygieDocument("doc_1", (tuple(text.split()),), tuple(ner), tuple(relations), tuple(clusters))


def variables_of(record: DygieDocument) -> dict[str, Any]:
    (variables,) = format_dygie(record, types=TYPES)
    return variables


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("a ( b ) c", "a (b) c"),
        ("f(x)=y", "f (x) =y"),
        ("10 % of", "10% of"),
        ("5 - fold", "5-fold"),
        ("a)?", "a) ?"),
        ("- a", "- a"),
        ("users ' model and the ' x", "users 'model and the' x"),
        ("a -LRB- b -RRB- , c", "a (b), c"),
        ("( ( a ) )", "((a))"),
        ("`` one , two ''", "'one, two'"),
        ("x '' y '' z", "x 'y' z"),
        ("first , then ; last : why ? now !", "first, then; last: why? now!"),
    ],
)
def test_detokenised_text(tokens: str, text: str) -> None:
    assert detokenise(tokens.split(" ")) == text


@given(st.text(alphabet="ab1 .,;:!?-%()'`", max_size=60))
def test_detokenising_changes_only_spaces_and_quotes(text: str) -> None:
    def skeleton(value: str) -> str:
        return "".join(character for character in value if character not in " '`")

    assert skeleton(detokenise(text.split())) == skeleton(text)


@given(st.text(alphabet="ab ().,", max_size=40))
def test_surface_rules_leave_no_space_inside_parentheses(text: str) -> None:
    fixed = fix_surface(text)
    assert "( " not in fixed
    assert " )" not in fixed


@pytest.mark.parametrize(
    ("tokens", "span", "mention"),
    [
        ("our program - LEXICALL - takes", (1, 4), "program-LEXICALL-"),
        ("our program - LEXICALL - takes", (1, 3), "program-LEXICALL"),
        ("it uses a , b 's c .", (2, 5), "a, b 's"),
        ("`` a b '' , she said", (0, 1), "'a"),
        ("`` a b '' , she said", (1, 2), "a b"),
        ("`` a b '' , she said", (0, 3), "'a b'"),
        ("users ' model and the ' x", (1, 2), "'model"),
        ("3',4''-flavone and 3'',5''-flavone", (0, 0), "3',4'-flavone"),
        ("3',4''-flavone and 3'',5''-flavone", (2, 2), "3',5''-flavone"),
        ("a -LRB- b -RRB- c", (1, 3), "(b)"),
        ("x ( y ) z", (0, 3), "x (y)"),
        ("the ' s", (1, 2), "' s"),
    ],
)
def test_a_mention_is_cut_out_of_its_text(tokens: str, span: tuple[int, int], mention: str) -> None:
    mentions = Mentions(document(tokens))
    assert mentions[span] == mention
    assert mention in mentions.text


def test_equal_mentions_may_stand_differently_in_the_text() -> None:
    mentions = Mentions(document("net work and net - work"))
    assert (mentions[0, 1], mentions[3, 5]) == ("net work", "net-work")


def test_mentions_are_normalised_like_the_text() -> None:
    record = document("Speech , text and 5 - fold tests -LRB- slow -RRB- .", ner=[(0, 2, "Task"), (4, 10, "Method")])
    variables = variables_of(record)
    assert variables["org_text"] == "Speech, text and 5-fold tests (slow)."
    assert variables["ner_dict"] == {"Task": ["Speech, text"], "Method": ["5-fold tests (slow)"], "Generic": []}
    assert variables["ner_pipe_str"] == "Speech, text: Task || 5-fold tests (slow): Method"


def test_a_cluster_is_one_entity_named_by_its_first_mention() -> None:
    record = document(
        "A parser helps translation . It uses the parser and search .",
        ner=[(1, 1, "Method"), (3, 3, "Task"), (5, 5, "Generic"), (8, 8, "Method"), (10, 10, "Method")],
        relations=[(5, 5, 3, 3, "USED-FOR"), (10, 10, 5, 5, "USED-FOR"), (1, 1, 3, 3, "USED-FOR")],
        clusters=[((1, 1), (5, 5))],
    )
    variables = variables_of(record)
    assert variables["ner_answer"] == [["parser", "Method"], ["translation", "Task"], ["search", "Method"]]
    assert variables["re_answer"] == [["parser", "translation", "USED-FOR"], ["search", "parser", "USED-FOR"]]
    assert variables["coref"] == [["parser", "It"]]


def test_relations_of_an_entity_with_itself_are_left_out() -> None:
    record = document(
        "A parser and it .",
        ner=[(1, 1, "Method"), (3, 3, "Generic")],
        relations=[(3, 3, 1, 1, "PART-OF")],
        clusters=[((1, 1), (3, 3))],
    )
    assert variables_of(record)["re_answer"] == []


def test_a_cluster_whose_first_mention_is_no_entity_gives_no_entity() -> None:
    record = document("A parser and it .", ner=[(3, 3, "Generic")], clusters=[((1, 1), (3, 3))])
    assert variables_of(record)["ner_answer"] == []


def test_unknown_type_names_document_and_type() -> None:
    with pytest.raises(RecordError, match=r"document doc_1: entity 'parser' has type 'Tool', expected one of Task"):
        variables_of(document("A parser", ner=[(1, 1, "Tool")]))


def test_blank_text_and_lost_mentions_are_dropped() -> None:
    with pytest.raises(Dropped, match="blank text"):
        variables_of(document(""))
    with pytest.raises(Dropped, match="not found"):
        variables_of(document("`` a b ''", ner=[(3, 3, "Task")]))


words = st.sampled_from(["net", "work", ",", "-", "(", ")", "-LRB-", "-RRB-", "%", "10", "'s", ".", ":", "of"])


@st.composite
def documents(draw: st.DrawFn) -> DygieDocument:
    tokens = ["start", *draw(st.lists(words, min_size=1, max_size=25)), "end"]
    places = st.integers(0, len(tokens) - 1)
    spans = st.tuples(places, places).map(lambda pair: (min(pair), max(pair)))
    ner = draw(st.dictionaries(spans, st.sampled_from(TYPES), max_size=6))
    relations = draw(st.lists(st.tuples(spans, spans, st.sampled_from(["PART-OF", "USED-FOR"])), max_size=4))
    clusters = draw(st.lists(st.lists(spans, min_size=1, max_size=3).map(tuple), max_size=2))
    return DygieDocument(
        "generated",
        (tuple(tokens),),
        tuple((*span, label) for span, label in sorted(ner.items())),
        tuple((*head, *tail, label) for head, tail, label in relations),
        tuple(clusters),
    )


@given(documents())
def test_every_name_occurs_in_the_text_and_all_forms_of_the_answer_agree(record: DygieDocument) -> None:
    variables = variables_of(record)  # no apostrophes here, so nothing may be dropped
    names = [name for name, _ in variables["ner_answer"]]
    arguments = [argument for triple in variables["re_answer"] for argument in triple[:2]]
    assert all(name in variables["org_text"] for name in names + arguments)
    assert list(variables["ner_dict"]) == list(TYPES)
    flat = [[name, label] for label, found in variables["ner_dict"].items() for name in found]
    assert sorted(flat) == sorted(variables["ner_answer"])
    assert variables["ner_pipe_str"] == " || ".join(f"{name}: {label}" for name, label in variables["ner_answer"])
    assert all(head != tail for head, tail, _ in variables["re_answer"])
    assert len({tuple(triple) for triple in variables["re_answer"]}) == len(variables["re_answer"])


def original_of(record: DygieDocument) -> dict[str, Any]:
    (variables,) = format_dygie(record, types=TYPES, fidelity="original")
    return variables


def test_entities_of_the_original_keep_the_spacing_of_their_tokens_and_relations_do_not() -> None:
    record = document("a net - work , x", ner=[(1, 3, "Task"), (5, 5, "Method")], relations=[(1, 3, 5, 5, "USED-FOR")])
    variables = original_of(record)
    assert variables["org_text"] == "a net-work, x"
    assert variables["ner_dict"] == {"Task": ["net - work"], "Method": ["x"], "Generic": []}
    assert variables["ner_pipe_str"] == "net - work: Task || x: Method"
    assert variables["re_answer"] == [["net-work", "x", "USED-FOR"]]
    assert variables_of(record)["ner_dict"]["Task"] == ["net-work"]


def test_the_original_closes_a_mention_up_in_one_way_only() -> None:
    two_ways = document("the net - work , x and", ner=[(1, 5, "Task")])
    with pytest.raises(Dropped, match="not found in the text"):
        original_of(two_ways)
    assert variables_of(two_ways)["ner_dict"]["Task"] == ["net-work, x"]


def test_the_original_keeps_relations_of_an_entity_with_itself() -> None:
    clustered = document("a b c", clusters=[[(0, 0), (2, 2)]], relations=[(0, 0, 2, 2, "PART-OF")])
    assert original_of(clustered)["re_answer"] == [["a", "a", "PART-OF"]]
    assert variables_of(clustered)["re_answer"] == []


def test_the_original_names_a_cluster_by_its_first_mention() -> None:
    clustered = document(
        "a method it x", ner=[(0, 1, "Method"), (2, 2, "Generic"), (3, 3, "Task")], clusters=[[(0, 1), (2, 2)]]
    )
    variables = original_of(clustered)
    assert variables["ner_answer"] == [["a method", "Method"], ["x", "Task"]]
    assert variables["coref"] == [["a method", "it"]]
