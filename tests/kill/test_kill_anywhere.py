"""``kill -9`` at any moment of a whole study: the same command ends with the bytes of a run that nobody killed.

The seed is printed; ``KILL_SEED`` sets it. The table shows in which stages kills fell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import pytest
from models.openai_server import running
from s3_server import S3Server, s3_variables

from kill.fork_server import ForkServer
from kill.harness import COMMANDS, STAGES, Clean, Life, Place, World, clean_life, plan_life, seed_of_run
from kill.s3_proxy import s3_proxy
from kill.servers import Model, sources

MOST_LIVES = 20
ON_DISK = {
    "fetch": 9,
    "build": 12,
    "combine": 9,
    "mix": 8,
    "predict": 9,
    "score": 11,
    "index": 8,
    "judge": 8,
    "report": 8,
}
IN_S3 = {"fetch": 4, "build": 6, "combine": 6, "mix": 5, "predict": 6, "score": 6, "index": 5, "judge": 5, "report": 5}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    with ForkServer(tmp_path_factory.mktemp("kill") / "server") as running_server:
        yield running_server


@pytest.fixture
def world(server: ForkServer) -> Iterator[World]:
    with sources() as primary, running(Model()) as model:
        assert isinstance(model, Model)
        yield World(server, primary, model)


def on_disk(folder: Path) -> Place:
    return Place(folder, str(folder / "store"), folder / "store")


def live(
    world: World, clean: Clean, places: Iterator[Place], wanted: Mapping[str, int], chance: Random
) -> Counter[str]:
    """Live until every stage was hit as often as wanted."""
    hit: Counter[str] = Counter()
    for number in range(MOST_LIVES):
        missing = {stage: want - hit[stage] for stage, want in wanted.items() if hit[stage] < want}
        if not missing:
            break
        orphans = number % 3 == 1
        life = Life(world, next(places), clean, chance, workers=2 if orphans else 1)
        life.run(plan_life(missing, clean.counts, chance, orphans=orphans))
        hit += life.hit
    return hit


def table(hit: Mapping[str, int], clean: Clean) -> str:
    lines = [f"{'stage':10} kills  moments of a clean run"]
    for stage in (stage for command in COMMANDS for stage in STAGES[command]):
        found: Counter[str] = Counter()
        for point, number in clean.counts.items():
            if point.stage == stage:
                found[point.by] += number
        moments = ", ".join(f"{number} {by}s" for by, number in sorted(found.items()))
        lines.append(f"{stage:10} {hit.get(stage, 0):5}  {moments}")
    return "\n".join([*lines, f"{'together':10} {sum(hit.values()):5}"])


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_killed_anywhere_on_disk(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = seed_of_run()
    print(f"KILL_SEED={seed}")
    clean = clean_life(world, on_disk(tmp_path / "clean"))
    places = (on_disk(tmp_path / f"life-{number}") for number in range(MOST_LIVES))
    hit = live(world, clean, places, ON_DISK, Random(seed))
    with capsys.disabled():
        print(f"\nkilled on disk, KILL_SEED={seed}\n{table(hit, clean)}")
    assert all(hit[stage] >= want for stage, want in ON_DISK.items())


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_killed_anywhere_in_s3(
    world: World,
    tmp_path: Path,
    own_s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seed = seed_of_run()
    print(f"KILL_SEED={seed}")
    with s3_proxy(own_s3_server.url) as seen:
        world.seen = seen
        environment = s3_variables(seen.url)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

        def in_s3(name: str) -> Place:
            return Place(tmp_path / name, f"s3://bucket/{name}", own_s3_server.bucket / name, environment)

        clean = clean_life(world, in_s3("clean"))
        hit = live(world, clean, (in_s3(f"life-{n}") for n in range(MOST_LIVES)), IN_S3, Random(seed))
    with capsys.disabled():
        print(f"\nkilled in S3, KILL_SEED={seed}\n{table(hit, clean)}")
    assert all(hit[stage] >= want for stage, want in IN_S3.items())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_while_the_clock_goes_backwards(world: World, tmp_path: Path) -> None:
    """Every run begins hours before the one that was killed, and falls behind further as it works."""
    clean = clean_life(world, on_disk(tmp_path / "clean"))
    world.hours_back = 5.0
    chance = Random(seed_of_run())
    life = Life(world, on_disk(tmp_path / "life"), clean, chance)
    life.run(plan_life(dict.fromkeys(ON_DISK, 1), clean.counts, chance))
    assert life.hit.total() >= len(ON_DISK) // 2
