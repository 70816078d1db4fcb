"""Scoring predictions that exist already: no model, key, network or GPU is needed.

What a folder holds becomes predictions of this pipeline; from there on it is as in an evaluation
(:mod:`sciriff.results.record`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Self

from sciriff.building.fingerprint import code_digest
from sciriff.building.progress import Progress, Silent
from sciriff.building.runner import Runner
from sciriff.errors import ExitCode, SciriffError, StoreError, UsageError
from sciriff.hashing import digest
from sciriff.leases import tidy
from sciriff.models.budget import Purse
from sciriff.models.data import BUILT, load_data, require_data
from sciriff.models.instances import InstanceSet, NotBuiltError
from sciriff.models.plan import AskOptions
from sciriff.models.predictions import (
    FILE,
    PREDICTIONS,
    Predictions,
    keep_predictions,
    kept_predictions,
    predictions_folder,
)
from sciriff.results.existing.collect import Collection, Existing, collect
from sciriff.results.existing.identify import Identified, Naming, identify
from sciriff.results.existing.layout import Data
from sciriff.results.existing.own import own_predictions
from sciriff.results.facts import Run
from sciriff.results.judge_facts import JudgeReport
from sciriff.results.judge_options import JudgeOptions, find_judge
from sciriff.results.judging import Confirm, by_model_and_task, judge_runs
from sciriff.results.record import NotRecorded, Recorded, TaskResult, publish, record_all
from sciriff.results.tables import DEFAULT_SPLIT, DEFAULT_WINDOW
from sciriff.scoring.outcome import Profile
from sciriff.scoring.tasks import EVAL_TASKS, eval_task
from sciriff.settings import Settings
from sciriff.store import SCHEMA_VERSION, Store


@dataclass(frozen=True)
class ReadFile:
    """What was read of one file.

    Attributes:
        model, task: what its predictions are.
        origin: the file, relative to the folder.
        found: what it holds; without the lines themselves.
    """

    model: str
    task: str
    origin: str
    found: Identified


@dataclass(frozen=True)
class ScoreReport:
    """What became of a folder of predictions.

    Attributes:
        results: every model and task that was scored.
        read: what was read of each file.
        failures: (model, task) -> what went wrong; the others went on.
        missing: model -> tasks of which there are no predictions, although there are of others.
        superseded: files that do not count -> the one that counts in their place.
        unknown: files whose names speak of no evaluation task.
        unchecked: task -> why its instances are not known, so that ids and references were not checked.
        missing_columns: summary columns without a value.
        index: the DuckDB file.
        summaries: profile -> artifact paths of each ``summary.tsv``.
        judged: (model, task) -> what the judge made of it, or why it was not asked.
        waiting: (model, task) -> what the judge waits for: money, batches under way.
    """

    results: tuple[TaskResult, ...]
    read: tuple[ReadFile, ...]
    failures: Mapping[tuple[str, str], str]
    missing: Mapping[str, tuple[str, ...]]
    superseded: Mapping[str, str]
    unknown: tuple[str, ...]
    unchecked: Mapping[str, str]
    missing_columns: tuple[str, ...]
    index: Path
    summaries: Mapping[Profile, tuple[str, ...]]
    judged: Mapping[tuple[str, str], JudgeReport] = field(default_factory=dict)
    waiting: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def exit_code(self) -> ExitCode:
        """FAILED if something failed, or if there was nothing to score; BLOCKED if the judge waits for the user."""
        if self.failures or not self.results:
            return ExitCode.FAILED
        return ExitCode.BLOCKED if self.waiting else ExitCode.DONE


def score_predictions(
    place: Path | None,
    *,
    store: Store,
    settings: Settings,
    model: str | None = None,
    tasks: Sequence[str] | None = None,
    max_instances: int | None = None,
    data: str = BUILT,
    window: int = DEFAULT_WINDOW,
    split: str = DEFAULT_SPLIT,
    judge: JudgeOptions | None = None,
    asking: AskOptions | None = None,
    confirm: Confirm | None = None,
    runner: Runner | None = None,
    progress: Progress | None = None,
) -> ScoreReport:
    """Score the predictions of a folder.

    Args:
        place: the folder, or a single file; see :mod:`sciriff.results.existing.layout`. None for what evaluations left
            in the store.
        store: where results are written.
        settings: where the index goes if the store is not a local folder.
        model: score this model only; where there is only one, what it is called.
        tasks: task names; None for all nine.
        max_instances: the first so many predictions of each file; None for all.
        data: the instances that ids, references and documents are looked up in: ``built``, ``published`` or a path.
        window, split: of predictions that do not say what they answer.
        judge: who judges summaries and answers; None for nobody.
        asking: how the judge is asked, and what it may cost.
        confirm: asked once before the judge's first request; None to go on.
        runner: who scores the replies; None for worker processes of this machine.
        progress: where to tell how far it is.

    Raises:
        UsageError: for an unknown model or task, an impossible limit, or a folder without predictions.
        StoreError: if the store cannot be written.
    """
    if max_instances is not None and max_instances < 1:
        raise UsageError(f"max instances {max_instances} is not a positive number")
    names = [eval_task(name).name for name in tasks] if tasks is not None else [task.name for task in EVAL_TASKS]
    progress = progress or Silent()
    judge, asking = judge or JudgeOptions(mode="off"), asking or AskOptions()
    if judge.mode != "off":
        find_judge(judge, settings)
    with ExitStack() as stack:
        root = Path(store.path("")) if store.is_local else None
        own = root
        if place is None:
            own = stack.enter_context(own_predictions(store))
            place = own / PREDICTIONS
        collection = collect(place, Data(window, split), but=root)
        chosen = [each for each in _of_model(collection, model, place) if each.task in names]
        require_data(data, window, split, settings, progress)
        store.check_writable()
        tidy(store)

        work = _Work(store, settings, data, max_instances, own)
        with progress.stage("read", len(chosen)) as stage:
            for existing in chosen:
                work.read_in(existing)
                stage.advance(note=f"{existing.task} {existing.model}")
    with progress.stage("score", len(work.runs)) as stage:
        for done in record_all(work.runs, store, settings.workers, runner):
            work.scored(done)
            stage.advance(note=f"{done.run.task} {done.run.model}")
    publish_all = partial(publish, work.recorded, sorted(work.data_scored), store, settings)
    runs = [each.run for each in work.recorded]
    judged = judge_runs(
        runs,
        judge,
        asking,
        Purse(most=asking.max_cost),
        store,
        settings,
        progress,
        confirm=confirm,
        before_asking=publish_all,
    )
    reports, errors = by_model_and_task(runs, judged)
    waiting = {where: str(error) for where, error in errors.items() if error.exit_code is ExitCode.BLOCKED}
    work.failures |= {where: str(error) for where, error in errors.items() if where not in waiting}
    published = publish_all()
    work.failures |= published.replaced
    return ScoreReport(
        results=published.results,
        read=tuple(work.read),
        failures=work.failures,
        missing=_missing(chosen, names),
        superseded=collection.superseded,
        unknown=collection.unknown,
        unchecked=work.unchecked,
        missing_columns=published.missing_columns,
        index=published.index,
        summaries=published.summaries,
        judged=reports,
        waiting=waiting,
    )


def _of_model(collection: Collection, model: str | None, place: Path) -> list[Existing]:
    """The predictions of one model, or of all."""
    there = sorted({each.model for each in collection.predictions})
    if not there:
        hint = f"; {', '.join(collection.unknown[:3])} speak of no evaluation task" if collection.unknown else ""
        raise UsageError(
            f"predictions {place}: found none{hint}; expected a folder per model, in it a folder per task with "
            "samples_<task>_<date>.jsonl of lm-evaluation-harness, or <task>.jsonl with prompt, pred and ref"
        )
    if model is None or model in there:
        return [each for each in collection.predictions if model in (None, each.model)]
    if not model.strip(".") or "/" in model:
        raise UsageError(f"model {model!r}: results are filed under this name, so it may hold no slash")
    if len(there) > 1:
        near = get_close_matches(model, there, n=3) or there
        raise UsageError(f"predictions {place}: no model {model!r}; did you mean {', '.join(near)}?")
    return [replace(each, model=model) for each in collection.predictions]


def _missing(chosen: Sequence[Existing], tasks: Sequence[str]) -> dict[str, tuple[str, ...]]:
    there = {(each.model, each.task) for each in chosen}
    by_model = {
        model: tuple(task for task in tasks if (model, task) not in there) for model in sorted({m for m, _ in there})
    }
    return {model: missing for model, missing in by_model.items() if missing}


@dataclass
class _Work:
    """Reading one file after the other, and what came of it; fields as of :class:`ScoreReport`."""

    store: Store
    settings: Settings
    data: str
    max_instances: int | None
    own: Path | None  # the folder that predictions of this very store lie in, laid out as the store
    runs: list[Run] = field(default_factory=list)
    read: list[ReadFile] = field(default_factory=list)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    unchecked: dict[str, str] = field(default_factory=dict)
    _known: dict[tuple[str, Data], InstanceSet | None] = field(default_factory=dict)
    _recorded: dict[str, Recorded] = field(default_factory=dict)

    def read_in(self, existing: Existing) -> None:
        """Make a run of the predictions of one file; what goes wrong is told of it."""
        try:
            self.runs.append(self._run(existing))
        except SciriffError as error:
            self.failures[existing.model, existing.task] = str(error)
        except OSError as error:
            self.failures[existing.model, existing.task] = f"{existing.origin} cannot be read: {error}"

    def scored(self, done: Recorded | NotRecorded) -> None:
        """Take in what became of a run."""
        if isinstance(done, Recorded):
            self._recorded[done.run.run_id] = done
        else:
            self.failures[done.run.model, done.run.task] = str(done.error)

    @property
    def recorded(self) -> list[Recorded]:
        """Runs that are scored, in the order of the files."""
        return [self._recorded[run.run_id] for run in self.runs if run.run_id in self._recorded]

    @property
    def data_scored(self) -> set[tuple[int, str]]:
        """Windows and splits of the runs that are scored."""
        return {(each.run.window_tokens, each.run.split) for each in self.recorded}

    def _run(self, existing: Existing) -> Run:
        instances = self._instances(existing.task, existing.data)
        content = existing.read()
        found = identify(content.values, existing.task, instances.instances if instances else ())
        self.read.append(ReadFile(existing.model, existing.task, existing.origin, replace(found, lines=())))
        if not found.lines:
            first = f"; line {found.bad[0].number}: {found.bad[0].reason}" if found.bad else ""
            raise SciriffError(f"{existing.origin} holds no predictions{first}")
        kept = self._in_place(existing)
        predictions = kept or self._keep(existing, found, content.sha256, instances)
        asked = _Asked.of(existing.manifest) if kept else _Asked()
        checked = instances if found.answered else None
        return Run(
            model=existing.model,
            task=existing.task,
            window_tokens=existing.data.window,
            split=existing.data.split,
            sample_limit=self.max_instances or asked.limit,
            data_note=_note(found, checked, is_ours=bool(asked.instances_sha256)),
            build_key=asked.build_key or (checked.build_key if checked else ""),
            instances_sha256=asked.instances_sha256 or (checked.sha256 if checked else ""),
            predictions=predictions.path,
            predictions_sha256=predictions.sha256,
            model_identity=predictions.model_identity,
            scorer=code_digest(["sciriff.scoring.tasks"]),
        )

    def _instances(self, task: str, data: Data) -> InstanceSet | None:
        """The instances that predictions are checked against; None if there are none."""
        if (task, data) not in self._known:
            self._known[task, data] = None
            try:
                self._known[task, data] = load_data(
                    self.data, task, data.window, data.split, store=self.store, settings=self.settings
                )
            except NotBuiltError as error:
                self.unchecked[task] = str(error)
        return self._known[task, data]

    def _in_place(self, existing: Existing) -> Predictions | None:
        """Predictions that lie in the store already, where they belong."""
        folder = predictions_folder(existing.model, existing.task, *existing.data)
        if self.own is None or (self.own / folder / FILE).resolve() != existing.path.resolve():
            return None
        manifest = self.store.read_manifest(folder) or {}
        kept = kept_predictions(folder, str(manifest.get("key")), self.store)
        if kept is None:
            raise StoreError(
                f"{existing.path} was changed after it was written; evaluate the model again, or copy the file to "
                "another folder and score that"
            )
        return kept

    def _keep(self, existing: Existing, found: Identified, sha256: str, instances: InstanceSet | None) -> Predictions:
        folder = predictions_folder(existing.model, existing.task, *existing.data)
        parts = {"existing": sha256, "instances": instances.sha256 if instances else "", "data": list(existing.data)}
        key = digest({"schema": SCHEMA_VERSION, **parts, "code": code_digest(["sciriff.results.existing.identify"])})
        if kept := kept_predictions(folder, key, self.store):
            return kept
        about = {
            "model": existing.model,
            "model_identity": existing.model_identity,
            "inputs": {"path": existing.origin, "sha256": sha256},
            "parameters": {"window": existing.data.window, "split": existing.data.split, "limit": None},
        }
        lines = ({**line, "model": existing.model} for line in found.lines)
        return keep_predictions(folder, key, lines, about, self.store)


@dataclass(frozen=True)
class _Asked:
    """What an evaluation of ours says of the instances that it asked about; fields as of :class:`Run`."""

    build_key: str = ""
    instances_sha256: str = ""
    limit: int | None = None

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Self:
        """Read it from the manifest of predictions; of those that did not come about here it says nothing."""
        inputs, parameters = manifest.get("inputs", {}), manifest.get("parameters", {})
        if not parameters.get("instances"):
            return cls()
        return cls(str(inputs.get("build_key", "")), str(parameters["instances"]), parameters.get("limit"))


def _note(found: Identified, instances: InstanceSet | None, *, is_ours: bool) -> str:
    """What a reader of the scores should know of the predictions."""
    notes = [] if is_ours else ["existing predictions"]
    if instances is not None and instances.note:
        notes.append(instances.note)
    if found.bad:
        notes.append(f"{len(found.bad)} unreadable")
    if found.naming.get(Naming.NUMBERED):
        notes.append("instances numbered by line")
    return ", ".join(notes)
