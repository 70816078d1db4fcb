from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Run:
    """Call the command in an empty folder without any SCIRIFF_ variable."""
    import os

    for name in list(os.environ):
        if name.startswith("SCIRIFF_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        from sciriff.cli import main

        return CliRunner().invoke(main, list(arguments))

    return call
