"""``max_leakage``: a build whose evaluation data stands in training data fails, in the flow as on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.build import build_sciriff

if TYPE_CHECKING:
    from conftest import Server

TASKS = "biored_ner,gnormplus_ner"
"""Samples of one text: what one task is validated on, the other one is trained on."""


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(("limit", "name"), [(0.0, "Failed"), (1.0, "Completed"), (None, "Completed")])
def test_the_flow_fails_beyond_the_limit(
    in_process: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: float | None, name: str
) -> None:
    for variable, value in {"SAMPLES": "always", "OFFLINE": "1", "CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(f"SCIRIFF_{variable}", value)
    state = build_sciriff(
        tasks=TASKS, windows="4096", store=str(tmp_path / "store"), workers=1, max_leakage=limit, return_state=True
    )
    assert state.name == name, state.message
    assert ("leakage failed" in (state.message or "")) == (name == "Failed")
    assert (tmp_path / "store/instructions_hf/4096/train.parquet").is_file()
    body = {"artifacts": {"flow_run_id": {"any_": [str(state.state_details.flow_run_id)]}}}
    keys = {each["key"] for each in in_process.post("artifacts/filter", body)}
    assert ("build-leakage" in keys) == (limit is not None)
