"""The build flow on a real server, its task builds on a real Dask cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("building", "runners")]

from build_kit import tree
from cluster_kit import cluster_environment, dask_cluster, killer

import sciriff
from flows.build import build_sciriff
from flows.score import score_predictions
from sciriff.settings import Settings

if TYPE_CHECKING:
    from conftest import Server

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("in_process")]

TASKS = ["anat_em_ner", "discomat_te", "scierc_ner"]


def test_each_task_build_is_a_task_run_that_waits_for_its_unit(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    choices = {"tasks": TASKS, "windows": [4096], "max_leakage": 0.5}
    with dask_cluster(tmp_path / "dask", 2, cluster_environment(SCIRIFF_CACHE=str(tmp_path / "cache"))) as cluster:
        where = {"store": str(tmp_path / "store"), "runner": "dask", "cluster": cluster.address}
        with killer(tmp_path / "store") as killed:
            state = build_sciriff(**choices, **where, return_state=True)
        assert state.is_completed(), state.message
        assert len(killed) == 1
        next(worker for worker in cluster.workers if worker.pid == killed[0]).wait()
        assert "3 of 3 tasks built" in (state.message or "")
        runs = server.post("task_runs/filter", {"flow_runs": {"id": {"any_": [str(state.state_details.flow_run_id)]}}})
        assert {run["name"]: run["state_name"] for run in runs} == {
            **{f"build {task}": "Completed" for task in TASKS},
            "combine": "Completed",
            "leakage": "Completed",
        }
        again = build_sciriff(**choices, **where, return_state=True)
        assert "0 of 3 tasks built, 3 already there" in (again.message or "")
        predictions = tmp_path / "predictions" / "me"
        predictions.mkdir(parents=True)
        (predictions / "scierc_ner.jsonl").write_text('{"prompt": "p", "pred": "{}", "ref": "{}"}\n', "utf-8")
        scored = score_predictions(str(tmp_path / "predictions"), judge="off", **where, return_state=True)
        assert scored.is_completed(), scored.message

    settings = Settings(_env_file=None, **{**server.library_settings(), "store": str(tmp_path / "here")})
    sciriff.build(TASKS, windows=[4096], settings=settings)
    there = tree(tmp_path / "store")
    assert {name: there[name] for name in tree(tmp_path / "here")} == tree(tmp_path / "here")


def test_no_cluster_is_told_as_the_state_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("sciriff.runners.dask_cluster.CONNECT_SECONDS", 1)
    state = build_sciriff(
        ["scierc_ner"], store=str(tmp_path), runner="dask", cluster="tcp://127.0.0.1:9", return_state=True
    )
    assert state.is_failed()
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in (state.message or "")
