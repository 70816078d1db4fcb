"""What goes to workers and what comes back, with a runner that carries units as a cluster would, in this process."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from build_kit import CHECKOUT, sample_settings, tree
from cloudpickle import dumps

from sciriff import settings as settings_module
from sciriff.building.build import BuildReport, build_tasks
from sciriff.building.options import BuildOptions
from sciriff.building.progress import Silent
from sciriff.building.spread import SpreadBuild, plan_build
from sciriff.building.travel import travelling
from sciriff.errors import SciriffError, UsageError
from sciriff.runners.worker import installed_code, run_unit
from sciriff.settings import Settings
from sciriff.sources.lock import read_lock

TASK = "scierc_ner"
OPTIONS = BuildOptions(windows=(4096, 8192))


class Carrier:
    """A runner that pickles units and functions, and what comes back."""

    name = "dask"

    def __init__(self, settings: Settings) -> None:
        self.along: Mapping[str, Any] = travelling(settings)
        self.carried: list[bytes] = []

    def places(self) -> int:
        return 2

    def run(self, function: Callable[[Any], Any], units: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        for unit in units:
            self.carried.append(dumps(partial(run_unit, installed_code(), function, unit)))
            yield unit, pickle.loads(dumps(pickle.loads(self.carried[-1])())).outcome


@pytest.fixture(autouse=True)
def _worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers read settings of their own, once."""
    monkeypatch.setenv("SCIRIFF_CACHE", str(tmp_path / "worker-cache"))
    monkeypatch.chdir(tmp_path)
    settings_module.load_settings.cache_clear()
    yield
    settings_module.load_settings.cache_clear()


def spread(settings: Settings, names: Sequence[str] = (TASK,), **more: Any) -> tuple[BuildReport, Carrier]:
    carrier = Carrier(settings)
    return build_tasks(plan_build(names, OPTIONS, settings, Silent(), carrier, **more)), carrier


def states(report: BuildReport) -> dict[str, str]:
    return {outcome.task: outcome.state for outcome in report.outcomes}


def test_the_bytes_are_those_of_a_build_on_one_machine(tmp_path: Path) -> None:
    here = sample_settings(tmp_path / "here", tmp_path)
    assert states(build_tasks(plan_build([TASK], OPTIONS, here, Silent()))) == {TASK: "built"}
    there = sample_settings("there", tmp_path)  # relative to the client's folder
    report, carrier = spread(there)
    assert states(report) == {TASK: "built"}
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    assert report.tokenizers == ("bundled sample tokenizer (tokenizer.json)",)
    assert states(spread(there)[0]) == {TASK: "cached"}
    assert len(carrier.carried[0]) < 100_000


def test_no_secret_goes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = {name: f"MARKED-{name}" for name in ("OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY")}
    for name, value in marked.items():
        monkeypatch.setenv(name, value)
    settings = sample_settings(tmp_path / "store", tmp_path, s3_key="MARKED-key", s3_secret="MARKED-secret")
    _, carrier = spread(settings)
    assert carrier.carried
    assert not any(b"MARKED" in sent for sent in carrier.carried)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mirror", "https://me:pass@files.example/mirror"),
        ("endpoints", "https://huggingface.co=https://user:pw@hub.example"),
        ("s3_endpoint", "http://key:secret@s3.example"),
    ],
)
def test_an_address_with_a_password_is_refused(name: str, value: str, tmp_path: Path) -> None:
    settings = sample_settings(tmp_path / "store", tmp_path, **{name: value})
    with pytest.raises(UsageError, match=f"SCIRIFF_{name.upper()} holds a user name or password") as caught:
        travelling(settings)
    assert value not in str(caught.value)


def test_what_a_worker_has_of_its_own_comes_before_what_goes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sciriff.building.travel import worker_settings

    client = sample_settings(tmp_path / "store", tmp_path, mirror="samples", samples="never", offline=False)
    shutil.copytree(CHECKOUT / "samples", "samples", ignore=lambda *_: ["tool"])
    along = travelling(client)
    assert worker_settings(along).mirror == str(tmp_path / "samples")
    monkeypatch.setenv("SCIRIFF_MIRROR", "s3://bucket/mirror")
    monkeypatch.setenv("SCIRIFF_OFFLINE", "1")
    monkeypatch.setenv("SCIRIFF_SAMPLES", "always")
    settings_module.load_settings.cache_clear()
    worker = worker_settings(along)
    assert worker.mirror == "s3://bucket/mirror"
    assert worker.offline
    assert worker.samples == "never"  # decides what is built, so the client says it
    assert worker.cache == tmp_path / "worker-cache"
    assert worker.store == str(tmp_path / "store")


