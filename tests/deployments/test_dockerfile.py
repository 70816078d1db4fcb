"""The Dockerfile, read as Docker's builder reads it; there is no engine in the tests."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deployments/Dockerfile"
LOCKS = ROOT / "deployments/image"
EXTRAS = {"cpu": ("dask", "ray", "docker", "kubernetes"), "gpu": ("dask", "ray", "vllm")}
KNOWN = {"FROM", "ARG", "ENV", "LABEL", "WORKDIR", "COPY", "RUN", "USER", "CMD"}


@dataclass
class Stage:
    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [rest for each, rest in self.steps if each == instruction]


def instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\s*\n\s*", " ", "\n".join(lines))
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, rest = line.partition(" ")
        yield name, rest.strip()


def stages() -> dict[str, Stage]:
    found: dict[str, Stage] = {}
    for name, rest in instructions(DOCKERFILE.read_text()):
        assert name in KNOWN, name
        if name == "FROM":
            base, as_, stage = rest.split()
            assert as_ == "AS"
            found[stage] = Stage(stage, base)
        elif found:
            found[stage].steps.append((name, rest))
    return found


def line_of(stage: str) -> list[Stage]:
    """A stage and what it is made of, the base first."""
    every = stages()
    chain: list[Stage] = []
    while stage in every:
        chain.insert(0, every[stage])
        stage = every[stage].base
    assert stage == "${BASE}"
    return chain


def copied(stage: Stage) -> list[tuple[list[str], str]]:
    """Sources in the project folder -> target, of each COPY."""
    found = []
    for rest in stage.all("COPY"):
        words = shlex.split(rest)
        if not words[0].startswith("--from="):
            found.append((words[:-1], words[-1]))
    return found


def let_through(path: Path) -> bool:
    """Whether .dockerignore lets a file through: the last pattern that fits decides."""
    relative = path.relative_to(ROOT).as_posix()
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        parents = [relative, *(parent.as_posix() for parent in Path(relative).parents)]
        names = [pattern, pattern.removeprefix("**/")]
        if any(fnmatch.fnmatch(each, name) for each in parents for name in names):
            ignored = not line.startswith("!")
    return not ignored


def test_both_images_can_be_asked_for_and_stages_lead_somewhere() -> None:
    every = stages()
    assert list(every)[-1] == "cpu"  # what a build without --target makes
    for name in ("cpu", "gpu"):
        assert [stage.name for stage in line_of(name)] == ["running", name]
    for stage in every.values():
        for reference in re.findall(r"(?:--from=|from=)([\w-]+)", " ".join(rest for _, rest in stage.steps)):
            assert reference in every


def test_what_is_copied_exists_and_gets_to_the_builder() -> None:
    for stage in stages().values():
        for sources, _ in copied(stage):
            for source in sources:
                assert (ROOT / source).exists(), source
                files = [ROOT / source] if (ROOT / source).is_file() else list((ROOT / source).rglob("*.*"))
                kept = [file for file in files if "__pycache__" not in file.parts]
                assert kept
                assert [file for file in kept if not let_through(file)] == []


@pytest.mark.parametrize(
    "name",
    [".env", "flows/.env", ".git/config", "prefect.toml", ".prefect-local/sign-in", "artifacts/x", "manual/a.zip"],
)
def test_secrets_and_data_never_get_to_the_builder(name: str) -> None:
    assert not let_through(ROOT / name)


def test_packages_are_installed_by_hash_or_from_what_was_just_built() -> None:
    installs = [
        rest for stage in stages().values() for rest in stage.all("RUN") if re.search(r"pip (install|wheel)", rest)
    ]
    assert len(installs) == 6
    assert [rest for rest in installs if "--require-hashes" not in rest and "--no-index" not in rest] == []


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_images_run_without_rights_and_hold_no_secret(name: str) -> None:
    chain = line_of(name)
    assert chain[-1].all("USER") == ["10001:10001"]
    assert all("--uid 10001" in rest for rest in chain[0].all("RUN"))
    assert chain[-1].steps[-1][0] == "CMD"
    variables = " ".join(rest for stage in chain for rest in stage.all("ENV") + stage.all("ARG"))
    assert not re.search(r"KEY|TOKEN|SECRET|PASSWORD|AUTH", variables)
    pool = json.loads((ROOT / f"deployments/kubernetes/pool-{name}.json").read_text())
    security = pool["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["securityContext"]
    assert security["runAsUser"] == security["fsGroup"] == 10001


def test_the_cpu_image_brings_the_compiler_of_nobody() -> None:
    """Only weights need one, which is compiled for at run time."""
    texts = {name: " ".join(rest for stage in line_of(name) for rest in stage.all("RUN")) for name in ("cpu", "gpu")}
    assert "apt-get" not in texts["cpu"]
    assert "gcc" in texts["gpu"]


def locked(path: Path) -> dict[str, set[str]]:
    """Package -> version, of which there may be several for several Pythons; every one of them must have a hash."""
    text = path.read_text()
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9][\w.-]*)(?:\[[\w,-]+\])?==([^\s;]+)", text, re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize("name", ["build", "cpu", "gpu"])
def test_images_hold_the_versions_of_the_environment(name: str) -> None:
    everywhere, here = locked(ROOT / "requirements.lock"), locked(LOCKS / f"{name}.lock")
    differing = {each: versions for each, versions in here.items() if not versions <= everywhere.get(each, versions)}
    assert differing == {}, "run make image-locks"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    if name == "build":
        wanted = project["build-system"]["requires"]
    else:
        extras = project["project"]["optional-dependencies"]
        wanted = [*project["project"]["dependencies"], *(each for extra in EXTRAS[name] for each in extras[extra])]
    for requirement in map(Requirement, wanted):
        (version,) = here[requirement.name.lower()]
        assert requirement.specifier.contains(version), f"{requirement}: run make image-locks"


@pytest.mark.slow
def test_the_wheel_of_the_image_holds_everything(tmp_path: Path) -> None:
    (stage,) = (stage for stage in stages().values() if stage.name == "wheel")
    for sources, target in copied(stage):
        for source in sources:
            place = tmp_path / "source" / (target if len(sources) == 1 and target != "./" else source)
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
            else:
                shutil.copyfile(ROOT / source, place)
    (command,) = (rest for rest in stage.all("RUN") if "pip wheel" in rest)
    words = shlex.split(command.replace("/wheels", str(tmp_path / "wheels")))
    subprocess.run([sys.executable, *words[1:]], cwd=tmp_path / "source", check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {
        "flows/build.py",
        "sciriff/_data/deployments/models.yaml",
        "sciriff/_data/expectations/scierc_ner.json",
    } <= names
