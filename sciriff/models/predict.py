"""Ask a model and keep its replies: :mod:`sciriff.models.predictions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sciriff.building.fingerprint import code_digest
from sciriff.hashing import digest
from sciriff.models.baselines import baseline
from sciriff.models.instances import InstanceSet
from sciriff.models.predictions import Predictions, keep_predictions, kept_predictions, predictions_folder
from sciriff.store import SCHEMA_VERSION, Store


def predict(model: str, instances: InstanceSet, store: Store) -> Predictions:
    """Have every instance answered, unless that was done before.

    Raises:
        UsageError: if there is no such model.
        StoreError: if the store cannot be written.
    """
    answer = baseline(model)
    identity = digest({"backend": "baseline", "name": model, "code": code_digest(["sciriff.models.baselines"])})
    folder = predictions_folder(model, instances.task, instances.window, instances.split)
    asked = {
        "instances": instances.sha256,
        "window": instances.window,
        "split": instances.split,
        "limit": instances.limit,
    }
    key = digest({"schema": SCHEMA_VERSION, "model": identity, "asked": asked})
    if kept := kept_predictions(folder, key, store):
        return kept
    lines = (_line(model, instance, answer(instance)) for instance in instances.instances)
    about = {
        "model": model,
        "model_identity": identity,
        "inputs": {"path": instances.path, "sha256": instances.sha256, "build_key": instances.build_key},
        "parameters": asked,
    }
    return keep_predictions(folder, key, lines, about, store)


def _line(model: str, instance: Mapping[str, Any], reply: str) -> dict[str, Any]:
    return {
        "instance_id": instance["_instance_id"],
        "prompt": instance["input"],
        "reply": reply,
        "reference": instance["output"],
        "finish_reason": "stop",
        "model": model,
        **({"document_id": instance["_document_id"]} if "_document_id" in instance else {}),
    }
