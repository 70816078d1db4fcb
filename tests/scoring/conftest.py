from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def conformance() -> Path:
    """Reference values of the original scorers; not part of the repository."""
    shared = os.environ.get("SCIRIFF_SHARED")
    folder = (Path(shared) if shared else Path(__file__).parents[2].parent / "shared") / "conformance"
    if not folder.is_dir():
        pytest.skip(f"no reference values at {folder} (set SCIRIFF_SHARED)")
    return folder
