"""The manifests of Prefect's server, its database and workers, and of what jobs need."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deployments/kubernetes"
NO_MANIFESTS = {"kustomization.yaml", "prefect.yaml"}
MANIFESTS = sorted(path for path in FOLDER.glob("*.yaml") if path.name not in NO_MANIFESTS)
APART = {"dask.yaml"}  # applied by itself
FILES = [path for path in MANIFESTS if path.name not in APART]
VERSIONS = ("1.28", kubernetes_validate.latest_version())


def documents(kind: str | None = None) -> list[dict[str, Any]]:
    every = [each for path in FILES for each in yaml.safe_load_all(path.read_text())]
    return [each for each in every if kind in (None, each["kind"])]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("Deployment", "StatefulSet"):
        for each in documents(kind):
            yield each["metadata"]["name"], each["spec"]["template"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_manifest(path: Path, version: str) -> None:
    loaded = list(yaml.safe_load_all(path.read_text()))
    assert loaded
    for each in loaded:
        kubernetes_validate.validate(each, version, strict=True)


def test_the_kustomization_names_every_file() -> None:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert sorted(kustomization["resources"]) == [path.name for path in FILES]
    (image,) = kustomization["images"]
    ours = [
        container["image"]
        for _, pod in pods()
        for container in pod["spec"]["containers"]
        if "postgres" not in container["image"]
    ]
    assert set(ours) == {image["name"]}


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_puts_them_together() -> None:
    done = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, text=True)
    if done.returncode != 0 and "kustomize" not in done.stderr:
        pytest.skip(f"kubectl does not run: {done.stderr}")
    assert done.returncode == 0, done.stderr
    made = [each for each in yaml.safe_load_all(done.stdout) if each]
    assert len(made) == len(documents())
    assert "image: registry.example.org/sciriff:" in done.stdout


def test_no_pod_has_rights() -> None:
    for name, pod in pods():
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["spec"].get("automountServiceAccountToken", True) == ("worker" in name)
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"].keys() == {"requests", "limits"}
            assert "livenessProbe" in container


def test_a_worker_may_make_jobs_and_read_no_secret() -> None:
    (role,) = documents("Role")
    assert documents("ClusterRole") == []
    may = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert {("jobs", "create"), ("jobs", "delete"), ("pods", "watch"), ("pods/log", "get")} <= may
    assert not any(resource == "secrets" or "*" in (resource, verb) for resource, verb in may)


def test_nothing_is_reached_from_outside_and_everything_needed_is_let_through() -> None:
    assert {service["spec"].get("type", "ClusterIP") for service in documents("Service")} == {"ClusterIP"}
    policies = {each["metadata"]["name"]: each["spec"] for each in documents("NetworkPolicy")}
    assert policies["nothing-by-default"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    components = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for _, pod in pods()} | {"run"}
    chosen = {
        spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for spec in policies.values()
        if spec["podSelector"]
    }
    assert chosen == components


def test_secrets_are_named_and_the_page_says_how_to_make_them() -> None:
    assert documents("Secret") == []
    page = (ROOT / "docs/deploy.md").read_text()
    text = "".join(path.read_text() for path in FILES)
    named = set(re.findall(r"secretKeyRef: \{name: ([\w-]+), key: ([\w-]+)\}", text))
    assert named == {("prefect-database", "password"), ("prefect-database", "url"), ("prefect-sign-in", "auth-string")}
    for secret, key in named:
        assert re.search(rf"create secret generic {secret} .*?--from-literal={key}=", page, re.DOTALL)
    variables = [each for _, pod in pods() for container in pod["spec"]["containers"] for each in container["env"]]
    in_clear = {each["name"] for each in variables if "value" in each and re.search("KEY|PASSWORD|AUTH", each["name"])}
    assert in_clear == {
        "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_NAME",
        "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET_KEY",
    }


def test_workers_serve_the_pools_of_the_deployments() -> None:
    served = {
        argument.removeprefix("--pool=")
        for _, pod in pods()
        for container in pod["spec"]["containers"]
        for argument in container.get("args", [])
        if argument.startswith("--pool=")
    }
    wanted = yaml.safe_load((FOLDER / "prefect.yaml").read_text())["deployments"]
    assert served == {each["work_pool"]["name"] for each in wanted}
    accounts = {each["metadata"]["name"] for each in documents("ServiceAccount")}
    variables = json.loads((FOLDER / "pool-gpu.json").read_text())["variables"]["properties"]
    assert variables["service_account_name"]["default"] in accounts
    claims = {each["metadata"]["name"] for each in documents("PersistentVolumeClaim")}
    assert variables["cache_volume"]["default"]["persistentVolumeClaim"]["claimName"] in claims
    assert variables["settings_config_map"]["default"] in {each["metadata"]["name"] for each in documents("ConfigMap")}
