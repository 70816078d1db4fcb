"""Pools of containers: the jobs and containers that their workers would make, without a cluster or an engine."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import fastjsonschema
import kubernetes_validate
import pytest
import yaml
from docker.models.containers import _create_container_args
from docker.types import DeviceRequest
from prefect import Flow
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.utilities.callables import parameter_schema
from prefect.utilities.templating import PlaceholderType, find_placeholders
from prefect_docker.worker import DockerWorker, DockerWorkerJobConfiguration
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENTS = ROOT / "deployments"
PREFECT_FILES = {
    "process": ROOT / "prefect.yaml",
    "docker": DEPLOYMENTS / "docker/prefect.yaml",
    "kubernetes": DEPLOYMENTS / "kubernetes/prefect.yaml",
}
POOLS = [(kind, size) for kind in ("docker", "kubernetes") for size in ("cpu", "gpu")]
VERSIONS = ("1.28", kubernetes_validate.latest_version())
SECRETS = {
    "OPENAI_API_KEY": "sk-marked-openai",
    "HF_TOKEN": "hf_marked",
    "AWS_ACCESS_KEY_ID": "AKIAMARKED",
    "AWS_SECRET_ACCESS_KEY": "marked-aws",
}
IMAGES = {"cpu": "registry.example.org/sciriff@sha256:0123", "gpu": "registry.example.org/sciriff@sha256:4567"}


def pool(kind: str, size: str) -> dict[str, Any]:
    template: dict[str, Any] = json.loads((DEPLOYMENTS / kind / f"pool-{size}.json").read_text())
    return template


def deployments(kind: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = yaml.safe_load(PREFECT_FILES[kind].read_text())["deployments"]
    return loaded


def of_pools(kind: str) -> Iterator[tuple[str, str, str]]:
    for each in deployments(kind):
        yield kind, each["name"], each["work_pool"]["name"].rpartition("-")[2]


def flow_of(entrypoint: str) -> Flow[..., Any]:
    module, _, name = entrypoint.rpartition(".")
    flow: Flow[..., Any] = getattr(import_module(module), name)
    return flow


# The deployments


@pytest.mark.parametrize("kind", PREFECT_FILES)
def test_entrypoints_import_and_parameters_suit_them(kind: str) -> None:
    for each in deployments(kind):
        flow = flow_of(each["entrypoint"])
        given = each.get("parameters", {})
        schema = parameter_schema(flow).model_dump_for_openapi()
        defaults = {name: about["default"] for name, about in schema["properties"].items() if "default" in about}
        needed = dict.fromkeys(schema.get("required", []), "x")
        assert fastjsonschema.compile(schema)({**needed, **defaults, **given})
        triggered = {name for trigger in each.get("triggers", []) for name in trigger.get("parameters", {})}
        assert triggered <= schema["properties"].keys()


def test_containers_have_the_deployments_of_processes() -> None:
    same = ("entrypoint", "description", "tags", "concurrency_limit", "schedules", "triggers")
    process = {each["name"]: {key: each.get(key) for key in same} for each in deployments("process")}
    for kind in ("docker", "kubernetes"):
        others = {each["name"]: {key: each.get(key) for key in same} for each in deployments(kind)}
        assert {name: others.get(name) for name in process} == process
        assert others.keys() - process.keys() == {"evaluate-api-model"}


@pytest.mark.parametrize("kind", PREFECT_FILES)
def test_everything_that_follows_an_event_is_off(kind: str) -> None:
    triggers = [trigger for each in deployments(kind) for trigger in each.get("triggers", [])]
    assert triggers
    assert {trigger["enabled"] for trigger in triggers} == {False}


# The base job templates


@pytest.mark.parametrize(("kind", "size"), POOLS)
def test_every_variable_is_used_and_every_use_is_a_variable(kind: str, size: str) -> None:
    template = pool(kind, size)
    used = {
        each.name for each in find_placeholders(template["job_configuration"]) if each.type is PlaceholderType.STANDARD
    }
    variables = template["variables"]["properties"]
    merged = {"env"} if kind == "docker" else set()  # Prefect adds it to the variables of the template
    assert used | merged == variables.keys()
    assert [name for name, about in variables.items() if not about.get("description")] == []
    for name, about in variables.items():
        if "default" in about:
            fastjsonschema.compile(about)(about["default"])
        else:
            assert name in template["variables"]["required"]


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_a_gpu_pool_differs_from_the_cpu_pool_by_what_gpus_need(kind: str) -> None:
    cpu, gpu = (set(pool(kind, size)["variables"]["properties"]) for size in ("cpu", "gpu"))
    assert gpu - cpu == {"gpus", "shm_size"}
    assert cpu <= gpu


# What a worker makes of them


@pytest.fixture
def server() -> Iterator[None]:
    with temporary_settings(
        {PREFECT_API_URL: "http://prefect-server:4200/api", PREFECT_API_AUTH_STRING: "sciriff:marked-password"}
    ):
        yield


class Blocks:
    """What a worker asks the server for: Secret blocks."""

    async def read_block_document_by_name(self, name: str, block_type_slug: str, **_: object) -> Any:
        assert block_type_slug == "secret"
        value = {f"sciriff-{each.lower().replace('_', '-')}": secret for each, secret in SECRETS.items()}[name]
        return SimpleNamespace(data={"value": value}, block_type=SimpleNamespace(slug="secret"))


def configured(kind: str, name: str, size: str) -> Any:
    """The configuration of a run of a deployment, as the worker of its pool makes it."""
    deployment = next(each for each in deployments(kind) if each["name"] == name)
    variables = json.loads(
        re.sub(r"{{ \$(CPU|GPU)_IMAGE }}", lambda found: IMAGES[found[1].lower()], json.dumps(deployment["work_pool"]))
    )["job_variables"]
    template = pool(kind, size)
    fastjsonschema.compile(template["variables"])(variables)
    make = KubernetesWorkerJobConfiguration if kind == "kubernetes" else DockerWorkerJobConfiguration
    configuration = asyncio.run(make.from_template_and_values(template, variables, client=Blocks()))  # type: ignore[arg-type]
    flow = flow_of(deployment["entrypoint"])
    run = FlowRun(id=uuid4(), flow_id=uuid4(), name=f"{name} tasks=a,b")
    configuration.prepare_for_flow_run(
        run,
        flow=SimpleNamespace(id=run.flow_id, name=flow.name, labels={}),
        work_pool=SimpleNamespace(id=uuid4(), name=f"sciriff-{kind}-{size}"),
        worker_name="worker",
    )
    return configuration


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("kind", "name", "size"), list(of_pools("kubernetes")))
def test_the_job_of_a_deployment_is_one_that_kubernetes_takes(
    kind: str, name: str, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, secret in SECRETS.items():
        monkeypatch.setenv(variable, secret)
    configuration = configured(kind, name, size)
    worker = KubernetesWorker(work_pool_name="x")
    asyncio.run(
        worker._replace_env_variable_with_secret(
            configuration=configuration,
            env_variable_name="PREFECT_API_AUTH_STRING",
            secret_name="prefect-sign-in",
            secret_key="auth-string",
        )
    )
    job = configuration.job_manifest
    pod = job["spec"]["template"]["spec"]
    for misplaced in ("parallelism", "completions"):  # Prefect insists on them, here; Kubernetes passes over them
        assert pod.pop(misplaced) == job["spec"][misplaced] == 1
    for version in VERSIONS:
        kubernetes_validate.validate(job, version, strict=True)

    (container,) = pod["containers"]
    assert job["metadata"]["generateName"].endswith("-")
    assert job["metadata"]["namespace"] == "sciriff"
    assert job["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"] == "run"
    assert container["image"] == IMAGES[size]
    assert shlex.join(container["args"]) == "prefect flow-run execute"
    assert container["resources"]["requests"].keys() == container["resources"]["limits"].keys()
    assert container["resources"]["limits"].get("nvidia.com/gpu", 0) == (1 if size == "gpu" else 0)
    memory = [volume for volume in pod["volumes"] if volume.get("emptyDir", {}).get("medium") == "Memory"]
    assert [volume["name"] for volume in memory] == (["shm"] if size == "gpu" else [])
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounted.get("/dev/shm") == ("shm" if size == "gpu" else None)
    assert set(mounted.values()) == {volume["name"] for volume in pod["volumes"]}
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] > 0
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}

    env = {each["name"]: each for each in container["env"]}
    assert len(env) == len(container["env"])
    assert env["PREFECT_API_URL"]["value"] == "http://prefect-server:4200/api"
    assert env["SCIRIFF_WORKERS"]["valueFrom"]["resourceFieldRef"]["resource"] == "limits.cpu"
    assert env["PREFECT_API_AUTH_STRING"]["valueFrom"]["secretKeyRef"]["name"] == "prefect-sign-in"
    assert {next(iter(each.values()))["name"] for each in container["envFrom"]} == {
        "sciriff-settings",
        "sciriff-store",
        "sciriff-keys",
    }
    text = json.dumps(job)
    assert not any(secret in text for secret in [*SECRETS.values(), "marked-password"])


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("kind", "name", "size"), list(of_pools("docker")))
def test_the_container_of_a_deployment_is_one_that_docker_takes(kind: str, name: str, size: str) -> None:
    configuration = configured(kind, name, size)
    client: Any = SimpleNamespace(version=lambda: {"Version": "27.0.0"})
    settings = DockerWorker(work_pool_name="x")._build_container_settings(client, configuration)
    image = settings.pop("image")
    settings["version"] = "1.45"
    assert image == IMAGES[size]
    assert shlex.split(settings["command"]) == ["prefect", "flow-run", "execute"]
    made = _create_container_args({"image": image, **settings})
    host = made["host_config"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert not host.get("Privileged")
    assert host["Memory"] > 1 << 30
    assert host["NanoCpus"] == int(configuration.env["SCIRIFF_WORKERS"]) * 10**9
    assert host["Init"] is True
    assert (host.get("ShmSize", 0) > 1 << 30) == (size == "gpu")
    requested: list[DeviceRequest] = host.get("DeviceRequests") or []
    assert [(each["Count"], each["Capabilities"]) for each in requested] == ([(-1, [["gpu"]])] if size == "gpu" else [])
    assert {bind.split(":")[1] for bind in host["Binds"]} == {"/store", "/cache"}
    assert {name: configuration.env[name] for name in SECRETS} == SECRETS


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_deployments_hold_no_secret_nor_the_name_of_one(kind: str) -> None:
    """Prefect fills the names of blocks in when it deploys, and everybody can read what it writes."""
    loaded = yaml.safe_load(PREFECT_FILES[kind].read_text())
    found = {each.name for each in find_placeholders(json.loads(json.dumps(loaded)))}
    assert not any(name.startswith("prefect.") for name in found)
    assert {name for name in found if name.startswith("$")} == {"$CPU_IMAGE", "$GPU_IMAGE"}
