"""The profile ``original`` against what the original scorers say, and what ``corrected`` promises on those replies."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sciriff.scoring.metrics.bleu import bleu
from sciriff.scoring.metrics.rouge import rouge
from sciriff.scoring.outcome import Outcome, ParseStatus, Profile, Reason, Reply, SampleScores
from sciriff.scoring.parsing import clean_original, parse_original
from sciriff.scoring.rules import OF_READING, Rule
from sciriff.scoring.samples import prepare, score
from sciriff.scoring.shapes import Metrics
from sciriff.scoring.tasks import EVAL_TASKS, EvalTask
from sciriff.scoring.totals import total

JSON_TASKS = [task for task in EVAL_TASKS if task.answer]

EXACT = 1e-9
BOOTSTRAP = 0.005
"""How far the median of the original's resampled means may lie from the mean."""

Rows = dict[str, dict[str, Any]]

each_task = pytest.mark.parametrize("task", EVAL_TASKS, ids=lambda task: task.name)
each_json_task = pytest.mark.parametrize("task", JSON_TASKS, ids=lambda task: task.name)


@cache
def _rows(path: Path) -> Rows:
    return {row["id"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}


def _corpus(conformance: Path, task: EvalTask) -> Rows:
    return _rows(conformance / "corpus" / f"{task.name}.jsonl")


def _per_instance(conformance: Path, task: EvalTask) -> Rows:
    return _rows(conformance / "per_instance" / f"{task.name}.jsonl")


@cache
def _score(task: EvalTask, reply: str, reference: str) -> SampleScores:
    return score(task, Reply(reply), prepare(task, reference))


def _metrics(task: EvalTask, scores: list[SampleScores], profile: Profile) -> Metrics:
    return task.shaper(total([each[profile] for each in scores], task.metrics, profile))


@each_json_task
def test_original_parser_agrees_on_every_reply(task: EvalTask, conformance: Path) -> None:
    assert task.answer is not None
    expected = _per_instance(conformance, task)
    compared = 0
    for key, row in _corpus(conformance, task).items():
        if "crash" not in expected[key]:
            parsed = parse_original(clean_original(row["pred"]), task.answer)
            found = (parsed.status, json.dumps(parsed.value))
            assert found == (expected[key]["status"], json.dumps(expected[key]["value"])), row["class"]
            compared += 1
    assert compared > 300


@pytest.mark.parametrize("name", ["safe", "clean", "perfect"])
@each_task
def test_original_metrics_agree(task: EvalTask, name: str, conformance: Path) -> None:
    corpus = _corpus(conformance, task)
    ids = json.loads((conformance / "sets.json").read_text())[task.name][name]
    reply = "ref" if name == "perfect" else "pred"
    metrics = _metrics(task, [_score(task, corpus[key][reply], corpus[key]["ref"]) for key in ids], Profile.ORIGINAL)
    for file, shape in (
        ("metrics", metrics.nested),
        ("metrics_flat", metrics.flat),
        ("metrics_summary", metrics.summary),
    ):
        found = _unjudged(_flattened(shape))
        expected = _flattened(json.loads((conformance / "metrics" / name / task.name / f"{file}.json").read_text()))
        assert list(found) == list(expected), file
        for key, value in expected.items():
            assert found[key] == pytest.approx(value, abs=BOOTSTRAP if "rouge" in key else EXACT, rel=0), (file, key)


def _flattened(value: Any, prefix: str = "") -> dict[str, float]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {path: leaf for key, inner in value.items() for path, leaf in _flattened(inner, f"{prefix}/{key}").items()}


def _unjudged(values: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics without those of a judge, which nobody asks here."""
    return {key: value for key, value in values.items() if "lm_judge" not in key}


@each_task
def test_original_values_agree_on_every_reply(task: EvalTask, conformance: Path) -> None:
    expected = _per_instance(conformance, task)
    for key, row in _corpus(conformance, task).items():
        want, scores = expected[key], _score(task, row["pred"], row["ref"]).original
        if "crash" in want:
            assert (scores.outcome, bool(scores.reason)) == (Outcome.MODEL_FAILED, True), row["class"]
            continue
        assert scores.reason is not Reason.CRASHED, row["class"]
        counts: Any = scores.vectors["bleu"]
        if want["bleu1"] is not None:
            assert [counts.length, counts.expected_length] == want["bleu_len"]
            assert bleu(counts, short_replies=False) == pytest.approx(want["bleu1"], abs=EXACT)
        for metric, value in _wanted_counts(want).items():
            assert scores.vectors[metric] == value, (metric, row["class"])
        if "rouge" in want:
            found = rouge(clean_original(row["pred"]), row["ref"], short_texts=False)
            assert found._asdict() == pytest.approx(want["rouge"], abs=EXACT), row["class"]
        flat = _metrics(task, [_score(task, row["pred"], row["ref"])], Profile.ORIGINAL).nested
        if "metrics" in want:
            mine = _flattened(next(iter(flat.values()))["all"])
            for path, value in _flattened(want["metrics"]).items():
                assert mine[path] == (None if math.isnan(value) else pytest.approx(value, abs=EXACT)), (
                    path,
                    row["class"],
                )


def _wanted_counts(want: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Counts as the reference file has them, by our metric."""
    counts = want.get("counts", {})
    names = {
        "counts_f1": "list_f1",
        "counts_typed": "entity_typed",
        "counts_untyped": "entity_untyped",
        "label_counts": "label",
        "evidence_counts": "evidence_sentences",
        "token_counts": "evidence_tokens",
    }
    found = {names[name]: (c["correct"], c["preds"], c["refs"]) for name, c in counts.items() if name in names}
    if tuples := counts.get("counts_score"):
        for match in ("exact", "substring", "overlap"):
            found[f"tuple_{match}"] = (tuples[f"{match}_match"], tuples["preds"], tuples["refs"])
    return found


@each_task
def test_corrected_keeps_every_sample_and_tops_out_on_references(task: EvalTask, conformance: Path) -> None:
    corpus = _corpus(conformance, task).values()
    scores = [_score(task, row["pred"], row["ref"]) for row in corpus]
    assert all(each.corrected.outcome is not Outcome.SYSTEM_FAILED for each in scores)
    assert all(set(each.corrected.vectors) == {name for name, _ in task.metrics} for each in scores)
    gold = _metrics(task, [_score(task, row["ref"], row["ref"]) for row in corpus], Profile.CORRECTED)
    assert set(_unjudged(gold.summary).values()) == {1.0}
    assert _unjudged(gold.flat) == pytest.approx(dict.fromkeys(_unjudged(gold.flat), 1))
    empty = _metrics(task, [_score(task, "", row["ref"]) for row in corpus], Profile.CORRECTED)
    assert set(_unjudged(empty.summary).values()) == {0.0}


SALVAGED = {
    "stray_close_first",
    "prose_stray_close",
    "stray_open_first",
    "example_then_answer",
    "close_delim_in_string",
    "open_delim_in_string",
    "other_delim_in_prose",
    "control_char",
    "nan_inside",
}
BROKEN = {"trunc_1", "trunc_half", "trunc_prose", "trailing_comma", "missing_comma", "single_quotes", "comment"}


@each_json_task
def test_corrected_finds_answers_that_the_original_misses(task: EvalTask, conformance: Path) -> None:
    rows = [row for row in _corpus(conformance, task).values() if row["class"].partition(":")[2] in SALVAGED]
    assert {row["class"].split(":")[1] for row in rows} == SALVAGED
    for row in rows:
        scores = _score(task, row["pred"], row["ref"])
        assert scores.corrected.outcome is Outcome.SCORED, row["class"]
        if scores.original.status is not ParseStatus.VALID_JSON:
            assert scores.corrected.status is ParseStatus.EXTRACT_SUCCESS, row["class"]


@each_json_task
def test_corrected_takes_no_part_of_a_broken_answer_for_the_answer(task: EvalTask, conformance: Path) -> None:
    rows = [row for row in _corpus(conformance, task).values() if row["class"].partition(":")[2] in BROKEN]
    found = [_score(task, row["pred"], row["ref"]) for row in rows]
    broken = [each for each in found if each.original.status is ParseStatus.EXTRACT_FAILURE]
    assert len(broken) > 30
    assert {(each.corrected.outcome, each.corrected.reason) for each in broken} == {
        (Outcome.MODEL_FAILED, Reason.UNPARSEABLE)
    }


@each_task
def test_the_rules_that_differ_are_told_exactly_where_scores_differ(task: EvalTask, conformance: Path) -> None:
    kinds = dict(task.metrics)
    told: set[Rule] = set()
    for row in _corpus(conformance, task).values():
        scores = _score(task, row["pred"], row["ref"])
        one, other = (
            (each.outcome, each.parsed, {name: v for name, v in each.vectors.items() if kinds[name] != "share"})
            for each in (scores.corrected, scores.original)
        )
        assert bool(scores.differences) == (one != other), row["class"]
        told |= set(scores.differences)
    assert told <= OF_READING | task.measure.rules | {Rule.EMPTY}
    assert {Rule.SPECIAL_TOKENS, Rule.FAILURES} <= told
