"""The commands of docs/deploy.md against a real server: pools from their templates, and deployments in them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import PREFECT

if TYPE_CHECKING:
    from conftest import Server

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1200)  # four programs that import Prefect, maybe on a loaded machine
@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_pools_are_made_and_deployed_to(server: Server, kind: str) -> None:
    def prefect(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = server.environment(**variables)
        return subprocess.run([PREFECT, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)

    deploy = ("--no-prompt", "deploy", "--all", "--prefect-file", f"deployments/{kind}/prefect.yaml")
    for size in ("cpu", "gpu"):
        template = f"deployments/{kind}/pool-{size}.json"
        made = prefect("work-pool", "create", f"sciriff-{kind}-{size}", "--type", kind, "--base-job-template", template)
        assert made.returncode == 0, made.stdout + made.stderr
    images = {"CPU_IMAGE": "registry.example.org/sciriff:1", "GPU_IMAGE": "registry.example.org/sciriff:1-gpu"}
    done = prefect(*deploy, **images, OPENAI_API_KEY="sk-marked-openai")
    assert done.returncode == 0, done.stdout + done.stderr
    pools = {"work_pools": {"name": {"any_": [f"sciriff-{kind}-{size}" for size in ("cpu", "gpu")]}}}
    deployed = {each["name"]: each for each in server.post("deployments/filter", pools)}
    assert deployed.keys() == {
        "build-sciriff",
        "create-mixture",
        "evaluate-api-model",
        "evaluate-model",
        "score-predictions",
    }
    assert deployed["evaluate-model"]["job_variables"]["image"] == images["GPU_IMAGE"]
    assert deployed["build-sciriff"]["job_variables"]["image"] == images["CPU_IMAGE"]
    text = json.dumps(deployed)
    assert str(ROOT) not in text
    assert "sk-marked" not in text
    without = prefect(*deploy)
    assert "placeholder '{{ $CPU_IMAGE }}' not found" in without.stdout + without.stderr
