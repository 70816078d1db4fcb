"""Building one task: sample, render, split, write, validate, publish."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sciriff.building.assembly import Assembly, assemble, left_out
from sciriff.building.instances import Recipe, make_instances
from sciriff.building.options import BuildOptions
from sciriff.building.outcome import TaskOutcome, outcome_of_manifests
from sciriff.building.plan import TaskPlan
from sciriff.building.pool import WorkerPool
from sciriff.building.progress import Progress
from sciriff.building.rows import SplitRows, Tally, batches
from sciriff.building.sampling import Selection, SplitSample
from sciriff.building.tokens import TokenizerFile
from sciriff.building.validate import ValidationResult, read_result, result_path, validate
from sciriff.building.validate import prepare as prepare_validation
from sciriff.building.writing import write_windows
from sciriff.errors import SourceError, StoppedError, ValidationFailedError
from sciriff.hashing import keyed_rank
from sciriff.leases import Lease, lease
from sciriff.readers import load_reader
from sciriff.sources.archives import MissingMemberError
from sciriff.sources.fetch import AcquiredSource
from sciriff.store import MANIFEST, SCHEMA_VERSION, Store, sealed

_NAMED_RECORDS = 20


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all tasks of a build share.

    Attributes:
        store: where artifacts go.
        options: the build's parameters.
        pool: worker processes.
        progress: where progress goes.
        force: build even what is there and intact, unless another run has built it while this one waited for it.
        stop: set to end what is under way, and what waits for others.
    """

    store: Store
    options: BuildOptions
    pool: WorkerPool
    progress: Progress
    force: bool = False
    stop: threading.Event = field(default_factory=threading.Event)


def folder(window: int, task: str) -> str:
    """Where the files of a task lie in the store, for one window."""
    return f"instructions/{window}/{task}"


def build_task(
    plan: TaskPlan, source: AcquiredSource, tokenizer: TokenizerFile, shop: Workshop, *, waiting: bool = True
) -> TaskOutcome:
    """Build one task in all windows, unless intact artifacts of the same key are there.

    Args:
        plan: the task.
        source: the files that it needs, on local disk.
        tokenizer: what tokens are counted with.
        shop: what all tasks of the build share.
        waiting: whether to wait for another run that is building the task.

    Raises:
        BusyError: if another run is building the task, and it is not to be waited for.
        SciriffError: if the task cannot be built; nothing of it was published then, and what was there before still is.
    """
    started = time.monotonic()
    recipe = plan.recipe(source, tokenizer, shop.options)
    reason = "forced" if shop.force else why_build(shop.store, recipe)
    if not reason:
        return _cached(recipe, shop.store, started)
    _refuse_lesser_source(plan, source, shop)
    before = _versions(recipe, shop.store) if shop.force else ()
    with _lease(recipe, shop, waiting) as held:
        is_new = not shop.force or _versions(recipe, shop.store) != before
        if is_new and not why_build(shop.store, recipe):  # another run has just done it
            return _cached(recipe, shop.store, started)
        manifests = _build(plan, recipe, source, tokenizer, shop, held)
    if not manifests:
        return _cached(recipe, shop.store, started)
    return outcome_of_manifests(recipe.task, "built", manifests, time.monotonic() - started, reason)


def _lease(recipe: Recipe, shop: Workshop, waiting: bool) -> AbstractContextManager[Lease]:
    unit, doing = f"build/{recipe.task}", f"{recipe.task} is being built"
    return lease(shop.store, unit, doing=doing, tell=shop.progress.log, stop=shop.stop, waiting=waiting)


def _cached(recipe: Recipe, store: Store, started: float) -> TaskOutcome:
    manifests = {window: store.read_manifest(folder(window, recipe.task)) or {} for window in recipe.windows}
    return outcome_of_manifests(recipe.task, "cached", manifests, time.monotonic() - started)


def _versions(recipe: Recipe, store: Store) -> tuple[str | None, ...]:
    return tuple(store.version(f"{folder(window, recipe.task)}/{MANIFEST}") for window in recipe.windows)


def _build(
    plan: TaskPlan, recipe: Recipe, source: AcquiredSource, tokenizer: TokenizerFile, shop: Workshop, held: Lease
) -> dict[int, dict[str, Any]]:
    """Build and publish; returns the manifests, none if another run took over and has done it."""
    shop.pool.prepare()
    prepare_validation()
    with shop.store.workspace() as workspace:
        sampled = _sample_splits(plan, recipe, source, shop, workspace)
        assembly = assemble(
            recipe.task,
            recipe.seed,
            sampled.selections,
            standardise=plan.task_file.standardize_splits,
            split_by=shop.options.split_by,
            keep_repeated=_keeps_repeated_splits(recipe),
        )
        with ThreadPoolExecutor(1, thread_name_prefix="write") as thread:
            writing = thread.submit(write_windows, assembly.windows, workspace, shop.pool)
            result = validate(recipe.task, plan.suite, assembly.windows)
        files = writing.result()
        if not result.success:
            raise ValidationFailedError(f"{recipe.task}: does not meet its expectations; " + "; ".join(result.failures))
        manifests = _manifests(plan, recipe, source, tokenizer, sampled, assembly, files, shop.options)
        was_ours = held.ensure(f"{recipe.task} is being built", shop.progress.log, shop.stop)
        if not was_ours and not why_build(shop.store, recipe):
            return {}
        _publish(shop.store, result, manifests, workspace, held)
    return manifests


