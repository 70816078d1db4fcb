"""A real Dask scheduler and real workers, as processes of their own."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cloudpickle
import pytest
from build_kit import sample_settings, tree
from cluster_kit import (
    EVALUATED,
    TASKS,
    WINDOWS,
    DaskCluster,
    but_the_index,
    cluster_environment,
    dask_cluster,
    killer,
    wait_for,
)

import sciriff
from sciriff.building.progress import Silent
from sciriff.errors import UsageError
from sciriff.runners import cluster as cluster_module
from sciriff.runners import dask_cluster as dask_module
from sciriff.runners import open_runner
from sciriff.runners.engine import ClusterLostError
from sciriff.settings import Settings

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    logging.getLogger("distributed").setLevel(logging.ERROR)
    folder = tmp_path_factory.mktemp("dask")
    with dask_cluster(folder, 2, cluster_environment(SCIRIFF_CACHE=str(folder / "cache"))) as running:
        yield running


def on(cluster: DaskCluster, store: Path | str, workspace: Path) -> Settings:
    return sample_settings(store, workspace, runner="dask", cluster=cluster.address)


def test_a_worker_killed_in_mid_build_changes_nothing(
    cluster: DaskCluster, reference: dict[str, str], tmp_path: Path
) -> None:
    """Two workers, one of them killed with -9 while it builds: all is done by the other, with the same bytes."""
    settings = on(cluster, tmp_path / "store", tmp_path)
    with killer(tmp_path / "store") as killed:
        report = sciriff.build(TASKS, windows=WINDOWS, settings=settings)
    assert len(killed) == 1, cluster.log()
    next(worker for worker in cluster.workers if worker.pid == killed[0]).wait()  # a zombie would count as alive
    assert {outcome.task: outcome.state for outcome in report.outcomes} == dict.fromkeys(TASKS, "built")
    done = sciriff.evaluate(["gold", "lead"], tasks=EVALUATED, settings=settings)
    assert len(done.results) == 4
    assert not done.failures
    assert but_the_index(tmp_path / "store") == reference
    again = sciriff.build(TASKS, windows=WINDOWS, settings=settings)
    assert {outcome.state for outcome in again.outcomes} == {"cached"}
    cluster.add_worker()


def test_no_scheduler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dask_module, "CONNECT_SECONDS", 1)
    settings = sample_settings(tmp_path / "store", tmp_path, runner="dask", cluster="tcp://127.0.0.1:9")
    with pytest.raises(UsageError, match=r"no Dask scheduler answers at tcp://127.0.0.1:9 within 1 s"):
        sciriff.build(TASKS, settings=settings)
    with pytest.raises(UsageError, match=r"--cluster tcp://HOST:8786"):
        sciriff.build(TASKS, settings=settings.model_copy(update={"cluster": None}))
    with pytest.raises(UsageError, match="store in memory"):
        sciriff.build(TASKS, settings=settings.model_copy(update={"store": "memory://x"}))


def test_workers_of_another_release_get_no_work(
    cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cluster_module, "installed_code", lambda: "0" * 64)
    with pytest.raises(UsageError, match=r"worker tcp://127.0.0.1:\d+ has another sciriff than the client: .*, not"):
        sciriff.build(TASKS, settings=on(cluster, tmp_path / "store", tmp_path))


def test_workers_that_do_not_see_the_store_get_no_work(
    cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @contextmanager
    def unseen(_store: object) -> Iterator[str]:
        yield ".staging/on-another-machine"

    monkeypatch.setattr(cluster_module, "_probe", unseen)
    settings = on(cluster, tmp_path / "store", tmp_path)
    with pytest.raises(UsageError, match=rf"does not see what the client put into the store {tmp_path}/store"):
        sciriff.build(TASKS, settings=settings)
    assert tree(tmp_path) == {}


def test_the_cluster_says_how_many_units_it_takes(cluster: DaskCluster, tmp_path: Path) -> None:
    with open_runner(on(cluster, tmp_path / "store", tmp_path), Silent()) as runner:
        assert runner is not None
        wait_for(lambda: runner.places() == 2, cluster.log)


@pytest.mark.slow
def test_a_store_in_s3(
    cluster: DaskCluster, reference: dict[str, str], s3_environment: dict[str, str], tmp_path: Path
) -> None:
    """Keys are the workers' own: they are in their environment, and not in what is sent."""
    from build_kit import store_hashes

    environment = cluster_environment(SCIRIFF_CACHE=str(tmp_path / "cache"), **s3_environment)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_environment.items():
            patch.setenv(name, value)
        with dask_cluster(tmp_path / "dask", 2, environment) as with_keys:
            settings = on(with_keys, "s3://bucket/spread", tmp_path)
            report = sciriff.build(TASKS, windows=WINDOWS, settings=settings)
            assert {outcome.state for outcome in report.outcomes} == {"built"}, report.outcomes
            sciriff.evaluate(["gold", "lead"], tasks=EVALUATED, settings=settings)
        assert store_hashes("s3://bucket/spread") == reference
        with pytest.raises(UsageError, match=r"worker tcp://"):
            sciriff.build(TASKS, windows=WINDOWS, settings=on(cluster, "s3://bucket/spread", tmp_path))


def hold(place: Path) -> None:
    """Work that goes on until nobody wants it."""
    from sciriff.building.runner import unwanted

    (place / "begun").touch()
    if unwanted.get().wait(100):
        (place / "stopped").touch()


@pytest.mark.parametrize("by", ["cancelling", "leaving"])
def test_work_that_nobody_wants_any_more_is_stopped(by: str, cluster: DaskCluster, tmp_path: Path) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    engine = dask_module.DaskEngine(cluster.address)
    try:
        job = engine.submit(partial(hold, tmp_path), "hold")
        wait_for((tmp_path / "begun").exists, cluster.log)
        assert not (tmp_path / "stopped").exists()
        if by == "cancelling":
            engine.cancel([job])
            wait_for((tmp_path / "stopped").exists, cluster.log)
    finally:
        engine.close()
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    wait_for((tmp_path / "stopped").exists, cluster.log)


@dataclass(frozen=True)
class Named:
    label: str


def its_name(unit: Named) -> str:
    return unit.label


def test_several_runs_share_a_cluster(cluster: DaskCluster, tmp_path: Path) -> None:
    """As in a flow, where one task is tried again while others are still being built."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        with (
            open_runner(on(cluster, tmp_path / "store", tmp_path), Silent()) as runner,
            ThreadPoolExecutor(4) as threads,
        ):
            assert runner is not None
            units = [[Named(f"{run}-{number}") for number in range(5)] for run in range(4)]
            for own, found in zip(units, threads.map(lambda own: dict(runner.run(its_name, own)), units), strict=True):
                assert found == {unit: unit.label for unit in own}
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_a_scheduler_that_dies_ends_the_run(tmp_path: Path) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        with (
            dask_cluster(tmp_path / "dask", 1, cluster_environment()) as own,
            open_runner(on(own, tmp_path / "store", tmp_path), Silent()) as runner,
        ):
            assert runner is not None
            outcomes = runner.run(its_name, [Named("a")])
            assert next(outcomes) == (Named("a"), "a")
            with pytest.raises(ClusterLostError, match=f"the Dask scheduler at {own.address} went away"):
                for _ in runner.run(partial(end_of, own.scheduler.pid), [Named("b"), Named("c")]):
                    pass
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def end_of(pid: int, unit: Named) -> None:
    """Kill the scheduler, and go on for a while."""
    os.kill(pid, signal.SIGKILL)
    time.sleep(100)
