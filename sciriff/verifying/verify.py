"""The whole of it: hash all files, then make a sample of each task's records anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sciriff.building.combine import INSTRUCTIONS
from sciriff.building.plan import plan_tasks, tasks_folder
from sciriff.building.progress import Progress
from sciriff.errors import ExitCode, SciriffError, UsageError
from sciriff.settings import Settings
from sciriff.store import Store
from sciriff.tasks.taskfile import load_tasks
from sciriff.verifying.combined import CombinedProof, prove_combined
from sciriff.verifying.files import Audit, Damage, audit
from sciriff.verifying.proof import Proof, prove

DEFAULT_SHARE = 0.05
DEFAULT_SEED = 0


@dataclass(frozen=True)
class TaskVerified:
    """One task.

    Attributes:
        task: its name.
        windows: windows it is built at.
        intact: files that are what their manifests say.
        damage: those that are not.
        proof: what became of the sample of its records.
    """

    task: str
    windows: tuple[int, ...]
    intact: int
    damage: tuple[Damage, ...]
    proof: Proof

    @property
    def exit_code(self) -> ExitCode:
        """FAILED for damage or records that are not what their sources give; BLOCKED for what could not be proved.

        Records that differ from what other code once made are not proved; they need not be wrong.
        """
        if self.damage or (self.proof.differences and not self.proof.other_code):
            return ExitCode.FAILED
        return ExitCode.BLOCKED if self.proof.not_possible or self.proof.differences else ExitCode.DONE


@dataclass(frozen=True)
class VerifyReport:
    """What was verified.

    Attributes:
        tasks: the built tasks, in alphabetical order.
        combined: what became of the sampled records in the combined dataset, window by window.
        others: kind of artifact -> (files that are what their manifests say, those that are not).
        unnamed: files that no manifest names.
        kinds: kind -> number of files that have no manifest by their kind.
        share, seed: which records were made anew.
    """

    tasks: tuple[TaskVerified, ...]
    combined: tuple[CombinedProof, ...]
    others: Mapping[str, tuple[int, tuple[Damage, ...]]]
    unnamed: tuple[str, ...]
    kinds: Mapping[str, int]
    share: float
    seed: int

    @property
    def exit_code(self) -> ExitCode:
        """FAILED if anything is damaged or not what it should be; BLOCKED if something could not be proved."""
        codes = {task.exit_code for task in self.tasks}
        wrong = any(damage for _, damage in self.others.values()) or any(proof.differences for proof in self.combined)
        if ExitCode.FAILED in codes or wrong:
            return ExitCode.FAILED
        unproved = any(proof.not_possible or proof.stale for proof in self.combined)
        return ExitCode.BLOCKED if ExitCode.BLOCKED in codes or unproved else ExitCode.DONE


def verify_store(
    store: Store,
    settings: Settings,
    progress: Progress,
    *,
    tasks: Sequence[str] | None = None,
    share: float = DEFAULT_SHARE,
    seed: int = DEFAULT_SEED,
) -> VerifyReport:
    """Hash all artifacts of a store, and make a sample of the records of its tasks anew.

    Args:
        store: the artifacts; nothing in it is written.
        settings: mirror, cache and tokenizer that records are made anew with; nothing is downloaded.
        progress: where progress goes.
        tasks: tasks whose records are made anew; None for all that are built. Files are hashed all the same.
        share: share of each task's source rows, above 0 and at most 1; at least one row.
        seed: another seed draws other rows.

    Raises:
        UsageError: if a task is not built, the share is out of range, or there is nothing in the store.
        StoreError: if the store cannot be read.
    """
    if not 0 < share <= 1:
        raise UsageError(f"sample {share:.1%}: give a share above 0 and at most 100%, such as 5%")
    built = _built(store)
    if tasks is not None and (unknown := sorted(set(tasks) - set(built))):
        raise UsageError(f"{', '.join(unknown)}: not built in {store.path('')}; built: {', '.join(built) or 'nothing'}")
    found = audit(store, progress)
    if not found.folders:
        raise UsageError(f"there is nothing to verify in {store.path('')}: it holds no manifest")
    wanted = [task for task in built if tasks is None or task in tasks]
    known = load_tasks(tasks_folder(settings.templates_dir))
    plans = plan_tasks([task for task in wanted if task in known], settings.templates_dir)
    verified = []
    with progress.stage("records made anew") as stage:
        for task in built:
            folders = {f"{INSTRUCTIONS}/{window}/{task}": window for window in built[task]}
            own = [folder for folder in found.folders if folder.path in folders]
            damage = tuple(each for folder in own for each in folder.damage)
            whole = [folders[folder.path] for folder in own if not folder.damage]
            manifests = {window: store.read_manifest(f"{INSTRUCTIONS}/{window}/{task}") or {} for window in whole}
            proof = Proof()
            if task in wanted and manifests:
                plan = plans.get(task, SciriffError("there is no task file of that name; give --templates-dir"))
                proof = prove(store, plan, task, manifests, share=share, seed=seed, settings=settings, stage=stage)
            intact = sum(folder.intact for folder in own)
            verified.append(TaskVerified(task, tuple(built[task]), intact, damage, proof))
    drawn = {task.task: task.proof.lines for task in verified}
    windows = sorted({window for each in built.values() for window in each})
    combined = [each for window in windows if (each := prove_combined(store, window, drawn)) is not None]
    return VerifyReport(
        tuple(verified), tuple(combined), _others(found), tuple(found.unnamed), found.kinds, share, seed
    )


def _built(store: Store) -> dict[str, list[int]]:
    """Task -> the windows it is built at, both in order."""
    found: dict[str, list[int]] = {}
    for name in store.files(INSTRUCTIONS):
        window, _, rest = name.partition("/")
        task, _, leaf = rest.partition("/")
        if window.isdigit() and leaf == "manifest.json":
            found.setdefault(task, []).append(int(window))
    return {task: sorted(found[task]) for task in sorted(found)}


def _others(found: Audit) -> dict[str, tuple[int, tuple[Damage, ...]]]:
    """The files that are no task's, by the folder below the root (or below ``results``) that they lie in."""
    kinds: dict[str, tuple[int, tuple[Damage, ...]]] = {}
    for folder in found.folders:
        parts = folder.path.split("/")
        if parts[0] == INSTRUCTIONS and len(parts) == 3:
            continue
        name = "/".join(parts[:2]) if parts[0] == "results" else parts[0]
        intact, damage = kinds.get(name, (0, ()))
        kinds[name] = intact + folder.intact, (*damage, *folder.damage)
    return dict(sorted(kinds.items()))
