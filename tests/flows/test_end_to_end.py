"""As a user types it: a server, a worker in another folder, ``prefect deploy --all``, ``prefect deployment run``."""

from __future__ import annotations

import json
import time
import urllib.error
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sciriff import api
from sciriff.hashing import file_sha256
from sciriff.settings import Settings

if TYPE_CHECKING:
    from conftest import Server

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["build-sciriff", "create-mixture", "evaluate-model", "score-predictions"]
TASKS = ["scicite_classification", "scierc_ner"]
WINDOW = 4096


@pytest.fixture(scope="module")
def deployed(server: Server, worker_folder: Path) -> list[dict[str, Any]]:
    """The deployments, made from the project folder while the worker runs in a folder that knows nothing of it."""
    done = server.prefect("deploy", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    deployments: list[dict[str, Any]] = server.post("deployments/filter", {})
    return deployments


@pytest.fixture(scope="module")
def expected(server: Server) -> dict[str, str]:
    """Path -> sha256 of what the library alone builds."""
    store = server.folder / "alone"
    settings = Settings(store=str(store), **server.library_settings())
    report = api.build(TASKS, windows=(WINDOW,), settings=settings)
    assert report.exit_code == 0, report.outcomes
    return hashes(store)


def hashes(store: Path) -> dict[str, str]:
    """Of every artifact, manifests too. Data Docs are pages for people: their run names hold times."""
    files = (path for folder in ("instructions", "instructions_hf") for path in (store / folder).rglob("*"))
    return {str(path.relative_to(store)): file_sha256(path) for path in sorted(files) if path.is_file()}


def test_deployments_know_no_folder_of_the_machine_that_deployed(deployed: list[dict[str, Any]]) -> None:
    assert sorted(deployment["name"] for deployment in deployed) == NAMES
    assert str(ROOT) not in json.dumps(deployed)
    assert {deployment["work_pool_name"] for deployment in deployed} == {"sciriff"}


@pytest.mark.usefixtures("deployed")
def test_a_run_by_bare_name_makes_the_bytes_of_the_library_alone(
    server: Server, worker_folder: Path, request: pytest.FixtureRequest
) -> None:
    parameters = ("--param", f"tasks={','.join(TASKS)}", "--param", f"windows={WINDOW}", "--param", "store=artifacts")
    with ThreadPoolExecutor() as aside:
        run = aside.submit(server.prefect, "deployment", "run", "build-sciriff", "--watch", *parameters)
        expected = request.getfixturevalue("expected")  # meanwhile
    watched = run.result()
    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert "Flow run finished successfully in 'Completed'" in watched.stdout
    assert "2 of 2 tasks built, 0 already there" in watched.stdout
    built = hashes(worker_folder / "artifacts")  # a relative store lies where the worker was started
    assert {path.split("/")[0] for path in built} == {"instructions", "instructions_hf"}
    assert built == expected
    runs = server.post("flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})
    assert runs[0]["name"] == f"build-sciriff tasks={','.join(TASKS)} windows={WINDOW} store=artifacts"


@pytest.mark.usefixtures("in_process", "deployed")
def test_a_second_run_finds_everything_done(server: Server, expected: dict[str, str]) -> None:
    from flows.build import build_sciriff

    again = build_sciriff(tasks=TASKS, windows=WINDOW, store=str(server.folder / "alone"), return_state=True)
    assert again.message == "0 of 2 tasks built, 2 already there"
    assert {line["cache"] for line in artifact(server, "build-tasks")} == {"hit"}
    assert hashes(server.folder / "alone") == expected


@pytest.mark.usefixtures("deployed")
def test_names_on_the_command_line(server: Server) -> None:
    with ThreadPoolExecutor() as aside:
        names = ("build-sciriff/build-sciriff", "build-scirif")
        later = ("--start-in", "1 day")
        qualified, mistyped = aside.map(lambda name: server.prefect("deployment", "run", name, *later), names)
    assert qualified.returncode == 0, qualified.stdout + qualified.stderr
    assert "Created flow run" in qualified.stdout
    assert mistyped.returncode == 1
    assert "No deployment is named 'build-scirif'" in mistyped.stderr
    assert "build-sciriff/build-sciriff, create-mixture/create-mixture" in mistyped.stderr
    assert "Traceback" not in mistyped.stderr


@pytest.mark.parametrize("wrong", [{"seed": "often"}, {"windows": {"from": 1}}])
def test_the_server_refuses_wrong_parameters_before_anything_runs(
    server: Server, deployed: list[dict[str, Any]], wrong: dict[str, Any]
) -> None:
    build = next(deployment for deployment in deployed if deployment["name"] == "build-sciriff")
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.post(f"deployments/{build['id']}/create_flow_run", {"parameters": wrong})
    assert refused.value.code == 409
    assert next(iter(wrong)) in refused.value.read().decode()


@pytest.mark.usefixtures("in_process")
def test_mixture_and_evaluation_of_what_was_built(server: Server, expected: dict[str, str]) -> None:
    from flows.evaluate import evaluate_model
    from flows.mixture import create_mixture
    from flows.score import score_predictions

    store = str(server.folder / "alone")
    mixed = create_mixture(instances_per_task=5, tulu="none", include_eval_tasks=True, store=store, return_state=True)
    assert mixed.name == "Completed", mixed.message
    assert mixed.message is not None
    assert mixed.message.startswith("10 science and 0 Tulu records written in")
    parts = artifact(server, "mixture-parts")
    assert [line["records"] for line in parts] == [5, 5, 0]

    scored = evaluate_model(model="gold,empty", tasks="scierc_ner", store=store, return_state=True)
    assert scored.name == "Completed", scored.message
    percents = {(line["model"], line["percent"]) for line in artifact(server, "evaluation-results")}
    assert percents == {("gold", 100.0), ("empty", 0.0)}
    assert {line["model"] for line in artifact(server, "evaluation-summary")} == {"gold", "empty"}

    again = score_predictions(pred_dir=f"{store}/results/predictions", model="gold", store=store, return_state=True)
    assert (again.name, again.message) == ("Completed", "1 models scored on 1 tasks; tables, index and report updated")
    assert [(line["model"], line["percent"]) for line in artifact(server, "scoring-results")] == [("gold", 100.0)]
    none = score_predictions(pred_dir=f"{store}/instructions", store=store, return_state=True)
    assert none.name == "Failed"
    assert "found none" in (none.message or "")

    missing = create_mixture(tulu="none", store=str(server.folder / "nothing"), return_state=True)
    assert missing.name == "Failed"
    assert "sciriff build" in (missing.message or "")


def artifact(server: Server, key: str) -> list[dict[str, Any]]:
    found = server.post("artifacts/latest/filter", {"artifacts": {"key": {"any_": [key]}}})
    table: list[dict[str, Any]] = json.loads(found[0]["data"])
    return table


@pytest.mark.usefixtures("deployed")
def test_a_run_that_waits_for_files_can_be_cancelled(server: Server, worker_folder: Path) -> None:
    parameters = {"tasks": "bioasq_list_qa", "windows": WINDOW, "store": "waiting", "wait_for_manual_minutes": 60}
    given = [part for name, value in parameters.items() for part in ("--param", f"{name}={value}")]
    environment = f"env={json.dumps({'SCIRIFF_SAMPLES': 'never'})}"
    started = server.prefect("deployment", "run", "build-sciriff", *given, "--job-variable", environment)
    assert started.returncode == 0, started.stdout + started.stderr
    name = {"flow_runs": {"name": {"like_": "wait_for_manual_minutes=60"}}}
    until(lambda: any(run["name"] == "wait for bioasq" for run in server.post("task_runs/filter", name)), server)
    (run,) = server.post("flow_runs/filter", name)
    assert run["state_type"] == "RUNNING"
    cancelled = server.prefect("flow-run", "cancel", run["id"])
    assert cancelled.returncode == 0, cancelled.stdout + cancelled.stderr
    until(lambda: server.post("flow_runs/filter", name)[0]["state_type"] == "CANCELLED", server)
    assert not (worker_folder / "waiting" / "instructions").exists()


def until(holds: Callable[[], bool], server: Server) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, server.worker_log.read_text(errors="replace")[-4000:]
        time.sleep(0.5)
