"""Builds of the same tasks at once on one store: the work is done once, with the bytes of a single run."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from build_kit import BuildServer, sample_settings, store_hashes, tree, wait_until

from sciriff.building import task as task_module
from sciriff.building.build import Build
from sciriff.building.options import BuildOptions
from sciriff.building.progress import Silent
from sciriff.errors import StoppedError
from sciriff.leases import new_lease
from sciriff.store import MANIFEST, Store

TASKS = ("discomat_te", "scicite_classification", "scierc_ner")
SECONDS = {"SCIRIFF_LEASE_SECONDS": "2"}


@pytest.fixture(scope="module")
def machines(
    server: BuildServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[BuildServer, BuildServer]]:
    """Builds in processes that share nothing but the store, not even a folder for temporary files."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "tmp").mkdir()
    with BuildServer(folder, {"TMPDIR": str(folder / "tmp")}) as two:
        yield server, two


@pytest.fixture(scope="module")
def single(machines: tuple[BuildServer, BuildServer], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return machines[0].build(tmp_path_factory.mktemp("single") / "store", TASKS).hashes


def has_claims(url: str) -> bool:
    return any(name.startswith("build/") for name in Store(url).files(".leases"))


@pytest.mark.parametrize("kind", ["local", pytest.param("s3", marks=pytest.mark.slow)])
def test_two_builds_at_once_do_the_work_once(
    kind: str,
    machines: tuple[BuildServer, BuildServer],
    single: dict[str, str],
    tmp_path: Path,
    s3_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    url = str(tmp_path / "store") if kind == "local" else f"s3://bucket/{uuid.uuid4().hex}"
    running = [machine.start(url, TASKS, environment={**s3_environment, **SECONDS}) for machine in machines]
    told = [each.told() for each in running]
    assert sorted(states.states[task] for states in told for task in TASKS) == ["built"] * 3 + ["cached"] * 3
    assert [sorted((one.states[task], two.states[task])) for one, two in [told] for task in TASKS] == [
        ["built", "cached"]
    ] * 3
    assert store_hashes(url) == single
    assert Store(url).files(".leases") == []
    assert kind == "s3" or tree(tmp_path / "store") == single


@pytest.mark.parametrize("kind", [pytest.param("local", marks=pytest.mark.slow), "s3"])
def test_another_machine_takes_over_from_one_that_is_killed(
    kind: str,
    machines: tuple[BuildServer, BuildServer],
    single: dict[str, str],
    tmp_path: Path,
    s3_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    url = str(tmp_path / "store") if kind == "local" else f"s3://bucket/{uuid.uuid4().hex}"
    killed = machines[0].start(url, TASKS, environment={**s3_environment, **SECONDS})
    assert wait_until(lambda: has_claims(url), 60)
    other = machines[1].start(url, TASKS, environment={**s3_environment, **SECONDS})
    killed.kill()
    assert killed.wait() < 0
    assert set(other.told().states.values()) <= {"built", "cached"}
    assert store_hashes(url) == single
    again = machines[0].build(url, TASKS, environment={**s3_environment, **SECONDS})
    assert set(again.states.values()) == {"cached"}


def test_builds_with_different_options_follow_each_other(
    machines: tuple[BuildServer, BuildServer], single: dict[str, str], tmp_path: Path
) -> None:
    """In whatever order, what is there in the end is of one of them, whole and to the byte."""
    other = machines[0].build(tmp_path / "other", TASKS, seed=3).hashes
    store = tmp_path / "store"
    running = [machine.start(store, TASKS, seed=seed) for machine, seed in zip(machines, (76, 3), strict=True)]
    for each in running:
        assert set(each.told().states.values()) == {"built"}
    assert tree(store) in (single, other)


# Within one process


def build(store: Store | str, tmp_path: Path, *, force: bool = False, **options: Any) -> Build:
    url = store if isinstance(store, str) else store.url
    settings = sample_settings(url, tmp_path)
    return Build(["scierc_ner"], BuildOptions.checked(windows=(4096,), **options), settings, Silent(), force=force)


def run(planned: Build) -> str:
    planned.acquire(planned.fetched[0])
    return planned.build_task("scierc_ner").state


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def in_thread(work: Callable[[], object]) -> Callable[[], object]:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()

    def result() -> object:
        thread.join(60)
        return found[0]

    return result


@contextmanager
def held_by_another(store: Store, unit: str) -> Iterator[None]:
    held = new_lease(store, unit)
    held.wait()
    yield
    held.release()


def test_a_forced_build_is_content_with_what_was_made_while_it_waited(store: Store, tmp_path: Path) -> None:
    assert run(build(store, tmp_path)) == "built"
    assert run(build(store, tmp_path, force=True)) == "built"
    held = new_lease(store, "build/scierc_ner")
    held.wait()
    forced = in_thread(lambda: run(build(store, tmp_path, force=True)))
    assert wait_until(lambda: len(list(Path(store.url).rglob("build/scierc_ner/*"))) == 1, 10)
    manifest = store.read_manifest("instructions/4096/scierc_ner")
    assert manifest is not None
    store.write_manifest("instructions/4096/scierc_ner", manifest)  # as another run that forced it
    held.release()
    assert forced() in ("cached", "built")  # built, if it had not even begun to wait
    unforced = new_lease(store, "build/scierc_ner")
    unforced.wait()
    forced = in_thread(lambda: run(build(store, tmp_path, force=True)))
    unforced.release()
    assert forced() == "built"  # nobody did it in its place


def test_who_lost_its_lease_while_it_built_leaves_what_its_successor_published(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validate, states = task_module.validate, []

    def slow(*arguments: Any) -> Any:
        monkeypatch.setattr(task_module, "validate", validate)
        [claim] = Path(store.url).glob(".leases/build/scierc_ner/*")
        claim.unlink()  # as one that takes it for dead
        states.append(in_thread(lambda: run(build(store, tmp_path / "other")))())
        return validate(*arguments)

    monkeypatch.setattr(task_module, "validate", slow)
    assert (run(build(store, tmp_path)), states) == ("cached", ["built"])
    assert not (Path(store.url) / ".leases").exists()


def test_who_loses_its_lease_while_it_publishes_puts_no_manifest_over_files_of_others(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = Store.delete
    taken = []

    def lose(self: Store, relative: str) -> None:
        if relative.endswith(f"scierc_ner/{MANIFEST}") and not taken:
            [claim] = Path(store.url).glob(".leases/build/scierc_ner/*")
            taken.append(claim)
            claim.unlink()
        delete(self, relative)

    monkeypatch.setattr(Store, "delete", lose)
    planned = build(store, tmp_path)
    planned.acquire(planned.fetched[0])
    outcome = planned.build_task("scierc_ner")
    assert outcome.state == "failed"
    assert "another took over" in outcome.message
    assert not store.exists(f"instructions/4096/scierc_ner/{MANIFEST}")
    assert run(build(store, tmp_path)) == "built"


def test_what_others_build_comes_last(store: Store, tmp_path: Path) -> None:
    """Two runs share the work: each goes on with what nobody is at."""
    options = BuildOptions.checked(windows=(4096,))
    planned = Build(list(TASKS), options, sample_settings(store.url, tmp_path), Silent())
    held = new_lease(store, "build/discomat_te")
    held.wait()
    ended = []
    for source in planned.fetched:
        planned.acquire(source)
    for outcome in planned.outcomes():
        ended.append(outcome.task)
        if len(ended) == 2:
            held.release()
    assert ended == ["scicite_classification", "scierc_ner", "discomat_te"]


def test_a_build_that_is_stopped_frees_what_it_holds_and_publishes_nothing(store: Store, tmp_path: Path) -> None:
    planned = build(store, tmp_path)
    planned.acquire(planned.fetched[0])
    planned.stop()
    outcome = planned.build_task("scierc_ner")
    assert (outcome.state, outcome.message) == ("failed", "scierc_ner: stopped before it was built")
    with held_by_another(store, "build/scierc_ner"):
        outcome = planned.build_task("scierc_ner")
    assert "stopped while waiting: scierc_ner is being built" in outcome.message
    with held_by_another(store, "builds"), pytest.raises(StoppedError), planned.undisturbed():
        pass
    assert list(Path(store.url).iterdir()) == []


def test_builds_with_the_same_options_do_not_wait_for_each_other(store: Store, tmp_path: Path) -> None:
    one, same, other = build(store, tmp_path), build(store, tmp_path), build(store, tmp_path, seed=3)

    def disturb(planned: Build) -> str:
        with planned.undisturbed():
            return "in"

    with one.undisturbed():
        assert in_thread(lambda: disturb(same))() == "in"
        waits = in_thread(lambda: disturb(other))
        assert wait_until(lambda: len(list(Path(store.url).glob(".leases/builds/*"))) == 1, 10)
    assert waits() == "in"
