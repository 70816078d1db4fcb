"""``reports/leakage``: the built tasks of a window, and a training mixture, compared with each other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from sciriff.building.combine import built_tasks
from sciriff.building.overlaps import Place
from sciriff.building.progress import Progress
from sciriff.building.texts import text_id
from sciriff.dataset.leakage import DEFAULT_THRESHOLD, MIXTURE, TRAIN, Item, Leakage, Signatures, find_leakage
from sciriff.dataset.leakage_page import leakage_page
from sciriff.dataset.shingles import shingles, wording
from sciriff.dataset.statistics import SPLITS, read_instances
from sciriff.dataset.tables import publish_tables
from sciriff.errors import StoreError, UsageError
from sciriff.store import Store

REPORT = "reports/leakage"
PAGE = "index.html"
_DOCUMENTS_FOR_WORDING = 200


@dataclass(frozen=True)
class LeakageReport:
    """What was compared and found.

    Attributes:
        window: context window whose instances were compared.
        mixture: the training mixture that was compared too; empty if none was.
        threshold: least similarity of near-duplicates.
        leakage: the result.
        folder: where ``matrix.parquet``, ``matches.parquet`` and ``index.html`` lie, relative to the store root.
    """

    window: int
    mixture: str
    threshold: float
    leakage: Leakage
    folder: str

    def over(self, limit: float) -> dict[Place, float]:
        """Evaluation splits of which more than this share stands in training data, with the share."""
        shares = {place: self.leakage.share(place) for place in self.leakage.leaked}
        return {place: share for place, share in shares.items() if share > limit}


def report_leakage(
    store: Store,
    *,
    window: int,
    mixture: str | None = None,
    threshold: float = DEFAULT_THRESHOLD,
    progress: Progress,
) -> LeakageReport:
    """Compare all built tasks and splits of a window, and a mixture, and write the report.

    Args:
        store: where the built tasks lie and the report goes.
        window: context window in tokens.
        mixture: name of a training mixture of the store, without ``.jsonl``. With one, it is the training data that
            evaluation splits are held against; without, the train splits of all tasks are.
        threshold: least estimated Jaccard similarity of near-duplicates, above 0 and at most 1.
        progress: where progress goes.

    Raises:
        UsageError: if nothing is built at the window, there is no such mixture, or the threshold is out of range.
        StoreError: if the store cannot be read or written.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"threshold {threshold}: give a similarity above 0 and at most 1, such as {DEFAULT_THRESHOLD}")
    tasks = built_tasks(store, window)
    if not tasks:
        raise UsageError(f"no task is built at window {window} in {store.path('')}; run `sciriff build` first")
    comparison = _Comparison(threshold)
    with progress.stage("tasks compared", len(tasks)) as stage:
        for task in tasks:
            comparison.add_task(store, window, task)
            stage.advance(note=task)
    if mixture is not None:
        with progress.stage("mixture compared") as stage:
            for _ in comparison.add_mixture(_mixture_records(store, mixture)):
                stage.advance()
    result = comparison.result(TRAIN if mixture is None else MIXTURE)
    report = LeakageReport(window, mixture or "", threshold, result, REPORT)
    _publish(store, report)
    return report


class _Comparison:
    """Collects items; a text is shingled once, however many instances have it."""

    def __init__(self, threshold: float) -> None:
        self._items: list[Item] = []
        self._signatures = Signatures(threshold)
        self._known: set[str] = set()
        self._by_prompt: dict[bytes, Item] = {}

    def add_task(self, store: Store, window: int, task: str) -> None:
        """Take all splits of a built task."""
        common = wording(_one_prompt_a_document(store, window, task))
        for split in SPLITS:
            for instance in read_instances(store, window, task, split):
                prompt = instance["input"]
                item = Item(
                    Place(task, split),
                    instance["_instance_id"],
                    instance["_document_id"],
                    instance.get("_text_id") or text_id(prompt),
                )
                self._add(item, prompt, common)
                if split == "train":
                    self._by_prompt[_digest(prompt)] = item

    def add_mixture(self, records: Iterable[Mapping[str, Any]]) -> Iterator[None]:
        """Take the records of a mixture; its science records are known from their tasks."""
        for record in records:
            place = Place(str(record.get("dataset") or "unnamed"), MIXTURE)
            prompt = "\n".join(
                message["content"] for message in record["messages"] if message["role"] in ("system", "user")
            )
            known = self._by_prompt.get(_digest(prompt))
            document, text = (known.document, known.text) if known else ("", text_id(prompt))
            self._add(Item(place, str(record["id"]), document, text), prompt, frozenset())
            yield

    def _add(self, item: Item, prompt: str, common: frozenset[str]) -> None:
        self._items.append(item)
        if item.text not in self._known:
            self._known.add(item.text)
            self._signatures.add(item.text, shingles(prompt) - common)

    def result(self, training: str) -> Leakage:
        """Compare."""
        return find_leakage(self._items, self._signatures.near(), training)


def _digest(prompt: str) -> bytes:
    return hashlib.blake2b(prompt.encode(), digest_size=16).digest()


def _one_prompt_a_document(store: Store, window: int, task: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for split in SPLITS:
        for instance in read_instances(store, window, task, split):
            found.setdefault(instance["_document_id"], instance["input"])
            if len(found) >= _DOCUMENTS_FOR_WORDING:
                return found
    return found


def _mixture_records(store: Store, mixture: str) -> Iterator[dict[str, Any]]:
    path = f"training_mix/{mixture}.jsonl"
    if not store.exists(path):
        there = [name.removesuffix(".jsonl") for name in store.files("training_mix") if name.endswith(".jsonl")]
        raise UsageError(
            f"there is no mixture {mixture!r} in {store.path('training_mix')}; there is {', '.join(there) or 'none'}"
        )
    with store.open_read(path) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise StoreError(f"{store.path(path)}:{number}: not JSON: {error}; make the mixture again") from error


def _publish(store: Store, report: LeakageReport) -> None:
    found = report.leakage
    matrix = [
        {
            "task": place.task,
            "split": place.split,
            "instances": found.sizes[place],
            "other_task": other.task,
            "other_split": other.split,
            **cell._asdict(),
        }
        for (place, other), cell in found.cells.items()
    ]
    matches = [
        {
            "task": match.item.place.task,
            "split": match.item.place.split,
            "instance_id": match.item.instance_id,
            "other_task": match.other.task,
            "other_split": match.other.split,
            "other_instance_id": match.other_id,
            "same_document": match.same_document,
            "same_text": match.same_text,
            "similarity": match.similarity,
        }
        for match in found.matches
    ]
    publish_tables(
        store,
        REPORT,
        "leakage",
        {"matrix": (matrix, _MATRIX), "matches": (matches, _MATCHES)},
        {PAGE: leakage_page(found, report.window, report.mixture, report.threshold)},
        {"window": report.window, "mixture": report.mixture, "threshold": report.threshold},
    )


_MATRIX = {
    "task": "string",
    "split": "string",
    "instances": "int64",
    "other_task": "string",
    "other_split": "string",
    "same_document": "int64",
    "same_text": "int64",
    "near_text": "int64",
}
_MATCHES = {
    "task": "string",
    "split": "string",
    "instance_id": "string",
    "other_task": "string",
    "other_split": "string",
    "other_instance_id": "string",
    "same_document": "bool",
    "same_text": "bool",
    "similarity": "float64",
}
