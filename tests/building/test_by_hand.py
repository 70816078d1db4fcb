"""When a source that the user fetches by hand may come from its sample, and when it must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from by_hand_kit import OTHER, TASKS, drop, mirror_of

from sciriff.building import by_hand
from sciriff.building.build import Build, fetch_sources
from sciriff.building.by_hand import acquire_source, last_by_hand, nothing_is_real
from sciriff.building.options import BuildOptions
from sciriff.building.progress import Silent
from sciriff.errors import SciriffError, SourceError
from sciriff.settings import Settings
from sciriff.sources import catalogue
from sciriff.sources.failures import UnreachableError
from sciriff.sources.fetch import AcquiredSource
from sciriff.sources.manual import ByHandError
from sciriff.store import Store

FILES = ["golden", "training"]


def make_settings(tmp_path: Path, **fields: Any) -> Settings:
    places = {name: str(tmp_path / name) for name in ("store", "manual")}
    caches = {"cache": tmp_path / "cache", "lock": tmp_path / "sources.lock"}
    defaults = {"mirror": None, "offline": True, "samples": "auto", "workers": 1}
    return Settings(_env_file=None, **{**places, **caches, **defaults, **fields})


def bioasq(settings: Settings, *others: AcquiredSource | SciriffError) -> AcquiredSource | SciriffError:
    return acquire_source("bioasq", FILES, settings, Silent(), others=others)


def origins(acquired: AcquiredSource | SciriffError) -> set[str]:
    assert isinstance(acquired, AcquiredSource), acquired
    return {file.origin for file in acquired.files.values()}


def other(settings: Settings) -> AcquiredSource | SciriffError:
    return acquire_source("scicite", ["archive"], settings, Silent())


def cached_file(settings: Settings) -> None:
    """As if some source had been fetched from the network once."""
    folder = settings.cache / "sources" / "cdr"
    folder.mkdir(parents=True)
    (folder / "archive-CDR_Data.zip").write_bytes(b"x")
    (folder / "archive-CDR_Data.zip.json").write_bytes(b"{}")


def real_artifact(settings: Settings, sample: bool = False) -> None:
    Store(settings.store).write_manifest("instructions/4096/cdr_ner", {"inputs": {"sample": sample}})


def test_sources_by_hand_come_last() -> None:
    assert last_by_hand(["bioasq", "cdr", "no_such_source", "scierc"]) == (
        ("cdr", "no_such_source", "scierc"),
        ("bioasq",),
    )


def test_an_offline_machine_without_anything_real_gets_samples(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    real_artifact(settings, sample=True)
    assert origins(bioasq(settings)) == {"sample"}
    assert origins(bioasq(settings, other(settings))) == {"sample"}
    assert not settings.lock.exists()


def test_without_network_samples_follow_the_other_sources(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, offline=False)
    sample = other(make_settings(tmp_path))
    assert origins(bioasq(settings, sample)) == {"sample"}
    assert isinstance(bioasq(settings), ByHandError)
    for error in (UnreachableError("no network"), SourceError("wrong hash")):
        assert isinstance(bioasq(settings, sample, error), ByHandError)


@pytest.mark.parametrize("samples", ["auto", "never"])
@pytest.mark.parametrize("what", ["mirror", "cache", "store", "other source", "one of the zips", "a wrong zip"])
def test_among_real_data_it_is_blocked(tmp_path: Path, samples: str, what: str) -> None:
    settings = make_settings(tmp_path, samples=samples)
    others = [other(settings)] if samples == "auto" else []
    if what == "mirror":
        settings = settings.model_copy(update={"mirror": str(mirror_of(tmp_path / "mirror", "scicite"))})
    elif what == "cache":
        cached_file(settings)
    elif what == "store":
        real_artifact(settings)
    elif what == "other source":
        others.append(other(settings.model_copy(update={"mirror": str(mirror_of(tmp_path / "mirror", "scicite"))})))
        assert origins(others[-1]) == {"partial"}
    elif what == "one of the zips":
        drop(tmp_path / "manual", "BioASQ-training11b.zip")
    else:
        (tmp_path / "manual").mkdir()
        (tmp_path / "manual" / "BioASQ-training11b.zip").write_bytes(b"<html>")
    assert isinstance(bioasq(settings, *others), ByHandError)


def test_samples_never_and_always_mean_what_they_say(tmp_path: Path) -> None:
    assert isinstance(bioasq(make_settings(tmp_path, samples="never")), ByHandError)
    settings = make_settings(tmp_path, samples="always")
    drop(tmp_path / "manual")
    cached_file(settings)
    assert origins(bioasq(settings)) == {"sample"}
    assert not nothing_is_real(settings)


def test_dropped_files_win_over_samples(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    drop(tmp_path / "manual" / "bioasq")
    assert origins(bioasq(settings, other(settings))) == {"primary"}
    locked = orjson.loads(settings.lock.read_bytes())
    assert sorted(locked) == sorted(file.url for file in catalogue.source("bioasq").files.values())


def test_a_build_asks_for_sources_by_hand_after_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(tmp_path, offline=False)
    asked: list[str] = []
    sample = other(make_settings(tmp_path))

    def get(source: catalogue.Source, settings: Settings, **_: Any) -> AcquiredSource | SciriffError:
        asked.append(source.id)
        if source.id == "bioasq" and settings.samples != "always":
            raise ByHandError("get it", nothing_there=True)
        return sample

    monkeypatch.setattr(by_hand, "acquire", get)
    names = [*TASKS, OTHER, "scierc_ner"]
    build = Build(names, BuildOptions(), settings, Silent())
    assert (build.fetched, build.by_hand) == (("scicite", "scierc"), ("bioasq",))
    for source in (*build.fetched, *build.by_hand):
        assert build.acquire(source) is sample
        assert build.lack_of(source) is None
    assert asked == ["scicite", "scierc", "bioasq", "bioasq"]
    asked.clear()
    found = fetch_sources(names, settings, Silent())
    assert list(found) == ["bioasq", "scicite", "scierc"]
    assert set(map(id, found.values())) == {id(sample)}
    assert sorted(asked[:2]) == ["scicite", "scierc"]


def test_a_build_can_ask_again_for_what_it_lacks(tmp_path: Path) -> None:
    build = Build(["bioasq_list_qa"], BuildOptions(windows=(4096,)), make_settings(tmp_path, samples="never"), Silent())
    build.acquire("bioasq")
    assert isinstance(build.lack_of("bioasq"), ByHandError)
    assert build.key("bioasq_list_qa") == ""
    assert build.build_task("bioasq_list_qa").state == "blocked"
    drop(tmp_path / "store" / "manual" / "bioasq")
    build.acquire("bioasq")
    assert build.lack_of("bioasq") is None
    assert build.build_task("bioasq_list_qa").state == "built"
