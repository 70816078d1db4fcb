"""Loading the master corpus, and how its records are cut into splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml

_FOLDER = Path(__file__).with_name("texts")
_T = TypeVar("_T")


def load(name: str) -> list[Any]:
    """Load the records of ``texts/NAME.yaml``."""
    records = yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(records, list)
    return records


def cut(records: list[_T], train: int, dev: int) -> dict[str, list[_T]]:
    """Cut records into ``train``, ``dev`` and ``test`` (the rest), in order."""
    return {"train": records[:train], "dev": records[train : train + dev], "test": records[train + dev :]}
