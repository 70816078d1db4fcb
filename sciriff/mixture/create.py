"""Make a training mixture: the first records of each training task, general chat data beside them, in a keyed order.

Nothing is drawn by a running generator: which general records are taken and where each record ends up are ranks of the
record's own name, so the bytes depend on the inputs and the seed alone (catalogue, templating 11 and 13).
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson

from sciriff.building.combine import INSTRUCTIONS, built_tasks, provenance
from sciriff.building.progress import Progress, Silent, Stage
from sciriff.building.spool import LineSpool, Slot
from sciriff.errors import SourceError, StoreError, UsageError
from sciriff.hashing import digest, file_sha256, keyed_rank
from sciriff.leases import Lease, lease, tidy
from sciriff.mixture.chat import chat_record, fault, is_science
from sciriff.mixture.tulu import read_chat_rows
from sciriff.store import MANIFEST, SCHEMA_VERSION, Store, sealed
from sciriff.tasks.evaluation_tasks import EVAL_TASKS

TuluChoice = Literal["all", "match", "none"]

MIXTURES = "training_mix"
DEFAULT_SEED = 76


@dataclass(frozen=True)
class MixtureOutcome:
    """What became of a mixture.

    Args:
        state: ``written`` now, or ``cached``: already there for these very inputs.
        path: the mixture, relative to the store root.
        tasks: records taken per task, tasks sorted.
        held_out: evaluation tasks that are built but were left out.
        tulu: general records taken.
        dropped: general records left out, by reason; science records among them are counted as ``science``.
        key: content key.
    """

    state: Literal["written", "cached"]
    path: str
    tasks: dict[str, int]
    held_out: tuple[str, ...]
    tulu: int
    dropped: dict[str, int]
    key: str

    @property
    def science(self) -> int:
        """Science records taken, over all tasks."""
        return sum(self.tasks.values())


class _Placed(NamedTuple):
    """A spooled record and its rank in the final order; ``name`` settles equal ranks."""

    rank: int
    name: str
    slot: Slot


def mixture_name(instances_per_task: int | None, tulu: TuluChoice, include_eval_tasks: bool) -> str:
    """File name without ending, as the original names its mixtures."""
    per_task = "all" if instances_per_task is None else instances_per_task
    return f"tulu_{tulu}_science_{per_task}_eval_{'yes' if include_eval_tasks else 'no'}"


def create_mixture(
    store: Store,
    *,
    instances_per_task: int | None,
    tulu: TuluChoice,
    include_eval_tasks: bool,
    window: int,
    seed: int = DEFAULT_SEED,
    tulu_files: Sequence[Path] | None = None,
    progress: Progress | None = None,
) -> MixtureOutcome:
    """Write ``training_mix/tulu_{tulu}_science_{n}_eval_{yes|no}.jsonl`` and its manifest.

    Args:
        store: where the built tasks lie and the mixture goes.
        instances_per_task: most records of each task's ``train.jsonl``; these lie in random order, so the first are a
            sample. None takes all, 0 takes no science.
        tulu: general records: ``all``, as many as there are science records (``match``), or ``none``.
        include_eval_tasks: also take the tasks held out for evaluation.
        window: context window, in tokens, whose instances are taken.
        seed: seed of the choice of general records and of the final order.
        tulu_files: the general data, Parquet or JSON lines; needed unless ``tulu`` is ``none``.
        progress: where progress goes; nowhere by default.

    Raises:
        UsageError: if the options ask for an empty mixture, or no task is built at the window.
        SourceError: if the general data cannot be read or has nothing usable.
        StoreError: if the store cannot be read or written, or a task changed since it was built.
    """
    if instances_per_task is not None and instances_per_task < 0:
        raise UsageError(f"instances per task must be 0 or more, not {instances_per_task}")
    if tulu != "none" and not tulu_files:
        raise UsageError(f"tulu={tulu} needs the Tulu files; give them or use tulu=none")
    files = tuple(tulu_files or ()) if tulu != "none" else ()
    built = built_tasks(store, window) if instances_per_task != 0 else []
    tasks = [task for task in built if include_eval_tasks or task not in EVAL_TASKS]
    held_out = tuple(task for task in built if task not in tasks)
    if not tasks and instances_per_task != 0:
        remark = f" other than the evaluation tasks {', '.join(held_out)}" if held_out else ""
        raise UsageError(f"no task{remark} is built at window {window} in {store.path('')}; run `sciriff build` first")
    if not tasks and tulu != "all":
        raise UsageError(f"0 instances per task with tulu={tulu} is an empty mixture; use tulu=all or more instances")

    stem = mixture_name(instances_per_task, tulu, include_eval_tasks)
    read = store.read_manifests({task: _task_folder(window, task) for task in tasks})
    manifests = {task: manifest or {} for task, manifest in read.items()}
    inputs = {
        "tasks": {task: [manifest["key"], manifest["files"]["train.jsonl"]] for task, manifest in manifests.items()},
        "tulu": [_tulu_sha256(path) for path in files],
    }
    parameters = {
        "instances_per_task": instances_per_task,
        "tulu": tulu,
        "include_eval_tasks": include_eval_tasks,
        "window": window,
        "seed": seed,
    }
    key = digest([SCHEMA_VERSION, "mixture", inputs, parameters])
    wanted = _Wanted(stem, key, window, manifests, held_out, files, inputs, parameters)
    tidy(store)
    if found := _kept(wanted, store):
        return found
    progress = progress or Silent()
    with lease(store, f"mix/{stem}", doing=f"{stem} is being mixed", tell=progress.log) as held:
        return _kept(wanted, store) or _mix(wanted, store, progress, held)


@dataclass(frozen=True)
class _Wanted:
    """A mixture that is asked for: its name and key, and what it is made of."""

    stem: str
    key: str
    window: int
    manifests: Mapping[str, dict[str, Any]]
    held_out: tuple[str, ...]
    files: tuple[Path, ...]
    inputs: Mapping[str, Any]
    parameters: Mapping[str, Any]

    @property
    def path(self) -> str:
        return f"{MIXTURES}/{self.stem}.jsonl"

    @property
    def manifest_path(self) -> str:
        return f"{MIXTURES}/{self.stem}.manifest.json"


def _kept(wanted: _Wanted, store: Store) -> MixtureOutcome | None:
    """The mixture, if it is there for these very inputs."""
    done = store.read_manifest_file(wanted.manifest_path) or {}
    if done.get("key") != wanted.key or store.damaged(MIXTURES, done):
        return None
    counts = done["counts"]
    return MixtureOutcome(
        "cached", wanted.path, counts["tasks"], wanted.held_out, counts["tulu"], counts["dropped"], wanted.key
    )


def _mix(wanted: _Wanted, store: Store, progress: Progress, held: Lease) -> MixtureOutcome:
    """Write the mixture and its manifest."""
    window, parameters = wanted.window, wanted.parameters
    seed, tulu = parameters["seed"], parameters["tulu"]
    for task, manifest in wanted.manifests.items():
        if bad := store.damaged(_task_folder(window, task), manifest):
            raise StoreError(
                f"{', '.join(bad)} of {task} at window {window} missing or changed since the build; run "
                f"`sciriff build --tasks {task}` again"
            )
    with store.workspace() as workspace, LineSpool(workspace) as spool:
        science, general = _Order(seed, "science", spool), _Order(seed, "tulu", spool)
        taken = {}
        with progress.stage("mixture: science tasks", len(wanted.manifests)) as stage:
            for task in wanted.manifests:
                taken[task] = _take_science(store, window, task, parameters["instances_per_task"], science)
                stage.advance(note=task)
        with progress.stage("mixture: Tulu rows") as stage:
            limit = None if tulu == "all" else sum(taken.values())
            dropped = _take_tulu(wanted.files, seed, limit, general, stage)
        placed = sorted([*science.placed, *general.placed])
        entry = _write(spool.read(item.slot for item in placed), workspace / "mixture.jsonl")
        counts = {"tasks": taken, "tulu": len(general.placed), "dropped": dropped}
        manifest = {
            "schema": SCHEMA_VERSION,
            "key": wanted.key,
            "kind": "mixture",
            "inputs": wanted.inputs,
            "parameters": parameters,
            "counts": counts,
            "provenance": provenance(wanted.manifests),
            "files": {f"{wanted.stem}.jsonl": entry | {"rows": len(placed)}},
        }
        (workspace / MANIFEST).write_bytes(sealed(manifest))
        # All is written before anything old goes: a full disk costs nothing of what was there.
        _refuse_replaced(wanted, store)
        held.require(wanted.stem)
        store.delete(wanted.manifest_path)
        store.publish(wanted.path, workspace / "mixture.jsonl")
        held.require(wanted.stem)
        store.publish(wanted.manifest_path, workspace / MANIFEST)
    return MixtureOutcome("written", wanted.path, taken, wanted.held_out, len(general.placed), dropped, wanted.key)


def _refuse_replaced(wanted: _Wanted, store: Store) -> None:
    """Make sure that the tasks were not built anew while they were read.

    Who publishes a task takes its manifest away before it touches the files.
    """
    for task, manifest in wanted.manifests.items():
        if store.read_manifest(_task_folder(wanted.window, task)) != manifest:
            raise StoreError(
                f"{task} at window {wanted.window} was replaced while it was being mixed, by a build that runs at the "
                "same time; mix again when that is done"
            )


def _task_folder(window: int, task: str) -> str:
    return f"{INSTRUCTIONS}/{window}/{task}"


class _Order:
    """Spools records of one part and notes their places in the final order."""

    def __init__(self, seed: int, part: str, spool: LineSpool) -> None:
        self._rank = keyed_rank(seed, "mixture", "order", part)
        self._part = part
        self._spool = spool
        self.placed: list[_Placed] = []

    def spool(self, record: dict[str, Any]) -> Slot:
        return self._spool.add(orjson.dumps(record, default=str) + b"\n")

    def place(self, name: str, slot: Slot) -> None:
        self.placed.append(_Placed(self._rank(name), f"{self._part}:{name}", slot))


def _take_science(store: Store, window: int, task: str, limit: int | None, order: _Order) -> int:
    """Spool the first records of a task's training split; return how many."""
    taken = 0
    with store.open_read(f"{_task_folder(window, task)}/train.jsonl") as stream:
        for line in stream:
            if taken == limit:
                break
            order.place(f"{task}:{taken}", order.spool(chat_record(task, orjson.loads(line))))
            taken += 1
    return taken


