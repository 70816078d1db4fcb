"""The profile ``original`` against what the original scorers say, and what ``corrected`` promises on those replies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sciriff.scoring.metrics.bleu import bleu
from sciriff.scoring.metrics.statistics import mean
from sciriff.scoring.outcome import Outcome, ParseStatus, Profile, Reply, SampleScore
from sciriff.scoring.parsing import clean_original, parse_original
from sciriff.scoring.shapes import Metrics
from sciriff.scoring.tasks import EVAL_TASKS, EvalTask
from sciriff.scoring.totals import total

SCORED = [task for task in EVAL_TASKS if task.is_scored]
JSON_TASKS = [task for task in EVAL_TASKS if task.answer]
NOT_COMPARED = ("rouge", "lm_judge")

Rows = dict[str, dict[str, Any]]


def _rows(path: Path) -> Rows:
    return {row["id"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}


def _score(task: EvalTask, reply: str, reference: str, profile: Profile) -> SampleScore:
    assert task.score is not None
    return task.score(Reply(reply), reference, task.answer, profile)


def _metrics(task: EvalTask, scores: list[SampleScore], profile: Profile) -> Metrics:
    assert task.shaper is not None
    return task.shaper(total(scores, task.metrics, profile))


def _without_external(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_external(inner) for key, inner in value.items() if not key.startswith(NOT_COMPARED)}
    return value


@pytest.mark.parametrize("task", JSON_TASKS, ids=lambda task: task.name)
def test_original_parser_agrees_on_every_reply(task: EvalTask, conformance: Path) -> None:
    assert task.answer is not None
    corpus = _rows(conformance / "corpus" / f"{task.name}.jsonl")
    expected = _rows(conformance / "per_instance" / f"{task.name}.jsonl")
    compared = 0
    for key, row in corpus.items():
        if "crash" not in expected[key]:
            parsed = parse_original(clean_original(row["pred"]), task.answer)
            found = (parsed.status, json.dumps(parsed.value))
            assert found == (expected[key]["status"], json.dumps(expected[key]["value"])), row["class"]
            compared += 1
    assert compared > 300


@pytest.mark.parametrize("name", ["safe", "clean", "perfect"])
@pytest.mark.parametrize("task", SCORED, ids=lambda task: task.name)
def test_original_metrics_agree(task: EvalTask, name: str, conformance: Path) -> None:
    corpus = _rows(conformance / "corpus" / f"{task.name}.jsonl")
    ids = json.loads((conformance / "sets.json").read_text())[task.name][name]
    reply = "ref" if name == "perfect" else "pred"
    scores = [_score(task, corpus[key][reply], corpus[key]["ref"], Profile.ORIGINAL) for key in ids]
    metrics = _metrics(task, scores, Profile.ORIGINAL)
    folder = conformance / "metrics" / name / task.name
    for file, found in (("metrics_flat", metrics.flat), ("metrics_summary", metrics.summary)):
        expected = _without_external(json.loads((folder / f"{file}.json").read_text()))
        expected = {key: value for key, value in expected.items() if "rouge" not in key}
        assert found == pytest.approx(expected, abs=1e-9, rel=0), file
    nested = _without_external(json.loads((folder / "metrics.json").read_text()))
    assert _flattened(metrics.nested) == pytest.approx(_flattened(nested), abs=1e-9, rel=0)


def _flattened(value: Any, prefix: str = "") -> dict[str, float]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {path: leaf for key, inner in value.items() for path, leaf in _flattened(inner, f"{prefix}/{key}").items()}


@pytest.mark.parametrize("task", SCORED, ids=lambda task: task.name)
def test_original_values_agree_on_every_reply(task: EvalTask, conformance: Path) -> None:
    corpus = _rows(conformance / "corpus" / f"{task.name}.jsonl")
    expected = _rows(conformance / "per_instance" / f"{task.name}.jsonl")
    for key, row in corpus.items():
        score = _score(task, row["pred"], row["ref"], Profile.ORIGINAL)
        want = expected[key]
        if "crash" in want:
            if task.answer:
                assert score.outcome is Outcome.MODEL_FAILED, row["class"]
            continue
        counts: Any = score.vectors["bleu"]
        if want["bleu1"] is not None:
            assert [counts.length, counts.expected_length] == want["bleu_len"]
            assert bleu(counts, short_replies=False) == pytest.approx(want["bleu1"], abs=1e-9)
        if task.name.endswith("_ner"):
            for kind in ("typed", "untyped"):
                reference = want["counts"][f"counts_{kind}"]
                assert score.vectors[f"entity_{kind}"] == tuple(
                    reference[name] for name in ("correct", "preds", "refs")
                )
        if task.name.startswith("qasper"):
            values = want["metrics"]["scores"]
            for part in ("answer", "evidence"):
                parts: Any = score.vectors[f"{part}_f1"]
                assert mean(parts) == pytest.approx(values[f"f1_{part}_all"], abs=1e-9)
                present: Any = score.vectors[f"{part}_f1_parsed"]
                assert (mean(present) is None) == (values[f"f1_{part}_parsed"] != values[f"f1_{part}_parsed"])


@pytest.mark.parametrize("task", SCORED, ids=lambda task: task.name)
def test_corrected_keeps_every_sample_and_tops_out_on_references(task: EvalTask, conformance: Path) -> None:
    corpus = _rows(conformance / "corpus" / f"{task.name}.jsonl").values()
    scores = [_score(task, row["pred"], row["ref"], Profile.CORRECTED) for row in corpus]
    assert all(score.outcome is not Outcome.SYSTEM_FAILED for score in scores)
    assert all(set(score.vectors) == {name for name, _ in task.metrics} for score in scores)
    for reply, value in ((None, 1.0), ("", 0.0)):
        constant = [
            _score(task, row["ref"] if reply is None else reply, row["ref"], Profile.CORRECTED) for row in corpus
        ]
        metrics = _metrics(task, constant, Profile.CORRECTED)
        assert set(metrics.summary.values()) == {value}
        assert metrics.flat["bleu"] == pytest.approx(value)


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


@pytest.mark.parametrize("task", [task for task in SCORED if task.answer], ids=lambda task: task.name)
def test_corrected_finds_answers_that_the_original_misses(task: EvalTask, conformance: Path) -> None:
    corpus = _rows(conformance / "corpus" / f"{task.name}.jsonl").values()
    rows = [row for row in corpus if row["class"].split(":")[1] in SALVAGED]
    assert {row["class"].split(":")[1] for row in rows} == SALVAGED
    for row in rows:
        score = _score(task, row["pred"], row["ref"], Profile.CORRECTED)
        assert (score.outcome, score.status) == (Outcome.SCORED, ParseStatus.EXTRACT_SUCCESS), row["class"]
