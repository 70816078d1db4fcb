"""A file of a finished store goes bad: the next run finds it, and makes it again as it was; or says which it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from models.openai_server import running
from s3_server import S3Server, s3_variables

from kill.damage import DAMAGES, flip, rounds
from kill.fork_server import ForkServer
from kill.harness import COMMANDS, Clean, Place, World, clean_life, index_rows, ledgers, require_same, seed_of_run
from kill.servers import Model, sources

STAGES = tuple(command for command in COMMANDS if command != "fetch")
ROUNDS = 12
KINDS = (
    "instructions/",
    "instructions_hf/",
    "training_mix/",
    "validation/results/",
    "validation/static/",
    "results/predictions/",
    "results/facts/",
    "results/metrics/by_model/",
    "results/metrics/tables/",
    "results/report/",
)
"""What the paths of artifacts begin with, by kind."""


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
    """All files of a store but those of the ledger."""
    found = {path.relative_to(place.backing).as_posix(): path for path in place.backing.rglob("*") if path.is_file()}
    return {name: path for name, path in found.items() if not name.startswith("results/ledger/")}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_any_damaged_artifact_is_found_and_made_again(world: World, lived: tuple[Place, Clean]) -> None:
    """Every file of the store, and every way to go bad for every kind of file."""
    place, clean = lived
    seed = seed_of_run()
    chance = Random(seed)
    print(f"KILL_SEED={seed}")
    billed = world.model.billed.total()
    files, damaged = artifacts(place), set()
    for round_ in rounds(files, ROUNDS, chance):
        done = []
        for name, damage in round_.items():
            others = [path for path in files.values() if path != files[name] and path.is_file()]
            damage(files[name], others, chance)
            done.append(f"{damage.__name__} {name}")
        run_all(world, place)
        try:
            require_same(place.files(), clean.files["report"])
            assert index_rows(place.index()) == clean.index
        except AssertionError as error:
            raise AssertionError(f"{error}\nafter {', '.join(done)}") from error
        damaged |= round_.keys()
    assert damaged == files.keys()
    assert world.model.billed.total() == billed  # nothing was asked again for it


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_damaged_reply_is_told_by_name_and_asked_again(world: World, lived: tuple[Place, Clean]) -> None:
    place, clean = lived
    [*parts] = sorted((place.backing / "results/ledger").rglob("*.jsonl"))
    part = next(part for part in parts if b'"label":"m ' in part.read_bytes() or b'"text":"{' in part.read_bytes())
    before = world.model.billed.copy()
    lines = part.read_bytes().splitlines(keepends=True)
    place_of = next(number for number, line in enumerate(lines) if b'"text":' in line)
    lines[place_of] = lines[place_of].replace(b"item", b"iten", 1)
    part.write_bytes(b"".join(lines))
    said = run_all(world, place)
    assert part.stem in said
    assert (world.model.billed - before).total() == 1
    assert ledgers(place)[0] == clean.replies
    require_same(place.files(), clean.files["report"])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("damage", dict.fromkeys(DAMAGES))
def test_a_damaged_source_file_is_fetched_again(damage: object, world: World, lived: tuple[Place, Clean]) -> None:
    """The file itself, and what lies beside it."""
    place, clean = lived
    chance = Random(1)
    folder = place.folder / "cache" / "sources"
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".busy"))
    for path in files[::2] if damage is not flip else files:
        before = path.read_bytes()
        damage(path, [other for other in files if other.exists()], chance)  # type: ignore[operator]
        run_all(world, place, ("fetch", "mix"))
        assert path.read_bytes() == before, path.name
    require_same(place.cached(), clean.cached["report"])
    require_same(place.locked(), clean.locked["report"])
    require_same(place.files(), clean.files["report"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_damaged_lock_is_refused_by_name_or_written_again(world: World, lived: tuple[Place, Clean]) -> None:
    """It is the user's own file, under version control: nothing is put right in it that he does not know of."""
    place, clean = lived
    path = place.folder / "sources.lock"
    before = path.read_bytes()
    entries = clean.locked["report"].items()
    hashes = [before.index(entry["sha256"].encode()) + 5 for _, entry in entries]
    sizes = [before.index(f'"bytes": {entry["bytes"]}'.encode()) + 9 for _, entry in entries]
    urls = [before.index(url.encode()) + 20 for url, _ in entries]
    for number in (0, len(before) - 2, *hashes[:2], *sizes[:2], *urls[:2]):
        data = bytearray(before)
        data[number] ^= 1
        path.write_bytes(data)
        statuses = []
        for name in ("fetch", "mix"):
            command = world.start(place, name)
            statuses.append(command.wait())
            assert not statuses[-1] or "sources.lock" in command.log.read_text("utf-8")
        assert any(statuses) or set(place.locked()) > set(clean.locked["report"]), f"byte {number}"
        path.write_bytes(before)
    path.unlink()
    run_all(world, place, ("fetch", "mix"))
    require_same(place.locked(), clean.locked["report"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_damaged_artifacts_in_s3_are_made_again(
    world: World, tmp_path: Path, own_s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file of each kind, with a flipped bit, cut, or gone."""
    environment = s3_variables(own_s3_server.url)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    place = Place(tmp_path / "life", "s3://bucket/life", own_s3_server.bucket / "life", environment)
    clean, store, chance = clean_life(world, place), place.store, Random(seed_of_run())
    for damage in ("flipped", "cut", "gone"):
        for kind in KINDS:
            path = chance.choice([name for name in store.files("") if name.startswith(kind)])
            data = bytearray(store.read_bytes(path))
            data[chance.randrange(len(data))] ^= 4
            if damage == "gone":
                store.delete(path)
            else:
                store.write_bytes(path, bytes(data) if damage == "flipped" else bytes(data[: len(data) // 2]))
        run_all(world, place)
        require_same(place.files(), clean.files["report"])
        assert index_rows(place.index()) == clean.index