def why_build(store: Store, recipe: Recipe) -> str:
    """Why the artifacts in the store will not do; empty if they will."""
    for window in recipe.windows:
        where = folder(window, recipe.task)
        manifest = store.read_manifest(where)
        if manifest is None:
            there = store.files(where)
            return ("damaged manifest" if MANIFEST in there else "unfinished artifacts") if there else "no artifacts"
        if manifest.get("key") != recipe.key:
            return "inputs, parameters, templates or code changed"
        if damaged := store.damaged(where, manifest):
            return f"damaged artifacts: {', '.join(damaged)} at window {window}"
    return "" if read_result(store, recipe.task) is not None else "no whole validation result"


def _refuse_lesser_source(plan: TaskPlan, source: AcquiredSource, shop: Workshop) -> None:
    """Do not let the bundled samples replace what was built from real data."""
    if shop.force or not is_sample(source):
        return
    for window in shop.options.windows:
        manifest = shop.store.read_manifest(folder(window, plan.name))
        if manifest is not None and not manifest["inputs"]["sample"]:
            raise SourceError(
                f"{plan.name}: its source is out of reach, and the artifacts in {shop.store.url} were built from real "
                "data; they are kept. Check the network, set SCIRIFF_MIRROR, or use --force to replace them with "
                "the bundled samples"
            )


def is_sample(source: AcquiredSource) -> bool:
    """Whether a source is a bundled miniature."""
    return any(file.origin == "sample" for file in source.files.values())


@dataclass(frozen=True, slots=True)
class _Sampled:
    selections: Mapping[int, Mapping[str, Selection]]
    sizes: Mapping[str, int]
    malformed: Mapping[str, list[str]]
    passed_over: Mapping[str, Mapping[str, Tally]]
    notes: tuple[str, ...]


def _sample_splits(plan: TaskPlan, recipe: Recipe, source: AcquiredSource, shop: Workshop, workspace: Path) -> _Sampled:
    """Examine the rows of every source split until all windows are full or no row is left."""
    files = {key: source.files[key] for key in plan.files() if key in source.files}
    splits: dict[str, SplitRows] = {}
    notes: list[str] = []
    # side by side, so that workers need not wait for the next split to be opened or for the last rows of one
    at_once = len(recipe.splits) if shop.pool.workers > 1 else 1
    with ThreadPoolExecutor(at_once, thread_name_prefix="split") as threads:
        sampling = {}
        for split, rows in _open_splits(plan, recipe, source, notes):
            splits[split] = rows
            sampling[split] = threads.submit(_sample, recipe, split, rows, shop, workspace)
        samples = {split: future.result() for split, future in sampling.items()}
    if not splits:
        urls = ", ".join(file.url for file in files.values())
        raise SourceError(f"{recipe.task}: its source ({urls}) holds no records; " + "; ".join(notes))
    notes += [f"{file.url}: {file.note or file.origin}" for file in files.values() if file.partial]
    return _Sampled(
        selections={
            window: {split: sample.select(window) for split, sample in samples.items()} for window in recipe.windows
        },
        sizes={split: sample.size for split, sample in samples.items()},
        malformed={split: sample.malformed for split, sample in samples.items() if sample.malformed},
        passed_over={split: rows.passed_over for split, rows in splits.items() if rows.passed_over},
        notes=tuple(notes),
    )


def _keeps_repeated_splits(recipe: Recipe) -> bool:
    """Whether a source split that only repeats another one counts as a split of its own, as in the original."""
    return recipe.fidelity == "original"


def _open_splits(
    plan: TaskPlan, recipe: Recipe, source: AcquiredSource, notes: list[str]
) -> Iterator[tuple[str, SplitRows]]:
    """Open the source splits that hold rows of their own, one after the other; notes on the others are added."""
    view = source.view()
    reader = load_reader(recipe.reader)
    seen: dict[bytes, str] = {}
    leave_out_copies = plan.task_file.standardize_splits and not _keeps_repeated_splits(recipe)
    for split, spec in recipe.splits.items():
        if (key := spec.path.split("!", 1)[0]) in source.missing:
            notes.append(f"source split {split} missing: {source.source.files[key].url} is not available")
            continue
        try:
            rows = SplitRows(reader, view, spec)
        except MissingMemberError:
            if not source.partial:
                raise
            notes.append(f"source split {split} missing: the partial source has no {spec.path}")
            continue
        if not rows.size:
            notes += [f"source split {split} holds no records", *_passed_over(split, rows.passed_over)]
        elif leave_out_copies and (same := seen.setdefault(rows.likeness, split)) != split:
            notes.append(left_out(split, same))
        else:
            yield split, rows


