"""Predictions of models: of baselines by asking them, of others out of the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from sciriff.building.fingerprint import code_digest
from sciriff.errors import BlockedError, ExitCode, ModelError, SciriffError, TransientModelError, can_pass
from sciriff.hashing import digest
from sciriff.models.ask_model import Asked
from sciriff.models.baselines import baseline
from sciriff.models.instances import InstanceSet
from sciriff.models.ledger import Ledger
from sciriff.models.lines import dump_line
from sciriff.models.plan import ModelPlan, TaskPlan
from sciriff.models.predictions import Predictions, keep_predictions, kept_predictions, predictions_folder
from sciriff.models.registry import Price
from sciriff.models.requests import Answer, Prompt
from sciriff.store import SCHEMA_VERSION, Store


def predict_baseline(name: str, instances: InstanceSet, store: Store) -> Predictions:
    """Have every instance answered by a baseline, unless that was done before.

    Raises:
        UsageError: if there is no such baseline.
        StoreError: if the store cannot be written.
    """
    answer = baseline(name)
    identity = digest({"backend": "baseline", "name": name, "code": code_digest(["sciriff.models.baselines"])})
    folder = predictions_folder(name, instances.task, instances.window, instances.split)
    key = digest({"schema": SCHEMA_VERSION, "model": identity, "asked": _parameters(instances)})
    if kept := kept_predictions(folder, key, store):
        return kept
    lines = (
        _line(name, instance, str(instance["input"]), Answer("", answer(instance), "stop"))
        for instance in instances.instances
    )
    return keep_predictions(folder, key, lines, _about(name, identity, instances), store)


def predict_from_ledger(
    plan: ModelPlan, asked: Asked, ledger: Ledger, store: Store
) -> dict[str, Predictions | SciriffError]:
    """Write the predictions of each task out of the ledger, unless they are there.

    Returns:
        Task -> its predictions, or why there are none.

    Raises:
        StoreError: if the store cannot be written.
    """
    found: dict[str, Predictions | SciriffError] = dict(plan.problems)
    for name, task in plan.tasks.items():
        keys = {request.key for request in task.requests.values()}
        missing = len(keys & asked.unanswered)
        found[name] = _incomplete(missing, len(keys), asked) if missing else _of_task(plan, task, ledger, store)
    return found


def without_reply(task: TaskPlan, ledger: Ledger) -> str:
    """What is to be said of requests that got an error which may pass; empty if there are none."""
    answers = [ledger.answers[request.key] for request in task.requests.values()]
    failed = [answer for answer in answers if answer.text is None and not answer.final]
    if not failed:
        return ""
    return (
        f"{len(failed):,} of {len(answers):,} requests got no reply ({failed[0].error}); run the same command again to "
        "ask them again"
    )


def _incomplete(missing: int, total: int, asked: Asked) -> SciriffError:
    message = f"{missing:,} of {total:,} requests are not answered: {asked.problem}"
    if asked.problem is not None and asked.problem.exit_code is ExitCode.BLOCKED:
        return BlockedError(message)
    return TransientModelError(message) if can_pass(asked.problem) else ModelError(message)


def _of_task(plan: ModelPlan, task: TaskPlan, ledger: Ledger, store: Store) -> Predictions:
    instances, name = task.instances, plan.spec.name
    folder = predictions_folder(name, instances.task, instances.window, instances.split)
    lines = []
    answers: dict[str, Answer] = {}
    for each in task.prompts.prepared:
        request = task.requests.get(each.instance_id)
        if request is None:
            answer = Answer("", None, error=each.reason)
        else:
            answers[request.key] = answer = ledger.answers[request.key]
        lines.append(_line(name, each.instance, each.prompt, answer))
    # The key is of all that is written, so that replies which came later make the predictions new.
    written = hashlib.sha256(b"".join(map(dump_line, lines))).hexdigest()
    about = {**_about(name, plan.backend.identity, instances), "prompts": task.prompts.describe()}
    key = digest({"schema": SCHEMA_VERSION, "lines": written, "about": about})
    about["usage"] = _usage(answers.values(), plan.spec.price)
    if plan.spec.folder is None and (asked_of := plan.spec.weights or plan.spec.api_model):
        about["asked_of"] = asked_of
    return kept_predictions(folder, key, store) or keep_predictions(folder, key, lines, about, store)


def _usage(answers: Collection[Answer], price: Price | None) -> dict[str, Any]:
    """What the replies came to: tokens as the server or engine counted them, and US dollars at the price for live ones.

    Replies whose tokens were not told are in no sum; ``counted`` says how many were.
    """
    replies = [answer for answer in answers if answer.text is not None]
    counted = [answer for answer in replies if answer.input_tokens is not None and answer.output_tokens is not None]
    asked, said = (sum(getattr(answer, name) for answer in counted) for name in ("input_tokens", "output_tokens"))
    return {
        "replies": len(replies),
        "counted": len(counted),
        "input_tokens": asked,
        "output_tokens": said,
        "dollars": None if price is None else round(price.cost(asked, said), 6),
        "served_models": sorted({answer.served_model for answer in replies if answer.served_model}),
    }


def _line(model: str, instance: Mapping[str, Any], prompt: Prompt | None, answer: Answer) -> dict[str, Any]:
    """One line of predictions; its fields are told in :mod:`sciriff.models.predictions`."""
    text = str(instance["input"])
    shown = _shown(prompt)
    line = {
        "instance_id": instance["_instance_id"],
        "prompt": shown,
        "reply": answer.text,
        "reference": instance["output"],
        "finish_reason": answer.finish_reason,
        "model": model,
    }
    if "_document_id" in instance:
        line["document_id"] = instance["_document_id"]
    if shown != text:
        line["input"] = text
    if answer.key:
        line["request"] = answer.key
    if answer.text is None:
        line["error"] = answer.error
    return line


def _shown(prompt: Prompt | None) -> Any:
    """A prompt as it stands in a line: text, also for a single message of the user; else the messages."""
    if prompt is None or isinstance(prompt, str):
        return prompt
    if len(prompt) == 1 and prompt[0].role == "user":
        return prompt[0].content
    return [message._asdict() for message in prompt]


def _about(model: str, identity: str, instances: InstanceSet) -> dict[str, Any]:
    return {
        "model": model,
        "model_identity": identity,
        "inputs": {"path": instances.path, "sha256": instances.sha256, "build_key": instances.build_key},
        "parameters": _parameters(instances),
    }


def _parameters(instances: InstanceSet) -> dict[str, Any]:
    return {
        "instances": instances.sha256,
        "window": instances.window,
        "split": instances.split,
        "limit": instances.limit,
    }
