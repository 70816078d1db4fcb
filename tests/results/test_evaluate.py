from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sciriff.errors import ExitCode, StoreError, UsageError
from sciriff.results.evaluate import EvaluationReport, evaluate
from sciriff.results.query import format_table, sql
from sciriff.scoring.outcome import Outcome, Profile
from sciriff.settings import Settings
from sciriff.store import Store

from .built import INSTANCES, publish_instances, write_lines

HEADLINES = "biored_f1, discomat_bleu, qasper_f1_evidence, scierc_f1"


def _hashes(store: Store) -> dict[str, bytes]:
    names = [f"results/{name}" for name in store.files("results") if ".duckdb" not in name]
    return {name: store.read_bytes(name) for name in names}


@pytest.fixture
def report(store: Store, settings: Settings) -> EvaluationReport:
    return evaluate(["gold", "empty", "prompt-echo"], store=store, settings=settings)


def test_gold_is_the_top_and_empty_the_bottom(report: EvaluationReport) -> None:
    answer = sql(f"SELECT model, {HEADLINES}, mean, coverage FROM leaderboard", report.index)
    rows = {row[0]: row[1:] for row in answer.rows}
    assert rows["gold"] == pytest.approx((100.0, 100.0, 100.0, 100.0, 100.0, "4/11"))
    assert rows["empty"] == (0.0, 0.0, 0.0, 0.0, 0.0, "4/11")
    summary = sql(
        "SELECT DISTINCT model, value FROM summary WHERE profile = 'corrected' AND model <> 'prompt-echo'"
        " AND value IS NOT NULL ORDER BY model",
        report.index,
    )
    assert summary.rows == [("empty", 0.0), ("gold", 100.0)]


def test_the_report_says_what_is_there_and_what_is_missing(report: EvaluationReport) -> None:
    assert report.exit_code is ExitCode.DONE
    assert set(report.not_built) == {
        "bioasq_list_qa",
        "evidence_inference",
        "multicite_intent_classification",
        "mup_single_document_summarization",
        "scifact_entailment",
    }
    assert report.failures == {}
    assert len(report.missing_columns) == 7
    assert "qasper_lm_judge_answer" in report.missing_columns
    results = {(result.model, result.task): result for result in report.results}
    assert results["gold", "discomat_te"].outcomes == {Outcome.SCORED: 4}
    assert results["empty", "scierc_ner"].outcomes == {Outcome.MODEL_FAILED: 4}
    assert results["gold", "qasper_abstractive_qa"].summary == {
        "lm_judge_answer": None,
        "f1_answer": 1.0,
        "f1_evidence": 1.0,
    }


def test_a_second_run_finds_everything_done(report: EvaluationReport, store: Store, settings: Settings) -> None:
    before, index = _hashes(store), report.index.stat()
    again = evaluate(["gold", "empty", "prompt-echo"], store=store, settings=settings)
    assert all(result.reused for result in again.results)
    assert not any(result.reused for result in report.results)
    assert _hashes(store) == before
    assert (report.index.stat().st_ino, report.index.stat().st_mtime_ns) == (index.st_ino, index.st_mtime_ns)


def test_the_same_bytes_in_another_store_and_process(
    report: EvaluationReport, store: Store, settings: Settings, tmp_path: Path
) -> None:
    del report
    elsewhere = Store("memory://evaluate-elsewhere")
    for task in INSTANCES:
        publish_instances(elsewhere, task, 4)
    there = evaluate(["prompt-echo", "gold", "empty"], store=elsewhere, settings=settings)
    assert there.index.is_relative_to(settings.cache)
    assert _hashes(elsewhere) == _hashes(store)

    code = (
        "import sys; from sciriff.store import Store; from sciriff.settings import Settings;"
        "from sciriff.results.evaluate import evaluate; store = Store(sys.argv[1]);"
        "evaluate(['gold', 'empty', 'prompt-echo'], store=store, settings=Settings())"
    )
    other = Store(str(tmp_path / "other"))
    for task in INSTANCES:
        publish_instances(other, task, 4)
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "other")],
        check=True,
        env={"PYTHONHASHSEED": "7", "PATH": "/usr/bin"},
        cwd=Path(__file__).parents[2],
    )
    assert _hashes(other) == _hashes(store)