def _passed_over(split: str, tallies: Mapping[str, Tally]) -> list[str]:
    """A note on each reason for which the reader left records of a split out."""
    return [f"passed over in {split}: {reason}: {count}, the first: {at}" for reason, (count, at) in tallies.items()]


def _sample(recipe: Recipe, split: str, rows: SplitRows, shop: Workshop, workspace: Path) -> SplitSample:
    """Examine the rows of one source split, in rounds."""
    rank = keyed_rank(recipe.seed, recipe.task, split, "sample")
    sample = SplitSample(rows.size, rank, recipe.windows, shop.options.n_instances)
    with shop.progress.stage(f"{recipe.task} {split}", rows.size) as stage:
        while indices := sample.next_round():
            work = partial(make_instances, recipe, split, windows=sample.asked, spool=workspace)
            for batch in shop.pool.map_unordered(work, batches(rows.pick(indices))):
                if shop.stop.is_set():
                    raise StoppedError(f"{recipe.task}: stopped before it was built")
                sample.add(batch)
                stage.advance(batch.rows)
    return sample


def _manifests(
    plan: TaskPlan,
    recipe: Recipe,
    source: AcquiredSource,
    tokenizer: TokenizerFile,
    sampled: _Sampled,
    assembly: Assembly,
    files: Mapping[int, Mapping[str, Any]],
    options: BuildOptions,
) -> dict[int, dict[str, Any]]:
    """The manifest of each window. Holds no time, host or path: equal builds give equal manifests."""
    malformed = {split: len(messages) for split, messages in sampled.malformed.items()}
    notes = [*sampled.notes, *assembly.notes]
    for split, messages in sampled.malformed.items():
        notes.append(f"malformed records in {split}: {len(messages)}, the first: {messages[0]}")
    for split, tallies in sampled.passed_over.items():
        notes += _passed_over(split, tallies)
    for (earlier, later), shared in assembly.shared.items():
        if shared.texts:
            notes.append(f"instances of {later} whose text also stands in {earlier}: {shared.texts}")
        if shared.documents > shared.texts:
            notes.append(f"instances of {later} whose document also stands in {earlier}: {shared.documents}")
    common = {
        "schema": SCHEMA_VERSION,
        "kind": "task",
        "task": recipe.task,
        "metadata": dict(recipe.metadata),
        "key": recipe.key,
        "inputs": {
            "source": source.source.id,
            "files": {
                key: {
                    "url": file.url,
                    "sha256": file.sha256,
                    "bytes": file.bytes,
                    "origin": file.origin,
                    "note": file.note,
                }
                for key, file in source.files.items()
                if key in plan.files()
            },
            "missing": [source.source.files[key].url for key in source.missing if key in plan.files()],
            "partial": source.partial,
            "sample": is_sample(source),
            "licence": source.source.licence.id,
        },
        "parameters": options.describe(),
        "tokenizer": {"name": tokenizer.name, "sha256": tokenizer.sha256},
        "code": plan.code(),
        "source_rows": dict(sampled.sizes),
        "malformed": {split: messages[:_NAMED_RECORDS] for split, messages in sampled.malformed.items()},
        "malformed_records": malformed,
        "passed_over": {
            split: {reason: tally.records for reason, tally in tallies.items()}
            for split, tallies in sampled.passed_over.items()
        },
        "shared": {
            f"{earlier}/{later}": {"texts": shared.texts, "documents": shared.documents, "first": list(shared.first)}
            for (earlier, later), shared in assembly.shared.items()
        },
        "notes": notes,
    }
    return {
        window: {
            **common,
            "window": window,
            "dropped": {split: dict(selection.dropped) for split, selection in sampled.selections[window].items()},
            "tokens": sum(instance.tokens for placed in assembly.windows[window].values() for instance in placed),
            "files": files[window],
        }
        for window in recipe.windows
    }


def _publish(
    store: Store, result: ValidationResult, manifests: Mapping[int, dict[str, Any]], workspace: Path, held: Lease
) -> None:
    """Put finished files into the store: old manifests go first, then come data, validation result and new
    manifests. All of them are written before anything old goes: a full disk costs nothing of what was there."""
    report = workspace / "validation.json"
    report.write_bytes(result.serialised())
    sealed_manifests = {window: workspace / f"{window}-{MANIFEST}" for window in manifests}
    for window, manifest in manifests.items():
        sealed_manifests[window].write_bytes(sealed(manifest))
    for window in manifests:
        store.delete(f"{folder(window, result.task)}/{MANIFEST}")
    for window, manifest in manifests.items():
        for name in manifest["files"]:
            store.publish(f"{folder(window, result.task)}/{name}", workspace / str(window) / name)
    store.publish(result_path(result.task), report)
    held.require(result.task)
    for window, path in sealed_manifests.items():
        store.publish(f"{folder(window, result.task)}/{MANIFEST}", path)
