from __future__ import annotations

from pathlib import Path

import pytest

from sciriff.settings import Settings
from sciriff.store import Store

from .built import INSTANCES, publish_instances


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with the four tasks that are scored."""
    store = Store(str(tmp_path / "artifacts"))
    for task in INSTANCES:
        publish_instances(store, task, 4)
    return store