def test_changed_instances_make_a_new_run_and_keep_the_old_facts(
    report: EvaluationReport, store: Store, settings: Settings
) -> None:
    publish_instances(store, "scierc_ner", 6, sample=True)
    again = evaluate(["gold"], store=store, settings=settings)
    assert {result.task for result in again.results if not result.reused} == {"scierc_ner"}
    runs = sql(
        "SELECT samples, is_current, data_note FROM runs WHERE model = 'gold' AND task = 'scierc_ner' ORDER BY 1",
        report.index,
    )
    assert runs.rows == [(4, False, ""), (6, True, "bundled samples")]
    count = sql("SELECT count(*) FROM samples WHERE model = 'gold' AND task = 'scierc_ner'", report.index)
    assert count.rows == [(6,)]
    others = sql("SELECT count(DISTINCT model) FROM leaderboard", report.index)
    assert others.rows == [(3,)]


def test_damaged_facts_and_a_deleted_index_are_made_again(
    report: EvaluationReport, store: Store, settings: Settings
) -> None:
    before = _hashes(store)
    facts = next(name for name in before if "/gold/biored_ner/" in name and "scores-" in name)
    store.write_bytes(facts, b"damaged")
    report.index.unlink()
    again = evaluate(["gold"], store=store, settings=settings)
    assert [result.task for result in again.results if not result.reused] == ["biored_ner"]
    assert _hashes(store) == before
    assert sql("SELECT count(*) FROM leaderboard", again.index).rows == [(3,)]


def test_a_damaged_facts_file_of_another_model_is_named_and_can_be_deleted(
    report: EvaluationReport, store: Store, settings: Settings
) -> None:
    facts = next(name for name in _hashes(store) if "/gold/biored_ner/" in name and "scores-" in name)
    store.write_bytes(facts, b"damaged")
    report.index.unlink()
    with pytest.raises(StoreError, match=Path(facts).name):
        evaluate(["empty"], store=store, settings=settings)
    store.delete(facts)
    evaluate(["empty"], store=store, settings=settings)
    rows = sql("SELECT model, biored_f1 FROM leaderboard WHERE model <> 'prompt-echo' ORDER BY 1", report.index).rows
    assert rows == [("empty", 0.0), ("gold", None)]


def test_a_task_that_is_not_built_does_not_stop_the_others(tmp_path: Path, settings: Settings) -> None:
    store = Store(str(tmp_path / "artifacts"))
    publish_instances(store, "discomat_te", 2)
    publish_instances(store, "biored_ner", 2)
    store.write_bytes("instructions/4096/biored_ner/validation.jsonl", b"changed")
    report = evaluate(["gold", "lead"], store=store, settings=settings)
    assert {"qasper_abstractive_qa", "scierc_ner"} <= set(report.not_built)
    assert "sciriff build --tasks scierc_ner" in report.not_built["scierc_ner"]
    assert "changed after it was built" in report.failures["", "biored_ner"]
    assert [(result.model, result.task) for result in report.results] == [
        ("gold", "discomat_te"),
        ("lead", "discomat_te"),
    ]
    assert report.exit_code is ExitCode.FAILED


def test_nothing_to_evaluate_is_a_failure_with_an_empty_index(tmp_path: Path, settings: Settings) -> None:
    report = evaluate(["gold"], store=Store(str(tmp_path / "artifacts")), settings=settings, tasks=["scierc_ner"])
    assert (report.exit_code, report.results) == (ExitCode.FAILED, ())
    assert sql("SELECT * FROM leaderboard", report.index).rows == []


def test_references_that_cannot_be_read_are_counted_as_system_failures(tmp_path: Path, settings: Settings) -> None:
    store = Store(str(tmp_path / "artifacts"))
    good = {"_instance_id": "a", "input": "x", "output": '{"Task": ["parsing"]}'}
    write_lines(store, "scierc_ner", [good, {**good, "_instance_id": "b", "output": "not json"}])
    report = evaluate(["gold"], store=store, settings=settings)
    assert report.results[0].outcomes == {Outcome.SCORED: 1, Outcome.SYSTEM_FAILED: 1}
    assert report.results[0].summary == {"f1": 1.0}
    failures = sql("SELECT instance_id, outcome, reason, reply FROM failures", report.index)
    assert failures.rows == [("b", "system_failed", "bad_reference", "not json")]
    assert sql("SELECT samples, scored, system_failed FROM leaderboard", report.index).rows == [(2, 1, 1)]


