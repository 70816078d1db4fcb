"""What the combined dataset is, gathered once for its card (README.md) and its croissant.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sciriff.errors import SciriffError
from sciriff.sources import catalogue
from sciriff.sources.catalogue import Source

TITLE = "SciRIFF, rebuilt from primary sources"
SUMMARY = (
    "Instruction-following tasks over scientific literature: information extraction, classification, question "
    "answering, claim verification and summarisation, made from existing scientific datasets with expert-written "
    "templates."
)
SPLITS = ("train", "validation", "test")
KEYWORDS = ("scientific literature", "instruction following", "information extraction", "summarization")


@dataclass(frozen=True)
class DescribedTask:
    """One task of the dataset.

    Attributes:
        task: its name.
        family: its task family, e.g. ``ie.named_entity_recognition``; empty if its manifest does not say.
        domains: its domains.
        source: the catalogue entry that it was made from; None if the catalogue has it no more.
    """

    task: str
    family: str
    domains: tuple[str, ...]
    source: Source | None


@dataclass(frozen=True)
class DescribedFile:
    """One Parquet file: its path in the dataset, hash, size in bytes and number of rows."""

    window: int
    split: str
    path: str
    sha256: str
    bytes: int
    rows: int


@dataclass(frozen=True)
class DatasetDescription:
    """The combined dataset at all its windows.

    Attributes:
        files: the Parquet files, by window and split.
        tasks: the tasks of any window, sorted by name.
        rows: task -> window -> instances over all splits.
        stand_ins: tasks built from bundled samples or partial sources.
        tokenizers: what tokens were counted with.
    """

    files: tuple[DescribedFile, ...]
    tasks: tuple[DescribedTask, ...]
    rows: Mapping[str, Mapping[int, int]]
    stand_ins: tuple[str, ...]
    tokenizers: tuple[str, ...]

    @property
    def windows(self) -> tuple[int, ...]:
        """Context windows in tokens, ascending."""
        return tuple(sorted({file.window for file in self.files}))

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources of all tasks, each once, sorted by id."""
        found = {task.source.id: task.source for task in self.tasks if task.source is not None}
        return tuple(found[name] for name in sorted(found))

    def size(self, window: int, split: str) -> int:
        """Rows of a split at a window."""
        return sum(file.rows for file in self.files if (file.window, file.split) == (window, split))


def describe_dataset(
    combined: Mapping[int, Mapping[str, Any]], tasks: Mapping[int, Mapping[str, Mapping[str, Any]]]
) -> DatasetDescription:
    """Describe a dataset by its manifests.

    Args:
        combined: window -> manifest of the combined dataset.
        tasks: window -> task -> manifest of the built task, of the tasks in it.
    """
    manifests = {task: manifest for window in sorted(tasks) for task, manifest in tasks[window].items()}
    stand_ins = {name for manifest in combined.values() for names in manifest["provenance"].values() for name in names}
    return DatasetDescription(
        files=tuple(
            DescribedFile(window, split, f"{window}/{split}.parquet", entry["sha256"], entry["bytes"], entry["rows"])
            for window in sorted(combined)
            for split in SPLITS
            for entry in (combined[window]["files"][f"{split}.parquet"],)
        ),
        tasks=tuple(_task(task, manifests[task]) for task in sorted(manifests)),
        rows={
            task: {
                window: sum(entry["rows"] for entry in tasks[window][task]["files"].values())
                for window in sorted(tasks)
                if task in tasks[window]
            }
            for task in manifests
        },
        stand_ins=tuple(sorted(stand_ins)),
        tokenizers=_tokenizers(manifests.values()),
    )


def _task(task: str, manifest: Mapping[str, Any]) -> DescribedTask:
    metadata = manifest.get("metadata", {})
    try:
        source = catalogue.source(manifest["inputs"]["source"])
    except (KeyError, SciriffError):
        source = None
    return DescribedTask(task, metadata.get("task", ""), tuple(metadata.get("domains", ())), source)


def _tokenizers(manifests: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(sorted({manifest["tokenizer"]["name"] for manifest in manifests if "tokenizer" in manifest}))