def _take_tulu(files: Sequence[Path], seed: int, limit: int | None, order: _Order, stage: Stage) -> dict[str, int]:
    """Spool the general records of lowest rank, in one pass; return the records left out by reason.

    With a limit, a heap holds the best so far. A record that a better one pushes out stays in the spool unread: over a
    random order that is about ``limit * ln(rows / limit)`` of them.
    """
    if not files:
        return {}
    rank = keyed_rank(seed, "mixture", "tulu")
    best: list[tuple[int, int, Slot]] = []  # (-rank, -place, slot): the worst one on top
    dropped: Counter[str] = Counter()
    for place, record in read_chat_rows(files):
        stage.advance()
        if reason := _reason_to_drop(record):
            dropped[reason] += 1
            continue
        item = (-rank(place), -place)
        if limit is None or len(best) < limit:
            heapq.heappush(best, (*item, order.spool(record)))
        elif limit and item > best[0][:2]:
            heapq.heapreplace(best, (*item, order.spool(record)))
    if not best and limit != 0:
        found = ", ".join(f"{reason}: {count}" for reason, count in sorted(dropped.items())) or "no rows"
        raise SourceError(f"no usable record in {', '.join(map(str, files))} ({found}); each needs a messages list")
    for _, negative_place, slot in best:
        order.place(str(-negative_place), slot)
    return dict(sorted(dropped.items()))


def _reason_to_drop(record: Any) -> str | None:
    if record is None:
        return "not JSON"
    return fault(record) or ("science" if is_science(record) else None)


def _tulu_sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise SourceError(f"Tulu file {path} cannot be read: {error}") from error


def _write(lines: Iterator[bytes], local: Path) -> dict[str, Any]:
    """Write the lines to a local file; return its sha256 and size."""
    hasher = hashlib.sha256()
    size = 0
    with local.open("wb") as stream:
        for line in lines:
            stream.write(line)
            hasher.update(line)
            size += len(line)
    return {"sha256": hasher.hexdigest(), "bytes": size}
