from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciriff.errors import UsageError
from sciriff.scoring.metrics.statistics import KINDS, MatchCounts, Vector, add
from sciriff.scoring.outcome import Outcome, ParseStatus, Profile, Reason, Reply, SampleScore, SampleScores
from sciriff.scoring.rules import Rule
from sciriff.scoring.samples import prepare, score
from sciriff.scoring.shapes import Flat, Metrics
from sciriff.scoring.tasks import EVAL_TASKS, SUMMARY_COLUMNS, EvalTask, eval_task
from sciriff.scoring.totals import total
from sciriff.tasks.evaluation_tasks import EVAL_TASKS as HELD_OUT

from .fuzzing import fuzzed_reply

FINDING = '["aspirin", null, "headache", "significantly decreased", "Headache was rarer."]'
REFERENCES = {
    "bioasq_list_qa": '["aspirin", "TP53"]',
    "biored_ner": '{"CellLine": [], "Chemical": ["aspirin"], "Disease": [], "Gene": ["BRCA1", "TP53"], '
    '"Species": ["mice"], "Variant": []}',
    "discomat_te": '{"value": "4.40", "type": "Other"}\n{"value": "137", "type": "Other"}',
    "evidence_inference": f"[{FINDING}]",
    "multicite_intent_classification": '["Uses", "Background"]',
    "mup_single_document_summarization": "The paper shows results.\nIt is short.",
    "qasper_abstractive_qa": '{"answer": "Two batches", "evidence": ["They labelled two batches first."]}',
    "scierc_ner": '{"Task": ["parsing"], "Method": [], "Metric": ["F1"], "Material": [], "OtherScientificTerm": [], '
    '"Generic": []}',
    "scifact_entailment": '{"verdict": "SUPPORT", "evidence": ["The cat sat."]}',
}
WITHOUT_CONTENT = {
    "bioasq_list_qa": ["[]", '[""]', "[null]"],
    "biored_ner": ['{"Gene": []}', "{}"],
    "evidence_inference": ["[]", f"[{FINDING}, {FINDING}]", '[["A", "-", "the", "", "+"]]'],
    "mup_single_document_summarization": ["Ok", "漢字"],
    "qasper_abstractive_qa": ["null", '{"answer": "A", "evidence": []}', '{"answer": null, "evidence": []}'],
    "scifact_entailment": ['{"verdict": "NEI", "evidence": []}', '{"verdict": "CONTRADICT", "evidence": ["The"]}'],
}
"""References with nothing to find, or that the original cannot reach."""

each_task = pytest.mark.parametrize("name", sorted(REFERENCES))


def _scores(name: str, reply: Reply | str, reference: str | None = None) -> SampleScores:
    task = eval_task(name)
    reply = Reply(reply) if isinstance(reply, str) else reply
    return score(task, reply, prepare(task, REFERENCES[name] if reference is None else reference))


def _score(name: str, reply: Reply | str, reference: str | None = None) -> SampleScore:
    return _scores(name, reply, reference).corrected


def _metrics(name: str, scores: list[SampleScore], profile: Profile = Profile.CORRECTED) -> Metrics:
    """The metrics without what a judge gives."""
    task = eval_task(name)
    metrics = task.shaper(total(scores, task.metrics, profile))
    flat, summary = (
        {key: value for key, value in shape.items() if "lm_judge" not in key}
        for shape in (metrics.flat, metrics.summary)
    )
    return metrics._replace(flat=flat, summary=summary)


def _flat(name: str, scores: list[SampleScore], profile: Profile = Profile.CORRECTED) -> Flat:
    return _metrics(name, scores, profile).flat


def _summary(name: str, scores: list[SampleScore], profile: Profile = Profile.CORRECTED) -> Flat:
    return _metrics(name, scores, profile).summary


def test_the_table_names_the_held_out_tasks() -> None:
    assert tuple(task.name for task in EVAL_TASKS) == HELD_OUT
    assert {column.task for column in SUMMARY_COLUMNS} == set(HELD_OUT) == set(REFERENCES)
    assert all(kind in KINDS for task in EVAL_TASKS for _, kind in task.metrics)
    kinds: dict[str, set[str]] = {}
    for task in EVAL_TASKS:
        for metric, kind in task.metrics:
            kinds.setdefault(metric, set()).add(kind)
    assert all(len(found) == 1 for found in kinds.values())  # a metric's name alone says how to sum it up


def test_unknown_tasks_list_near_names() -> None:
    with pytest.raises(UsageError, match="scierc_ner"):
        eval_task("scierc_nr")


