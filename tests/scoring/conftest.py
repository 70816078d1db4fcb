from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from sciriff import api
from sciriff.scoring.tasks import EVAL_TASKS
from sciriff.settings import Settings


@pytest.fixture(scope="session")
def references(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[str]]:
    """Task -> all references that the bundled samples give."""
    folder = tmp_path_factory.mktemp("built")
    settings = Settings(store=str(folder / "artifacts"), cache=folder / "cache", offline=True, samples="always")
    names = [task.name for task in EVAL_TASKS]
    report = api.build(names, windows=[4096], combining=False, settings=settings)
    assert report.exit_code == 0
    found = {}
    for name in names:
        files = sorted((folder / "artifacts/instructions/4096" / name).glob("*.jsonl"))
        found[name] = [json.loads(line)["output"] for file in files for line in file.read_text().splitlines()]
    assert all(len(texts) > 10 for texts in found.values())
    return found
