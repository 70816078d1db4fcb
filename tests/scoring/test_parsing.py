from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciriff.scoring.outcome import ParseStatus
from sciriff.scoring.parsing import MAX_DEPTH, Shape, clean, clean_original, parse, parse_original

LIST = Shape("list", default="[]")
TUPLES = Shape("list", default="[]", item="list", closing_brace_is_bracket=True)
GENES = Shape("object", default='{"Gene": [], "Disease": []}', keys=("Gene", "Disease"))
ANSWER = Shape("object", default='{"answer": null}', keys=("answer",), nullable=True)

VALID, NULL = ParseStatus.VALID_JSON, ParseStatus.NULL_JSON
FOUND, FAILED = ParseStatus.EXTRACT_SUCCESS, ParseStatus.EXTRACT_FAILURE
NO_GENES: dict[str, list[str]] = {"Gene": [], "Disease": []}


@pytest.mark.parametrize(
    ("text", "shape", "value", "status"),
    [
        ('see [1] then ["a","b"]', LIST, [1], FOUND),
        ("null", GENES, NO_GENES, NULL),
        ('"null"', GENES, NO_GENES, NULL),
        ("5", GENES, 5, VALID),
        ("nonsense", GENES, NO_GENES, FAILED),
        ('[["a","b","c","d","e"]}', TUPLES, [["a", "b", "c", "d", "e"]], VALID),
        ('} {"Gene": ["x"]}', GENES, NO_GENES, FAILED),
        ('so: {"Gene": ["x } y"]}', GENES, NO_GENES, FAILED),
        ('{not} {"Gene": ["x"]}', GENES, {"Gene": ["x"]}, FOUND),
        ('e.g. {} so: {"Gene": ["x"]}', GENES, {}, FOUND),
    ],
)
def test_original(text: str, shape: Shape, value: Any, status: ParseStatus) -> None:
    parsed = parse_original(text, shape)
    assert (parsed.value, parsed.status, parsed.crashed) == (value, status, False)


@pytest.mark.parametrize("text", ["[" * 3000, '{"a":' * 3000, "[" + "1" * 5000 + "]"])
def test_original_crashes_are_told(text: str) -> None:
    parsed = parse_original(text, GENES)
    assert (parsed.value, parsed.status, parsed.crashed) == (NO_GENES, FAILED, True)


@pytest.mark.parametrize(
    ("text", "shape", "value", "status"),
    [
        ('see [1] then ["a","b"]', LIST, ["a", "b"], FOUND),
        ('["a"] or rather ["b"]', LIST, ["a"], FOUND),
        ('as in [[1]], so [["a","b","c","d","e"]]', TUPLES, [[1]], FOUND),
        ("null", GENES, NO_GENES, NULL),
        ("null", ANSWER, {"answer": None}, VALID),
        ("5", GENES, 5, VALID),
        ("nonsense", GENES, NO_GENES, FAILED),
        ('} {"Gene": ["x"]}', GENES, {"Gene": ["x"]}, FOUND),
        ('{ note: {"Gene": ["x"]}', GENES, {"Gene": ["x"]}, FOUND),
        ('so: {"Gene": ["x } y"]}', GENES, {"Gene": ["x } y"]}, FOUND),
        ('e.g. {} so: {"gene": ["x"]}', GENES, {"gene": ["x"]}, FOUND),
        ('```json\n{"Gene": ["x"]}\n```', GENES, {"Gene": ["x"]}, FOUND),
        ('{"Gene": ["x"]} {"Gene": ["y"]}', GENES, {"Gene": ["x"]}, FOUND),
        ('{"Gene": ["x\ty"]}', GENES, {"Gene": ["x\ty"]}, FOUND),
        ('{"Gene": ["x"], "zz": NaN}', GENES, {"Gene": ["x"], "zz": None}, FOUND),
        ('{"Gene": ["x"], "Gene": ["y"]}', GENES, {"Gene": ["x", "y"]}, VALID),
        ('{"Gene": ["x"], "Gene": null}', GENES, {"Gene": None}, VALID),
        ('{"Gene": ["x",]}', GENES, NO_GENES, FAILED),
        ('{"Gene": ["x", "y', GENES, NO_GENES, FAILED),
        ('{"Gene": [' + "7" * 5000 + "]}", GENES, {"Gene": ["7" * 5000]}, VALID),
        ("[" * 3000, LIST, [], FAILED),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), LIST, [], FAILED),
        ('["\\ud83d"]', LIST, ["\ud83d"], VALID),
    ],
)
def test_corrected(text: str, shape: Shape, value: Any, status: ParseStatus) -> None:
    parsed = parse(text, shape)
    assert (parsed.value, parsed.status) == (value, status)


def test_defaults_are_not_shared() -> None:
    parse("?", GENES).value["Gene"].append("x")
    assert parse("?", GENES).value == NO_GENES


@pytest.mark.parametrize(
    ("text", "original", "corrected"),
    [
        ("This improves results</s>", "This improves result", "This improves results"),
        ("ok</s>\n", "ok</s>\n", "ok"),
        ("</s></s>", "", ""),
        ("<s> {}</s>", " {}", "{}"),
        ("scores are <b>bold</b>", "cores are <b>bold</b", "scores are <b>bold</b>"),
    ],
)
def test_cleaning(text: str, original: str, corrected: str) -> None:
    assert (clean_original(text), clean(text)) == (original, corrected)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
_PROSE = st.text(alphabet=st.characters(exclude_characters='{}[]"'), max_size=30)


@given(_JSON.filter(lambda value: value not in (None, "null")), st.booleans())
def test_whole_json_comes_back(value: Any, ascii_only: bool) -> None:
    parsed = parse(json.dumps(value, ensure_ascii=ascii_only), GENES)
    assert (parsed.value, parsed.status) == (value, VALID)


@given(st.lists(st.text(max_size=8), max_size=3), _PROSE, _PROSE)
def test_an_answer_is_found_between_prose(mentions: list[str], before: str, after: str) -> None:
    answer = {"Gene": mentions}
    parsed = parse(f"Answer: {before}{json.dumps(answer)} {after}.", GENES)
    assert (parsed.value, parsed.status) == (answer, FOUND)