def test_limit_and_wrong_options(store: Store, settings: Settings) -> None:
    report = evaluate(["gold"], store=store, settings=settings, tasks=["discomat_te"], limit=2)
    assert report.results[0].outcomes == {Outcome.SCORED: 2}
    assert sql("SELECT sample_limit FROM runs", report.index).rows == [(2,)]
    for options in ({"limit": 0}, {"tasks": ["scierc_nr"]}):
        with pytest.raises(UsageError):
            evaluate(["gold"], store=store, settings=settings, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="did you mean gold"):
        evaluate(["golt"], store=store, settings=settings)
    with pytest.raises(UsageError, match="no model"):
        evaluate([], store=store, settings=settings)


def test_windows_do_not_mix(store: Store, settings: Settings) -> None:
    publish_instances(store, "scierc_ner", 3, window=8192)
    evaluate(["gold"], store=store, settings=settings, tasks=["scierc_ner"])
    report = evaluate(["empty"], store=store, settings=settings, window=8192, tasks=["scierc_ner"])
    rows = sql("SELECT model, window_tokens, samples FROM leaderboard ORDER BY 1", report.index).rows
    assert rows == [("empty", 8192, 3), ("gold", 4096, 4)]
    summary = report.summaries[Profile.CORRECTED]
    assert summary == "results/metrics/8192-validation/tables/summary.tsv"
    assert [line.split() for line in store.read_bytes(summary).decode().splitlines()[2:]] == [
        ["empty", "0.00", "0.00", "0.00", "1", "of", "11"]
    ]
    assert b"gold" in store.read_bytes("results/metrics/tables/summary.tsv")
    predictions = sorted(name for name in store.files("results/predictions") if name.endswith(".jsonl"))
    assert predictions == [
        "empty/scierc_ner/8192-validation/predictions.jsonl",
        "gold/scierc_ner/4096-validation/predictions.jsonl",
    ]
    assert store.exists("results/metrics/8192-validation/by_model/empty/scierc_ner/metrics.json")


def test_windows_of_one_model_lie_side_by_side(store: Store, settings: Settings) -> None:
    publish_instances(store, "scierc_ner", 3, window=8192)
    wide = evaluate(["gold"], store=store, settings=settings, window=8192, tasks=["scierc_ner"])
    evaluate(["gold"], store=store, settings=settings, tasks=["scierc_ner"])
    again = evaluate(["gold"], store=store, settings=settings, window=8192, tasks=["scierc_ner"])
    assert [result.reused for result in again.results] == [True]
    rows = sql("SELECT window_tokens, predictions FROM runs ORDER BY 1", wide.index).rows
    assert [store.exists(path) for _, path in rows] == [True, True]


def test_a_run_without_any_reply_or_reference_has_empty_metrics(tmp_path: Path, settings: Settings) -> None:
    store = Store(str(tmp_path / "artifacts"))
    write_lines(store, "scierc_ner", [{"_instance_id": "a", "input": "x", "output": "not json"}])
    report = evaluate(["gold"], store=store, settings=settings, tasks=["scierc_ner"])
    assert report.results[0].outcomes == {Outcome.SYSTEM_FAILED: 1}
    assert report.results[0].summary == {"f1": None}


def test_metric_files_have_the_published_names(report: EvaluationReport, store: Store) -> None:
    del report
    for root in ("metrics", "metrics_original"):
        folder = f"results/{root}/by_model/gold/scierc_ner"
        assert store.files(folder) == [
            "manifest.json",
            "metrics.json",
            "metrics_flat.json",
            "metrics_summary.json",
            "raw_predictions.jsonl",
        ]
        flat = json.loads(store.read_bytes(f"{folder}/metrics_flat.json"))
        assert set(flat) == {
            *(
                f"{setting}_{kind}_{name}"
                for setting in ("valid_json", "all")
                for kind in ("typed", "untyped")
                for name in ("p", "r", "f1")
            ),
            "bleu",
            "json_parsed",
        }
        raw = [json.loads(line) for line in store.read_bytes(f"{folder}/raw_predictions.jsonl").splitlines()]
        assert [set(line) for line in raw] == [{"prompt", "pred", "ref"}] * 4
        assert store.files(f"results/{root}/tables") == [*(f"{task}.tsv" for task in sorted(INSTANCES)), "summary.tsv"]