@each_task
def test_the_reference_scores_one_and_nothing_scores_zero(name: str) -> None:
    gold = _flat(name, [_score(name, REFERENCES[name])])
    assert gold == pytest.approx(dict.fromkeys(gold, 1.0))
    empty = _flat(name, [_score(name, "")])
    assert {value for key, value in empty.items() if not key.startswith("valid_json")} <= {0.0, None}
    assert set(_summary(name, [_score(name, "")]).values()) == {0.0}


@pytest.mark.parametrize(
    ("name", "reference"), [(name, reference) for name, texts in WITHOUT_CONTENT.items() for reference in texts]
)
def test_references_without_content_are_reached_by_themselves_only(name: str, reference: str) -> None:
    gold = _flat(name, [_score(name, reference, reference)])
    gold = {key: value for key, value in gold.items() if not key.endswith("_parsed") and "frac" not in key}
    assert gold == pytest.approx(dict.fromkeys(gold, 1.0))
    for nothing in ("", "no idea"):
        summary = _summary(name, [_score(name, nothing, reference)])
        assert set(summary.values()) == {0.0}


def test_an_empty_summary_of_nothing_is_right() -> None:
    for name in ("discomat_te", "mup_single_document_summarization"):
        right = _score(name, " \n", "")
        assert (right.outcome, set(_flat(name, [right]).values())) == (Outcome.SCORED, {1.0})


def test_all_references_of_the_samples_score_one(references: Mapping[str, list[str]]) -> None:
    for name, texts in references.items():
        scores = [_scores(name, text, text) for text in texts]
        assert {each.corrected.outcome for each in scores} == {Outcome.SCORED}
        assert _summary(name, [each.corrected for each in scores]) == pytest.approx(
            dict.fromkeys(_summary(name, []), 1.0)
        )
        flat = _flat(name, [each.corrected for each in scores])
        assert flat == pytest.approx(dict.fromkeys(flat, 1.0))


@pytest.mark.parametrize(
    ("name", "reply", "outcome", "reason"),
    [
        ("biored_ner", Reply("</s>"), Outcome.MODEL_FAILED, Reason.EMPTY),
        ("biored_ner", Reply("", "length"), Outcome.MODEL_FAILED, Reason.EMPTY),
        ("biored_ner", Reply("no idea"), Outcome.MODEL_FAILED, Reason.UNPARSEABLE),
        ("biored_ner", Reply('{"Gene": ["BR', "length"), Outcome.MODEL_FAILED, Reason.TRUNCATED),
        ("biored_ner", Reply("I know what", "content_filter"), Outcome.MODEL_FAILED, Reason.REFUSED),
        ("biored_ner", Reply("", "content_filter"), Outcome.MODEL_FAILED, Reason.REFUSED),
        ("biored_ner", Reply("I'm sorry, but I cannot help with that."), Outcome.MODEL_FAILED, Reason.REFUSED),
        ("biored_ner", Reply("As an AI model, I"), Outcome.MODEL_FAILED, Reason.REFUSED),
        ("biored_ner", Reply('I cannot, but {"Gene": []}'), Outcome.SCORED, Reason.NONE),
        ("biored_ner", Reply('["BRCA1"]'), Outcome.MODEL_FAILED, Reason.WRONG_SHAPE),
        ("biored_ner", Reply('{"entities": {"Gene": ["BRCA1"]}}'), Outcome.MODEL_FAILED, Reason.WRONG_SHAPE),
        ("biored_ner", Reply("null"), Outcome.MODEL_FAILED, Reason.WRONG_SHAPE),
        ("biored_ner", Reply("{}"), Outcome.SCORED, Reason.NONE),
        ("biored_ner", Reply(None), Outcome.SYSTEM_FAILED, Reason.NO_REPLY),
        ("bioasq_list_qa", Reply('{"answers": ["TP53"]}'), Outcome.MODEL_FAILED, Reason.WRONG_SHAPE),
        ("bioasq_list_qa", Reply('"TP53"'), Outcome.MODEL_FAILED, Reason.WRONG_SHAPE),
        ("bioasq_list_qa", Reply("Answer: []"), Outcome.SCORED, Reason.NONE),
        ("evidence_inference", Reply('[["i", "c", "o"]]'), Outcome.MODEL_FAILED, Reason.WRONG_SHAPE),
        (
            "evidence_inference",
            Reply(f'[{FINDING}, {FINDING}, ["cut off', "length"),
            Outcome.MODEL_FAILED,
            Reason.TRUNCATED,
        ),
        ("evidence_inference", Reply(f"[{FINDING}" + "}"), Outcome.SCORED, Reason.NONE),
        ("discomat_te", Reply(" "), Outcome.MODEL_FAILED, Reason.EMPTY),
        ("discomat_te", Reply('{"value": "4.4', "length"), Outcome.SCORED, Reason.NONE),
        ("discomat_te", Reply(None), Outcome.SYSTEM_FAILED, Reason.NO_REPLY),
        ("mup_single_document_summarization", Reply("\n"), Outcome.MODEL_FAILED, Reason.EMPTY),
        ("qasper_abstractive_qa", Reply('{"reply": "x"}'), Outcome.MODEL_FAILED, Reason.WRONG_SHAPE),
        ("qasper_abstractive_qa", Reply("null"), Outcome.SCORED, Reason.NONE),
        ("qasper_abstractive_qa", Reply('{"answer": 5}'), Outcome.SCORED, Reason.NONE),
        ("scifact_entailment", Reply('[{"verdict": "SUPPORT"}]'), Outcome.MODEL_FAILED, Reason.WRONG_SHAPE),
        ("scifact_entailment", Reply('{"evidence": []}'), Outcome.SCORED, Reason.NONE),
    ],
)
def test_outcomes(name: str, reply: Reply, outcome: Outcome, reason: Reason) -> None:
    found = _score(name, reply)
    assert (found.outcome, found.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("biored_ner", "not json"),
        ("biored_ner", '["BRCA1"]'),
        ("biored_ner", 'so: {"Gene": []}'),
        ("bioasq_list_qa", "null"),
        ("evidence_inference", f'[{FINDING}, ["x"]]'),
        ("scifact_entailment", '{"evidence": []}'),
    ],
)
def test_a_reference_that_cannot_be_read_is_our_failure(name: str, reference: str) -> None:
    found = _score(name, REFERENCES[name], reference)
    assert (found.outcome, found.reason, found.vectors) == (Outcome.SYSTEM_FAILED, Reason.BAD_REFERENCE, {})


