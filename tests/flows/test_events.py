"""What follows an event once it is switched on, with a real server: when it starts, and with what parameters."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prefect import flow
from prefect.events import emit_event
from prefect.states import Completed, Failed

if TYPE_CHECKING:
    from conftest import Server

ROOT = Path(__file__).resolve().parents[2]
NAMED = "-by-event"


@pytest.fixture(scope="module")
def following(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The deployments that follow an event, switched on, under names of their own, in a pool that no worker serves."""
    folder = tmp_path_factory.mktemp("project")
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    content["deployments"] = [each for each in content["deployments"] if each.get("triggers")]
    for deployment in content["deployments"]:
        deployment["name"] += NAMED
        deployment["work_pool"]["name"] = "nobody"
        for trigger in deployment["triggers"]:
            trigger["name"] += NAMED
            trigger["enabled"] = True
    (folder / "prefect.yaml").write_text(yaml.safe_dump(content))
    server.post("work_pools/", {"name": "nobody", "type": "process", "base_job_template": {}})
    done = server.prefect("--no-prompt", "deploy", "--all", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    yield
    for automation in server.post("automations/filter", {}):
        if automation["name"].endswith(NAMED):
            server.delete(f"automations/{automation['id']}")


def runs_of(server: Server, deployment: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = server.post(
        "flow_runs/filter", {"deployments": {"name": {"any_": [deployment + NAMED]}}, "sort": "START_TIME_ASC"}
    )
    return runs


def until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 120
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


@pytest.mark.usefixtures("in_process", "following")
def test_a_complete_build_and_no_other_makes_a_mixture(server: Server) -> None:
    @flow(name="build-sciriff")
    def build(tasks: str, windows: Any = None, store: str | None = None) -> Any:
        if tasks == "failing":
            return Failed(message="source not available")
        return Completed(name="Blocked" if tasks == "waiting" else None)

    build(tasks="failing", store="failed", return_state=True)
    build(tasks="waiting", store="blocked", return_state=True)
    build(tasks="whole", windows="16384, 8192", store="s3://bucket/one", return_state=True)
    build(tasks="whole", windows=[4096, 8192], return_state=True)
    runs = until(lambda: len(found := runs_of(server, "create-mixture")) == 2 and found)
    assert sorted((run["parameters"] for run in runs), key=lambda each: each["window"]) == [
        {"store": None, "window": 4096},
        {"store": "s3://bucket/one", "window": 8192},
    ]
    assert {run["state_type"] for run in runs} == {"SCHEDULED"}


@pytest.mark.usefixtures("in_process", "following")
def test_a_complete_evaluation_and_word_of_predictions_make_a_scoring(server: Server) -> None:
    @flow(name="evaluate-model")
    def evaluate(model: str, judge: str, tasks: Any = None, window: int = 4096, store: str | None = None) -> Any:
        return Failed() if model == "failing" else Completed()

    evaluate(model="failing", judge="off", return_state=True)
    evaluate(model="a,b", judge="off", tasks=["mup", "qasper"], store="s3://bucket/one", return_state=True)
    emit_event(
        "sciriff.predictions.written",
        resource={"prefect.resource.id": "sciriff.predictions.harness"},
        payload={"pred_dir": "/shared/harness/results"},
    )
    runs = until(lambda: len(found := runs_of(server, "score-predictions")) == 2 and found)
    assert sorted((run["parameters"] for run in runs), key=len) == [
        {"pred_dir": "/shared/harness/results", "store": None, "model": None},
        {
            "store": "s3://bucket/one",
            "tasks": ["mup", "qasper"],
            "window": 4096,
            "split": "validation",
            "data": "built",
        },
    ]
