from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.errors import RecordError, TaskFileError
from sciriff.tasks.rendering import BlankInstanceError, CompiledTemplate, Fidelity, compile_template


def compiled(source: str, choices: str | None = None, fidelity: Fidelity = "corrected") -> CompiledTemplate:
    return compile_template(source, choices, "some_task.yaml, template 0", fidelity)


def output(source: str, variables: dict[str, Any], fidelity: Fidelity = "corrected") -> str:
    return compiled("in ||| " + source, fidelity=fidelity).render(variables).output


def test_both_parts_are_stripped_of_all_unicode_white_space() -> None:
    rendered = compiled("\u2003 a {{ x }}\n\u00a0|||\n b\u2009\n").render({"x": 1})
    assert rendered == ("a 1", "b")


def test_block_tags_leave_their_lines() -> None:
    rendered = compiled("a\n{% if x %}\nb\n{% endif %}\nc ||| d").render({"x": True})
    assert rendered.input == "a\n\nb\n\nc"


def test_nothing_is_escaped_and_newlines_survive() -> None:
    assert compiled("{{ x }} ||| y").render({"x": "<b> & \"c\" 'd'\r\n\te"}).input == "<b> & \"c\" 'd'\r\n\te"


@given(st.text(alphabet="|a \n", min_size=1), st.lists(st.text(alphabet="|x", min_size=1)))
def test_separators_in_records_are_text(value: str, items: list[str]) -> None:
    template = compiled("<{{ value }}>|||<{{ value }}>{{ items | tojson }}{{ nested.key }}")
    rendered = template.render({"value": value, "items": items, "nested": {"key": "|||"}})
    assert rendered.input == f"<{value}>"
    assert rendered.output == f"<{value}>{json.dumps(items)}|||"


def test_a_pipe_next_to_the_separator_is_text() -> None:
    assert compiled("{{ x }}|||{{ x }}").render({"x": "a|"}) == ("a|", "a|")


def test_answer_choices_are_a_list_of_stripped_pieces() -> None:
    template = compiled("{{ x }} ||| {{ answer_choices[i] | capitalize }}", " method ||| back ground\n||| result ")
    assert [template.render({"x": 1, "i": i}).output for i in range(3)] == ["Method", "Back ground", "Result"]
    assert template.variables == {"x", "i"}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{{ b }} {{ a | tojson }} {{ b }} ||| {{ c }}", ("b", "a")),
        (
            "{% for x in rows %}{{ x }} {{ loop.index }} {{ y }}{% endfor %}{% set z = w %}{{ z }} ||| {{ c }}",
            ("rows", "y", "w"),
        ),
        ("{% if a %}{{ b[0] }} ||| {{ c }}{% else %}{{ d }} ||| {{ e }}{% endif %}", ("a", "b")),
        ("text ||| {{ c }}", ()),
    ],
)
def test_variables_of_the_prompt_are_told_from_those_of_the_answer(source: str, names: tuple[str, ...]) -> None:
    assert compiled(source).prompt_variables == names


def test_answer_choices_may_come_from_the_record() -> None:
    template = compiled("{{ x }} ||| {{ answer_choices | tojson }}", "{{ a }} ||| {{ b }}")
    assert template.render({"x": 1, "a": "p|||q", "b": " r "}).output == '["p|||q", "r"]'
    assert template.variables == {"x", "a", "b"}


def test_without_answer_choices_the_variable_is_none() -> None:
    assert output("{{ answer_choices is none }}", {}) == "True"


def test_a_record_must_not_bring_answer_choices() -> None:
    with pytest.raises(TaskFileError, match="answer_choices"):
        compiled("a ||| b").render({"answer_choices": []})


TRICKY = {"b": ["é", "<x>", "a & b", "Alzheimer's", "\u2028"], "a": None, "c": {"z": 1.5, "y": True}}


def test_corrected_json_is_plain_sorted_utf8() -> None:
    text = output("{{ x | tojson }}", {"x": TRICKY})
    assert text == json.dumps(TRICKY, sort_keys=True, ensure_ascii=False)
    assert "é" in text
    assert "Alzheimer's" in text


def test_original_json_is_ascii_with_html_escapes() -> None:
    text = output("{{ x | tojson }}", {"x": TRICKY}, "original")
    assert text.isascii()
    assert "Alzheimer\\u0027s" in text
    assert '"\\u003cx\\u003e", "a \\u0026 b"' in text
    assert '{"a": null, "b": ["\\u00e9"' in text
    assert json.loads(text) == TRICKY


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=10,
)


