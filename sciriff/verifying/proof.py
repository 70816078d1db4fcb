"""Making sampled records anew from their sources, and comparing them byte for byte."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from sciriff.building.combine import INSTRUCTIONS
from sciriff.building.instances import ANY_WINDOW, Batch, Instance, Recipe, make_instances
from sciriff.building.options import BuildOptions
from sciriff.building.pieces import Piece, PieceReader
from sciriff.building.plan import TaskPlan
from sciriff.building.pool import WorkerPool
from sciriff.building.progress import Stage
from sciriff.building.rows import SplitRows, batches
from sciriff.building.sampling import BEYOND_CAP, fits
from sciriff.building.tokenizer import bundled_tokenizer, find_tokenizer
from sciriff.building.tokens import TokenizerFile
from sciriff.errors import SciriffError
from sciriff.readers import load_reader
from sciriff.settings import Settings
from sciriff.sources import catalogue
from sciriff.sources.fetch import AcquiredSource, acquire
from sciriff.sources.lock import LockEntry, now, write_lock
from sciriff.store import MANIFEST, Store, temporary_folder
from sciriff.verifying.sampling import Difference, Drawn, Row, Stored, digest_of, draw, parts_of

_ROWS_WORTH_WORKERS = 500

Manifests = Mapping[int, Mapping[str, Any]]
"""Window -> manifest."""


class NotPossibleError(SciriffError):
    """Records cannot be made anew on this machine; the message says what is lacking."""


@dataclass
class Proof:
    """What became of the sample of a task.

    Attributes:
        records: records of the task in all windows.
        sampled: how many of them were drawn.
        equal: how many of these are what their sources give, byte for byte.
        differences: the others.
        other_code: why the artifacts are of other code or parameters than are here; empty if they are not.
        not_possible: why (some) records could not be made anew here; empty if they could.
        lines: the sampled lines.
    """

    records: int = 0
    sampled: int = 0
    equal: int = 0
    differences: list[Difference] = field(default_factory=list)
    other_code: str = ""
    not_possible: str = ""
    lines: list[Stored] = field(default_factory=list)


def prove(
    store: Store,
    plan: TaskPlan | SciriffError,
    task: str,
    manifests: Manifests,
    *,
    share: float,
    seed: int,
    settings: Settings,
    stage: Stage,
) -> Proof:
    """Make a sample of a task's records anew and compare.

    Args:
        store: where the artifacts lie.
        plan: the task as the templates and code of this machine have it.
        task: its name.
        manifests: of the windows whose files are intact.
        share, seed: which records.
        settings: mirror and cache that sources are taken from; nothing is downloaded.
        stage: told of every row.
    """
    proof = Proof()
    for windows in _same_build(manifests).values():
        manifest = manifests[windows[0]]
        try:
            drawn = draw(store, task, windows, share, seed)
        except (OSError, SciriffError) as error:
            proof.not_possible = f"the files cannot be read: {error}"
            continue
        proof.records += drawn.records
        proof.sampled += drawn.sampled
        proof.lines += [line for lines in drawn.rows.values() for line in lines]
        proof.differences += [Difference(path, line, "", what) for path, line, what in drawn.strange]
        try:
            _prove_build(store, plan, task, windows, manifest, drawn, settings, stage, proof)
        except SciriffError as error:
            proof.not_possible = str(error)
        except (KeyError, TypeError, AttributeError):
            path = f"{INSTRUCTIONS}/{windows[0]}/{task}/{MANIFEST}"
            proof.differences.append(Difference(path, 0, "", "it does not say what a task was made of"))
    return proof


def _same_build(manifests: Manifests) -> dict[str, list[int]]:
    """Build key -> the windows of that build, as its parameters name them, that are in the store."""
    found: dict[str, list[int]] = defaultdict(list)
    for window in sorted(manifests):
        found[str(manifests[window].get("key"))].append(window)
    return found


def _prove_build(
    store: Store,
    plan: TaskPlan | SciriffError,
    task: str,
    windows: Sequence[int],
    manifest: Mapping[str, Any],
    drawn: Drawn,
    settings: Settings,
    stage: Stage,
    proof: Proof,
) -> None:
    if isinstance(plan, SciriffError):
        raise NotPossibleError(f"the task cannot be planned here: {plan}")
    options = BuildOptions.checked(**manifest["parameters"])
    tokenizer = _tokenizer(manifest["tokenizer"], settings)
    with temporary_folder() as folder:
        source = _source(plan, manifest["inputs"], settings, folder)
        recipe = plan.recipe(source, tokenizer, options)
        if recipe.key != manifest["key"]:
            proof.other_code = (
                "built by other code"
                if plan.code() != manifest.get("code")
                else "built of another template, binding or suite"
            )
        capped = {
            (window, split)
            for window in windows
            for split, reasons in (store.read_manifest(f"{INSTRUCTIONS}/{window}/{task}") or {})
            .get("dropped", {})
            .items()
            if reasons.get(BEYOND_CAP)
        }
        by_split: dict[str, list[int]] = defaultdict(list)
        for split, index in drawn.rows:
            by_split[split].append(index)
        for split, indices in sorted(by_split.items()):
            for row, made in _made_anew(recipe, source, split, indices, settings, folder):
                lines = drawn.rows.get(row, [])
                _compare(lines, made, recipe, windows, capped, proof)
                stage.advance(len(lines))


class _Made(NamedTuple):
    """An instance made anew."""

    instance: Instance
    digest: bytes
    parts: Mapping[str, bytes]
    template_id: int


def _made_anew(
    recipe: Recipe, source: AcquiredSource, split: str, indices: Sequence[int], settings: Settings, folder: Path
) -> Iterator[tuple[Row, list[_Made]]]:
    """Make the instances of rows of a source split, as a build does; a row that gives none has an empty list."""
    spec = recipe.splits.get(split)
    waiting = set(indices)
    if spec is not None:
        rows = SplitRows(load_reader(recipe.reader), source.view(), spec)
        spool = Path(tempfile.mkdtemp(dir=folder))
        work = partial(make_instances, recipe, split, windows=recipe.windows, spool=spool)
        pool = WorkerPool(settings.workers if len(indices) > _ROWS_WORTH_WORKERS else 1)
        for batch in pool.map_unordered(work, _with_rows(rows, indices)):
            for index, made in _of_batch(batch, spool).items():
                waiting.discard(index)
                yield (split, index), made
    for index in sorted(waiting):  # dropped, malformed, or not in the source at all
        yield (split, index), []


def _with_rows(rows: SplitRows, indices: Sequence[int]) -> Iterator[list[Any]]:
    return batches(rows.pick(indices))


def _of_batch(batch: Batch, spool: Path) -> dict[int, list[_Made]]:
    found: dict[int, list[_Made]] = defaultdict(list)
    with PieceReader() as pieces:
        for instance in batch.instances:
            line = pieces.read(Piece(spool / instance.spool, instance.offset, instance.length))
            record = orjson.loads(line)
            found[instance.row].append(_Made(instance, digest_of(line), parts_of(record), record["_template_id"]))
    return found


def _compare(
    lines: Sequence[Stored],
    made: Sequence[_Made],
    recipe: Recipe,
    windows: Sequence[int],
    capped: set[tuple[int, str]],
    proof: Proof,
) -> None:
    """Hold the lines of a row against what its source gives."""
    for line in lines:
        fitting = [each for each in made if fits(each.instance, line.window)]
        same = [each for each in fitting if each.digest == line.digest]
        if same:
            proof.equal += 1
            continue
        namesakes = [
            each
            for each in fitting
            if (each.instance.facts.instance_id, each.template_id) == (line.instance_id, line.template_id)
        ]
        what = _what_differs(line, namesakes[0]) if namesakes else _why_not(line, made)
        proof.differences.append(Difference(line.path, line.line, line.instance_id, what))
    for window in windows:
        there = {(line.instance_id, line.template_id) for line in lines if line.window == window}
        for each in made:
            name = each.instance.facts.instance_id
            split = name.split(":", 2)[1]
            is_wanted = fits(each.instance, window) and (window, split) not in capped
            if is_wanted and (name, each.template_id) not in there:
                path = f"{INSTRUCTIONS}/{window}/{recipe.task}"
                proof.differences.append(Difference(path, 0, name, "its source gives it, and no file has it"))


def _what_differs(line: Stored, made: _Made) -> str:
    names = [name for name in {**line.parts, **made.parts} if line.parts.get(name) != made.parts.get(name)]
    return ", ".join(names) if names else "the order of fields, or how they are spelled"


def _why_not(line: Stored, made: Sequence[_Made]) -> str:
    if any(each.instance.facts.instance_id == line.instance_id for each in made):
        fitted = any(each.instance.window != ANY_WINDOW for each in made)
        return "its source gives no such record for this window" if fitted else "it does not fit its window"
    return "its source gives no such record"


# --- what records are made of ---------------------------------------------------------------------------------------


def _source(plan: TaskPlan, inputs: Mapping[str, Any], settings: Settings, folder: Path) -> AcquiredSource:
    """The very files that the artifacts were made of: from the mirror, the cache or the bundled samples.

    Raises:
        NotPossibleError: if they cannot be had.
    """
    lock = folder / "sources.lock"
    write_lock(
        lock,
        {
            entry["url"]: LockEntry(sha256=entry["sha256"], bytes=entry["bytes"], fetched_at=now())
            for entry in inputs["files"].values()
            if entry["origin"] in ("primary", "mirror")
        },
    )
    samples = "always" if inputs["sample"] else "never"
    held = settings.model_copy(update={"lock": lock, "offline": True, "samples": samples})
    try:
        source = acquire(catalogue.source(plan.binding.source), held, files=sorted(inputs["files"]))
    except SciriffError as error:
        raise NotPossibleError(str(error)) from error
    for key, entry in inputs["files"].items():
        if key not in source.files:
            raise NotPossibleError(source.missing.get(key, f"{entry['url']} is not here"))
        if (found := source.files[key].sha256) != entry["sha256"]:
            raise NotPossibleError(
                f"{entry['url']}: the file here has sha256 {found[:12]}, and the artifacts were made of "
                f"{entry['sha256'][:12]}"
            )
    return source


def _tokenizer(wanted: Mapping[str, Any], settings: Settings) -> TokenizerFile:
    """The tokenizer with the hash that a manifest names.

    Raises:
        NotPossibleError: if it is not on this machine.
    """
    if (bundled := bundled_tokenizer()).sha256 == wanted["sha256"]:
        return bundled
    for name in dict.fromkeys((settings.tokenizer, wanted["name"])):
        if not name:
            continue
        try:
            found = find_tokenizer(settings.model_copy(update={"offline": True, "tokenizer": name}))
        except SciriffError:
            continue
        if found.sha256 == wanted["sha256"]:
            return found
    raise NotPossibleError(
        f"the tokenizer {wanted['name']} (sha256 {wanted['sha256'][:12]}) is not here; give it with SCIRIFF_TOKENIZER"
    )