def test_sql_reads_and_never_writes(report: EvaluationReport, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="read-only"):
        sql("DELETE FROM runs", report.index)
    with pytest.raises(UsageError, match="tables: runs, samples"):
        sql("SELECT * FROM leaderbord", report.index)
    with pytest.raises(StoreError, match="sciriff evaluate"):
        sql("SELECT 1", tmp_path / "none.duckdb")


def test_macros_agree_with_the_metrics(report: EvaluationReport) -> None:
    grams = ", ".join([*(f"sum(match_{n})" for n in range(1, 5)), *(f"sum(ngrams_{n})" for n in range(1, 5))])
    query = f"""
    WITH by_sql AS (
      SELECT run_id, metric, CASE metric WHEN 'bleu' THEN bleu({grams}, sum(length), sum(expected_length))
        WHEN 'entity_typed' THEN f1(sum(correct), sum(predicted), sum(expected))
        WHEN 'answer_f1' THEN sum(points) / sum(weight) END AS value
      FROM scores WHERE profile = 'corrected' AND metric IN ('bleu', 'entity_typed', 'answer_f1')
      GROUP BY run_id, metric
    ), names(metric, name) AS (VALUES ('bleu', 'bleu'), ('entity_typed', 'all_typed_f1'),
      ('answer_f1', 'all_f1_answer_all'))
    SELECT by_sql.value, metrics.value FROM by_sql JOIN names USING (metric)
    JOIN metrics ON metrics.run_id = by_sql.run_id AND metrics.metric = name AND shape = 'flat'
      AND profile = 'corrected'"""
    rows = sql(query, report.index).rows
    assert len(rows) == 3 * (4 + 2 + 1)
    for by_sql, by_us in rows:
        assert by_sql == pytest.approx(by_us, abs=1e-12)


def test_every_table_and_column_is_documented(report: EvaluationReport) -> None:
    silent = sql(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE comment IS NULL AND NOT internal"
        " AND table_name IN (SELECT table_name FROM duckdb_tables())",
        report.index,
    )
    assert silent.rows == []
    objects = sql(
        "SELECT table_name, comment FROM duckdb_tables() UNION ALL SELECT view_name, comment FROM duckdb_views()"
        " WHERE NOT internal ORDER BY 1",
        report.index,
    )
    assert [row[0] for row in objects.rows] == [
        "about",
        "builds",
        "comparisons",
        "failures",
        "judgements",
        "judges",
        "leaderboard",
        "means",
        "metrics",
        "runs",
        "samples",
        "scores",
        "summary",
        "tasks",
    ]
    assert all(row[1] for row in objects.rows)


def test_the_stock_command_line_reads_the_index_alone(report: EvaluationReport, tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("duckdb")
    if not command.exists():
        pytest.skip("no duckdb command beside the interpreter")
    alone = tmp_path / "alone" / "metrics.duckdb"
    alone.parent.mkdir()
    alone.write_bytes(report.index.read_bytes())
    query = "SELECT model, scierc_f1 FROM leaderboard WHERE model = 'gold'"
    done = subprocess.run([command, "-csv", str(alone), query], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["model,scierc_f1", "gold,100.0"]


def test_nothing_unfinished_is_left(report: EvaluationReport, store: Store) -> None:
    root = Path(store.path(""))
    assert not (root / ".staging").exists()
    assert sorted(path.name for path in report.index.parent.iterdir()) == [
        "facts", "metrics", "metrics.duckdb", "metrics.duckdb.sha256", "metrics_original", "predictions",
    ]  # fmt: skip


def test_wide_tables_are_turned(report: EvaluationReport) -> None:
    text = format_table(sql("SELECT * FROM leaderboard", report.index), width=100)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].split("┃")[1].strip() == "gold"
    assert any(line.startswith("biored_f1") and "100.0" in line for line in lines)
    narrow = format_table(sql("SELECT model, mean FROM leaderboard ORDER BY 1", report.index), width=100)
    assert [line.split("│")[0].strip() for line in narrow.splitlines()[2:]] == ["empty", "gold", "prompt-echo"]
