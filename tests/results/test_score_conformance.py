"""The command against the original's metric files: its corpora as harness output in, its files out, for all tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sciriff.results.existing.identify import identify
from sciriff.results.existing.lines import json_values
from sciriff.store import Store
from sciriff.tasks.evaluation_tasks import EVAL_TASKS

from .existing.harness import WRITERS, Reply

EXACT = 1e-9
BOOTSTRAP = 0.005
"""How far the median of the original's resampled means may lie from the mean."""

LAYOUTS = {"safe": "0.4.4", "clean": "current", "perfect": "before 0.4.3"}
"""Each list of replies is written as another version of the harness would."""


def replies(conformance: Path, name: str, task: str) -> list[Reply]:
    lines = (conformance / "corpus" / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
    corpus = {row["id"]: row for row in map(json.loads, lines)}
    ids = json.loads((conformance / "sets.json").read_text())[task][name]
    said = "ref" if name == "perfect" else "pred"
    return [Reply(corpus[key]["prompt"], corpus[key][said], corpus[key]["ref"], {"row": key}) for key in ids]


@pytest.fixture(scope="module")
def scored(conformance: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store after ``sciriff score`` of a folder with a model for each list of replies."""
    from sciriff.cli import main

    folder = tmp_path_factory.mktemp("conformance")
    for name, layout in LAYOUTS.items():
        for task in EVAL_TASKS:
            WRITERS[layout](folder / "by_model" / name / task / "lab__model", task, replies(conformance, name, task))
    store = Store(str(folder / "artifacts"))
    done = CliRunner(env={"SCIRIFF_WORKERS": "1"}).invoke(
        main, ["score", str(folder / "by_model"), "--store", store.url, "--judge", "off"]
    )
    assert done.exit_code == 0, done.output
    return store


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("task", EVAL_TASKS)
def test_metric_files_agree_with_the_originals(scored: Store, conformance: Path, task: str, name: str) -> None:
    for file in ("metrics.json", "metrics_flat.json", "metrics_summary.json"):
        wanted = flattened(json.loads((conformance / "metrics" / name / task / file).read_text()))
        found = without_judge(
            flattened(json.loads(scored.read_bytes(f"results/metrics_original/by_model/{name}/{task}/{file}")))
        )
        assert list(found) == list(wanted), file
        for key, value in wanted.items():
            assert found[key] == pytest.approx(value, abs=BOOTSTRAP if "rouge" in key else EXACT, rel=0), (file, key)


def flattened(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {path: leaf for key, inner in value.items() for path, leaf in flattened(inner, f"{prefix}/{key}").items()}


def without_judge(metrics: dict[str, Any]) -> dict[str, Any]:
    """What no judge says: nobody was asked, so all the rest of it must be null or a count of none."""
    judged = {key: value for key, value in metrics.items() if "judge" in key}
    assert set(judged.values()) <= {None, 0}
    return {key: value for key, value in metrics.items() if key not in judged}


def test_gold_answers_are_perfect_in_the_profile_corrected(scored: Store) -> None:
    for task in EVAL_TASKS:
        summary = json.loads(scored.read_bytes(f"results/metrics/by_model/perfect/{task}/metrics_summary.json"))
        values = without_judge({f"/{key}": value for key, value in summary.items()}).values()
        assert set(values) == {1.0}, task


@pytest.mark.parametrize("root", ["metrics", "metrics_original"])
def test_tables_hold_what_the_files_say(scored: Store, root: str) -> None:
    text = scored.read_bytes(f"results/{root}/tables/summary.tsv").decode()
    header, metrics, *lines = [line.split("\t") for line in text.splitlines()]
    assert len(header) == 1 + 11 + 2 + 1
    assert [line[0] for line in lines] == sorted(LAYOUTS)
    tasks = {task.partition("_")[0]: task for task in EVAL_TASKS} | {"evidence_inference": "evidence_inference"}
    for line in lines:
        values = []
        for alias, metric, cell in list(zip(header, metrics, line, strict=True))[1:12]:
            folder = f"results/{root}/by_model/{line[0]}/{tasks[alias]}"
            value = json.loads(scored.read_bytes(f"{folder}/metrics_summary.json"))[metric]
            assert cell == ("" if value is None else f"{100 * value:.2f}"), (alias, metric)
            values += [] if value is None else [100 * value]
        assert line[12] == f"{sum(values) / len(values):.2f}"
        assert line[13] == f"{sorted(values)[4]:.2f}"
        assert line[14] == "9 of 11"
    for task in EVAL_TASKS:
        table = scored.read_bytes(f"results/{root}/tables/{task}.tsv").decode().splitlines()
        assert [line.partition("\t")[0] for line in table] == ["model", *sorted(LAYOUTS)]
        flat = json.loads(scored.read_bytes(f"results/{root}/by_model/safe/{task}/metrics_flat.json"))
        assert table[0].split("\t")[1:] == list(flat)


def test_raw_predictions_are_the_cleaned_replies(scored: Store, conformance: Path) -> None:
    task = "mup_single_document_summarization"
    raw = scored.read_bytes(f"results/metrics_original/by_model/safe/{task}/raw_predictions.jsonl").splitlines()
    assert [json.loads(line) for line in raw] == [
        {"prompt": said.prompt, "pred": said.reply.strip("</s>"), "ref": said.reference}
        for said in replies(conformance, "safe", task)
    ]


@pytest.mark.parametrize("task", EVAL_TASKS)
def test_every_layout_says_the_same(conformance: Path, tmp_path: Path, task: str) -> None:
    said = replies(conformance, "safe", task)
    found = []
    for layout, write in WRITERS.items():
        path = write(tmp_path / layout, task, said)
        read = identify(json_values(path.read_bytes().split(b"\n")), task)
        assert (read.bad, read.repeated, read.other_filters) == ((), (), {})
        found.append([{**line, "instance_id": ""} for line in read.lines])
    assert found[0] == found[1] == found[2]
    assert [(line["prompt"], line["reply"], line["reference"]) for line in found[0]] == [each[:3] for each in said]