def test_a_reference_that_only_one_profile_can_read() -> None:
    scores = _scores("qasper_abstractive_qa", "null", "null")
    assert (scores.corrected.outcome, scores.original.reason) == (Outcome.SCORED, Reason.BAD_REFERENCE)
    assert scores.differences == (Rule.REFERENCES,)


_MALFORMED = ("", "nonsense", "null", "7", "[7]", '"SUPPORT"', '["SUPPORT"]', "[[[", "{", '{"x": 1}')


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        (task.name, bad)
        for task in EVAL_TASKS
        for bad in _MALFORMED
        if (task.answer or not bad) and not (task.answer and task.answer.nullable and bad == "null")
    ],
)
def test_a_malformed_reply_stays_in_the_denominator(name: str, bad: str) -> None:
    right, malformed = _score(name, REFERENCES[name]), _score(name, bad)
    summary = _summary(name, [right, malformed])
    assert all(0 < value <= 2 / 3 + 1e-9 for value in summary.values() if value is not None), summary
    kinds = dict(eval_task(name).metrics)
    for metric, vector in malformed.vectors.items():
        if kinds[metric] == "counts":
            assert vector[0] == 0
            assert vector[2] == right.vectors[metric][2]  # what was to be found still was


def test_system_failures_are_counted_and_in_no_denominator() -> None:
    for name in REFERENCES:
        task = eval_task(name)
        totals = total([_score(name, REFERENCES[name]), _score(name, Reply(None))], task.metrics, Profile.CORRECTED)
        assert totals.outcomes == {Outcome.SCORED: 1, Outcome.SYSTEM_FAILED: 1}
        assert totals.statuses == {ParseStatus.VALID_JSON if task.answer else ParseStatus.NOT_JSON: 1}
        assert set(task.shaper(totals).summary.values()) - {None} == {1.0}


@each_task
def test_what_is_said_of_no_reply_is_null_not_perfect(name: str) -> None:
    assert set(_summary(name, [_score(name, Reply(None))]).values()) == {None}
    assert _flat(name, [])["bleu"] is None


@pytest.mark.parametrize("name", [task.name for task in EVAL_TASKS if task.answer])
def test_what_is_said_of_no_parsed_reply_is_null_not_perfect(name: str) -> None:
    flat = _flat(name, [_score(name, ""), _score(name, "I cannot tell.")])
    scores = {key: value for key, value in flat.items() if key.startswith("valid_json_") and "frac" not in key}
    assert scores
    assert set(scores.values()) == {None}


