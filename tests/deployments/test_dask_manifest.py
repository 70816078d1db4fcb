"""The Dask cluster for Kubernetes: what Kubernetes takes, and workers as the library wants them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

MANIFEST = Path(__file__).parents[2] / "deployments/kubernetes/dask.yaml"


def objects() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(MANIFEST.read_text("utf-8")))


@pytest.mark.parametrize("version", ["1.28", kubernetes_validate.latest_version()])
def test_kubernetes_takes_the_objects(version: str) -> None:
    for each in objects():
        kubernetes_validate.validate(each, version, strict=True)
        assert each["metadata"]["namespace"] == "sciriff"


def test_workers_have_one_place_and_take_secrets_from_their_environment() -> None:
    (worker,) = (each for each in objects() if each["metadata"]["name"] == "dask-worker" and "template" in each["spec"])
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    assert {"--nworkers=1", "--nthreads=1", "tcp://dask-scheduler:8786"} <= set(container["args"])
    assert [each["secretRef"]["name"] for each in container["envFrom"] if "secretRef" in each] == [
        "sciriff-store",
        "sciriff-keys",
    ]
    ports = {port["containerPort"] for port in container["ports"]}
    assert ports == {8790}
    assert "--worker-port=8790" in container["args"]


def test_nobody_but_runs_and_workers_reaches_the_scheduler() -> None:
    (policy,) = (
        each for each in objects() if each["kind"] == "NetworkPolicy" and each["metadata"]["name"] == "dask-scheduler"
    )
    (rule,) = policy["spec"]["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchExpressions"][0]["values"] == ["run", "dask-worker"]