@given(JSON)
def test_json_answers_parse_back(value: Any) -> None:
    for fidelity in ("corrected", "original"):
        assert json.loads(output("{{ x | tojson }}", {"x": value}, fidelity)) == value  # type: ignore[arg-type]


def test_a_dictionary_can_be_written_in_the_template() -> None:
    assert output("{{ {'b': x, 'a': [x]} | tojson }}", {"x": "t"}) == '{"a": ["t"], "b": "t"}'


def test_zip_and_namespaces_work() -> None:
    source = (
        "{% set n = namespace(value=0) %}"
        "{% for a, b in zip(x, y) %}{% set n.value = n.value + 1 %}{{ n.value }}{{ a }}{{ b }} {% endfor %}"
    )
    template = compiled(source + "||| {{ n.value }}")
    assert template.render({"x": ["p", "q"], "y": ["r", "s"]}) == ("1pr 2qs", "2")
    assert template.variables == {"x", "y"}


@pytest.mark.parametrize("fidelity", ["corrected", "original"])
@pytest.mark.parametrize(
    "use", ["{{ x }}", "{{ x | tojson }}", "{{ {'k': x} | tojson }}", "{% if x %}{% endif %}", "{{ x | length }}"]
)
def test_a_missing_variable_is_named(use: str, fidelity: Fidelity) -> None:
    with pytest.raises(TaskFileError) as caught:
        output(use + " {{ y }}", {"y": 1, "_id": 3}, fidelity)
    message = str(caught.value)
    assert "some_task.yaml, template 0" in message
    assert "'x'" in message
    assert "provides: y" in message


def test_a_missing_key_of_one_record_concerns_that_record_only() -> None:
    with pytest.raises(RecordError, match=r"template 0, record 7: .*title"):
        output("{{ x.title }}", {"x": {}, "_id": 7})
    with pytest.raises(RecordError, match="record 7"):
        output("{{ x[5] }}", {"x": [1], "_id": 7})


@pytest.mark.parametrize(
    ("source", "value"),
    [("{{ x + 1 }}", "text"), ("{{ x | tojson }}", {1, 2}), ("{{ x | tojson }}", float("nan")), ("{{ x }}", "\ud800")],
)
def test_a_value_the_template_cannot_take_concerns_its_record_only(source: str, value: Any) -> None:
    with pytest.raises(RecordError, match="record 7: cannot be rendered"):
        output(source, {"x": value, "_id": 7})


@pytest.mark.parametrize(("x", "y", "part"), [(" \n", "b", "input"), ("a", "\u3000", "output"), ("", "", "input")])
def test_a_blank_part_concerns_its_record_only(x: str, y: str, part: str) -> None:
    with pytest.raises(BlankInstanceError, match=f"record 7: blank {part}") as caught:
        compiled("{{ x }}|||{{ y }}").render({"x": x, "y": y, "_id": 7})
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, BlankInstanceError)
    assert str(again) == str(caught.value)


def test_there_must_be_exactly_two_parts() -> None:
    with pytest.raises(TaskFileError, match="found 0 separators"):
        compiled("a || b")
    with pytest.raises(TaskFileError, match="found 2 separators"):
        compiled("a ||| b ||| c")
    either = compiled("{% if x %}a ||| b{% else %}c ||| d{% endif %}")
    assert either.render({"x": False}) == ("c", "d")
    with pytest.raises(TaskFileError, match="rendered 3 parts"):
        compiled("{% for i in x %}a ||| b{% endfor %}").render({"x": [1, 2]})


@pytest.mark.parametrize(
    "source",
    [
        "{{ x.__class__.__mro__ }}",
        "{{ ''.__class__ }}",
        "{{ x.append(1) }}",
        "{{ self.__init__.__globals__ }}",
        "{{ '{0.__class__.__mro__}'.format(x) }}",
    ],
)
def test_templates_cannot_reach_out_of_the_sandbox(source: str) -> None:
    with pytest.raises((TaskFileError, RecordError)):
        output(source, {"x": [1]})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ x", "line 1"),
        ("a\n{% if x %}", "line 2"),
        ("{{ x | nosuch }}", "nosuch"),
        ("{{ x | random }}", "random"),
        ("{% include 'other' %}", "include"),
        ("{% import 'other' as o %}", "import"),
    ],
)
def test_what_is_no_template_is_refused_with_its_line(source: str, message: str) -> None:
    with pytest.raises(TaskFileError, match=message) as caught:
        compiled(source + " ||| b")
    assert "some_task.yaml, template 0" in str(caught.value)


def test_random_text_is_not_to_be_had() -> None:
    with pytest.raises(TaskFileError, match="lipsum"):
        output("{{ lipsum() }}", {})
