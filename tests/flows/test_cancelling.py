"""Cancelling a run: its work ends, nothing of it is left, and the same run goes on from what is done."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

sys.path.append(str(Path(__file__).parents[1] / "models"))

from openai_server import FakeServer, running

from sciriff import api
from sciriff.hashing import file_sha256
from sciriff.resources import resource_dir
from sciriff.settings import Settings

if TYPE_CHECKING:
    from conftest import Server

WINDOW = 4096
SCICITE = "https://s3-us-west-2.amazonaws.com/ai2-s2-research/scicite/scicite.tar.gz"
COPIES = 1000
"""The training split so many times over takes worker processes some seconds."""


class Started:
    """A run of a deployment, by the worker of the tests."""

    def __init__(self, server: Server, name: str, parameters: dict[str, Any], environment: dict[str, str]) -> None:
        given = [part for parameter, value in parameters.items() for part in ("--param", f"{parameter}={value}")]
        variables = f"env={json.dumps(environment)}"
        done = server.prefect("deployment", "run", name, *given, "--job-variable", variables)
        assert done.returncode == 0, done.stdout + done.stderr
        self.server = server
        self.id = next(line.split()[-1] for line in done.stdout.splitlines() if "UUID" in line)

    @property
    def state(self) -> dict[str, Any]:
        (found,) = self.server.post("flow_runs/filter", {"flow_runs": {"id": {"any_": [self.id]}}})
        state: dict[str, Any] = found["state"]
        return state

    def task_states(self) -> dict[str, str]:
        found = self.server.post("task_runs/filter", {"flow_runs": {"id": {"any_": [self.id]}}})
        return {each["name"]: each["state_name"] for each in found}

    def processes(self) -> list[psutil.Process]:
        """All processes of the run, its worker processes too: they inherit the environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("PREFECT__FLOW_RUN_ID", "").replace("-", "") == self.id.replace("-", ""):
                    found.append(process)
            except psutil.Error:
                pass
        return found

    def cancel_in_the_ui(self) -> None:
        """What the button does."""
        answer = self.server.post(f"flow_runs/{self.id}/set_state", {"state": {"type": "CANCELLING"}, "force": False})
        assert answer["status"] == "ACCEPT", answer

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not holds():
            state = self.state
            assert time.monotonic() < deadline, (state, self.server.worker_log.read_text(errors="replace")[-4000:])
            time.sleep(0.2)

    def ended(self) -> dict[str, Any]:
        """Its state once it has ended."""
        self.until(lambda: self.state["type"] not in ("SCHEDULED", "PENDING", "RUNNING", "CANCELLING"))
        return self.state


@pytest.fixture(scope="module")
def deployed(server: Server, worker_folder: Path) -> Path:
    done = server.prefect("deploy", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    return worker_folder


def big_mirror(folder: Path) -> Path:
    """A mirror of SciCite with a long training split."""
    samples = resource_dir("samples")
    entry = json.loads((samples / "mirror.json").read_bytes())[SCICITE]
    packed = io.BytesIO()
    with tarfile.open(samples / entry["path"]) as source, tarfile.open(fileobj=packed, mode="w:gz") as target:
        for member in filter(tarfile.TarInfo.isfile, source.getmembers()):
            stream = source.extractfile(member)
            assert stream is not None
            data = stream.read()
            if member.name.endswith("train.jsonl"):
                rows = [json.loads(line) for line in data.splitlines()]
                data = b"".join(
                    json.dumps(each).encode() + b"\n" for copy in range(COPIES) for each in copies(rows, copy)
                )
            member.size = len(data)
            target.addfile(member, io.BytesIO(data))
    folder.mkdir()
    (folder / "scicite.tar.gz").write_bytes(packed.getvalue())
    about = {"path": "scicite.tar.gz", "bytes": len(packed.getvalue()), "sha256": sha256(packed.getvalue()).hexdigest()}
    (folder / "mirror.json").write_text(json.dumps({SCICITE: {**entry, **about}}))
    return folder


def copies(rows: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    return [
        {
            **row,
            "string": f"{row['string']} ({number})",
            "unique_id": f"{row['unique_id']}-{number}",
            "citingPaperId": f"{row['citingPaperId']}-{number}",
        }
        for row in rows
    ]


def hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): file_sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_in_mid_build(server: Server, deployed: Path, tmp_path: Path) -> None:
    task = "scicite_classification"
    mirror = big_mirror(tmp_path / "mirror")
    parameters = {"tasks": task, "windows": WINDOW, "n_instances": "all", "store": tmp_path / "store", "workers": 2}
    environment = {"SCIRIFF_MIRROR": str(mirror), "SCIRIFF_SAMPLES": "never"}
    run = Started(server, "build-sciriff", parameters, environment)
    run.until(lambda: run.task_states().get(f"build {task}") == "Running" and len(run.processes()) > 3)
    run.cancel_in_the_ui()
    run.until(lambda: not run.processes())
    assert run.ended()["name"] == "Cancelled"
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []
    run.until(lambda: run.task_states().get(f"build {task}") == "Cancelled")

    again = Started(server, "build-sciriff", parameters, environment)
    assert again.ended()["name"] == "Completed", again.state
    own = {**server.library_settings(), "mirror": str(mirror), "samples": "never"}
    settings = Settings(_env_file=None, **{**own, "store": str(tmp_path / "alone")})
    api.build([task], windows=(WINDOW,), n_instances=None, settings=settings)
    for folder in ("instructions", "instructions_hf"):
        assert hashes(tmp_path / "store" / folder) == hashes(tmp_path / "alone" / folder)


@pytest.mark.slow
def test_in_mid_evaluation(server: Server, deployed: Path, tmp_path: Path) -> None:
    store, tasks = tmp_path / "store", ["bioasq_list_qa", "biored_ner", "scierc_ner", "scifact_entailment"]
    settings = Settings(_env_file=None, **{**server.library_settings(), "samples": "always", "store": str(store)})
    api.build(tasks, windows=(WINDOW,), combining=False, settings=settings)
    with running(FakeServer(seconds=0.3)) as model:
        model.fault = lambda body, before: "hang" if len(model.sent) > 4 else None
        parameters = {"model": "openai:m", "tasks": ",".join(tasks), "base_url": model.url, "store": store}
        slow = {**parameters, "judge": "off", "max_concurrency": 2}
        run = Started(server, "evaluate-model", slow, {"OPENAI_API_KEY": "sk-none", "SCIRIFF_OFFLINE": "0"})
        run.until(
            lambda: run.task_states().get("predict m") == "Running" and model.at_once == 2 and len(model.sent) > 4
        )
        answered = sum(model.billed.values())
        assert answered >= 2
        run.cancel_in_the_ui()
        run.until(lambda: not run.processes())
        run.until(lambda: model.at_once == 0)
        assert run.ended()["name"] == "Cancelled"
        run.until(lambda: run.task_states().get("predict m") == "Cancelled")

        model.fault, model.seconds = (lambda body, before: None), 0.0
        again = Started(server, "evaluate-model", slow, {"OPENAI_API_KEY": "sk-none", "SCIRIFF_OFFLINE": "0"})
        assert again.ended()["name"] == "Completed", again.state
        assert set(model.billed.values()) == {1}  # what was answered before was not asked again
        states = again.task_states()
        assert [states[name] for name in ("prepare", "predict m", "score", "judge", "index and report")] == [
            "Completed"
        ] * 5