@pytest.mark.parametrize(
    ("name", "reply", "differences"),
    [
        ("biored_ner", REFERENCES["biored_ner"], ()),
        ("biored_ner", REFERENCES["biored_ner"].replace('["aspirin"]', '"aspirin"'), (Rule.VALUES,)),
        ("biored_ner", "nonsense", ()),
        ("biored_ner", "} " + REFERENCES["biored_ner"], (Rule.JSON_SEARCH,)),
        ("biored_ner", '["BRCA1"]', (Rule.FAILURES,)),
        ("bioasq_list_qa", '"TP53"', (Rule.FAILURES, Rule.VALUES)),
        ("bioasq_list_qa", '["TP53"]', ()),
        ("bioasq_list_qa", '["TP53"]</s>\n', (Rule.SPECIAL_TOKENS,)),
        ("evidence_inference", f"[{FINDING}]", (Rule.NULL_ITEMS,)),
        ("evidence_inference", f"[{FINDING.replace('decreased', 'increased').replace('null', '1')}]", ()),
        ("evidence_inference", f"[{FINDING}, {FINDING}]", (Rule.DISTINCT, Rule.NULL_ITEMS)),
        ("mup_single_document_summarization", "The paper shows results", (Rule.SPECIAL_TOKENS,)),
        ("mup_single_document_summarization", "The paper shows results.", ()),
        ("mup_single_document_summarization", "The paper \ud83d.", (Rule.FAILURES,)),
        ("qasper_abstractive_qa", '{"answer": "batches", "evidence": "They labelled"}', (Rule.VALUES,)),
        ("qasper_abstractive_qa", '{"answer": "batches", "evidence": ["They labelled"]}', ()),
        ("scifact_entailment", '["SUPPORT"]', (Rule.FAILURES, Rule.VALUES)),
        ("scifact_entailment", '{"verdict": "support", "evidence": []}', (Rule.VALUES,)),
    ],
)
def test_why_the_profiles_differ(name: str, reply: str, differences: tuple[Rule, ...]) -> None:
    assert _scores(name, reply).differences == differences


def test_empty_parts_and_short_answers_are_a_difference() -> None:
    yes = '{"answer": "Yes", "evidence": []}'
    assert _scores("qasper_abstractive_qa", yes, yes).differences == (Rule.EMPTY,)
    nothing = '{"verdict": "NEI", "evidence": []}'
    assert _scores("scifact_entailment", nothing, nothing).differences == ()


_LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
_NAME = st.sampled_from(["Gene", "gene ", "Task", "answer", "evidence", "verdict", "x", ""])
_VALUE = st.recursive(
    _LEAF, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_NAME, inner, max_size=5), max_leaves=12
)
_REPLIES = st.one_of(
    _VALUE.map(json.dumps),
    st.tuples(st.text(max_size=8), _VALUE.map(json.dumps), st.text(max_size=8)).map("".join),
    st.tuples(_VALUE.map(json.dumps), st.integers(0, 40)).map(lambda cut: cut[0][: cut[1]]),
    st.text(alphabet='{}[]"\\,:01eE-nulNa \n\ud83d\x00', max_size=40),
    st.text(alphabet=st.characters(codec=None), max_size=30),
    st.tuples(st.sampled_from(["[", '{"a":', "[[1,", '{"Gene":[']), st.integers(90, 3000)).map(lambda x: x[0] * x[1]),
)


def _check(task: EvalTask, scores: SampleScores) -> None:
    """What holds for any reply to any reference."""
    for profile in Profile:
        found = scores[profile]
        no_reply = found.outcome is Outcome.SYSTEM_FAILED
        assert set(found.vectors) == (set() if no_reply else {metric for metric, _ in task.metrics})
        assert (found.outcome is Outcome.SCORED) == (found.reason is Reason.NONE)
        flat = _flat(task.name, [found], profile)
        assert all(value is None or -1e-9 <= value <= 1 + 1e-9 for value in flat.values())
        for vector in found.vectors.values():
            if isinstance(vector, MatchCounts):
                assert 0 <= vector.correct <= min(vector.predicted, vector.expected)
    corrected = scores.corrected
    if corrected.outcome is Outcome.MODEL_FAILED:
        assert set(_summary(task.name, [corrected]).values()) == {0.0}
        assert task.answer is None or not corrected.parsed
    if corrected.outcome is Outcome.SCORED:
        assert corrected.parsed
    assert scores.differences or corrected.outcome is scores.original.outcome


