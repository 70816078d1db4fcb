"""Evaluations of one model at once: the same is scored once, and what differs is never mixed."""

from __future__ import annotations

import re
import threading
from typing import Any

import duckdb
import pytest

from sciriff.models.predictions import FILE, ReplacedError, predictions_folder, read_predictions
from sciriff.results import evaluate as evaluation
from sciriff.results import record
from sciriff.results.evaluate import EvaluationReport, evaluate
from sciriff.settings import Settings
from sciriff.store import Store

TASK = "scierc_ner"


def run(store: Store, settings: Settings, limit: int | None = None) -> EvaluationReport:
    return evaluate(["lead"], store=store, settings=settings, tasks=[TASK], limit=limit)


def results(store: Store) -> dict[str, bytes]:
    names = [name for name in store.files("results") if "duckdb" not in name and "/facts/" not in f"/{name}"]
    return {name: store.read_bytes(f"results/{name}") for name in names}


def current_samples(store: Store, settings: Settings) -> int:
    with duckdb.connect(str(record.index_path(store, settings)), read_only=True) as connection:
        [(samples,)] = connection.execute("SELECT samples FROM runs WHERE is_current").fetchall()
        return int(samples)


@pytest.mark.parametrize("step", ["record_all", "publish"])
def test_one_with_other_options_in_between_is_told_and_nothing_is_mixed(
    step: str, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one replaces the predictions before they are scored, or before they are copied to the metric files."""
    alone = Store(store.url.replace("artifacts", "alone"))
    for name in store.files(""):
        alone.write_bytes(name, store.read_bytes(name))
    run(alone, settings, limit=2)
    original = getattr(evaluation, step)

    def after_another(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(evaluation, step, original)
        assert run(store, settings, limit=2).exit_code == 0
        return original(*arguments, **options)

    monkeypatch.setattr(evaluation, step, after_another)
    report = run(store, settings)
    [message] = report.failures.values()
    assert re.search("(was|were) replaced .* by a run of the same model with other options or replies; run", message)
    assert report.results == ()
    assert current_samples(store, settings) == 2
    assert results(store) == results(alone)
    again = run(store, settings)
    assert (again.exit_code, current_samples(store, settings)) == (0, 4)
    assert all(len(list(read_predictions(store, path))) == 4 for path in [f"{folder()}/{FILE}"])


def folder() -> str:
    return predictions_folder("lead", TASK, 4096, "validation")


def test_what_is_read_is_held_against_its_hash(store: Store, settings: Settings) -> None:
    run(store, settings)
    path = f"{folder()}/{FILE}"
    manifest = store.read_manifest(folder()) or {}
    sha256 = manifest["files"][FILE]["sha256"]
    assert len(list(read_predictions(store, path, 1, sha256))) == 1
    assert len(list(read_predictions(store, path, None, sha256))) == 4
    with pytest.raises(ReplacedError):
        list(read_predictions(store, path, 1, "0" * 64))


def test_the_same_evaluation_at_once_scores_once(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have their predictions before either scores."""
    scored: list[int] = []
    score_runs = record.score_runs
    meet = threading.Barrier(2)
    record_all = evaluation.record_all

    def together(*arguments: Any) -> Any:
        meet.wait(60)
        return record_all(*arguments)

    def counted(runs: Any, *arguments: Any) -> Any:
        scored.append(len(runs))
        return score_runs(runs, *arguments)

    monkeypatch.setattr(evaluation, "record_all", together)
    monkeypatch.setattr(record, "score_runs", counted)
    reports: list[EvaluationReport] = []

    def live() -> None:
        reports.append(run(store, settings))

    threads = [threading.Thread(target=live) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [report.exit_code for report in reports] == [0, 0]
    assert sum(scored) == 1
    assert sorted(each.reused for report in reports for each in report.results) == [False, True]
