"""How one reply got its score, from the prompt to the statistics, as far back as the facts and predictions go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from sciriff.building.fingerprint import code_digest
from sciriff.errors import StoreError, UsageError
from sciriff.models.predictions import read_predictions
from sciriff.results.facts import Run
from sciriff.results.index import current_index
from sciriff.results.judge_facts import judge_prompt
from sciriff.results.query import open_index
from sciriff.results.schema import STATISTICS
from sciriff.results.standing import require_model
from sciriff.scoring.outcome import Profile
from sciriff.scoring.parsing import clean, clean_original, parse, parse_original
from sciriff.scoring.rules import Rule
from sciriff.scoring.tasks import EvalTask, eval_task
from sciriff.settings import Settings
from sciriff.store import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class ProfileSide:
    """A reply in one profile.

    Attributes:
        outcome: ``scored``, ``model_failed`` or ``system_failed``.
        reason: why it was not scored; else empty.
        parse_status: what became of parsing it.
        cleaned: the reply without what the profile takes for special tokens; None without a reply.
        parsed: the JSON value that was found in it (or the default that stands in); None for plain text.
        scores: metric -> its value for this sample alone, and the statistics that it adds to the sums.
    """

    outcome: str
    reason: str
    parse_status: str
    cleaned: str | None
    parsed: Any
    scores: Mapping[str, Fields]


@dataclass(frozen=True)
class Explanation:
    """One reply and all that is known of it.

    Attributes:
        model, task, instance_id, document_id, window_tokens, split: which reply.
        prompt: exactly what the model got: text or messages; None if it is not known.
        input: the text of the instance, where the prompt is more than that.
        reply, finish_reason: what came back; None if nothing did.
        reference: the right answer.
        error: why no reply came; else empty.
        corrected, original: the reply in both profiles.
        differences: rule -> its meaning, of those rules that make the profiles differ.
        judge: what the judge was asked, what it replied and how it was read; None if no judge has seen the reply.
        versions: run id, keys and hashes of all that the score depends on.
        notes: what a reader should know of these.
    """

    model: str
    task: str
    instance_id: str
    document_id: str
    window_tokens: int
    split: str
    prompt: Any
    input: str | None
    reply: str | None
    finish_reason: str | None
    reference: str
    error: str
    corrected: ProfileSide
    original: ProfileSide
    differences: Mapping[str, str]
    judge: Fields | None
    versions: Fields
    notes: tuple[str, ...]

    def describe(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def explain(
    model: str,
    task: str,
    instance: str,
    *,
    store: Store,
    settings: Settings,
    window: int = 4096,
    split: str = "validation",
) -> Explanation:
    """Explain one reply of a current run.

    Args:
        model, task: which run.
        instance: id of the instance; what stands behind ``TASK:`` or only the end of it will do if it is the only one.
        store, settings: where the results are.
        window, split: which run.

    Raises:
        UsageError: if there is no such run or instance.
        StoreError: if the results cannot be read.
    """
    eval_task(task)
    index = current_index(store, settings)
    require_model(model, index, window, split)
    with open_index(index) as connection:
        run = _run(connection, model, task, window, split)
        sample = _sample(connection, run, instance)
        scores = _scores(connection, run, str(sample["instance_id"]))
        judge = _judge(connection, run, str(sample["instance_id"]), store)
    prediction, notes = _prediction(run, str(sample["instance_id"]), store)
    if run.scorer != code_digest(["sciriff.scoring.tasks"]):
        notes.append("the scoring code has changed since; evaluating again scores the reply anew")
    found = eval_task(task)
    return Explanation(
        model=model,
        task=task,
        instance_id=str(sample["instance_id"]),
        document_id=str(sample["document_id"]),
        window_tokens=window,
        split=split,
        prompt=prediction.get("prompt"),
        input=prediction.get("input"),
        reply=sample["reply"],
        finish_reason=sample["finish_reason"],
        reference=str(sample["reference"]),
        error=str(prediction.get("error") or ""),
        corrected=_side(Profile.CORRECTED, found, sample, scores),
        original=_side(Profile.ORIGINAL, found, sample, scores),
        differences={rule.value: rule.meaning for rule in Rule if rule.value in str(sample["differences"]).split(",")},
        judge=judge,
        versions=_versions(run, prediction),
        notes=tuple(notes),
    )


def _row(connection: DuckDBPyConnection, query: str, parameters: list[Any]) -> dict[str, Any] | None:
    result = connection.execute(query, parameters)
    names = [column[0] for column in result.description or []]
    row = result.fetchone()
    return None if row is None else dict(zip(names, row, strict=True))


def _run(connection: DuckDBPyConnection, model: str, task: str, window: int, split: str) -> Run:
    columns = ", ".join(field.name for field in fields(Run))
    query = f"""SELECT {columns} FROM runs
    WHERE is_current AND model = ? AND task = ? AND window_tokens = ? AND split = ?"""
    row = _row(connection, query, [model, task, window, split])
    if row is None:
        raise UsageError(f"{model} has no results of {task} at window {window}, split {split}")
    return Run(**row)


def _sample(connection: DuckDBPyConnection, run: Run, instance: str) -> dict[str, Any]:
    query = "SELECT * FROM samples WHERE run_id = ? AND instance_id = ?"
    if exact := _row(connection, query, [run.run_id, instance]):
        return exact
    ids = [
        name
        for (name,) in connection.execute(
            "SELECT instance_id FROM samples WHERE run_id = ? AND suffix(instance_id, ?) ORDER BY 1",
            [run.run_id, f":{instance}"],
        ).fetchall()
    ]
    if len(ids) == 1:
        return _row(connection, query, [run.run_id, ids[0]]) or {}
    from difflib import get_close_matches

    rows = connection.execute("SELECT instance_id FROM samples WHERE run_id = ?", [run.run_id]).fetchall()
    near = ids[:3] or get_close_matches(instance, [name for (name,) in rows], n=3) or [name for (name,) in rows[:3]]
    what = "is more than one instance" if ids else "is no instance"
    raise UsageError(f"{instance!r} {what} of {run.model} on {run.task}; there is {', '.join(near)}")


def _scores(connection: DuckDBPyConnection, run: Run, instance_id: str) -> dict[Profile, dict[str, Fields]]:
    """Profile -> metric -> value and statistics, in the order of the facts."""
    names = [column.name for column in STATISTICS]
    rows = connection.execute(
        f"SELECT profile, metric, value, {', '.join(names)} FROM scores WHERE run_id = ? AND instance_id = ?"
        " ORDER BY rowid",
        [run.run_id, instance_id],
    ).fetchall()
    found: dict[Profile, dict[str, Fields]] = {profile: {} for profile in Profile}
    for profile, metric, value, *numbers in rows:
        statistics = {name: number for name, number in zip(names, numbers, strict=True) if number is not None}
        found[Profile(profile)][metric] = {"value": value, **statistics}
    return found


def _side(
    profile: Profile, task: EvalTask, sample: Fields, scores: Mapping[Profile, Mapping[str, Fields]]
) -> ProfileSide:
    is_original = profile is Profile.ORIGINAL
    prefix = "original_" if is_original else ""
    reply = sample["reply"]
    cleaned = None if reply is None else (clean_original if is_original else clean)(reply)
    parsed = None
    if cleaned is not None and task.answer is not None:
        parsed = (parse_original if is_original else parse)(cleaned, task.answer).value
    return ProfileSide(
        outcome=sample[f"{prefix}outcome"],
        reason=sample[f"{prefix}reason"],
        parse_status=sample[f"{prefix}parse_status"],
        cleaned=cleaned,
        parsed=parsed,
        scores=scores[profile],
    )


def _judge(connection: DuckDBPyConnection, run: Run, instance_id: str, store: Store) -> Fields | None:
    query = "SELECT * EXCLUDE (run_id, model, task, instance_id, document_id) FROM judgements"
    row = _row(connection, f"{query} WHERE run_id = ? AND instance_id = ?", [run.run_id, instance_id])
    return None if row is None else {**row, "prompt": judge_prompt(run, instance_id, store)}


def _prediction(run: Run, instance_id: str, store: Store) -> tuple[dict[str, Any], list[str]]:
    """The line of the predictions; empty, with a note why, if it is not there."""
    try:
        folder, _, name = run.predictions.rpartition("/")
        entry = (store.read_manifest(folder) or {}).get("files", {}).get(name, {})
        if entry.get("sha256") == run.predictions_sha256:
            for line in read_predictions(store, run.predictions):
                if line["instance_id"] == instance_id:
                    return line, []
    except (OSError, StoreError, ValueError) as error:
        return {}, [f"the prompt cannot be read: {error}"]
    return {}, [f"the prompt is not known: {store.path(run.predictions)} holds other predictions by now"]


def _versions(run: Run, prediction: Fields) -> dict[str, Any]:
    from sciriff import __version__

    return {
        "run_id": run.run_id,
        "request": prediction.get("request"),
        "model_identity": run.model_identity,
        "predictions": run.predictions,
        "predictions_sha256": run.predictions_sha256,
        "instances_sha256": run.instances_sha256,
        "build_key": run.build_key,
        "data_note": run.data_note,
        "scorer": run.scorer,
        "sciriff": __version__,
    }