@each_task
@settings(max_examples=150, deadline=None)
@given(text=_REPLIES, as_reference=st.booleans())
def test_no_text_raises_out_of_a_scorer(name: str, text: str, as_reference: bool) -> None:
    _check(eval_task(name), _scores(name, text, text if as_reference else None))


def _balanced(opening: str, closing: str, depth: int) -> str:
    return opening * depth + "1" + closing * depth


@pytest.mark.parametrize("depth", [99, 101, 400, 900, 950, 970, 980, 985, 990, 1100])
@each_task
def test_no_nesting_raises_out_of_a_scorer(name: str, depth: int) -> None:
    lists, objects = _balanced("[", "]", depth), _balanced('{"a": ', "}", depth)
    parts = f'{{"answer": {objects}, "evidence": {lists}, "verdict": {lists}, "Gene": [{objects}], "Task": {lists}}}'
    for text in (lists, objects, parts, f"[[{lists}, null, {objects}, 1, 2]]", f"So: {parts}</s>\n"):
        for reference in (REFERENCES[name], text):
            _check(eval_task(name), _scores(name, text, reference))


@each_task
@settings(max_examples=150, deadline=None)
@given(text=_REPLIES)
def test_what_can_be_read_as_a_reference_scores_one_as_a_reply(name: str, text: str) -> None:
    task = eval_task(name)
    if prepare(task, text).corrected is not None:
        found = _score(name, text, text)
        assert found.outcome is Outcome.SCORED
        assert _summary(name, [found]) == pytest.approx(dict.fromkeys(_summary(name, [found]), 1.0))


_WORDS = st.lists(st.sampled_from(["aspirin", "TP53", "BRCA1 ", "the cat sat.", "", "x"]), max_size=5)
_ANSWERS = {
    "bioasq_list_qa": _WORDS,
    "biored_ner": st.dictionaries(st.sampled_from(["Gene", "Chemical", "Species", "gene"]), _WORDS, min_size=1),
    "scifact_entailment": st.fixed_dictionaries({"verdict": st.sampled_from(["SUPPORT", "NEI"]), "evidence": _WORDS}),
}


@pytest.mark.parametrize("name", sorted(_ANSWERS))
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_the_order_of_items_does_not_matter(name: str, data: st.DataObject) -> None:
    answer = data.draw(_ANSWERS[name])
    chance = data.draw(st.randoms(use_true_random=False))
    before, after = _score(name, json.dumps(answer)), _score(name, json.dumps(_shuffled(answer, chance)))
    assert {**before.vectors, "bleu": None} == {**after.vectors, "bleu": None}


def _shuffled(value: Any, chance: random.Random) -> Any:
    """Items of lists and keys of objects in another order."""
    if isinstance(value, dict):
        return {name: _shuffled(value[name], chance) for name in chance.sample(list(value), len(value))}
    return chance.sample(value, len(value)) if isinstance(value, list) else value


def _fuzzed_scores(task: EvalTask, texts: list[str], number: int, seed: int) -> list[SampleScores]:
    chance = random.Random(seed)
    found = []
    for text in (chance.choice(texts) for _ in range(number)):
        scores = score(task, Reply(fuzzed_reply(text, chance)), prepare(task, text))
        _check(task, scores)
        found.append(scores)
    return found


@each_task
def test_the_sum_of_parts_is_the_value_of_the_corpus(name: str, references: Mapping[str, list[str]]) -> None:
    task = eval_task(name)
    scores = _fuzzed_scores(task, references[name], 60, seed=1)
    for profile in Profile:
        whole = total([each[profile] for each in scores], task.metrics, profile)
        parts = [total([each[profile] for each in scores[start::3]], task.metrics, profile) for start in range(3)]
        for key, vector in whole.vectors.items():
            zero: Vector = KINDS[dict(task.metrics)[key[1]]]()
            summed = add([part.vectors[key] for part in parts], zero)  # type: ignore[type-var]
            assert summed == pytest.approx(vector, abs=1e-9)
        assert sum((Counter(part.outcomes) for part in parts), Counter()) == whole.outcomes


@pytest.mark.slow
@each_task
def test_twenty_thousand_fuzzed_replies(name: str, references: Mapping[str, list[str]]) -> None:
    found = _fuzzed_scores(eval_task(name), references[name], 20_000 // 9 + 1, seed=2)
    outcomes = Counter(each.corrected.outcome for each in found)
    assert outcomes[Outcome.SCORED] > 500
    assert outcomes[Outcome.SYSTEM_FAILED] == 0
