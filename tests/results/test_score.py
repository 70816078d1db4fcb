"""Predictions that exist already, from the user's folder to the metric files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sciriff.errors import ExitCode, UsageError
from sciriff.hashing import digest, file_sha256
from sciriff.models.ledger import open_ledger
from sciriff.models.requests import Answer
from sciriff.results.evaluate import evaluate
from sciriff.results.existing.identify import Naming
from sciriff.results.query import sql
from sciriff.results.score import ScoreReport, score_predictions
from sciriff.results.score_notes import notes
from sciriff.scoring.outcome import Outcome
from sciriff.settings import Settings
from sciriff.store import Store

from .built import INSTANCES, publish_instances
from .existing.harness import DATE, WRITERS, Reply, write_current, write_lines

METRICS = ("metrics.json", "metrics_flat.json", "metrics_summary.json")


def lines_of(store: Store, task: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in store.read_bytes(f"instructions/4096/{task}/validation.jsonl").splitlines()]


def said(store: Store, task: str, reply: str | None = None, **doc: Any) -> list[Reply]:
    """Replies to the built instances of a task: the right ones, or all the same one."""
    return [
        Reply(f"<|user|>\n{line['input']}\n<|assistant|>", reply or line["output"], line["output"], {**line, **doc})
        for line in lines_of(store, task)
    ]


@pytest.fixture
def folder(tmp_path: Path, store: Store) -> Path:
    """Right replies of three models, each written down by another version of the harness."""
    folder = tmp_path / "by_model"
    for version, write in WRITERS.items():
        for task in INSTANCES:
            write(folder / version / task / "lab__model", task, said(store, task))
    return folder


def contents(folder: Path) -> dict[str, tuple[str, float]]:
    return {
        str(path.relative_to(folder)): (file_sha256(path) if path.is_file() else "", path.stat().st_mtime)
        for path in sorted(folder.rglob("*"))
    }


def metric_files(store: Store, model: str, root: str = "metrics") -> dict[str, bytes]:
    return {
        f"{task}/{name}": store.read_bytes(f"results/{root}/by_model/{model}/{task}/{name}")
        for task in INSTANCES
        for name in METRICS
    }


def told(report: ScoreReport) -> list[str]:
    return [f"{note.kind}: {note.about}: {note.text}" for note in notes(report)]


def test_the_versions_of_the_harness_and_an_evaluation_give_the_same_metrics(
    folder: Path, store: Store, settings: Settings
) -> None:
    before = contents(folder)
    report = score_predictions(folder, store=store, settings=settings)
    assert (report.exit_code, report.failures, report.unchecked) == (ExitCode.DONE, {}, {})
    assert contents(folder) == before
    assert len(report.results) == len(WRITERS) * len(INSTANCES)
    assert {file.found.naming[Naming.GIVEN] for file in report.read} == {4}
    evaluate(["gold"], store=store, settings=settings)
    for root in ("metrics", "metrics_original"):
        wanted = metric_files(store, "gold", root)
        assert all(metric_files(store, version, root) == wanted for version in WRITERS)
    rows = sql("SELECT model, scierc_f1, coverage, data_note FROM leaderboard ORDER BY model", report.index).rows
    assert rows[:3] == [(version, 100.0, "4/11", "existing predictions") for version in sorted(WRITERS)]
    raw = store.read_bytes("results/metrics/by_model/current/scierc_ner/raw_predictions.jsonl").splitlines()
    assert json.loads(raw[0])["prompt"].startswith("<|user|>\n")
    assert [set(json.loads(line)) for line in raw] == [{"prompt", "pred", "ref"}] * 4


def test_a_second_scoring_finds_everything_done(folder: Path, store: Store, settings: Settings) -> None:
    first = score_predictions(folder, store=store, settings=settings)
    again = score_predictions(folder, store=store, settings=settings)
    assert not any(result.reused for result in first.results)
    assert all(result.reused for result in again.results)


def test_instances_without_ids_are_found_by_text_or_numbered(tmp_path: Path, store: Store, settings: Settings) -> None:
    plain = [{"prompt": each.prompt, "pred": each.reply, "ref": each.reference} for each in said(store, "scierc_ner")]
    place = write_lines(tmp_path / "m" / "scierc_ner.jsonl", [*plain, {"prompt": "?", "pred": "{}", "ref": "{}"}])
    report = score_predictions(place.parent, store=store, settings=settings)
    assert report.read[0].found.naming == {Naming.MATCHED: 4, Naming.NUMBERED: 1}
    ids = sql("SELECT instance_id FROM samples ORDER BY 1", report.index).rows
    assert ids == [("scierc_ner:line:5",), *((f"scierc_ner:validation:{number}",) for number in range(4))]
    assert told(report)[:2] == [
        "note: m scierc_ner: 4 of 5 instances found by the text of their prompt",
        "note: m scierc_ner: 1 of 5 instances numbered by line, having no ids",
    ]
    assert report.results[0].data_note == "existing predictions, instances numbered by line"


def test_bad_lines_repeated_ones_and_wrong_references_are_told_and_stop_nothing(
    tmp_path: Path, store: Store, settings: Settings
) -> None:
    right = said(store, "scierc_ner")
    wrong = right[1]._replace(reference='{"Task": ["another"]}')
    path = write_current(tmp_path / "m", "scierc_ner", [right[0], wrong, right[2], right[0]])
    path.write_bytes(path.read_bytes() + b'not json\n{"target": "x"}\n{"filtered_resps": [], "target": "{}"}\n')
    report = score_predictions(tmp_path / "m", store=store, settings=settings)
    assert report.exit_code is ExitCode.DONE
    assert report.results[0].outcomes == {Outcome.SCORED: 3, Outcome.SYSTEM_FAILED: 1}
    assert told(report) == [
        "note: m scierc_ner: 2 lines are no prediction (line 5: not JSON: Expecting value: line 1 column 1 (char 0); "
        "line 6: none of the fields of a prediction: filtered_resps (lm-evaluation-harness), pred, reply)",
        "note: m scierc_ner: 1 line answers an instance again, and the first answer counts (line 4)",
        "note: m scierc_ner: 1 of 4 instances numbered by line, having no ids",
        "note: m scierc_ner: 1 reference differs from the known instance; the file's own counts "
        "(scierc_ner:validation:1)",
        "note: m scierc_ner: 1 of 4 known instances are not answered",
        "missing: m: no predictions of bioasq_list_qa, biored_ner, discomat_te, evidence_inference, "
        "multicite_intent_classification, mup_single_document_summarization, qasper_abstractive_qa, scifact_entailment",
    ]
    assert report.results[0].data_note == "existing predictions, 2 unreadable, instances numbered by line"


def test_a_file_without_predictions_fails_alone(folder: Path, store: Store, settings: Settings) -> None:
    broken = next(folder.glob("current/scierc_ner/*/*.jsonl"))
    broken.write_text("[]\nnonsense\n")
    report = score_predictions(folder, store=store, settings=settings, model="current")
    assert report.exit_code is ExitCode.FAILED
    assert list(report.failures) == [("current", "scierc_ner")]
    assert "holds no predictions; line 2: not JSON" in report.failures["current", "scierc_ner"]
    assert {result.task for result in report.results} == set(INSTANCES) - {"scierc_ner"}


def test_the_first_instances_of_each_file_only(folder: Path, store: Store, settings: Settings) -> None:
    report = score_predictions(folder, store=store, settings=settings, model="current", max_instances=3)
    assert {sum(result.outcomes.values()) for result in report.results} == {3}
    names = sql("SELECT DISTINCT instance_id FROM samples WHERE task = 'scierc_ner' ORDER BY 1", report.index).rows
    assert names == [(f"scierc_ner:validation:{number}",) for number in range(3)]
    raw = "results/metrics/by_model/current/scierc_ner/raw_predictions.jsonl"
    assert len(store.read_bytes(raw).splitlines()) == 3
    whole = score_predictions(folder, store=store, settings=settings, model="current")
    assert {sum(result.outcomes.values()) for result in whole.results} == {4}
    assert len(store.read_bytes(raw).splitlines()) == 4


def test_models_and_tasks_are_chosen_and_named(folder: Path, store: Store, settings: Settings) -> None:
    report = score_predictions(
        folder / "current", store=store, settings=settings, model="scitulu", tasks=["scierc_ner", "bioasq_list_qa"]
    )
    assert [(result.model, result.task) for result in report.results] == [("scitulu", "scierc_ner")]
    assert report.missing == {"scitulu": ("bioasq_list_qa",)}
    for options, reason in (
        ({"model": "curent"}, "did you mean current"),
        ({"tasks": ["scierc_nr"]}, "did you mean scierc_ner"),
        ({"max_instances": 0}, "not a positive number"),
        ({"data": "nowhere"}, "no such file or folder"),
    ):
        with pytest.raises(UsageError, match=reason):
            score_predictions(folder, store=store, settings=settings, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no slash"):
        score_predictions(folder / "current", store=store, settings=settings, model="a/b")
    with pytest.raises(UsageError, match=r"found none; .*samples_<task>_<date>\.jsonl"):
        score_predictions(Path(store.path("instructions")), store=store, settings=settings)
    with pytest.raises(UsageError, match="there is no such"):
        score_predictions(folder / "none", store=store, settings=settings)


def test_predictions_of_an_evaluation_are_scored_where_they_lie(store: Store, settings: Settings) -> None:
    publish_instances(store, "scierc_ner", 3, window=8192)
    evaluate(["gold"], store=store, settings=settings)
    evaluate(["gold"], store=store, settings=settings, window=8192, tasks=["scierc_ner"])
    place = Path(store.path("results"))
    predictions = contents(place / "predictions")
    before = {name: store.read_bytes(f"results/{name}") for name in store.files("results") if "duckdb" not in name}
    report = score_predictions(place, store=store, settings=settings)
    assert (report.failures, report.unknown) == ({}, ())
    assert contents(place / "predictions") == predictions
    assert {(result.model, result.window, result.reused) for result in report.results} == {
        ("gold", 4096, True),
        ("gold", 8192, True),
    }
    assert {name: store.read_bytes(f"results/{name}") for name in before} == before
    short = score_predictions(place, store=store, settings=settings, max_instances=1)
    assert {sum(result.outcomes.values()) for result in short.results} == {1}
    assert contents(place / "predictions") == predictions


def test_predictions_of_another_store_are_copied(store: Store, settings: Settings) -> None:
    evaluate(["lead"], store=store, settings=settings)
    other = Store("memory://scored-elsewhere")
    report = score_predictions(Path(store.path("results/predictions")), store=other, settings=settings)
    assert len(report.results) == len(INSTANCES)
    assert "has no finished build" in report.unchecked["scierc_ner"]
    assert metric_files(other, "lead") == metric_files(store, "lead")
    name = "results/predictions/lead/scierc_ner/4096-validation"
    here, there = store.read_manifest(name), other.read_manifest(name)
    assert here is not None
    assert there is not None
    assert here["model_identity"] == there["model_identity"]


@pytest.mark.parametrize("is_remote", [False, True])
def test_what_an_evaluation_left_in_the_store_is_scored_where_it_lies(
    store: Store, settings: Settings, is_remote: bool
) -> None:
    if is_remote:
        remote = Store("memory://evaluated-there")
        for name in store.files("instructions"):
            remote.write_bytes(f"instructions/{name}", store.read_bytes(f"instructions/{name}"))
        store = remote
    evaluate(["lead", "gold"], store=store, settings=settings)
    before = {name: store.read_bytes(f"results/predictions/{name}") for name in store.files("results/predictions")}
    report = score_predictions(None, store=store, settings=settings, model="lead")
    assert {result.model for result in report.results} == {"lead"}
    assert len(report.results) == len(INSTANCES)
    assert all(result.reused for result in report.results)
    assert {name: store.read_bytes(f"results/predictions/{name}") for name in before} == before


def test_changed_predictions_of_the_store_itself_are_refused(store: Store, settings: Settings) -> None:
    evaluate(["gold"], store=store, settings=settings, tasks=["scierc_ner"])
    name = "results/predictions/gold/scierc_ner/4096-validation/predictions.jsonl"
    changed = store.read_bytes(name).splitlines()[0] + b"\n"
    store.write_bytes(name, changed)
    report = score_predictions(Path(store.path("results/predictions")), store=store, settings=settings)
    assert "was changed after it was written" in report.failures["gold", "scierc_ner"]
    assert store.read_bytes(name) == changed


def test_a_ledger_is_scored_against_the_known_instances(store: Store, settings: Settings, tmp_path: Path) -> None:
    elsewhere = Store(str(tmp_path / "elsewhere"))
    with open_ledger(elsewhere, digest("m"), "m", tmp_path) as ledger:
        for number, line in enumerate(lines_of(store, "scierc_ner")):
            answer = Answer(str(number), line["output"] if number else None, "stop" if number else None)
            ledger.record(answer, line["_instance_id"])
        ledger.record(Answer("x", "{}", "stop"), "scierc_ner:validation:77")
    report = score_predictions(Path(elsewhere.path("")), store=store, settings=settings)
    assert [(result.model, dict(result.outcomes)) for result in report.results] == [
        ("m", {Outcome.SCORED: 3, Outcome.SYSTEM_FAILED: 1})
    ]
    assert report.results[0].summary == {"f1": 1.0}
    assert [bad.reason for bad in report.read[0].found.bad] == ["no reference, and no known instance that has one"]
    kept = store.read_manifest("results/predictions/m/scierc_ner/4096-validation")
    assert kept is not None
    assert kept["model_identity"] == digest("m")


def test_results_beside_the_predictions_are_not_taken_for_predictions(folder: Path, settings: Settings) -> None:
    inside = Store(str(folder / "artifacts"))
    first = score_predictions(folder, store=inside, settings=settings)
    again = score_predictions(folder, store=inside, settings=settings)
    assert [result.run_id for result in again.results] == [result.run_id for result in first.results]
    assert (again.unknown, again.superseded) == ((), {})


def test_links_are_followed_once_and_hidden_files_are_not_seen(
    folder: Path, store: Store, settings: Settings, tmp_path: Path
) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "theirs").symlink_to(folder / "current", target_is_directory=True)
    (folder / "current" / "loop").symlink_to(folder, target_is_directory=True)
    write_current(linked / ".cache" / "old", "scierc_ner", said(store, "scierc_ner"))
    (linked / "._samples_scierc_ner_2024-01-01T00-00-00.jsonl").write_bytes(b"\x00")
    report = score_predictions(linked, store=store, settings=settings, model="theirs")
    assert {(result.model, result.task) for result in report.results} == {("theirs", task) for task in INSTANCES}
    assert (report.unknown, report.failures) == ((), {})


def test_a_single_file_is_scored(folder: Path, store: Store, settings: Settings) -> None:
    (path,) = (folder / "current" / "scierc_ner").rglob("*.jsonl")
    report = score_predictions(path, store=store, settings=settings)
    assert [(result.model, result.task) for result in report.results] == [("current", "scierc_ner")]


def test_nothing_heavy_is_imported_and_no_socket_is_opened(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "def watch(event, _):\n"
        "    assert event not in ('socket.connect', 'socket.getaddrinfo'), event\n"
        "sys.addaudithook(watch)\n"
        "from sciriff.cli import main\n"
        "try: main(['score', sys.argv[1], '--store', sys.argv[2], '--model', 'current', '--judge', 'off'])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'torch', 'transformers', 'vllm', 'openai', 'datasets', 'prefect', 'great_expectations'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "scored")]
    environment = {"PATH": "/usr/bin", "HOME": str(tmp_path), "SCIRIFF_WORKERS": "1"}
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def command(*arguments: str) -> Result:
    from sciriff.cli import main

    return CliRunner().invoke(main, ["score", *arguments, "--judge", "off"])


def test_the_command_prints_scores_notes_and_places(folder: Path, store: Store) -> None:
    older = write_current(
        folder / "current" / "scierc_ner" / "lab__model",
        "scierc_ner",
        said(store, "scierc_ner", "{}"),
        "2023-01-01T00-00-00",
    )
    write_lines(folder / "current" / f"samples_mmlu_{DATE}.jsonl", [])
    done = command(str(folder), "--store", store.url, "--model", "current")
    assert done.exit_code == 0, done.output
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines[0].split() == ["model", "task", "state", "samples", "ended", "as", "scores", "x", "100"]
    assert [line.split()[1] for line in lines[2:6]] == sorted(INSTANCES)
    assert lines[5].endswith("4 scored  f1 100.00")
    assert any(line.startswith(f"ignored: {older.relative_to(folder)}: ") and DATE in line for line in lines)
    assert f"ignored: current/samples_mmlu_{DATE}.jsonl: no evaluation task has that name" in lines
    assert any(line.startswith("missing: current: no predictions of bioasq_list_qa, ") for line in lines)
    assert f"summary      {store.path('results/metrics/tables/summary.tsv')}" in lines
    assert command(str(folder), "--store", store.url, "--model", "nobody").exit_code == 1
    assert command(str(folder / "none")).exit_code == 2
