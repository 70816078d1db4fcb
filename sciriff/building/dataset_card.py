"""The README.md of the combined dataset, whose YAML head tells the Hub and ``datasets`` its windows and splits."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import yaml

from sciriff.building.dataset_description import SPLITS, SUMMARY, TITLE, DatasetDescription
from sciriff.sources.catalogue import Licence, Source

CARD = "README.md"

_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M")
_SIZE_LIMITS = (1_000, 10_000, 100_000, 1_000_000)
_CATEGORIES = {
    "classification": "text-classification",
    "entailment": "text-classification",
    "ie": "token-classification",
    "qa": "question-answering",
    "summarization": "summarization",
}
"""First part of a task family -> the Hub's name of the task category."""


def dataset_card(dataset: DatasetDescription) -> bytes:
    """Return the card: YAML head, sizes, record shape, and each task with its source, licence and citation."""
    head = yaml.safe_dump(_head(dataset), sort_keys=False, allow_unicode=True, width=1_000)
    parts = [f"# {TITLE}", SUMMARY]
    if dataset.stand_ins:
        parts.append(
            f"**Not the whole data:** built from miniature samples or partial sources: {', '.join(dataset.stand_ins)}."
        )
    parts += [
        "## Configurations\n\n"
        "One configuration per context window: input and output of every instance fit into it together, counted in "
        f"tokens of {' and '.join(dataset.tokenizers) or 'an unknown tokenizer'}. The same rows lie beside the Parquet "
        "files as JSON lines.\n\n" + _size_table(dataset),
        "## Records\n\n"
        "`input` is the prompt, `output` the reference answer, `metadata` holds `domains`, `input_context`, "
        "`output_context`, `source_type` and `task_family`, and `_instance_id` is `task:source split:row`.",
        "## Tasks and licences\n\n"
        "Every task comes from a dataset of its own, with its own terms. They are given as far as they are stated; "
        "check them before you pass copies on.\n\n" + _task_table(dataset),
        "## Citations\n\n" + "\n".join(f"- **{source.id}**: {source.citation}" for source in dataset.sources),
    ]
    body = "\n\n".join(parts)
    return f"---\n{head}---\n\n{body}\n".encode()


def _head(dataset: DatasetDescription) -> dict[str, Any]:
    windows = dataset.windows
    largest = sum(dataset.size(windows[-1], split) for split in SPLITS) if windows else 0
    return {
        "pretty_name": "SciRIFF",
        "language": ["en"],
        "license": "other",
        "license_name": "several",
        "license_link": f"{CARD}#tasks-and-licences",
        "task_categories": _categories(dataset),
        "size_categories": [_SIZES[bisect_right(_SIZE_LIMITS, largest)]],
        "tags": ["science", "instruction-following", "croissant"],
        "configs": [
            {
                "config_name": str(window),
                **({"default": True} if window == windows[0] else {}),
                "data_files": [{"split": split, "path": f"{window}/{split}.parquet"} for split in SPLITS],
            }
            for window in windows
        ],
    }


def _categories(dataset: DatasetDescription) -> list[str]:
    families = {task.family.partition(".")[0] for task in dataset.tasks}
    return sorted({_CATEGORIES[family] for family in families if family in _CATEGORIES} | {"text-generation"})


def _size_table(dataset: DatasetDescription) -> str:
    rows = [
        f"| {window} | " + " | ".join(f"{dataset.size(window, split):,}" for split in SPLITS) + " |"
        for window in dataset.windows
    ]
    return "\n".join(["| window | train | validation | test |", "|---|---|---|---|", *rows])


def _task_table(dataset: DatasetDescription) -> str:
    rows = []
    for task in dataset.tasks:
        sizes = " | ".join(f"{dataset.rows[task.task].get(window, 0):,}" for window in dataset.windows)
        source = _source(task.source) if task.source else "unknown"
        licence = _licence(task.source.licence) if task.source else "unknown"
        rows.append(f"| {task.task} | {task.family} | {', '.join(task.domains)} | {source} | {licence} | {sizes} |")
    heads = ["task", "family", "domains", "source", "licence", *map(str, dataset.windows)]
    return "\n".join([f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *rows])


def _source(source: Source) -> str:
    return f"[{_cell(source.title)}]({source.homepage})"


def _licence(licence: Licence) -> str:
    name = f"[{licence.id}]({licence.url})" if licence.url else licence.id
    terms = [*([] if licence.redistributable else ["not to be passed on"]), *([licence.note] if licence.note else [])]
    return name + (f" ({_cell('; '.join(terms))})" if terms else "")


def _cell(text: str) -> str:
    """Text that does not end a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")
