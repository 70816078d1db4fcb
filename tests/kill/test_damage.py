"""A file of a finished store goes bad: the next run finds it, and makes it again as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from models.openai_server import running

from kill.damage import rounds
from kill.fork_server import ForkServer
from kill.harness import COMMANDS, Clean, Place, World, clean_life, index_rows, require_same, seed_of_run
from kill.servers import Model, sources

STAGES = tuple(command for command in COMMANDS if command != "fetch")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        ForkServer(tmp_path_factory.mktemp("damage") / "server") as server,
        sources() as primary,
        running(Model()) as model,
    ):
        assert isinstance(model, Model)
        yield World(server, primary, model)


@pytest.fixture(scope="module")
def lived(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Clean]:
    folder = tmp_path_factory.mktemp("damaged") / "life"
    place = Place(folder, str(folder / "store"), folder / "store")
    return place, clean_life(world, place)


def run_all(world: World, place: Place, commands: tuple[str, ...] = STAGES) -> str:
    """Run the commands again; what they said."""
    said = ""
    for name in commands:
        command = world.start(place, name)
        assert command.wait() == 0, command.log.read_text("utf-8")
        said += command.log.read_text("utf-8")
    return said


def artifacts(place: Place) -> dict[str, Path]:
    """All files of a store that the next run must find damaged: all but the ledger."""
    found = {path.relative_to(place.backing).as_posix(): path for path in place.backing.rglob("*") if path.is_file()}
    return {name: path for name, path in found.items() if not name.startswith("results/ledger/")}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_any_damaged_artifact_is_found_and_made_again(world: World, lived: tuple[Place, Clean]) -> None:
    place, clean = lived
    seed = seed_of_run()
    chance = Random(seed)
    print(f"KILL_SEED={seed}")
    billed = world.model.billed.total()
    files = artifacts(place)
    for damaged in rounds(files, 24, chance):
        done = []
        for name, damage in damaged.items():
            others = [path for path in files.values() if path != files[name] and path.is_file()]
            damage(files[name], others, chance)
            done.append(f"{damage.__name__} {name}")
        run_all(world, place)
        try:
            require_same(place.files(), clean.files["report"])
            assert index_rows(place.index()) == clean.index
        except AssertionError as error:
            raise AssertionError(f"{error}\nafter {', '.join(done)}") from error
    assert world.model.billed.total() == billed  # nothing was asked again for it
