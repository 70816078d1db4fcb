from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "building"))  # build_kit

from build_kit import sample_settings
from cluster_kit import EVALUATED, TASKS, WINDOWS, but_the_index

import sciriff


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Hashes of all files that a build and an evaluation on one machine make."""
    folder = tmp_path_factory.mktemp("reference")
    settings = sample_settings(folder / "store", folder)
    sciriff.build(TASKS, windows=WINDOWS, settings=settings)
    sciriff.evaluate(["gold", "lead"], tasks=EVALUATED, settings=settings)
    return but_the_index(folder / "store")