def test_task_files_of_the_client_need_not_be_on_the_worker(tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    shutil.copy(CHECKOUT / f"templates/tasks/{TASK}.yaml", templates)
    settings = sample_settings(tmp_path / "store", tmp_path, templates_dir=templates)
    carrier = Carrier(settings)
    build = plan_build([TASK], OPTIONS, settings, Silent(), carrier)
    shutil.rmtree(templates)
    assert states(build_tasks(build)) == {TASK: "built"}


def test_the_lock_goes_along_and_what_it_lacks_comes_back(tmp_path: Path) -> None:
    """Real files, as far as anybody can tell: the samples as a mirror that does not call them partial."""
    mirror = tmp_path / "mirror"
    shutil.copytree(CHECKOUT / "samples", mirror, ignore=lambda *_: ["tool"])
    import json

    index = json.loads((mirror / "mirror.json").read_text("utf-8"))
    for entry in index.values():
        entry["partial"] = False
    (mirror / "mirror.json").write_text(json.dumps(index), "utf-8")
    settings = sample_settings(
        tmp_path / "store", tmp_path, mirror=str(mirror), samples="never", tokenizer=str(CHECKOUT / "samples")
    )
    report, _ = spread(settings, update_lock=True)  # the catalogue pins the hash of the real file
    assert states(report) == {TASK: "built"}
    (url,) = read_lock(settings.lock)
    assert read_lock(settings.lock)[url].sha256 == index[url]["sha256"]
    assert not list((tmp_path / "worker-cache").rglob("sources.lock"))
    assert states(spread(settings)[0]) == {TASK: "cached"}

    path = mirror / index[url]["path"]
    path.write_bytes(path.read_bytes() + b"\n")
    index[url] |= {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
    (mirror / "mirror.json").write_text(json.dumps(index), "utf-8")
    report, _ = spread(settings)
    assert states(report) == {TASK: "failed"}
    assert "the file has changed since" in report.outcomes[0].message


def test_a_worker_that_counts_with_another_tokenizer_says_so(tmp_path: Path) -> None:
    client = tmp_path / "tokenizer.json"
    shutil.copy(CHECKOUT / "samples/tokenizer.json", client)
    client.write_bytes(client.read_bytes() + b"\n")
    settings = sample_settings(tmp_path / "store", tmp_path, tokenizer=str(client))
    carrier = Carrier(settings)
    build = plan_build([TASK], OPTIONS, settings, Silent(), carrier)
    assert isinstance(build, SpreadBuild)
    outcomes = build.outcomes()
    unit_made = client.read_bytes()
    original = carrier.run

    def changed(function: Callable[[Any], Any], units: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        client.write_bytes(unit_made + b"\n")  # as if the worker had another file there
        return original(function, units)

    carrier.run = changed  # type: ignore[method-assign]
    (outcome,) = outcomes
    assert outcome.state == "failed"
    assert "must count with the same" in outcome.message


def test_a_worker_that_writes_elsewhere_is_found_out(tmp_path: Path) -> None:
    settings = sample_settings(tmp_path / "store", tmp_path)
    carrier = Carrier(settings)
    carrier.along = {**carrier.along, "store": str(tmp_path / "elsewhere")}
    report = build_tasks(plan_build([TASK], OPTIONS, settings, Silent(), carrier))
    assert states(report) == {TASK: "failed"}
    assert "every worker must reach the store at this very address" in report.outcomes[0].message


def test_what_cannot_be_planned_goes_nowhere(tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "broken.yaml").write_text("name: [", "utf-8")
    settings = sample_settings(tmp_path / "store", tmp_path, templates_dir=templates)
    report, carrier = spread(settings, ["broken"])
    assert states(report) == {"broken": "failed"}
    assert carrier.carried == []


def test_single_tasks_can_be_waited_for(tmp_path: Path) -> None:
    settings = sample_settings(tmp_path / "store", tmp_path)
    build = plan_build([TASK], OPTIONS, settings, Silent(), Carrier(settings))
    assert isinstance(build, SpreadBuild)
    build.start([TASK])
    assert build.build_task(TASK).state == "built"
    assert build.build_task(TASK).state == "cached"  # started once more
    assert build.fetched == ()
    assert build.key(TASK) == ""


def test_a_cluster_that_goes_away_is_told_to_whoever_waits(tmp_path: Path) -> None:
    class Gone(Carrier):
        def run(self, function: Callable[[Any], Any], units: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
            raise SciriffError("the cluster went away")

    settings = sample_settings(tmp_path / "store", tmp_path)
    build = plan_build([TASK], OPTIONS, settings, Silent(), Gone(settings))
    with pytest.raises(SciriffError, match="the cluster went away"):
        build.build_task(TASK)
