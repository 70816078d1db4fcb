"""Instances from the store, replies into it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from sciriff.errors import StoreError
from sciriff.models.instances import NotBuiltError, load_instances
from sciriff.models.predict import predict_baseline
from sciriff.models.predictions import read_predictions
from sciriff.store import Store

TASK = "scierc_ner"


def _publish(store: Store, lines: list[dict[str, Any]] | bytes, **manifest: Any) -> None:
    data = lines if isinstance(lines, bytes) else b"".join(orjson.dumps(line) + b"\n" for line in lines)
    folder = f"instructions/4096/{TASK}"
    store.write_bytes(f"{folder}/validation.jsonl", data)
    files = {"validation.jsonl": {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}}
    store.write_manifest(folder, {"key": "k", "files": files, **manifest})


def _instances(number: int) -> list[dict[str, Any]]:
    return [{"_instance_id": f"{TASK}:validation:{n}", "input": f"in {n}", "output": f"out {n}"} for n in range(number)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_instances_keep_their_order_and_say_what_they_are(store: Store) -> None:
    _publish(store, _instances(5), inputs={"partial": True, "sample": False})
    loaded = load_instances(store, TASK, 4096, "validation")
    assert [instance["input"] for instance in loaded.instances] == [f"in {n}" for n in range(5)]
    assert (loaded.build_key, loaded.note) == ("k", "partial source")


def test_a_limit_draws_the_same_sample_every_time_whatever_comes_after(store: Store) -> None:
    _publish(store, _instances(50))
    drawn = load_instances(store, TASK, 4096, "validation", limit=10)
    numbers = [int(instance["input"].split()[1]) for instance in drawn.instances]
    assert len(numbers) == 10
    assert numbers == sorted(numbers) != list(range(10))
    assert load_instances(store, TASK, 4096, "validation", limit=10).instances == drawn.instances
    fewer = load_instances(store, TASK, 4096, "validation", limit=4).instances
    assert set(map(str, fewer)) < set(map(str, drawn.instances))
    assert len(load_instances(store, TASK, 4096, "validation", limit=999).instances) == 50


def test_what_is_not_built_is_told_with_the_command(store: Store) -> None:
    with pytest.raises(NotBuiltError, match="sciriff build --tasks scierc_ner"):
        load_instances(store, TASK, 4096, "validation")
    store.write_bytes(f"instructions/4096/{TASK}/validation.jsonl", b"{}\n")
    with pytest.raises(NotBuiltError, match="no finished build"):
        load_instances(store, TASK, 4096, "validation")
    _publish(store, _instances(1))
    with pytest.raises(NotBuiltError, match="no split test"):
        load_instances(store, TASK, 4096, "test")
    _publish(store, b"")
    with pytest.raises(NotBuiltError, match="no instances"):
        load_instances(store, TASK, 4096, "validation")


def test_changed_and_malformed_instances_are_named(store: Store) -> None:
    _publish(store, _instances(2))
    store.write_bytes(f"instructions/4096/{TASK}/validation.jsonl", b"{}\n")
    with pytest.raises(StoreError, match="was changed after it was built"):
        load_instances(store, TASK, 4096, "validation")
    _publish(store, orjson.dumps(_instances(1)[0]) + b'\n{"_instance_id": "x", "input": 3}\n')
    with pytest.raises(StoreError, match=r"validation.jsonl:2: no text under input, output"):
        load_instances(store, TASK, 4096, "validation")
    _publish(store, b"[1\n")
    with pytest.raises(StoreError, match=r"validation.jsonl:1: not JSON"):
        load_instances(store, TASK, 4096, "validation")


def test_predictions_are_made_once_per_state_of_the_data(store: Store) -> None:
    _publish(store, _instances(3))
    first = predict_baseline("gold", load_instances(store, TASK, 4096, "validation"), store)
    assert not first.reused
    assert list(read_predictions(store, first.path))[1] == {
        "instance_id": f"{TASK}:validation:1",
        "prompt": "in 1",
        "reply": "out 1",
        "reference": "out 1",
        "finish_reason": "stop",
        "model": "gold",
    }
    again = predict_baseline("gold", load_instances(store, TASK, 4096, "validation"), store)
    assert again == first._replace(reused=True)
    _publish(store, _instances(4))
    changed = predict_baseline("gold", load_instances(store, TASK, 4096, "validation"), store)
    assert (changed.reused, changed.model_identity) == (False, first.model_identity)
    store.write_bytes(changed.path, b"damaged")
    repaired = predict_baseline("gold", load_instances(store, TASK, 4096, "validation"), store)
    assert repaired == changed
    assert len(list(read_predictions(store, repaired.path))) == 4
