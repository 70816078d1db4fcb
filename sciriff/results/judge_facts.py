"""What a judge said of a run, as facts: the folder ``judge`` within the facts of the run.

It belongs to the run that its manifest names: of new replies nothing is said until they are judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from io import BytesIO
from typing import TYPE_CHECKING, Any

from sciriff.building.fingerprint import code_digest
from sciriff.hashing import digest
from sciriff.results.facts import Run, ScoredSample, write_fact_files
from sciriff.results.schema import JUDGEMENTS, JUDGES, SCORES
from sciriff.scoring.judge import Judgement, Verdict, bounds
from sciriff.scoring.metrics.statistics import MeanParts
from sciriff.scoring.outcome import Outcome, ParseStatus, Reason, SampleScore, SampleScores
from sciriff.scoring.tasks import EvalTask
from sciriff.store import SCHEMA_VERSION, Store

if TYPE_CHECKING:
    import pyarrow as pa

JUDGE_KIND = "judgements"
"""``kind`` in the manifests of such folders."""


class JudgeState(StrEnum):
    """How far the judging of a run is."""

    DONE = "done"
    """Everything was asked."""
    WAITING = "waiting"
    """Batches are under way."""
    STOPPED = "stopped"
    """Something kept the judge from being asked: no key, no money, no network, no answer from its server."""
    OFF = "off"
    """Nobody wanted a judge."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Who judges what.

    Attributes:
        name: the model's name; empty for nobody.
        identity: digest of all that its replies depend on apart from prompt and sampling.
        prompts: digest of the templates of its prompts.
        most: samples to be judged at most; None for all.
        seed: of the draw.
        sampling: how its replies are drawn.
    """

    name: str = ""
    identity: str = ""
    prompts: str = ""
    most: int | None = None
    seed: int = 0
    sampling: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """What a judge made of a run; the columns of the table ``judges``.

    Attributes:
        judge_model, judge_identity, prompts, most, seed: see :class:`Judge`.
        state: how far it is.
        note: why it is no further, or what could not be done; else empty.
        judged: samples that are to be judged.
        rated, no_answer, judge_failed: how these ended.
        asked_again: how many were asked again.
        low, high: what the metric would be if all that have no rating were worth 0, and 1; None without samples.
    """

    judge_model: str
    judge_identity: str
    prompts: str
    most: int | None
    seed: int
    state: JudgeState
    note: str = ""
    judged: int = 0
    rated: int = 0
    no_answer: int = 0
    judge_failed: int = 0
    asked_again: int = 0
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.state is not JudgeState.DONE:
            return f"not judged: {self.note}"
        parts = [f"{self.judge_model} rated {self.rated:,} of {self.judged:,}"]
        if self.no_answer:
            parts.append(f"{self.no_answer:,} without an answer, worth 0")
        if self.judge_failed:
            parts.append(
                f"{self.judge_failed:,} could not be judged, so that the metric lies between "
                f"{100 * (self.low or 0):.2f} and {100 * (self.high or 0):.2f}"
            )
        return "; ".join([*parts, self.note] if self.note else parts)


def judge_folder(run: Run) -> str:
    """Where the judgements of a run lie."""
    return f"{run.folder}/judge"


def judgements_key(run: Run, judge: Judge) -> str:
    """Digest of all that judgements depend on, apart from what the judge says."""
    return digest(
        {
            "schema": SCHEMA_VERSION,
            "run": run.run_id,
            "judge": asdict(judge),
            "code": code_digest(["sciriff.scoring.judge"]),
        }
    )


def kept_judgements(run: Run, judge: Judge, store: Store) -> JudgeReport | None:
    """What a judge made of a run, if that is in the store and another try would bring no more."""
    folder, key = judge_folder(run), judgements_key(run, judge)
    manifest = store.read_manifest(folder) or {}
    if manifest.get("key") != key or not manifest.get("complete") or not store.intact(folder, key):
        return None
    return _report(manifest)


def earlier_judgements(run: Run, store: Store) -> JudgeReport | None:
    """What any judge made of a run; None if none has judged it."""
    manifest = store.read_manifest(judge_folder(run)) or {}
    if manifest.get("run") != run.run_id or store.damaged(judge_folder(run), manifest):
        return None
    report = _report(manifest)
    return report if report.state is JudgeState.DONE else None


def _report(manifest: Mapping[str, Any]) -> JudgeReport:
    report = dict(manifest["report"])
    return JudgeReport(**{**report, "state": JudgeState(report["state"])})


def write_judgements(
    run: Run, task: EvalTask, judge: Judge, judgements: Sequence[Judgement], store: Store
) -> JudgeReport:
    """Write what a judge made of a run, in place of what there was.

    Args:
        run: the run.
        task: its task.
        judge: who judged.
        judgements: one per sample that was to be judged.
        store: where facts go.

    Raises:
        StoreError: if the store cannot be written.
    """
    from sciriff.results.fact_tables import judgements_table, scores_table

    report = summed_up(judge, judgements)
    shared = {"run_id": run.run_id, "model": run.model, "task": run.task}
    tables = {
        JUDGEMENTS.name: judgements_table({**shared, "judge_model": judge.name}, judgements),
        SCORES.name: scores_table(shared, [_scored(task, each) for each in judgements], task.judged_metrics),
    }
    complete = not any(each.may_change for each in judgements)
    _write(run, judge, report, tables, store, complete=complete)
    return report


def write_unjudged(run: Run, judge: Judge, state: JudgeState, note: str, store: Store) -> JudgeReport:
    """Write why there is no judgement of a run. Raises as :func:`write_judgements`."""
    report = unjudged(judge, state, note)
    _write(run, judge, report, {}, store, complete=False)
    return report


def _write(
    run: Run, judge: Judge, report: JudgeReport, tables: Mapping[str, pa.Table], store: Store, *, complete: bool
) -> None:
    from sciriff.results.fact_tables import judges_table

    row = {"run_id": run.run_id, "model": run.model, "task": run.task, **asdict(report)}
    folder = judge_folder(run)
    manifest = {
        "schema": SCHEMA_VERSION,
        "kind": JUDGE_KIND,
        "key": judgements_key(run, judge),
        "run": run.run_id,
        "inputs": asdict(judge),
        "report": asdict(report),
        "complete": complete,
        "files": write_fact_files(folder, {JUDGES.name: judges_table(row), **tables}, store),
    }
    if store.read_manifest(folder) != manifest:
        store.write_manifest(folder, manifest)


def summed_up(judge: Judge, judgements: Sequence[Judgement]) -> JudgeReport:
    """Count how judgements ended."""
    ended = {verdict: sum(each.verdict is verdict for each in judgements) for verdict in Verdict}
    low, high = bounds([each.value for each in judgements]) or (None, None)
    return replace(
        unjudged(judge, JudgeState.DONE, _failures(judgements)),
        judged=len(judgements),
        rated=ended[Verdict.RATED],
        no_answer=ended[Verdict.NO_ANSWER],
        judge_failed=ended[Verdict.JUDGE_FAILED],
        asked_again=sum(each.first_reply is not None for each in judgements),
        low=low,
        high=high,
    )


def unjudged(judge: Judge, state: JudgeState, note: str = "") -> JudgeReport:
    """A report that says who judges, and counts nothing."""
    return JudgeReport(judge.name, judge.identity, judge.prompts, judge.most, judge.seed, state, note)


def _failures(judgements: Sequence[Judgement]) -> str:
    """Reasons of failures with their counts, and the first error."""
    reasons = [each.reason for each in judgements if each.verdict is Verdict.JUDGE_FAILED]
    counted = [f"{reasons.count(reason)} {reason}" for reason in dict.fromkeys(reasons)]
    first_error = next((each.error for each in judgements if each.error), "")
    return "; ".join(filter(None, [", ".join(counted), first_error]))


def _scored(task: EvalTask, judgement: Judgement) -> ScoredSample:
    """A judgement as the scores of a sample; a profile without a value has no row."""
    case = judgement.case
    corrected, original = (_score(task.judged, value) for value in (judgement.value, judgement.original))
    return ScoredSample(case.instance_id, case.document_id, None, "stop", "", SampleScores(corrected, original))


def _score(metric: str, value: float | None) -> SampleScore:
    if value is None:
        return SampleScore(Outcome.SYSTEM_FAILED, Reason.NO_REPLY, ParseStatus.NOT_JSON, parsed=False)
    vectors = {metric: MeanParts(value, 1)}
    return SampleScore(Outcome.SCORED, Reason.NONE, ParseStatus.NOT_JSON, parsed=True, vectors=vectors)


def judge_prompt(run: Run, instance_id: str, store: Store) -> str | None:
    """What the judge was asked about a sample; None if it was not asked, or the run is not judged."""
    import pyarrow.parquet as pq

    folder = judge_folder(run)
    manifest = store.read_manifest(folder) or {}
    files = [file for file in manifest.get("files", {}) if file.startswith(f"{JUDGEMENTS.name}-")]
    if manifest.get("run") != run.run_id or not files:
        return None
    data = BytesIO(store.read_bytes(f"{folder}/{files[0]}"))
    rows = pq.read_table(data, columns=["prompt"], filters=[("instance_id", "=", instance_id)]).to_pylist()
    return (rows[0]["prompt"] or None) if rows else None
