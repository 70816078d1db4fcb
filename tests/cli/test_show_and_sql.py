from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from sciriff import api
from sciriff.building import plan, status
from sciriff.building.build import BuildReport
from sciriff.building.outcome import TaskOutcome
from sciriff.cli.sql import spell
from sciriff.results import facts, index
from sciriff.results.query import Answer
from sciriff.store import Store

from .conftest import Run


def publish(store: Store, split: str, count: int, text: str = "the prompt") -> None:
    folder = "instructions/4096/cdr_ner"
    lines = [
        {
            "input": f"{text} {number}",
            "output": '{"Chemical": []}',
            "_instance_id": f"cdr_ner:train:{number}",
            "_template_id": 0,
            "_input_toks": 1200,
            "_output_toks": 3,
        }
        for number in range(count)
    ]
    store.write_bytes(f"{folder}/{split}.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    store.write_manifest(folder, {"key": "k", "files": {}, "parameters": {"fidelity": "corrected"}})


@pytest.fixture
def current(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Stand in for the plan: what matters here is whether the store's artifacts are current."""
    answer = {"current": True}
    planned = SimpleNamespace(binding=SimpleNamespace(source="cdr"))
    monkeypatch.setattr(plan, "plan_tasks", lambda names, _: dict.fromkeys(names, planned))
    monkeypatch.setattr(status, "is_current", lambda *_: answer["current"])
    return answer


def test_show_prints_instances_of_the_store(run: Run, current: dict[str, bool]) -> None:
    publish(Store("artifacts"), "validation", 5)
    result = run("show", "cdr_ner", "--n", "2", "--split", "validation")
    assert result.exit_code == 0
    assert "=== cdr_ner:train:1 (template 0, 1,200 + 3 tokens)\n--- input\nthe prompt 1\n--- output" in result.stdout
    assert "cdr_ner:train:2" not in result.stdout
    records = run("show", "cdr_ner", "--split", "validation", "--json").stdout.splitlines()
    assert [json.loads(record)["input"] for record in records] == ["the prompt 0", "the prompt 1"]


def test_show_renders_afresh_what_is_stale_and_stores_nothing(
    run: Run, current: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(Store("artifacts"), "train", 1, "old wording")
    before = Store("artifacts").files("")
    current["current"] = False

    monkeypatch.setattr(api, "build", build_preview)
    result = run("show", "cdr_ner")
    assert "new wording 0, fidelity corrected" in result.stdout
    assert "older task file" in result.stderr
    assert Store("artifacts").files("") == before


def build_preview(tasks: Any, *, store: str, fidelity: str, **_: Any) -> BuildReport:
    """Stand in for the build of a few records."""
    publish(Store(store), "train", 1, f"new wording 0, fidelity {fidelity}")
    outcome = TaskOutcome("cdr_ner", "built")
    return BuildReport((outcome,), None, store, docs_path="", tokenizers=("t",), seconds=0.0)


def test_show_renders_afresh_where_the_store_has_another_fidelity(
    run: Run, current: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(Store("artifacts"), "train", 1)
    monkeypatch.setattr(api, "build", build_preview)
    assert "the prompt 0" in run("show", "cdr_ner", "--fidelity", "corrected").stdout
    result = run("show", "cdr_ner", "--fidelity", "original")
    assert "fidelity original" in result.stdout
    assert "cdr_ner is built with fidelity corrected" in result.stderr


def test_show_passes_on_why_a_task_cannot_be_rendered(
    run: Run, current: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = TaskOutcome("cdr_ner", "failed", "cdr_ner.yaml: templates.0.jinja: no variable 'abstrct'")
    failed = BuildReport((outcome,), None, "s", docs_path="", tokenizers=("t",), seconds=0.0)
    monkeypatch.setattr(api, "build", lambda *_, **__: failed)
    result = run("show", "cdr_ner")
    assert result.exit_code == 1
    assert "no variable 'abstrct'" in result.stderr


ANSWER = Answer(["model", "score"], [("gold", 100.0), ('le"ad,', None)])


def test_sql_answers_as_table_json_and_csv() -> None:
    assert [line.split() for line in spell(ANSWER, None).splitlines()[-2:]] == [["gold", "│", "100.0"], ['le"ad,', "│"]]
    lines = [json.loads(line) for line in spell(ANSWER, "json").splitlines()]
    assert lines == [{"model": "gold", "score": 100.0}, {"model": 'le"ad,', "score": None}]
    assert list(csv.reader(io.StringIO(spell(ANSWER, "csv")))) == [
        ["model", "score"],
        ["gold", "100.0"],
        ['le"ad,', ""],
    ]


def test_sql_on_a_store_without_results_says_to_evaluate_first(run: Run) -> None:
    result = run("sql", "select 1")
    assert result.exit_code == 1
    assert "run `sciriff evaluate" in result.stderr


def test_wrong_query_is_a_message_and_queries_cannot_write(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "metrics.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table leaderboard as select 'gold' as model, 100.0 as score")
    Store("artifacts").write_bytes(f"{facts.FACTS}/runs-1.parquet", b"")
    monkeypatch.setattr(index, "build_index", lambda *_: False)
    monkeypatch.setattr(index, "index_path", lambda *_: path)
    assert json.loads(run("sql", "select * from leaderboard", "--json").stdout) == {"model": "gold", "score": 100.0}
    for query in ("selct 1", "drop table leaderboard"):
        result = run("sql", query)
        assert result.exit_code == 1
        assert "leaderboard" in result.stderr
        assert "Traceback" not in result.stderr
