"""A real Ray head and its workers, as processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from build_kit import sample_settings
from cluster_kit import EVALUATED, TASKS, WINDOWS, but_the_index, cluster_environment, killer, ray_cluster

import sciriff
from sciriff.errors import UsageError
from sciriff.runners import cluster as cluster_module
from sciriff.runners import ray_cluster as ray_module

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    cache = tmp_path_factory.mktemp("cache")
    with ray_cluster(cluster_environment(SCIRIFF_CACHE=str(cache)), cpus=2) as running:
        yield running


def test_a_worker_killed_in_mid_build_changes_nothing(address: str, reference: dict[str, str], tmp_path: Path) -> None:
    settings = sample_settings(tmp_path / "store", tmp_path, runner="ray", cluster=address)
    with killer(tmp_path / "store") as killed:
        report = sciriff.build(TASKS, windows=WINDOWS, settings=settings)
    assert len(killed) == 1
    assert {outcome.task: outcome.state for outcome in report.outcomes} == dict.fromkeys(TASKS, "built")
    done = sciriff.evaluate(["gold", "lead"], tasks=EVALUATED, settings=settings)
    assert len(done.results) == 4
    assert not done.failures
    assert but_the_index(tmp_path / "store") == reference


def test_nodes_of_another_release_get_no_work(address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cluster_module, "installed_code", lambda: "0" * 64)
    settings = sample_settings(tmp_path / "store", tmp_path, runner="ray", cluster=address)
    with pytest.raises(UsageError, match="has another sciriff than the client"):
        sciriff.build(TASKS, windows=WINDOWS, settings=settings)


def test_no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = sample_settings(tmp_path / "store", tmp_path, runner="ray", cluster="127.0.0.1:9")
    with pytest.raises(UsageError, match=r"no Ray cluster answers at 127.0.0.1:9 .*`ray start --head`"):
        sciriff.build(TASKS, settings=settings)
    monkeypatch.setattr(ray_module, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"ray://127.0.0.1:9 needs Ray's remote client"):
        sciriff.build(TASKS, settings=settings.model_copy(update={"cluster": "ray://127.0.0.1:9"}))
